"""Mask of the valid pixels of all photographs of a camera, as users give it: a file or an array."""

from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Mask, Shaped
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_photo

_LEAST_WHITE = 128
"""Least brightness of valid pixels, of 255."""
_GREY = (32, 223)
"""Darkest and brightest grey that are neither black nor white, of 255."""
_MAX_GREY_FRACTION = 0.4
"""Largest fraction of grey pixels in a mask. A wide soft edge makes 0.3 of a mask grey, and
photographs have 0.5 and more."""
_ARRAY_NAME = "valid_mask"
"""Name of an array in messages."""


def read_valid_mask(source: Path | np.ndarray) -> Mask:
    """Read a mask whose white pixels are valid; in a mask of zeros and ones, the ones are.

    Raises:
        InputError: If it cannot be read, is grey like a photograph, or leaves no pixel.
    """
    if isinstance(source, np.ndarray):
        name = _ARRAY_NAME
        brightness = _check_mask_array(source)
    else:
        name = printable(source)
        brightness = read_photo(source, own_depth=False).pixels.min(axis=2)
    is_of_zeros_and_ones = brightness.dtype == bool or brightness.max(initial=0) <= 1
    if is_of_zeros_and_ones:
        valid = brightness > 0
    else:
        _require_black_and_white(brightness, name)
        valid = brightness >= _LEAST_WHITE
    if not valid.any():
        raise InputError(
            "is black everywhere, so no pixel is valid",
            path=name,
            hint=Text("give ", OptionName("valid_mask"), " a mask that is white at valid pixels"),
        )
    return valid


def _check_mask_array(mask: np.ndarray) -> Shaped[np.ndarray, "h w"]:
    """Return an array that can be a mask; raise ``InputError`` for another shape or type."""
    if mask.ndim != 2 or mask.dtype.kind not in "bui":
        raise InputError(
            f"has shape {mask.shape} and type {mask.dtype}, expected (height, width) of bool or "
            "uint8",
            path=_ARRAY_NAME,
        )
    return mask


def _require_black_and_white(mask: Shaped[np.ndarray, "h w"], name: str) -> None:
    """Raise ``InputError`` for a photograph, which is mostly grey.

    A picture of two greys is a mask, too, for example one of 0 and 200.
    """
    darkest_grey, brightest_grey = _GREY
    grey_fraction = np.mean((mask >= darkest_grey) & (mask <= brightest_grey))
    if grey_fraction <= _MAX_GREY_FRACTION or np.unique(mask).size <= 2:
        return
    raise InputError(
        f"is no mask, because {grey_fraction:.0%} of its pixels are neither black nor white",
        path=name,
        hint=Text("give ", OptionName("valid_mask"), " a mask that is white at valid pixels"),
    )
