"""Intrinsics from small files."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.errors import InputError
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.numbers import read_numbers
from rilievo.types import Camera


def read_K(path: Path) -> Float64[np.ndarray, "3 3"]:
    """Read K [px] from a text of four numbers (fx fy cx cy) or nine (its rows), or a 3x3 npy array.

    Numbers are separated by commas, semicolons or white space.
    """
    K = _array_K(path) if path.suffix == ".npy" else _text_K(path)
    return camera_of(K, path).K


def camera_of(K: Float64[np.ndarray, "3 3"], path: Path) -> Camera:
    """Make a camera from the intrinsics of a file."""
    try:
        return Camera(K=K)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _array_K(path: Path) -> Float64[np.ndarray, "3 3"]:
    K = read_numbers(path).astype(np.float64)
    if K.shape != (3, 3):
        raise InputError(f"{path}: has shape {K.shape}, expected K, (3, 3)")
    return K


def _text_K(path: Path) -> Float64[np.ndarray, "3 3"]:
    check_regular(path)
    try:
        words = re.split(r"[\s,;]+", path.read_text(encoding="utf-8-sig").strip(" \t\r\n,;"))
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{path}: holds no numbers alone ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    if len(numbers) == 4:
        return pinhole_K(*numbers)
    if len(numbers) == 9:
        return np.array(numbers).reshape(3, 3)
    raise InputError(
        f"{path}: holds {len(numbers)} numbers, expected four (fx fy cx cy) or the nine of K"
    )


def pinhole_K(fx: float, fy: float, cx: float, cy: float) -> Float64[np.ndarray, "3 3"]:
    """Make K from its four numbers [px]."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
