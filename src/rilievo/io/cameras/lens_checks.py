"""Checks for cameras from files of any format, and the errors that they raise.

``location`` is the file, and the line or the camera in it, for messages.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.spelling import MAX_SIDE, SpelledLens
from rilievo.io.files.names import printable

SUPPORTED_MODELS = (
    "supported lenses are radtan (also called plumb_bob, opencv or rational_polynomial, with 4, 5 "
    "or 8 coefficients), equidistant (also called fisheye or Kannala-Brandt, with 4 coefficients), "
    "fov (with 1 coefficient), pinholes without distortion, and panoramas: undistort the images, "
    "or calibrate the camera with one of these models"
)
"""The supported lens models, for messages about others."""

WRITE_NUMBERS_HINT = Text(
    "pass its numbers as ",
    OptionName("camera", "FX,FY,CX,CY"),
    " or ",
    OptionName("camera", "opencv:FX,FY,CX,CY,K1,K2,P1,P2"),
    ", or pass ",
    OptionName("fov", "..."),
)
"""What the user can do with a file whose camera has an unsupported form."""

_MAX_LISTED_NAMES = 8
_MAX_LISTED_CAMERAS = 6


def checked_lens(
    name: str, numbers: Sequence[float], size: tuple[int, int] | None, location: str
) -> SpelledLens:
    """Make a valid lens from fx, fy, cx, cy [px] and coefficients.

    A lens with the name ``fov`` or ``pinhole`` whose coefficients are all 0 becomes a pinhole.

    ``numbers`` are the intrinsics and coefficients in the model's order, and ``size`` is (height,
    width), if known.

    Raises:
        InputError: If there is no such lens, for example because a focal length is negative.
    """
    if name in ("fov", "pinhole") and not any(numbers[4:]):
        name = "pinhole"
        numbers = numbers[:4]
    spelling = SpelledLens(name=name, numbers=tuple(map(float, numbers)), size=size)
    try:
        spelling.lens(size or (2, 2))  # any size will do; building the lens checks the numbers
    except InputError as error:
        raise InputError(problem=Text(error), path=location) from error
    return spelling


def require_finite(numbers: Sequence[float], location: str) -> list[float]:
    """Check that no number is NaN or infinite, and return them as a list.

    Raises:
        InputError: If one is.
    """
    for position, number in enumerate(numbers, 1):
        if not math.isfinite(number):
            raise InputError(
                f"number {position} is {number:g}; expected a finite number", path=location
            )
    return [*numbers]


def check_picture_size(width: float, height: float, location: str) -> tuple[int, int]:
    """Check the sides of the pictures [px] that a file states, and return (height, width).

    Raises:
        InputError: If no picture has such sides.
    """
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise InputError(
            f"the image size is {width:.10g}x{height:.10g}; expected sides of 1 to {MAX_SIDE} "
            "pixels",
            path=location,
        )
    return int(height), int(width)


def intrinsics_from_matrix(numbers: Sequence[float], location: str) -> list[float]:
    """Extract fx, fy, cx and cy from the numbers of a 3x3, 3x4 or 4x4 matrix.

    The numbers may be in row-major or column-major order. If their count is that of no such matrix,
    they are returned as they are.

    Raises:
        InputError: If the matrix has a skew, or is otherwise no K.
    """
    shape = {9: (3, 3), 12: (3, 4), 16: (4, 4)}.get(len(numbers))
    if shape is None:
        return [*numbers]
    matrix = np.array(numbers, np.float64).reshape(shape)
    if shape == (3, 4):
        return _intrinsics_from_K(_transposed_if_column_major(matrix[:, :3]), location)
    square = _transposed_if_column_major(matrix)
    if shape == (4, 4) and (square[3].tolist() != [0, 0, 0, 1] or square[:3, 3].any()):
        raise InputError(
            "the 16 numbers are not a camera matrix; expected K with a fourth row and column of 0, "
            "0, 0, 1",
            path=location,
        )
    return _intrinsics_from_K(square[:3, :3], location)


def _transposed_if_column_major(matrix: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
    """Return a camera matrix whose principal point is in the third column.

    Open3D and ARKit write columns first, so that the principal point ends up in the third row.
    """
    is_column_major = matrix[2, :2].any() and not matrix[:2, 2].any()
    return matrix.T if is_column_major else matrix


def _intrinsics_from_K(K: Matrix, location: str) -> list[float]:
    """Extract fx, fy, cx and cy; raise ``InputError`` if the matrix has a skew or is no K."""
    rows = K.tolist()
    (fx, skew, cx), (below_fx, fy, cy), last_row = rows
    if skew or below_fx or last_row != [0, 0, 1]:
        raise InputError(
            f"expected K as [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {rows}", path=location
        )
    return [fx, fy, cx, cy]


def no_camera_error(location: str, content: Any = None) -> InputError:
    """Return the error for a file without intrinsics in a known form, which lists its entries."""
    names = [printable(str(name)[:30]) for name in content] if isinstance(content, Mapping) else []
    listed = ", ".join(names[:_MAX_LISTED_NAMES])
    if len(names) > _MAX_LISTED_NAMES:
        listed += ", ..."
    entries_found = f"; its entries are {listed}" if names else ""
    return InputError(
        f"the file has no camera in a supported form{entries_found}",
        path=location,
        hint=WRITE_NUMBERS_HINT,
    )


def several_cameras_error(labels: Sequence[str], location: str) -> InputError:
    """Return the error for a file whose cameras differ, which lists some of their names."""
    if not labels:
        return InputError("the file has no cameras; choose a file that has one", path=location)
    unique_labels = [printable(label) for label in dict.fromkeys(labels) if label]
    listed = ", ".join(unique_labels[:_MAX_LISTED_CAMERAS])
    if listed and len(labels) > _MAX_LISTED_CAMERAS:
        listed += ", ..."
    camera_names = f" ({listed})" if listed else ""
    return InputError(
        f"the file has {len(labels)} cameras{camera_names}: keep only the one that took this "
        "photograph",
        path=location,
    )
