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
            raise InputError(f"a box must contain pixels and lie inside the image, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features of images of one size.

    Attributes:
        maps: Maps of the padded image, from the shallowest layer to the deepest.
        tokens: Class token of each map, which probes append to its channels; None if not taken.
        padded: Height and width of the padded image [px].
        box: Where the image lies in the padded image.
    """

    maps: tuple[Float[Tensor, "b _c _h _w"], ...]
    tokens: tuple[Float[Tensor, "b _c"], ...] | None
    padded: Size
    box: Box

    def __post_init__(self) -> None:
        if not self.maps:
            raise InputError(
                "features need at least one map: use at least one layer of the backbone"
            )
        if self.tokens is not None and len(self.tokens) != len(self.maps):
            raise InputError(
                f"there are {len(self.maps)} maps but {len(self.tokens)} class tokens; expected "
                "one token for each map"
            )
        bottom = self.box.top + self.box.height
        right = self.box.left + self.box.width
        if bottom > self.padded[0] or right > self.padded[1]:
            raise InputError(f"{self.box} extends beyond the padded image of size {self.padded}")


class Padding(StrEnum):
    """How images are padded to multiples of the patch; half of it comes at the top and left."""

    MINIMAL = "minimal"
    """By as little as possible."""
    OVER = "over"
    """As in Probe3D: if one side is not a multiple, both are padded, even by a whole patch."""
    NONE = "none"
    """Not at all. Other images are refused, as by Probe3D's DeiT, SAM, MAE and MiDaS."""


def box_in_padded(size: Size, patch: int, padding: Padding) -> Box:
    """Where an image of ``size`` lies in the padded one; ``InputError`` if padding is refused."""
    height, width = size
    added_rows, added_columns = _padding_size(size, patch, padding)
    return Box(top=added_rows // 2, left=added_columns // 2, height=height, width=width)


def padded_size(size: Size, patch: int, padding: Padding) -> Size:
    """Height and width after padding; ``InputError`` if padding is refused."""
    height, width = size
    added_rows, added_columns = _padding_size(size, patch, padding)
    return height + added_rows, width + added_columns


def pad(pixels: Images, box: Box, size: Size) -> Float[Tensor, "b 3 H W"]:
    """Pad normalised pixels to ``size`` with zeros (the mean colour), so that they fill ``box``."""
    if size == (box.height, box.width):
        return pixels
    padded_height, padded_width = size
    rows_below = padded_height - box.top - box.height
    columns_right = padded_width - box.left - box.width
    return nn.functional.pad(pixels, (box.left, columns_right, box.top, rows_below))


def _padding_size(size: Size, patch: int, padding: Padding) -> Size:
    """Number of rows and columns to add."""
    height, width = size
    if height % patch == 0 and width % patch == 0:
        return 0, 0
    if padding is Padding.NONE:
        raise InputError(
            f"images of {height} x {width} pixels (height x width) are not padded, so both sides "
            f"must be multiples of {patch}: resize them, or use the preset 'default', which pads"
        )
    if padding is Padding.OVER:
        return patch - height % patch, patch - width % patch
    return -height % patch, -width % patch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch raised an error because it could not get enough memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # On a CPU, only the message tells what happened.
    phrases = ("allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)
