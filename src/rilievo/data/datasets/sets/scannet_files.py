"""Text files of ScanNet: 4x4 matrices."""

from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transform
from rilievo.data.datasets.text_files import parse_numbers, text_lines
from rilievo.errors import InputError
from rilievo.io.files.names import printable


def read_pose_unless_lost(path: Path) -> Transform | None:
    """Read ``world_T_cam`` [m]; None if the camera was lost, for which the file has infinities."""
    pose = read_4x4_matrix(path)
    return pose if np.isfinite(pose).all() else None


def read_4x4_matrix(path: Path) -> Transform:
    """Read a matrix of a camera or a pose; ``InputError`` if the file does not have 16 numbers."""
    numbers = parse_numbers(" ".join(line.text for line in text_lines(path)))
    if numbers is None or len(numbers) != 16:
        raise InputError(f"{printable(path)}: expected the 16 numbers of a 4x4 matrix")
    return np.array(numbers).reshape(4, 4)
