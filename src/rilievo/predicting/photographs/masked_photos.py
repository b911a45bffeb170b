"""Apply the user's mask of valid pixels to photographs."""

from dataclasses import replace

import numpy as np

from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.options.photo_options import Refine
from rilievo.records.sample import Photo


def with_valid_mask(photo: Photo, refine: Refine) -> Photo:
    """Make the pixels outside of the user's mask transparent and black, if there is a mask.

    Raises:
        InputError: If the mask has another size than the photograph, or no valid pixel remains.
    """
    valid = refine.valid_pixels
    if valid is None:
        return photo
    if valid.shape != photo.shape:
        height, width = photo.shape
        mask_height, mask_width = valid.shape
        raise InputError(
            path=photo.name,
            problem=Text(
                f"is {width}x{height}, but the mask of ",
                OptionName("valid_mask"),
                f" is {mask_width}x{mask_height}: the sizes must be equal",
            ),
        )
    transparent = ~valid if photo.transparent is None else ~valid | photo.transparent
    if transparent.all():
        raise InputError(
            path=photo.name,
            problem=Text("has no opaque pixel inside the mask of ", OptionName("valid_mask")),
        )
    # Of all colours, black changes the depth of the other pixels least, as for transparent ones.
    pixels = np.where(transparent[..., None], np.uint8(0), photo.pixels)
    return replace(photo, pixels=pixels, transparent=transparent)
