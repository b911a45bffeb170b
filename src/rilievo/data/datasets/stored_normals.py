"""Stored normals, whose axes differ between datasets, turned to rilievo's."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Mask, Shaped, Vectors
from rilievo.errors import InputError

# Rounding to 8 bits changes the length of a unit vector by less than 0.01. Holes are black, grey
# or white, with lengths 1.73, 0 and 1.73.
_MIN_LENGTH = 0.7
_MAX_LENGTH = 1.3


class NormalAxes(StrEnum):
    """Axes of stored normals."""

    OPENCV = "opencv"
    """Ours: x right, y down, z forward; a wall is (0, 0, -1)."""
    OPENGL = "opengl"
    """x right, y up, z towards the viewer; a wall is (0, 0, 1)."""
    DSINE = "dsine"
    """x right, y down, z forward, away from the camera; a wall is (0, 0, 1)."""


_SIGNS: Mapping[NormalAxes, tuple[int, int, int]] = {
    NormalAxes.OPENCV: (1, 1, 1),
    NormalAxes.OPENGL: (1, -1, -1),
    NormalAxes.DSINE: (-1, -1, -1),
}


def decode_normals(
    stored: Shaped[np.ndarray, "h w 3"], axes: NormalAxes, path: Path
) -> tuple[Vectors, Mask]:
    """Convert stored normals to rilievo's axes.

    Integers are colours, in which 0 means -1 and the largest number means 1. Vectors whose length
    is far from 1 are holes. ``path`` is their file, for messages.

    Returns:
        Unit normals, 0 in holes, and the mask of pixels that have them.

    Raises:
        InputError: If the array is no picture of vectors, or no pixel has a normal.
    """
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise InputError(
            f"{path}: has shape {stored.shape}, expected normals of shape (height, width, 3)"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = np.moveaxis(stored, 2, 0).astype(np.float32)
    if stored.dtype.kind in "ui":
        vectors = vectors * np.float32(2 / np.iinfo(stored.dtype).max) - np.float32(1)
    # The comparison is false for NaN, and for vectors so large that their squares overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.sum(vectors * vectors, axis=0))
        valid = (length > _MIN_LENGTH) & (length < _MAX_LENGTH)
    if not valid.any():
        raise InputError(f"{path}: no pixel has a vector of unit length, so these are not normals")
    signs = np.array(_SIGNS[axes], np.float32)[:, None, None]
    unit_normals = vectors * signs / np.where(valid, length, np.float32(1))
    return np.where(valid, unit_normals, np.float32(0)), valid
