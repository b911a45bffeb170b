"""Warn about normalized maps, each of which was stretched to a full scale and so has no unit."""

import numpy as np

from rilievo.arrays.shapes import StoredMap, Values

_FULL_SCALES = (1.0, 255.0, 65535.0)
"""Largest floats of maps that were stretched to a full scale."""
_MIN_PIXELS = 1000  # fewer integers hardly fill the range of their type
_MAX_FRACTION_AT_END = 0.005  # of the pixels; more are a mark of "no depth" or a background
_MIN_LARGEST = 0.95  # of the type's maximum, for the values just before the largest
_MIN_RATIO_TO_SMALLEST = 50  # of the type's maximum to the values just after the smallest
_MIN_RATIO_WITH_ZEROS = 5  # the same in a map with a few zeros, which are its nearest pixels


def normalized_map_warning(raw_values: StoredMap, *, is_unit_guessed: bool = False) -> str | None:
    """Warn about values that fill a full scale, as those of normalized maps do.

    If the unit is a guess, a map that was only divided by its farthest depth, and does not begin at
    0, causes a warning, too.
    """
    if raw_values.dtype.kind == "f":
        finite = raw_values[np.isfinite(raw_values)]
        if not finite.size or finite.min() != 0 or not _ends_at_full_scale(finite):
            return None
        return (
            f"its values go from exactly 0 to exactly {finite.max():g}, as in normalised maps, so "
            "their unit is unknown: set 'scale' if you know it"
        )
    has_two_bytes = raw_values.dtype.itemsize == 2
    if not has_two_bytes or not _fills_type(raw_values, is_unit_guessed=is_unit_guessed):
        return None
    return (
        f"its values fill the whole range up to {np.iinfo(raw_values.dtype).max} without a gap, as "
        "in maps that were each normalised to their own range, so their unit is unknown: set "
        "'scale' if you know it"
    )


def _ends_at_full_scale(values: Values) -> bool:
    """Whether floats end at a full scale and others lie in its upper half.

    A mark of "no depth" such as 255 is far from all others instead.
    """
    largest = float(values.max())
    others = values[values < largest]
    return largest in _FULL_SCALES and bool(others.max(initial=0) > largest / 2)


def _fills_type(raw_values: StoredMap, *, is_unit_guessed: bool) -> bool:
    """Whether integers use the whole range of their type, and only few pixels its largest value.

    They must begin near 0, too, unless the unit is a guess. A map that was stretched has 0 at its
    few nearest pixels.
    """
    type_max = float(np.iinfo(raw_values.dtype).max)
    positive = raw_values[raw_values > 0]
    if positive.size < _MIN_PIXELS or positive.max() != type_max:
        return False

    below_max = positive[positive < type_max]
    if not below_max.size:
        return False
    low, high = np.quantile(below_max, (0.001, 0.999))
    zero_fraction = 1 - positive.size / raw_values.size
    has_few_zeros = 0 < zero_fraction <= _MAX_FRACTION_AT_END
    min_ratio = _MIN_RATIO_WITH_ZEROS if has_few_zeros else _MIN_RATIO_TO_SMALLEST
    begins_near_zero = is_unit_guessed or low < type_max / min_ratio
    has_few_at_end = np.mean(positive == type_max) <= _MAX_FRACTION_AT_END
    return bool(begins_near_zero and has_few_at_end and high > _MIN_LARGEST * type_max)
