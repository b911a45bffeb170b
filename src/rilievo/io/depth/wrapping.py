"""Detect depth that wraps around: it starts again at zero after a certain value.

A time-of-flight camera measures depth modulo its unambiguous range, and 16-bit integers are stored
modulo 65536. A surface that leads away from the camera then jumps from the largest value to zero,
and continues from there.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, StoredMap, Values
from rilievo.io.depth.raw_depth_map import scan_directions

_MAX_PLANE_ERROR = 0.1  # of a pixel, relative to the depth that its plane predicts
_MAX_SURFACE_STEP = 0.2  # between two pixels of a surface, relative to their depth
_MAX_WRAPPED = 0.9  # of the period; only depth below it may have wrapped around
_MIN_PIXELS = 10
_TYPE_PERIOD = 2**16  # of 16-bit integers
_MIN_LARGEST_OF_TYPE = 0.85  # of that period; smaller maps did not pass it


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthWrap:
    """Depth that wraps around.

    Attributes:
        period: Raw value after which it starts again at zero.
        pixel_count: Pixels where a surface passes that value.
    """

    period: float
    pixel_count: int


def find_wrap(raw_values: StoredMap, valid: Mask) -> DepthWrap | None:
    """Find the period after which surfaces start again at zero; None if they do not.

    Of three pixels in a row, the first two predict the third by a plane. Where that prediction
    passes the largest value, but the third pixel is much nearer, the third pixel is either on
    another object, or on the same surface after a wrap. After a wrap, it lies one period below the
    prediction.
    """
    if np.count_nonzero(valid) < _MIN_PIXELS:
        return None
    values = np.where(valid, np.where(valid, raw_values, 0).astype(np.float64), np.nan)
    # The largest period first: the type's explains more than the largest value just below it.
    periods = sorted(_possible_periods(raw_values, float(np.nanmax(values))), reverse=True)
    for period in periods:
        pixel_count = _count_wraps(values, period)
        if pixel_count >= _MIN_PIXELS:
            return DepthWrap(period=period, pixel_count=pixel_count)
    return None


def _possible_periods(raw_values: StoredMap, largest: float) -> list[float]:
    """List possible periods: just above the largest value, and that of 16-bit integers."""
    if raw_values.dtype.kind not in "ui":
        return [largest * (1 + 1e-6)]
    may_pass_type = _MIN_LARGEST_OF_TYPE * _TYPE_PERIOD < largest < _TYPE_PERIOD
    return [largest + 1, _TYPE_PERIOD] if may_pass_type else [largest + 1]


def _count_wraps(values: Float64[np.ndarray, "h w"], period: float) -> int:
    """Count pixels where a surface continues after a wrap; 0 if most candidates do not continue."""
    wrap_count, candidate_count = 0, 0
    depth = values / period  # in periods, so that huge values of noise do not overflow
    for (ordered,) in scan_directions(depth):
        first, second, third = ordered[:-2], ordered[1:-1], ordered[2:]
        is_surface = np.abs(second - first) < _MAX_SURFACE_STEP * second
        # NaN where there is no surface, so that the comparison below is false there.
        predicted = np.where(is_surface, _extrapolate_plane(first, second), np.nan)
        is_candidate = (predicted > 1) & (third < _MAX_WRAPPED)
        errors = np.abs(predicted - 1 - third)[is_candidate]
        candidate_count += errors.size
        max_errors = _MAX_PLANE_ERROR * predicted[is_candidate]
        wrap_count += int(np.count_nonzero(errors < max_errors))
    return wrap_count if 2 * wrap_count > candidate_count else 0


def _extrapolate_plane(
    first: Float64[np.ndarray, "h w"], second: Float64[np.ndarray, "h w"]
) -> Values:
    """Predict the depth after two pixels of a plane, whose inverse depth changes linearly.

    The prediction is NaN where the plane would end, because its inverse depth reaches zero.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = 2 / second - 1 / first
        return np.where(inverse > 0, 1 / inverse, np.nan)
