"""Range of the values in 16-bit images; programs often use only a small part of the levels."""

import numpy as np
from PIL import Image

from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text

MAX_16_BIT = 65535
_MIN_SPAN = 4096
"""Smallest range of an image's values, a 16th of all; with less, 8 bits show hardly any detail."""
_STRIP_PIXELS = 2_000_000


def grey_span(image: Image.Image, name: str, *, stretch: bool = False) -> tuple[int, int]:
    """Return the 1st and the 99th percentile of a 16-bit grey image; 0 and 65535 if it is black.

    Raises:
        InputError: If they span less than a 16th of the levels, and ``stretch`` is False.
    """
    full_range = 0, MAX_16_BIT
    if image.mode == "I":  # 32-bit integers
        lowest, highest = np.ravel(image.getextrema())
        if lowest < 0 or highest > MAX_16_BIT:
            return full_range  # The conversion to 8 bits raises an error for such values.
    low, high = _percentiles_1_and_99(image) or full_range
    if high - low < _MIN_SPAN and not stretch:
        remedy = Text("read it with ", OptionName("stretch", "True"), ", or scale it")
        raise _narrow_span_error(name, low, high, remedy=remedy)
    return low, high


def check_colour_span(image: Image.Image, name: str) -> None:
    """Check that the 16-bit values of a colour image span at least a 16th of the levels.

    Pillow has reduced ``image`` to the upper 8 of its 16 bits.

    Raises:
        InputError: If the 1st and the 99th percentile span less.
    """
    percentiles = _percentiles_1_and_99(image)
    if percentiles is None:  # A black image is valid.
        return
    low_byte, high_byte = percentiles
    # Smallest and largest 16-bit values with these upper bytes.
    low, high = 256 * low_byte, 256 * high_byte + 255
    if high - low < _MIN_SPAN:
        raise _narrow_span_error(name, low, high, remedy="scale it")


def _percentiles_1_and_99(image: Image.Image) -> tuple[int, int] | None:
    """Percentiles of all samples, by a histogram; None for an image that is all black."""
    width, height = image.size
    strip_height = max(1, _STRIP_PIXELS // width)
    histogram = np.zeros(MAX_16_BIT + 1, np.int64)
    for top in range(0, height, strip_height):
        bottom = min(top + strip_height, height)
        strip = np.asarray(image.crop((0, top, width, bottom)))
        histogram += np.bincount(strip.reshape(-1), minlength=len(histogram))
    if not histogram[1:].any():
        return None

    cumulative = np.cumsum(histogram) / histogram.sum()
    low, high = np.searchsorted(cumulative, (0.01, 0.99))
    return int(low), int(high)


def _narrow_span_error(name: str, low: int, high: int, remedy: str | Text) -> InputError:
    return InputError(
        f"its 16-bit values span only {high - low} of {MAX_16_BIT} levels (from {low} to {high}, "
        f"without the lowest and highest 1%); expected at least {_MIN_SPAN}",
        path=name,
        hint=Text(remedy, " to the full range of 16 bits first"),
    )
