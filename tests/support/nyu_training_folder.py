"""Folders laid out like NYU Depth V2's labelled frames, as the lab's recipes read them."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_nyu(folder: Path, names: list[str]) -> None:
    """Write grey frames of a flat wall, brighter from frame to frame."""
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    (folder / "train.txt").write_text("\n".join(names))
    for index, name in enumerate(names):
        image = np.full((480, 640, 3), 10 * index % 250, np.uint8)
        Image.fromarray(image).save(folder / "rgb" / f"{name}.jpg")
        Image.fromarray(np.full((480, 640), 50, np.uint8)).save(folder / "depth" / f"{name}.png")
