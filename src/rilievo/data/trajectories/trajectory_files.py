"""Writes trajectories as text: KITTI's format, or TUM's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rilievo.geometry.transforms import axis_angle_from_rotation
from rilievo.io.files.atomic import replacing
from rilievo.shapes import Transforms, Values


def write_kitti(path: Path, poses: Transforms) -> None:
    """Write one line per frame: the upper three rows of ``world_T_cam``, row by row."""
    _write(path, (" ".join(f"{number:.9e}" for number in pose[:3].ravel()) for pose in poses))


def write_tum(path: Path, seconds: Values, poses: Transforms) -> None:
    """Write one line per frame: seconds tx ty tz qx qy qz qw."""
    _write(path, _tum_lines(seconds, poses))


def _tum_lines(seconds: Values, poses: Transforms) -> Iterator[str]:
    yield "# seconds tx ty tz qx qy qz qw"
    for moment, pose in zip(seconds, poses, strict=True):
        turn = axis_angle_from_rotation(pose[:3, :3])
        angle = float(np.linalg.norm(turn))
        # sin(a / 2) / a, which is one half at a = 0.
        vector = turn * np.sinc(angle / (2 * np.pi)) / 2
        numbers = (*pose[:3, 3], *vector, np.cos(angle / 2))
        yield f"{moment:.6f} " + " ".join(f"{number:.9f}" for number in numbers)


def _write(path: Path, lines: Iterator[str]) -> None:
    with replacing(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
