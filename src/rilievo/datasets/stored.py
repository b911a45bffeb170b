"""Intrinsics from small files, and stored normals of various axes in rilievo's convention."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped

from rilievo.errors import InputError
from rilievo.io.limits import check_regular, reason
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


class NormalAxes(StrEnum):
    """Axis convention of stored normals."""

    OPENCV = "opencv"
    """x right, y down, z forward, pointing towards the camera: a wall seen head-on is (0, 0, -1).
    This is rilievo's own convention."""
    OPENGL = "opengl"
    """x right, y up, z towards the viewer: a wall seen head-on is (0, 0, 1) (Hypersim,
    Marigold)."""
    DSINE = "dsine"
    """x right, y down, z forward, pointing away from the camera: a wall seen head-on is (0, 0, 1),
    and a surface that faces right has a negative x (DSINE, GeoNet as DSINE publishes it)."""


_SIGNS: Mapping[NormalAxes, tuple[int, int, int]] = {
    NormalAxes.OPENCV: (1, 1, 1),
    NormalAxes.OPENGL: (1, -1, -1),
    NormalAxes.DSINE: (-1, -1, -1),
}

# Rounding to 8 bits changes the length of a unit vector by less than 0.01. Holes are black, grey
# or white, with lengths 1.73, 0 and 1.73.
_LENGTHS = (0.7, 1.3)


def normals_of_stored(
    stored: Shaped[np.ndarray, "h w 3"], axes: NormalAxes, path: Path
) -> tuple[Float32[np.ndarray, "3 h w"], Bool[np.ndarray, "h w"]]:
    """Convert stored normals to unit normals in rilievo's axes, and a mask of valid pixels.

    Integers are colours: 0 is -1, and the largest number of their type is 1. Pixels without
    roughly unit length (black, grey, white, zero, NaN) are holes.
    """
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise InputError(f"{path}: has shape {stored.shape}, expected normals, (height, width, 3)")
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = np.moveaxis(stored, 2, 0).astype(np.float32)
    if stored.dtype.kind in "ui":
        vectors = vectors * np.float32(2 / np.iinfo(stored.dtype).max) - np.float32(1)
    # Vectors that are infinite, or whose squares are, are holes.
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.sum(vectors * vectors, axis=0))
        valid = (length > _LENGTHS[0]) & (length < _LENGTHS[1])
    if not valid.any():
        raise InputError(f"{path}: no pixel has a vector of unit length, so these are no normals")
    signs = np.array(_SIGNS[axes], np.float32)[:, None, None]
    unit = vectors * signs / np.where(valid, length, np.float32(1))
    return np.where(valid, unit, np.float32(0)), valid
