"""Depth that wraps around: it starts again at zero after a certain number.

A time-of-flight camera measures depth modulo its unambiguous range, and whole numbers of 16 bits
are stored modulo 65536. A surface that goes away from the camera then jumps from the largest number
to the least, and goes on from there.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Shaped, Values

# Relative to the depth at which a plane is expected to go on.
_MAX_PLANE_ERROR = 0.1
_MAX_SURFACE_STEP = 0.2  # between two pixels of a surface
_MAX_WRAPPED = 0.9  # of the largest number; numbers below it may have wrapped around
_MIN_PIXELS = 10
_TYPE_SIZE = 2**16
_MIN_LARGEST_OF_TYPE = 0.85  # of the type's size, for numbers that may have passed it


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthWrap:
    """Depth that wraps around.

    Attributes:
        size: Number after which it starts again at zero.
        count: Pixels where a surface passes that number.
    """

    size: float
    count: int


def find_wrap(stored: Shaped[np.ndarray, "h w"], known: Mask) -> DepthWrap | None:
    """Find the number after which surfaces start again at zero; None if they do not.

    Where three pixels lie in a row, the first two say by a plane where the third one is. If that is
    beyond the largest number, and the third one is much nearer, it lies either on another object,
    anywhere, or on the same surface, and then the plane goes on at it once the size of a period is
    added.
    """
    if np.count_nonzero(known) < _MIN_PIXELS:
        return None
    values = np.where(known, np.where(known, stored, 0).astype(np.float64), np.nan)
    # The size of the type explains more than the largest number, which merely lies below it.
    for size in sorted(_possible_sizes(stored, float(np.nanmax(values))), reverse=True):
        count = _count_wraps(values, size)
        if count >= _MIN_PIXELS:
            return DepthWrap(size=size, count=count)
    return None


def _possible_sizes(stored: Shaped[np.ndarray, "h w"], largest: float) -> list[float]:
    """Numbers after which depth may start again: past the largest, or past 16 bits."""
    if stored.dtype.kind not in "ui":
        return [largest * (1 + 1e-6)]
    may_pass_type = _MIN_LARGEST_OF_TYPE * _TYPE_SIZE < largest < _TYPE_SIZE
    return [largest + 1, _TYPE_SIZE] if may_pass_type else [largest + 1]


def _count_wraps(values: Float64[np.ndarray, "h w"], size: float) -> int:
    """Pixels where a surface goes on after a period; 0 if most of those that may are elsewhere."""
    wraps, candidates = 0, 0
    # Noise of bytes in the wrong order has numbers up to the largest of all.
    periods = values / size
    for rows in (periods, periods.T):
        for ordered in (rows, rows[::-1]):
            first, second, third = ordered[:-2], ordered[1:-1], ordered[2:]
            is_surface = np.abs(second - first) < _MAX_SURFACE_STEP * second
            expected = np.where(is_surface, _next_on_plane(first, second), np.nan)
            is_candidate = (expected > 1) & (third < _MAX_WRAPPED)
            errors = np.abs(expected - 1 - third)[is_candidate]
            candidates += errors.size
            max_errors = _MAX_PLANE_ERROR * expected[is_candidate]
            wraps += int(np.count_nonzero(errors < max_errors))
    return wraps if 2 * wraps > candidates else 0


def _next_on_plane(first: Float64[np.ndarray, "h w"], second: Float64[np.ndarray, "h w"]) -> Values:
    """Depth of the next pixel of a plane, whose inverse depth changes by equal steps."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = 2 / second - 1 / first
        return np.where(inverse > 0, 1 / inverse, np.nan)
