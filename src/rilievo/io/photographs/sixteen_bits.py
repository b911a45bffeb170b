"""Range of the values in 16-bit images, of which programs often use only a small part."""

import numpy as np
from PIL import Image

from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text

MAX_16_BIT = 65535
_MIN_SPAN = 4096
"""Least span of an image's values, a 16th of all; 8 bits would show hardly any detail of less."""
_STRIP_PIXELS = 2_000_000


def grey_span(image: Image.Image, name: str, *, stretch: bool = False) -> tuple[int, int]:
    """Return the 1st and the 99th percentile of a 16-bit grey image.

    Raises:
        InputError: If they span less than a 16th of the levels, unless the image is stretched.
    """
    if image.mode == "I":
        lowest, highest = np.ravel(image.getextrema())
        if lowest < 0 or highest > MAX_16_BIT:
            return 0, MAX_16_BIT  # such values are refused where they are converted
    low, high = _percentiles_1_and_99(image)
    if high - low < _MIN_SPAN and not stretch:
        raise _narrow_span_error(
            name, low, high, Text("read it with ", OptionName("stretch", "True"), ", or scale it")
        )
    return low, high


def check_colour_span(image: Image.Image, name: str) -> None:
    """Refuse a colour image whose 16-bit values span less than a 16th of the levels.

    Args:
        image: RGB image that holds the upper 8 of 16 bits.
        name: File, for the message.

    Raises:
        InputError: If the 1st and the 99th percentile lie too close together.
    """
    low_byte, high_byte = _percentiles_1_and_99(image)
    low, high = 256 * low_byte, 256 * high_byte + 255
    is_black = (low_byte, high_byte) == (0, MAX_16_BIT)
    if not is_black and high - low < _MIN_SPAN:
        raise _narrow_span_error(name, low, high, "scale it")


def _percentiles_1_and_99(image: Image.Image) -> tuple[int, int]:
    """Return two percentiles of all samples; those of the whole range for an all black image."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    histogram = np.zeros(MAX_16_BIT + 1, np.int64)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = np.asarray(image.crop((0, top, width, bottom)))
        histogram += np.bincount(strip.reshape(-1), minlength=len(histogram))
    if not histogram[1:].any():
        return 0, MAX_16_BIT

    cumulative = np.cumsum(histogram) / histogram.sum()
    low, high = np.searchsorted(cumulative, (0.01, 0.99))
    return int(low), int(high)


def _narrow_span_error(name: str, low: int, high: int, remedy: str | Text) -> InputError:
    return InputError(
        f"its 16-bit values span only {high - low} of {MAX_16_BIT} levels ({low} to {high}, 1st to "
        f"99th percentile), expected {_MIN_SPAN} or more",
        path=name,
        hint=Text(remedy, " to the full range of 16 bits first"),
    )
