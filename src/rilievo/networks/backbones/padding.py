"""Padding of images to multiples of a network's patch, and their place in the padded image."""

from enum import StrEnum

from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.networks.features import Box


class Padding(StrEnum):
    """Padding of an image to sides that are multiples of the patch.

    ``MINIMAL`` adds the fewest pixels, half of them (rounded down) above and left. ``OVER`` is
    Probe3D's: if one side is no multiple, the other gets a whole patch even if it is one.
    ``NONE`` refuses such images, as Probe3D's DeiT, SAM, MAE and MiDaS do.
    """

    MINIMAL = "minimal"
    OVER = "over"
    NONE = "none"


def place(size: tuple[int, int], patch: int, padding: Padding) -> Box:
    """Find the box of an image of ``size`` in its padded one, which begins at (0, 0).

    Raises:
        InputError: If nothing may be padded and a side is no multiple of the patch.
    """
    down, across = _added(size, patch, padding)
    return Box(top=down // 2, left=across // 2, height=size[0], width=size[1])


def padded_size(size: tuple[int, int], patch: int, padding: Padding) -> tuple[int, int]:
    """Height and width of the padded image.

    Raises:
        InputError: If nothing may be padded and a side is no multiple of the patch.
    """
    down, across = _added(size, patch, padding)
    return size[0] + down, size[1] + across


def pad(
    pixels: Float[Tensor, "b 3 h w"], box: Box, size: tuple[int, int]
) -> Float[Tensor, "b 3 H W"]:
    """Surround normalised pixels by zeros, the mean colour, up to ``size``."""
    right, bottom = size[1] - box.left - box.width, size[0] - box.top - box.height
    if not (box.left or right or box.top or bottom):
        return pixels
    return nn.functional.pad(pixels, (box.left, right, box.top, bottom))


def _added(size: tuple[int, int], patch: int, padding: Padding) -> tuple[int, int]:
    over = size[0] % patch, size[1] % patch
    if over == (0, 0):
        return 0, 0
    if padding is Padding.NONE:
        raise InputError(
            f"images of {size[0]} x {size[1]} pixels (height x width) are not padded here, so both "
            f"sides must be multiples of {patch}: resize them, or pad (preset 'default')"
        )
    if padding is Padding.OVER:
        return patch - over[0], patch - over[1]
    return -size[0] % patch, -size[1] % patch
