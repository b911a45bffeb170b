"""Errors of depth cameras on flat surfaces.

Usage: ``RILIEVO_DATA=... python lab/studies/measure_sensor_planes.py``.

In frames of six depth cameras, squares of a fifth to a half of the picture's height are drawn at
random (seed 0). Those whose depth is a plane, within 2% for 90% of their pixels, count as flat
surfaces of the scene. For each camera the script prints

- the 80% quantile of the relative difference between the median of 5 x 5 pixels, with which
  ``rilievo.measure`` reads depth, and the plane through the square;
- the 80% quantile of the angle between the planes of two discs of 4% of the picture's width in
  the same square, as ``rilievo.measure.angle`` fits them. The true angle is 0 degrees, except that
  some squares hold a small object or a crease, mostly in the frames of the Kinect.

A plane cannot show an error that all its pixels share, so the numbers are about the part of the
error in which the pixels of a surface differ.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

_SQUARES = 150
"""Squares a frame."""
_FLAT, _FLAT_PIXELS = 0.02, 0.9
_MIN_VALID = 0.9
_DISC = 0.04
_MAX_FRAMES = 8
_SETS = {
    "RealSense D435": ("realsense_10/depth/*.png", 617.0, 1e-3),
    "PrimeSense (Open3D)": ("open3d_testdata_rgbd/depth/*.png", 525.0, 1e-3),
    "Kinect (TUM, desk)": ("tum_fr1_desk_9/depth/*.png", 525.0, 2e-4),
    "Kinect (TUM, rpy)": ("panel_tum_rpy/depth/*.png", 525.0, 2e-4),
    "Kinect (7-Scenes)": ("7scenes_redkitchen/*.depth.png", 585.0, 1e-3),
    "Kinect (NYU, raw)": ("nyu_metric3d/depth/*.png", 518.9, 1e-3),
}
"""Pattern of the files, focal length [px] and metres of one count of each camera."""


def _frames(pattern: str, unit: float) -> Iterator[np.ndarray]:
    paths = sorted(Path(os.environ["RILIEVO_DATA"]).glob(pattern))
    for path in paths[:: max(1, len(paths) // _MAX_FRAMES)][:_MAX_FRAMES]:
        with Image.open(path) as image:
            counts = np.array(image).astype(np.float64)
        yield np.where((counts > 100) & (counts < 60_000), counts * unit, np.nan)


def _fit_plane(points: np.ndarray) -> np.ndarray:
    """Plane m with m · p = 1 of least absolute relative residuals."""
    weight, plane = np.ones(len(points)), np.zeros(3)
    for _ in range(8):
        plane = np.linalg.lstsq(points * weight[:, None], weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(points @ plane - 1), 1e-4))
    return plane


def _points(depth: np.ndarray, top: int, left: int, side: int, focal: float) -> np.ndarray:
    rows, columns = np.mgrid[top : top + side, left : left + side]
    height, width = depth.shape
    rays = np.stack(
        [(columns - width / 2) / focal, (rows - height / 2) / focal, np.ones(rows.shape)]
    )
    return rays * depth[top : top + side, left : left + side]


def _median_points(points: np.ndarray) -> np.ndarray:
    """Points at the medians of 5 x 5 pixels, every 7 pixels."""
    z = points[2]
    found = []
    for row in range(2, len(z) - 2, 7):
        for column in range(2, len(z) - 2, 7):
            window = z[row - 2 : row + 3, column - 2 : column + 3]
            if np.isfinite(z[row, column]):
                ray = points[:, row, column] / z[row, column]
                found.append(ray * np.nanmedian(window))
    return np.array(found)


def _disc_normal(points: np.ndarray, row: int, column: int, radius: float) -> np.ndarray | None:
    rows, columns = np.mgrid[: points.shape[1], : points.shape[2]]
    inside = (np.hypot(rows - row, columns - column) <= radius) & np.isfinite(points[2])
    if inside.sum() < 12:
        return None
    plane = _fit_plane(points[:, inside].T)
    return plane / np.linalg.norm(plane)


def main() -> None:
    """Print the quantiles of each camera."""
    random = np.random.default_rng(0)
    for name, (pattern, focal, unit) in _SETS.items():
        errors, angles, depths = [], [], []
        for depth in _frames(pattern, unit):
            height, width = depth.shape
            for _ in range(_SQUARES):
                side = int(random.uniform(0.2, 0.5) * height)
                top, left = random.integers(0, height - side), random.integers(0, width - side)
                points = _points(depth, top, left, side, focal)
                is_valid = np.isfinite(points[2])
                if is_valid.mean() < _MIN_VALID:
                    continue
                some = points[:, is_valid].T[:: max(1, side * side // 2000)]
                plane = _fit_plane(some)
                if np.quantile(np.abs(some @ plane - 1), _FLAT_PIXELS) > _FLAT:
                    continue
                medians = _median_points(points)
                errors.append(np.abs(medians @ plane - 1))
                depths.append(np.nanmedian(points[2]))
                radius = _DISC * width
                if side < 5 * radius:
                    continue
                first = _disc_normal(points, int(radius), int(radius), radius)
                last = side - int(radius)
                second = _disc_normal(points, last, last, radius)
                if first is not None and second is not None:
                    angles.append(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))
        if not errors:
            print(f"{name}: no flat square")
            continue
        every = np.concatenate(errors)
        told = f"{np.quantile(angles, 0.8):.1f}°" if angles else "-"
        print(
            f"{name}: {len(errors)} squares at {np.median(depths):.2f} m, 80% of medians within "
            f"{100 * np.quantile(every, 0.8):.2f}%, of angles within {told} ({len(angles)})"
        )


if __name__ == "__main__":
    main()
