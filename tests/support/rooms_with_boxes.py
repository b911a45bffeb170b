"""Pictures of one room whose brightness states its depth, for networks to learn in a few steps."""

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 72, 96


def rooms_with_boxes(folder: Path, *, count: int = 15, seed: int = 0) -> Path:
    """Write images/ and depth/ [mm]: a floor that comes nearer, and a dark box that moves."""
    random = np.random.default_rng(seed)
    for name in ("images", "depth"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        depth = np.repeat(np.linspace(4.0, 1.5, HEIGHT)[:, None], WIDTH, axis=1)
        image = np.repeat(60 + 30 * depth[..., None], 3, axis=2)
        left = 8 + 3 * number
        image[20:60, left : left + 30], depth[20:60, left : left + 30] = 30, 1.0
        image = np.clip(image + random.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f"images/{number:02}.png")
        Image.fromarray((1000 * depth).astype(np.uint16)).save(folder / f"depth/{number:02}.png")
    return folder
