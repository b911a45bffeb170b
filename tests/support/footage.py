"""Footage for tests: a textured wall before a textured backdrop, seen from cameras that move."""

from pathlib import Path

import numpy as np
from PIL import Image

SHAPE = (64, 96)
FOCAL = 80.0


def texture(seed: int, shape: tuple[int, int] = (400, 900)) -> np.ndarray:
    """Blobs of a few pixels, which corners can be found in."""
    coarse = np.random.default_rng(seed).integers(0, 256, (shape[0] // 5, shape[1] // 5, 3))
    image = Image.fromarray(coarse.astype(np.uint8))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def view(x: float, *, seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Frame after ``x`` px of the backdrop's motion to the right; the wall moves twice as far."""
    height, width = shape
    backdrop, wall = texture(seed), texture(seed + 1000)
    at, near = round(x), round(2 * x)
    frame = backdrop[:height, at : at + width].copy()
    frame[height // 2 :] = wall[: height - height // 2, near : near + width]
    return frame


def write_frames(
    folder: Path, positions: list[float], *, seed: int = 0, pattern: str = "{:06d}.png"
) -> list[Path]:
    """A folder of frames seen from these positions."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / pattern.format(index) for index in range(len(positions))]
    for path, position in zip(paths, positions, strict=True):
        Image.fromarray(view(position, seed=seed)).save(path, quality=95)
    return paths


def kitti_pose_lines(positions: list[tuple[float, float, float]]) -> str:
    """Poses without rotation, as KITTI writes them."""
    return "".join(f"1 0 0 {x} 0 1 0 {y} 0 0 1 {z}\n" for x, y, z in positions)
