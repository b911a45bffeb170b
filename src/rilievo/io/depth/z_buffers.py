"""Warn about z-buffer values, which are a linear function of inverse depth up to the far plane."""

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, StoredMap, Values
from rilievo.io.depth.surface_shape import (
    has_straight_surfaces,
    is_one_ramp,
    is_straight_to_rounding,
)

SURFACES_ARE_STRAIGHT_IN_BUFFER = (
    "its values change evenly across flat surfaces, as in a z-buffer, inverse depth and disparity "
    "but not in depth: save depth in metres instead"
)
_MIN_PIXELS = 1000
_MIN_MEDIAN = 0.5  # of the scale's end; z-buffer values lie in the upper half of the scale
_MIN_PACKED_MEDIAN = 0.9  # the same, where the values are too coarse to tell by surfaces
_MIN_FAR_FRACTION = 0.01  # of all pixels, at the far plane


def z_buffer_warning(raw_values: StoredMap, unit: float | None = None) -> str | None:
    """Warn about values like those of a z-buffer, which ends at 1 or at a type's largest value.

    ``unit`` are the metres per value, if the user declares them.
    """
    valid = np.isfinite(raw_values) & (raw_values > 0)
    if np.count_nonzero(valid) < _MIN_PIXELS:
        return None
    largest = float(raw_values[valid].max())
    end = _end_of_scale(raw_values, largest)
    values = np.where(valid, raw_values, 0).astype(np.float64)
    if end is None:
        return _unscaled_buffer_warning(values, valid & (values < largest), largest)

    before_end = valid & (values < end)
    values_before_end = values[before_end]
    if values_before_end.size < _MIN_PIXELS:
        return None
    if np.median(values_before_end) < _MIN_MEDIAN * end:
        return None
    far_count = np.count_nonzero(valid & (values == end))
    has_far_plane = far_count > _MIN_FAR_FRACTION * raw_values.size
    if not has_far_plane and is_one_ramp(values, before_end):
        return None

    surfaces_are_straight = is_straight_to_rounding(values, before_end)
    if surfaces_are_straight is None:
        # The values are too coarse to tell by the shape of surfaces, but they may be packed just
        # below the end of the scale.
        are_floats_in_metres = raw_values.dtype.kind == "f" and unit == 1
        if are_floats_in_metres or not _is_packed_below(end, values_before_end):
            return None
        if not has_far_plane and not has_straight_surfaces(end - values, before_end):
            return None
    elif not surfaces_are_straight:
        return None
    fraction = "value" if end == 1 else f"value / {end:.0f}"
    return (
        f"its values are just below {end:.0f}, as in a z-buffer: if they come from one, depth is "
        f"near * far / (far - {fraction} * (far - near))"
    )


def _is_packed_below(end: float, values: Values) -> bool:
    """Whether most values lie just below the end of their scale, and hardly any in its lower half.

    With usual near and far planes, a z-buffer gives nearly all of its scale to the nearest depth.
    """
    smallest, median = np.quantile(values, 0.01), np.median(values)
    return bool(median > _MIN_PACKED_MEDIAN * end and smallest > _MIN_MEDIAN * end)


def _unscaled_buffer_warning(
    values: Float64[np.ndarray, "h w"], valid: Mask, largest: float
) -> str | None:
    """Warn about a z-buffer in floats above 1: packed below the largest, with straight surfaces."""
    valid_values = values[valid]
    if valid_values.size < _MIN_PIXELS or np.median(valid_values) < _MIN_PACKED_MEDIAN * largest:
        return None
    if is_one_ramp(values, valid) or not is_straight_to_rounding(values, valid):
        return None
    return SURFACES_ARE_STRAIGHT_IN_BUFFER


def _end_of_scale(raw_values: StoredMap, largest: float) -> float | None:
    """Return the largest value of the scale: 1 for floats, or that of 16, 24 or 32 bits.

    Return None if floats exceed 1, or if the integers have 8 bits, which no z-buffer has.
    """
    if raw_values.dtype.kind == "f":
        return 1.0 if largest <= 1 else None
    if raw_values.dtype.itemsize == 1:
        return None
    ends = (float(2**bits - 1) for bits in (16, 24, 32))
    return next((end for end in ends if largest <= end), None)
