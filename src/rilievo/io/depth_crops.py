"""Depth that was cut out of a photograph: its place in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Shaped, Size
from rilievo.errors import InputError, OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthCrop:
    """Rectangle of a photograph in which a map lies."""

    top: int
    left: int
    height: int
    width: int

    @property
    def shape(self) -> Size:
        """(height, width)."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    def __str__(self) -> str:
        return f"{self.top},{self.left},{self.height},{self.width}"

    @staticmethod
    def from_numbers(numbers: Sequence[object], option: str) -> "DepthCrop":
        """Make a crop of top, left, height and width."""
        whole = [number for number in numbers if isinstance(number, int)]
        if len(whole) != len(numbers) or len(whole) != 4 or min(whole) < 0 or 0 in whole[2:]:
            raise OptionError(
                option=option,
                expected="TOP,LEFT,HEIGHT,WIDTH in pixels of the photograph, such as 45,41,426,560",
                problem=f"; got '{','.join(map(str, numbers))[:60]}'",
            )
        top, left, height, width = whole
        return DepthCrop(top=top, left=left, height=height, width=width)

    @staticmethod
    def parse(text: str, option: str = "crop") -> "DepthCrop":
        """Parse TOP,LEFT,HEIGHT,WIDTH."""
        parts = text.split(",")
        numbers = [int(part) if part.strip().isdecimal() else part for part in parts]
        return DepthCrop.from_numbers(numbers, option)

    def check_inside(self, shape: Size) -> None:
        """Refuse a crop that leaves a picture (height, width)."""
        if self.top + self.height > shape[0] or self.left + self.width > shape[1]:
            raise InputError(
                f"the crop {self} (top, left, height, width) leaves the picture of {shape[0]} x "
                f"{shape[1]} pixels (height x width)"
            )

    def paste_into_picture(
        self, values: Shaped[np.ndarray, "*c h w"], shape: Size, empty: float
    ) -> Shaped[np.ndarray, "*c a b"]:
        """Put a map into a picture that is ``empty`` elsewhere."""
        self.check_inside(shape)
        whole = np.full((*values.shape[:-2], *shape), empty, values.dtype)
        whole[(..., *self.slices)] = values
        return whole
