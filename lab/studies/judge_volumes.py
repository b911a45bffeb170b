"""Measure the volume of boxes by the depth of the default network, in rendered views of a room.

Usage: ``python lab/studies/judge_volumes.py [COUNT]``, by default 10 views of each box.

Each view shows the crate or the carton of ``examples/room.py`` from 45 to 62 degrees above the
floor (seed 1). The camera and the width of the box at its foot are known. The outline is that of
the box, a twentieth larger. Measured is the volume by the network, and by the exact depth as a
depth map. Printed are the smallest and the largest ratio to the true volume, the share of the
ranges that contain it, and the median of the ends of the ranges over the true volume.
"""

import math
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull

import rilievo
from rilievo.errors import RilievoError
from rilievo.measure import Measurement

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from room import BOXES, HEIGHT, WIDTH, K, render

_BOXES = ("crate", "carton")
_OUTLINE_FACTOR = 1.05


def main() -> None:
    """Print a line for each source of depth."""
    view_count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    generator = np.random.default_rng(1)
    ratios: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for name in _BOXES:
        low, high = np.array(BOXES[name])
        true_volume = float(np.prod(high - low))
        for _ in range(view_count):
            for source, measured in _measured(_pose_above(low, high, generator), low, high):
                value, low_end, high_end = measured.value, measured.low, measured.high
                ratios[source].append(
                    (value / true_volume, low_end / true_volume, high_end / true_volume)
                )
    for source, lines in ratios.items():
        values, lows, highs = np.array(lines).T
        inside = np.mean((lows <= 1) & (highs >= 1))
        print(
            f"{source}: {values.min():.2f} to {values.max():.2f} of the true volume in "
            f"{len(values)} views; {inside:.0%} of the ranges contain it, which go from "
            f"{np.median(lows):.2f} to {np.median(highs):.2f} of it"
        )


def _pose_above(low: np.ndarray, high: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Pose ``world_T_cam`` of a camera that looks down at a box from the front."""
    middle = (low + high) / 2
    pitch, camera_height = math.radians(generator.uniform(45, 62)), generator.uniform(1.7, 2.2)
    yaw = generator.uniform(-0.1, 0.1)
    c, s = math.cos(yaw), math.sin(yaw)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = math.cos(pitch), math.sin(pitch)
    pose = np.eye(4)
    pose[:3, :3] = turn @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    distance = (camera_height - 0.2) / math.tan(pitch)
    pose[:3, 3] = middle[0] + generator.uniform(-0.2, 0.2), -camera_height, middle[2] - distance
    return pose


def _measured(
    pose: np.ndarray, low: np.ndarray, high: np.ndarray
) -> Iterator[tuple[str, Measurement]]:
    """Volume by the network and by the exact depth; none for a view that cuts the box off."""
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], 0) for z in (low[2], high[2])]
    pixels = np.array([_pixel(pose, corner) for corner in corners])
    hull = pixels[ConvexHull(pixels).vertices]
    hull = hull.mean(axis=0) + _OUTLINE_FACTOR * (hull - hull.mean(axis=0))
    if hull.min() < 0 or (hull > (WIDTH - 1, HEIGHT - 1)).any():
        return
    colours, depth = render(pose, HEIGHT, WIDTH)
    photo = np.clip(colours, 0, 255).astype(np.uint8)
    (u1, v1), (u2, v2) = (_pixel(pose, (x, 0, low[2])).tolist() for x in (low[0], high[0]))
    known = (u1, v1, u2, v2, float(high[0] - low[0]))
    outline = [(float(u), float(v)) for u, v in hull]
    predictions = {
        "network": rilievo.predict(photo, known=[known], camera=K),
        "exact depth": rilievo.Prediction.from_depth(photo, depth.astype(np.float32), K),
    }
    for source, prediction in predictions.items():
        try:
            yield source, prediction.volume(outline)
        except RilievoError as error:
            print(f"{source}: {error}")


def _pixel(pose: np.ndarray, place: tuple[float, float, float]) -> np.ndarray:
    in_camera = pose[:3, :3].T @ (np.array(place) - pose[:3, 3])
    return (K @ in_camera)[:2] / in_camera[2]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
