"""Features of a network, and padding of images."""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import InputError
from rilievo.training.tensors import Images


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Rectangle of pixels [px]."""

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.top, self.left) < 0 or min(self.height, self.width) < 1:
            raise InputError(f"a box of no pixels, or outside of the image: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features of images of one size.

    Attributes:
        maps: Maps of the padded image, shallow to deep.
        tokens: Class tokens, which probes see as channels behind the map's.
    """

    maps: tuple[Float[Tensor, "b _c _h _w"], ...]
    tokens: tuple[Float[Tensor, "b _c"], ...] | None
    padded: Size
    box: Box

    def __post_init__(self) -> None:
        if not self.maps:
            raise InputError("features without a map: take at least one layer of the backbone")
        if self.tokens is not None and len(self.tokens) != len(self.maps):
            raise InputError(
                f"{len(self.maps)} maps but {len(self.tokens)} class tokens: expected one each"
            )
        bottom, right = self.box.top + self.box.height, self.box.left + self.box.width
        if bottom > self.padded[0] or right > self.padded[1]:
            raise InputError(f"{self.box} reaches out of the padded image of size {self.padded}")


class Padding(StrEnum):
    """Padding to multiples of the patch.

    ``MINIMAL`` adds half (rounded down) above and left, ``OVER`` a whole patch to the other side
    too;
    ``NONE`` refuses, as Probe3D's DeiT, SAM, MAE and MiDaS do.
    """

    MINIMAL = "minimal"
    OVER = "over"
    NONE = "none"


def box_in_padded(size: Size, patch: int, padding: Padding) -> Box:
    """Find an image's box in its padded one; ``InputError`` if padding is not allowed."""
    down, across = _padding_size(size, patch, padding)
    return Box(top=down // 2, left=across // 2, height=size[0], width=size[1])


def padded_size(size: Size, patch: int, padding: Padding) -> Size:
    """Compute (height, width) after padding."""
    down, across = _padding_size(size, patch, padding)
    return size[0] + down, size[1] + across


def pad(pixels: Images, box: Box, size: Size) -> Float[Tensor, "b 3 H W"]:
    """Pad normalised pixels by zeros, the mean colour."""
    right, bottom = size[1] - box.left - box.width, size[0] - box.top - box.height
    if not (box.left or right or box.top or bottom):
        return pixels
    return nn.functional.pad(pixels, (box.left, right, box.top, bottom))


def _padding_size(size: Size, patch: int, padding: Padding) -> Size:
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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: the type tells on a GPU, the message on a CPU."""
    words = ("allocate memory", "not enough memory")
    is_told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return is_told or isinstance(error, torch.OutOfMemoryError)
