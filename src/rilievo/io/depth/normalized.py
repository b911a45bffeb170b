"""Maps that were stretched to a full scale, each for itself, so that they have no unit."""

from collections.abc import Iterator

import numpy as np

from rilievo.arrays.shapes import Shaped, Values

_FULL_SCALES = (1.0, 255.0, 65535.0)
"""Largest floats of maps that were stretched to a full scale."""
_MIN_PIXELS = 1000  # of integers, so that they can fill the range of their type
_MAX_PIXELS_AT_END = 0.005  # of the pixels; more hold a mark or a background
_MIN_LARGEST = 0.95  # of the type, for the numbers before the largest


def normalized_range_warnings(
    stored: Shaped[np.ndarray, "h w"], *, is_unit_guessed: bool = False
) -> Iterator[str]:
    """Warn about numbers that fill a full scale, as those of normalised maps do.

    Args:
        stored: Numbers as they stand in the file.
        is_unit_guessed: Whether nothing says their unit. Maps that were only divided by their
            farthest depth then bring a warning, too.
    """
    if stored.dtype.kind == "f":
        finite = stored[np.isfinite(stored)]
        if finite.size and finite.min() == 0 and _ends_at_full_scale(finite):
            yield (
                f"its numbers go from 0 to {finite.max():g} exactly, as normalised maps do, whose "
                "unit is not known"
            )
    elif stored.dtype.itemsize == 2 and _fills_type(stored, is_unit_guessed=is_unit_guessed):
        largest = float(np.iinfo(stored.dtype).max)
        yield (
            f"its numbers fill the whole range to {largest:.0f} without a gap, as maps do that "
            "were normalised, each for itself, whose unit is not known: say 'scale' if it is"
        )


def _ends_at_full_scale(numbers: Values) -> bool:
    """Whether floats end at a full scale and use its upper half; a mark of "none" is alone."""
    largest = float(numbers.max())
    others = numbers[numbers < largest]
    return largest in _FULL_SCALES and bool(others.max(initial=0) > largest / 2)


def _fills_type(stored: Shaped[np.ndarray, "h w"], *, is_unit_guessed: bool) -> bool:
    """Whether integers go without a gap up to the largest of the type, which few pixels hold.

    They begin near 0, too, unless the unit is a guess. A map that was stretched has the number 0 at
    its nearest pixels.
    """
    type_max = float(np.iinfo(stored.dtype).max)
    positive = stored[stored > 0]
    if positive.size < _MIN_PIXELS or positive.max() != type_max:
        return False

    low, high = np.quantile(positive[positive < type_max], (0.001, 0.999))
    zeros = 1 - positive.size / stored.size
    is_stretched = 0 < zeros <= _MAX_PIXELS_AT_END and low < type_max / 5
    begins_near_zero = is_unit_guessed or is_stretched or low < type_max / 50
    has_few_at_end = np.mean(positive == type_max) <= _MAX_PIXELS_AT_END
    return bool(begins_near_zero and has_few_at_end and high > _MIN_LARGEST * type_max)
