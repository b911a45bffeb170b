"""Small pictures that the good files hold."""

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 36, 48


def colours(seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """An RGB picture with slopes and noise."""
    height, width = size
    rows, columns = np.indices(size)
    slopes = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], -1)
    noise = np.random.default_rng(seed).integers(0, 20, (*size, 3))
    return (slopes // 2 + noise).astype(np.uint8)


def counts(size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A map of 16-bit numbers between 500 and 60,000, with a hole."""
    stored = (np.arange(size[0] * size[1]).reshape(size) * 31 % 59_000 + 500).astype(np.uint16)
    stored[3:5, 4:9] = 0
    return stored


def metres(size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Depth between 1 and 3 m."""
    rows, columns = np.indices(size)
    return (1 + (rows + columns) / (sum(size) / 2)).astype(np.float32)


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    """An image file, in folders that are made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)  # pyright: ignore[reportArgumentType]
