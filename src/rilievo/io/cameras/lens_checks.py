"""Checks that every camera from a file passes, whatever the format, and the errors they raise.

``location`` is the file, and the line or the camera in it, as messages name them.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Matrix
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import MOST_SIDE, SpelledLens
from rilievo.io.files.names import printable

READABLE_MODELS = (
    "read are pinholes with radtan (also called plumb_bob, opencv, rational_polynomial; 4, 5 or 8 "
    "coefficients), equidistant (fisheye, Kannala-Brandt; 4) and fov (1), and panoramas"
)
"""The lens models that are read, for messages about others."""

WRITE_NUMBERS_HINT = Text(
    "write its numbers as ",
    OptionName("camera", "FX,FY,CX,CY"),
    " or ",
    OptionName("camera", "opencv:FX,FY,CX,CY,K1,K2,P1,P2"),
    ", or give ",
    OptionName("fov", "..."),
)
"""What to do with a file that has no camera in a form that is read."""

_MAX_LISTED_NAMES = 8
_MAX_LISTED_CAMERAS = 6


def camera_from_K(K: Matrix, path: Path) -> Camera:
    """Make a camera of intrinsics [px] that were read from a file.

    Raises:
        InputError: If K is no matrix of a camera; it names ``path``.
    """
    try:
        return Camera(K=K)
    except InputError as error:
        raise InputError(problem=Text(error), path=path) from error


def checked_lens(
    name: str, numbers: Sequence[float], size: tuple[int, int] | None, location: str
) -> SpelledLens:
    """Make a lens of fx, fy, cx, cy [px] and coefficients; without any, it is a pinhole.

    Raises:
        InputError: If there is no such lens, for example because a focal length is negative.
    """
    if name in ("fov", "pinhole") and not any(numbers[4:]):
        name, numbers = "pinhole", numbers[:4]
    spelling = SpelledLens(name=name, numbers=tuple(map(float, numbers)), size=size)
    try:
        spelling.lens(size or (2, 2))
    except InputError as error:
        raise InputError(problem=Text(error), path=location) from error
    return spelling


def finite_numbers(numbers: Sequence[float], location: str) -> list[float]:
    """Return the numbers as a list.

    Raises:
        InputError: If one of them is NaN or infinite.
    """
    for position, number in enumerate(numbers, 1):
        if not math.isfinite(number):
            raise InputError(
                f"number {position} is {number:g}, expected finite numbers", path=location
            )
    return [*numbers]


def picture_size(width: float, height: float, location: str) -> tuple[int, int]:
    """Size (height, width) of pictures whose sides [px] a file states.

    Raises:
        InputError: If no picture has such sides.
    """
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise InputError(
            f"its pictures are {width:.10g}x{height:.10g}, expected sides of "
            f"1 to {MOST_SIDE} pixels",
            path=location,
        )
    return int(height), int(width)


def intrinsics_of_matrix(numbers: Sequence[float], location: str) -> list[float]:
    """fx, fy, cx and cy of a matrix of 3x3, 3x4 or 4x4, by rows or by columns.

    Numbers that are no such matrix are returned as they are.

    Raises:
        InputError: If it has a skew, or is otherwise no K.
    """
    if len(numbers) == 12:
        numbers = [*numbers[:3], *numbers[4:7], *numbers[8:11]]
    if len(numbers) not in (9, 16):
        return [*numbers]

    side = 3 if len(numbers) == 9 else 4
    matrix = np.array(numbers, np.float64).reshape(side, side)
    # Open3D and ARKit write it column by column, with the principal point at its end.
    is_by_columns = matrix[2, :2].any() and not matrix[:2, 2].any()
    if is_by_columns:
        matrix = matrix.T
    if side == 4 and (matrix[3].tolist() != [0, 0, 0, 1] or matrix[:3, 3].any()):
        raise InputError("has 16 numbers that are no K with a row and a column of 0", path=location)

    K = matrix[:3, :3].tolist()
    (fx, skew, cx), (below_fx, fy, cy), last_row = K
    if skew or below_fx or last_row != [0, 0, 1]:
        raise InputError(f"K is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {K}", path=location)
    return [fx, fy, cx, cy]


def no_camera_error(location: str, content: Any = None) -> InputError:
    """Error for a file in which no form of intrinsics is recognised, with the names it has."""
    names = [printable(str(name)[:30]) for name in content] if isinstance(content, Mapping) else []
    listed = ", ".join(names[:_MAX_LISTED_NAMES])
    if len(names) > _MAX_LISTED_NAMES:
        listed += ", ..."
    what_it_has = f"; it has {listed}" if names else ""
    return InputError(
        f"has no camera in a form that is read{what_it_has}",
        path=location,
        hint=WRITE_NUMBERS_HINT,
    )


def several_cameras_error(labels: Sequence[str], location: str) -> InputError:
    """Error for a file whose cameras differ, with some of their names."""
    unique_labels = [printable(label) for label in dict.fromkeys(labels) if label]
    names = ", ".join(unique_labels[:_MAX_LISTED_CAMERAS])
    if names and len(labels) > _MAX_LISTED_CAMERAS:
        names += ", ..."
    which = f" ({names})" if names else ""
    return InputError(
        f"holds {len(labels)} cameras{which}: keep the one of this photograph", path=location
    )
