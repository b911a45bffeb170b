"""Where depth starts again at zero: numbers that passed the largest one of their type or sensor.

A time-of-flight camera measures depth modulo its unambiguous range, and whole numbers of 16 bits
are stored modulo 65536. A surface that goes away from the camera then jumps from the largest number
to the least, and goes on from there.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Shaped, Values

_SAME_PLACE = 0.1
"""Largest difference from where a plane goes on, over its depth there."""
_SURFACE_STEP = 0.2
"""Largest step between two pixels of a surface, over its depth there."""
_LEFT = 0.9
"""Numbers below this part of the largest have left it."""
_FEWEST = 10
_TYPE_SIZES = (2**16,)
_NEAR_TYPE = 0.85
"""Least largest number, over the size of its type, that may have passed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthWrap:
    """Depth that starts again.

    Attributes:
        size: Number after which it starts again.
        count: Pixels where a surface passes that number.
    """

    size: float
    count: int


def find_wrap(stored: Shaped[np.ndarray, "h w"], known: Mask) -> DepthWrap | None:
    """Number after which surfaces start again at zero; None if they do not.

    Where three pixels lie in a row, the first two say by a plane where the third one is. If that is
    beyond the largest number, and the third one is much nearer, it lies either on another object,
    anywhere, or on the same surface, and then the plane goes on at it once the size of a period is
    added.
    """
    plane = np.where(known, np.where(known, stored, 0).astype(np.float64), np.nan)
    if np.count_nonzero(known) < _FEWEST:
        return None
    largest = float(np.nanmax(plane))
    is_whole = stored.dtype.kind in "ui"
    sizes = [largest + 1 if is_whole else largest * (1 + 1e-6)]
    if is_whole:
        sizes += [size for size in _TYPE_SIZES if _NEAR_TYPE * size < largest < size]
    # That of the type explains more than the largest number, which merely lies below it.
    for size in sorted(sizes, reverse=True):
        count = _count(plane, size)
        if count >= _FEWEST:
            return DepthWrap(size=size, count=count)
    return None


def _count(plane: Float64[np.ndarray, "h w"], size: float) -> int:
    """Pixels where a surface goes on after a period; 0 if most of those that may are elsewhere."""
    again, leaving = 0, 0
    # Noise of bytes in the wrong order has numbers up to the largest of all.
    plane = plane / size
    for rows in (plane, plane.T):
        for ordered in (rows, rows[::-1]):
            first, second, actual = ordered[:-2], ordered[1:-1], ordered[2:]
            is_surface = np.abs(second - first) < _SURFACE_STEP * second
            expected = np.where(is_surface, _continued(first, second), np.nan)
            leaves = (expected > 1) & (actual < _LEFT)
            error = np.abs(expected - 1 - actual)[leaves]
            leaving += error.size
            again += int(np.count_nonzero(error < _SAME_PLACE * expected[leaves]))
    return again if 2 * again > leaving else 0


def _continued(first: Float64[np.ndarray, "h w"], second: Float64[np.ndarray, "h w"]) -> Values:
    """Depth of the next pixel of a plane, whose inverse depth changes by equal steps."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = 2 / second - 1 / first
        return np.where(inverse > 0, 1 / inverse, np.nan)
