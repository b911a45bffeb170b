"""Refuse 16-bit images that use only the low bits: nearly black, so no scene to see.

Data of cameras with 8, 10 or 12 bits are often saved so, and Pillow does not pass on how PNG and
TIFF declare it. Scaling them unasked would be a guess.
"""

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from rilievo.errors import InputError

_FULL = 65535
_LEAST = 4096
_ROWS_PIXELS = 2_000_000


def is_deep_colour(image: ImageFile) -> bool:
    """Whether a colour image that is not loaded yet is stored with 16 bits a channel.

    After loading, Pillow keeps the upper 8 bits and the original depth is no longer known.
    """
    return image.mode == "RGB" and any(";16" in str(tile[3]) for tile in image.tile)


def refuse_low_bits_of_colour(image: Image.Image, name: str) -> None:
    """Refuse a loaded image for which ``is_deep_colour`` held, if its values stay below 4096.

    Raises:
        InputError: If its values stay below 4096.
    """
    highest = int(max(np.ravel(image.getextrema())))
    # Pillow kept the upper byte of each value.
    _refuse(name, 256 * highest + 255)


def refuse_low_bits_of_grey(image: Image.Image, name: str) -> None:
    """Refuse a loaded grey image of 16 bits (or 32 bits with 16-bit values) below 4096 everywhere.

    An image of zeros alone is accepted as black.

    Raises:
        InputError: If its values stay below 4096.
    """
    width, height = image.size
    rows, highest = max(1, _ROWS_PIXELS // width), 0
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        values = np.asarray(strip)
        if values.min() < 0:
            return  # more than 16 bits, refused later
        highest = max(highest, int(values.max()))
        if highest >= _LEAST:
            return
    if highest:
        _refuse(name, highest)


def _refuse(name: str, highest: int) -> None:
    if highest >= _LEAST:
        return
    bits = next(bits for bits in (8, 10, 12) if highest < 1 << bits)
    raise InputError(
        f"{name}: its 16-bit values reach only {highest} of {_FULL}: looks like {bits}-bit data; "
        "scale it to the full range first"
    )
