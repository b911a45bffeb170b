"""Features of a network, and the padding of images to its patches."""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import InputError
from rilievo.training.tensors import Images


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Rectangle in an image, by the index of its first row and column and its size [px]."""

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
        maps: Maps of the padded image, from the shallowest layer to the deepest.
        tokens: Class token of each map, which probes append to its channels; None for none.
        padded: Height and width of the padded image [px].
        box: Where the image lies in it.
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
    """How images are padded to multiples of the patch: by half above and left, rounded down."""

    MINIMAL = "minimal"
    """By as little as possible."""
    OVER = "over"
    """As Probe3D does: if one side is no multiple, both sides are padded, perhaps by a patch."""
    NONE = "none"
    """Not at all: other images are refused, as by Probe3D's DeiT, SAM, MAE and MiDaS."""


def box_in_padded(size: Size, patch: int, padding: Padding) -> Box:
    """Where an image of a size lies in its padded one; ``InputError`` if it may not be padded."""
    down, across = _padding_size(size, patch, padding)
    return Box(top=down // 2, left=across // 2, height=size[0], width=size[1])


def padded_size(size: Size, patch: int, padding: Padding) -> Size:
    """Height and width after padding; ``InputError`` if it is not allowed."""
    down, across = _padding_size(size, patch, padding)
    return size[0] + down, size[1] + across


def pad(pixels: Images, box: Box, size: Size) -> Float[Tensor, "b 3 H W"]:
    """Pad normalised pixels to ``size`` by zeros, the mean colour; ``box`` is where they come."""
    right, bottom = size[1] - box.left - box.width, size[0] - box.top - box.height
    if not (box.left or right or box.top or bottom):
        return pixels
    return nn.functional.pad(pixels, (box.left, right, box.top, bottom))


def _padding_size(size: Size, patch: int, padding: Padding) -> Size:
    """Number of rows and columns to add."""
    remainders = size[0] % patch, size[1] % patch
    if remainders == (0, 0):
        return 0, 0
    if padding is Padding.NONE:
        raise InputError(
            f"images of {size[0]} x {size[1]} pixels (height x width) are not padded here, so both "
            f"sides must be multiples of {patch}: resize them, or pad (preset 'default')"
        )
    if padding is Padding.OVER:
        return patch - remainders[0], patch - remainders[1]
    return -size[0] % patch, -size[1] % patch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch raised an error because it could not get enough memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # On a CPU only the message tells.
    phrases = ("allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)
