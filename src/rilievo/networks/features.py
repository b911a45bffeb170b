"""Features of a batch of images from a backbone: one map for each layer taken."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from rilievo.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle of pixels [px].

    Attributes:
        top: First row.
        left: First column.
        height: Number of rows.
        width: Number of columns.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.top, self.left) < 0 or min(self.height, self.width) < 1:
            raise InputError(f"a box of no pixels, or outside of the image: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features of a batch of images of one size.

    Attributes:
        maps: One map for each layer, shallow to deep. All have one size, except those of a
            pyramid. The cells of a map cover equal parts of the padded image.
        tokens: Each layer's class token, kept apart from its map; None if they are not taken.
            A probe sees them as channels behind those of the map, the same at every place.
        padded: Height and width of the padded image, which the network saw [px].
        box: Box of the image in the padded image.
    """

    maps: tuple[Float[Tensor, "b _c _h _w"], ...]
    tokens: tuple[Float[Tensor, "b _c"], ...] | None
    padded: tuple[int, int]
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
