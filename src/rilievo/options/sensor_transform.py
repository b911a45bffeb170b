"""Pose of a sensor beside the camera, as users give it: a file, numbers or an array."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transform
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.messages import Text
from rilievo.geometry.transforms import is_rigid_motion
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_EXPECTED = (
    "a rotation and a translation in metres as 12 or 16 numbers, row by row (3x4 or 4x4), or the "
    "name of a file with them"
)
_SHAPES_BY_COUNT = {12: (3, 4), 16: (4, 4)}
"""Shape (rows, columns) of a transform, by how many numbers it has."""

SensorTransformLike = str | Path | np.ndarray | Sequence[Sequence[float]]
"""What users may pass as the pose of a sensor in Python."""


def read_sensor_transform(value: SensorTransformLike) -> Transform:
    """Read ``cam_T_sensor``, which takes points of a sensor to the frame of the camera [m].

    A text or a text file has 12 or 16 numbers, row by row. A file may also be KITTI's
    ``calib_velo_to_cam.txt``, with lines ``R:`` and ``T:``. An array, or a list of rows, is 3x4 or
    4x4.

    Raises:
        OptionError: If it has another form, or is no rotation and translation.
        InputError: If a file cannot be read, or holds something else.
    """
    if not isinstance(value, str | Path):
        return _transform_from_numbers(_array_of(value), is_option=True)
    words = _split_words(str(value))
    if words and all(re.fullmatch(_NUMBER, word) for word in words):
        return _transform_from_numbers(np.array(words, np.float64), is_option=True)
    path = Path(value)
    try:
        return _transform_from_text(read_text(path))
    except InputError:
        raise
    except RilievoError as error:
        raise InputError(problem=Text(error), path=printable(path)) from error


def _array_of(value: object) -> np.ndarray:
    """Convert rows of numbers to an array; raise ``OptionError`` if they are none."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(option="cam_T_sensor", value=value, expected=_EXPECTED) from error


def transform_text(cam_T_sensor: Transform) -> str:
    """Write a transform as 12 numbers with commas, as the option takes them."""
    return ",".join(f"{number:.17g}" for number in cam_T_sensor[:3].ravel())


def _split_words(text: str) -> list[str]:
    """Split a text at spaces, commas, semicolons and brackets, such as "[[1, 0, 0], ...]"."""
    return re.split(r"[\s,;\[\]]+", text.strip().strip("[]").strip())


def _transform_from_text(text: str) -> Transform:
    """Read the text of a file: 12 or 16 numbers, or lines ``R:`` and ``T:`` as KITTI writes them.

    The rest of a line after ``#`` is a comment.
    """
    lines = [line.partition("#")[0] for line in text.splitlines()]
    texts_by_key = {
        key.strip(): numbers
        for key, colon, numbers in (line.partition(":") for line in lines)
        if colon
    }
    if {"R", "T"} <= texts_by_key.keys():
        rotation = _parse_numbers(texts_by_key["R"])
        translation = _parse_numbers(texts_by_key["T"])
        if (len(rotation), len(translation)) != (9, 3):
            raise OptionError("R and T have other than 9 and 3 numbers")
        numbers = np.column_stack([rotation.reshape(3, 3), translation])
    else:
        numbers = _parse_numbers(" ".join(lines))
    return _transform_from_numbers(numbers, is_option=False)


def _parse_numbers(text: str) -> np.ndarray:
    words = _split_words(text)
    if not all(re.fullmatch(_NUMBER, word) for word in words):
        raise OptionError(f"expected {_EXPECTED}")
    return np.array(words, np.float64)


def _transform_from_numbers(numbers: np.ndarray, *, is_option: bool) -> Transform:
    """Check numbers, and complete them to a 4x4 matrix.

    Messages name the option if ``is_option``; otherwise the caller adds the name of the file.
    """
    option = "cam_T_sensor" if is_option else ""
    shape = _SHAPES_BY_COUNT.get(numbers.size)
    is_flat_or_matrix = numbers.ndim == 1 or numbers.shape == shape
    if shape is None or not is_flat_or_matrix or numbers.dtype.kind not in "fiu":
        raise OptionError(
            option=option,
            problem=f"has {numbers.size} numbers, expected {_EXPECTED}",
        )
    matrix = numbers.astype(np.float64).reshape(shape)
    has_right_last_row = len(matrix) == 3 or np.array_equal(matrix[3], (0, 0, 0, 1))
    if not has_right_last_row or not is_rigid_motion(matrix):
        raise OptionError(
            option=option,
            problem="is not a rigid transform: the first three columns must be a rotation, and the "
            "last row of a 4x4 matrix must be 0, 0, 0, 1",
        )
    return np.vstack([matrix[:3], (0.0, 0.0, 0.0, 1.0)])
