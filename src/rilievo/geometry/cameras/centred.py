"""Numbers that most lenses share: pixels per radian about a centre."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from rilievo.geometry.cameras.lens import Lens, check_numbers

AnyCentred = TypeVar("AnyCentred", bound="Centred")
Numbers = Float[np.ndarray, "*n"] | np.floating
"""A number a pixel; numpy makes that of one pixel alone a scalar."""


@dataclass(frozen=True, slots=True)
class Centred(Lens):
    """A lens with a centre (cx, cy) [px], about which it has fx and fy pixels per radian.

    Raises:
        InputError: If a number is not finite or is huge, or fx or fy is not positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        numbers: dict[str, float] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            several = enumerate(value, 1) if isinstance(value, tuple) else (("", value),)
            numbers |= {f"{field.name}{place}": number for place, number in several}
        check_numbers(numbers)

    def __str__(self) -> str:
        """Describe in a few words."""
        return (
            f"{self.name}, fx={self.fx:.6g}, fy={self.fy:.6g}, cx={self.cx:.6g}, cy={self.cy:.6g}"
        )

    @property
    def focal(self) -> float:
        """Pixels per radian at the centre along rows [px]."""
        return self.fx

    @property
    def focal_y(self) -> float:
        """Pixels per radian at the centre along columns [px]."""
        return self.fy

    def resized(
        self: AnyCentred, *, size: tuple[int, int], new_size: tuple[int, int]
    ) -> AnyCentred:
        """Lens of the resized image."""
        down, across = new_size[0] / size[0], new_size[1] / size[1]
        return replace(
            self,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * across - 0.5,
            cy=(self.cy + 0.5) * down - 0.5,
        )

    def cropped(self: AnyCentred, *, top: int, left: int) -> AnyCentred:
        """Lens of the crop."""
        return replace(self, cx=self.cx - left, cy=self.cy - top)

    def mirrored(self: AnyCentred, *, width: int) -> AnyCentred:
        """Lens of the mirrored image."""
        return replace(self, cx=width - 1 - self.cx)

    def from_centre(self, pixels: Float[np.ndarray, "2 *n"]) -> tuple[Numbers, Numbers]:
        """Pixels as (x, y) about the centre, in units of fx and fy."""
        u, v = np.asarray(pixels, np.float64)
        return (u - self.cx) / self.fx, (v - self.cy) / self.fy

    def to_pixels(self, x: Numbers, y: Numbers, dtype: np.dtype) -> Float[np.ndarray, "2 *n"]:
        """Pixels of (x, y) about the centre, in a precision."""
        return np.stack([x * self.fx + self.cx, y * self.fy + self.cy]).astype(dtype)
