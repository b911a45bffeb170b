"""Values of a z-buffer, which are a linear function of inverse depth and end at the far plane."""

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Shaped
from rilievo.io.depth.surface_shape import (
    has_straight_surfaces,
    is_one_ramp,
    is_straight_to_rounding,
)

SURFACES_ARE_STRAIGHT_IN_BUFFER = (
    "flat surfaces are straight in its numbers, as they are in a z-buffer, inverse depth and "
    "disparity, and not in depth: write depth in metres"
)
_MIN_PIXELS = 1000
_MIN_MEDIAN = 0.5  # of the end of the scale; z-buffers lie in its upper half
_MIN_PACKED_MEDIAN = 0.9  # the same, where the shape of surfaces does not tell
_MIN_FAR_PIXELS = 0.01  # of all pixels, at the far plane


def z_buffer_warning(stored: Shaped[np.ndarray, "h w"], unit: float | None = None) -> str | None:
    """Warn about numbers as a z-buffer has them, which ends at 1 or at a type's largest number.

    Args:
        stored: Numbers as they stand in the file.
        unit: Metres of a number that the user declares; None if none are declared.
    """
    known = np.isfinite(stored) & (stored > 0)
    if np.count_nonzero(known) < _MIN_PIXELS:
        return None
    largest = float(stored[known].max())
    end = _end_of_scale(stored, largest)
    values = np.where(known, stored, 0).astype(np.float64)
    if end is None:
        return _unscaled_buffer_warning(values, known & (values < largest), largest)

    before_end = known & (values < end)
    numbers = values[before_end]
    if numbers.size < _MIN_PIXELS or np.median(numbers) < _MIN_MEDIAN * end:
        return None
    has_far_plane = np.count_nonzero(known & (values == end)) > _MIN_FAR_PIXELS * stored.size
    if not has_far_plane and is_one_ramp(values, before_end):
        return None

    is_buffer = is_straight_to_rounding(values, before_end)
    if is_buffer is None:  # The numbers are too coarse to tell.
        is_in_metres = stored.dtype.kind == "f" and unit == 1
        is_packed = np.median(numbers) > _MIN_PACKED_MEDIAN * end
        is_packed = is_packed and np.quantile(numbers, 0.01) > _MIN_MEDIAN * end
        is_buffer = bool(is_packed and not is_in_metres) and (
            has_far_plane or has_straight_surfaces(end - values, before_end)
        )
    if not is_buffer:
        return None
    number = "number" if end == 1 else f"number / {end:.0f}"
    return (
        f"its numbers lie close below {end:.0f}, as those of a z-buffer do: if it is one, depth is "
        f"near * far / (far - {number} * (far - near))"
    )


def _unscaled_buffer_warning(
    values: Float64[np.ndarray, "h w"], known: Mask, largest: float
) -> str | None:
    """Warn about floats above 1 that are packed tightly below the largest, in straight surfaces."""
    numbers = values[known]
    if numbers.size < _MIN_PIXELS or np.median(numbers) < _MIN_PACKED_MEDIAN * largest:
        return None
    if is_one_ramp(values, known) or not is_straight_to_rounding(values, known):
        return None
    return SURFACES_ARE_STRAIGHT_IN_BUFFER


def _end_of_scale(stored: Shaped[np.ndarray, "h w"], largest: float) -> float | None:
    """Largest number of the scale: 1 for floats, else that of 16, 24 or 32 bits; None if none."""
    if stored.dtype.kind == "f":
        return 1.0 if largest <= 1 else None
    if stored.dtype.itemsize == 1:
        return None
    ends = (float(2**bits - 1) for bits in (16, 24, 32))
    return next((end for end in ends if largest <= end), None)
