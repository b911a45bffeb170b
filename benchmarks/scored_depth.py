"""True and predicted depth maps on disk, as an evaluation finds them."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from rilievo.io.png import write_png

SHAPE = (480, 640)
_DIFFERENT = 16


def make_scored_depth(folder: Path, count: int) -> None:
    """Write ``images/``, ``depth/`` (16-bit PNG, millimetres) and ``predictions/`` (inverse depth).

    ``_DIFFERENT`` frames are made and the others are links to them: files are read all the same.
    """
    for name in ("images", "depth", "predictions"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        places = [
            folder / "images" / f"{number:05}.jpg",
            folder / "depth" / f"{number:05}.png",
            folder / "predictions" / f"{number:05}.npy",
        ]
        if number < _DIFFERENT:
            _write_frame(number, *places)
        for place in places[: 3 if number >= _DIFFERENT else 0]:
            os.link(place.with_stem(f"{number % _DIFFERENT:05}"), place)


def depth_of(number: int) -> Float32[np.ndarray, "h w"]:
    """A room of slanted walls with boxes in it, 0.7 to 8 m; a quarter has no truth (zero)."""
    random = np.random.default_rng(number)
    v, u = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] / np.array(SHAPE)[:, None, None]
    depth = 4 + random.uniform(-2, 2) * (u - 0.5) + random.uniform(-3, 0) * (v - 0.5)
    for _ in range(12):
        top, left = random.uniform(0, 0.8, 2)
        box = (v > top) & (v < top + 0.25) & (u > left) & (u < left + 0.15)
        depth = np.where(box, random.uniform(0.8, 3.0), depth)
    depth += 0.01 * random.standard_normal(SHAPE)
    holes = np.kron(random.random((SHAPE[0] // 16, SHAPE[1] // 16)) < 0.25, np.ones((16, 16)))
    return np.where(holes > 0, 0, depth).astype(np.float32)


def _write_frame(number: int, image: Path, true: Path, predicted: Path) -> None:
    depth = depth_of(number)
    random = np.random.default_rng(1000 + number)
    noise = random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(image, quality=80)
    write_png(true, np.round(depth * 1000).astype(np.uint16), {})
    known = np.where(depth > 0, depth, 4.0)
    inverse = 300 / known * np.exp(0.1 * random.standard_normal(SHAPE)) + 7
    np.save(predicted, inverse.astype(np.float32))
