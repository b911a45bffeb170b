"""Preparation of photographs for a network: size, filter, padding.

The authors of every model resize in their own way, and a network is most accurate with the method
it was trained on. The rules here follow them exactly; a file that states its rule
(``rilievo.models.onnx_files.onnx_model``) needs nothing else to be run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from rilievo.errors import ModelError
from rilievo.models.resampling.resizing import Window
from rilievo.models.resampling.sampling import Grid, bilinear_points, shrink

PREFIX = "rilievo."


class Rule(StrEnum):
    """Rule by which the size of the network's input follows from that of the photograph."""

    AREA = "area"
    """Roughly ``area`` pixels with roughly the photograph's aspect ratio: rilievo's own rule."""
    FIXED = "fixed"
    """Always ``height`` x ``width``, whatever the aspect ratio."""
    LEAST_CHANGE = "least-change"
    """The aspect ratio is kept: of the scales to ``height`` and to ``width`` the one nearer to 1 is
    taken, and each side is rounded to the nearest multiple (halves to even). DPT, Depth Anything,
    ZoeDepth.
    """
    SHORTEST_EDGE = "shortest-edge"
    """The aspect ratio is kept; the shorter side becomes ``height``, each is rounded to a multiple.
    """
    LONGEST_EDGE = "longest-edge"
    """The aspect ratio is kept; the longer side becomes ``height``, each is rounded to a multiple.
    Depth Anything 3.
    """
    FLOOR = "floor"
    """The photograph's own size, each side rounded down to a multiple; photographs of more than
    ``area`` pixels are first reduced to that. GLPN.
    """


class Resampling(StrEnum):
    """Filter that resizes a photograph to the network's size."""

    TRIANGLE = "triangle"
    """Antialiased bilinear, after a box filter on large photographs; rounded."""
    BILINEAR = "bilinear"
    """Antialiased bilinear, as in Pillow; rounded."""
    BICUBIC = "bicubic"
    """Antialiased bicubic (a = -0.5), as in Pillow; rounded."""
    LANCZOS = "lanczos"
    """Antialiased Lanczos with three lobes, as in Pillow; rounded."""
    BILINEAR_POINTS = "bilinear-points"
    """Bilinear between the four nearest pixels, no antialiasing, pixel centres at halves; not
    rounded. Depth Pro.
    """
    BILINEAR_CORNERS = "bilinear-corners"
    """Bilinear between the four nearest pixels with corner centres aligned; not rounded. ZoeDepth.
    """

    @property
    def is_rounded(self) -> bool:
        """Whether the network's input is uint8; otherwise it is float32 in 0 to 255."""
        return self not in (Resampling.BILINEAR_POINTS, Resampling.BILINEAR_CORNERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """A rule with its parameters; those that the rule does not use stay 0."""

    rule: Rule
    height: int = 0
    width: int = 0
    area: int = 0
    multiple: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.multiple <= 512:
            raise ModelError(f"a size is a multiple of 1 to 512, got {self.multiple}")
        by_area = self.rule in (Rule.AREA, Rule.FLOOR)
        area = self.area if by_area else self.height * self.width
        if min(self.height, self.width) < 0 or not self.multiple**2 <= area <= 10**8:
            raise ModelError(
                f"a size by the rule '{self.rule}' with multiples of {self.multiple} has "
                f"{self.multiple**2} to 1e8 pixels, got {self}"
            )

    def __str__(self) -> str:
        numbers = f"{self.height}x{self.width}" if self.height else f"{self.area}"
        return f"{self.rule} {numbers} /{self.multiple}"

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size (height, width) of the network's input for a photograph of ``shape``."""
        height, width = shape
        if self.rule is Rule.AREA:
            return network_size(shape, area=self.area, multiple=self.multiple)
        if self.rule is Rule.FIXED:
            return self.height, self.width
        if self.rule is Rule.FLOOR:
            scale = min(1.0, math.sqrt(self.area / (height * width)))
            return self._down(height * scale), self._down(width * scale)
        if self.rule is Rule.SHORTEST_EDGE:
            scale = self.height / min(shape)
        elif self.rule is Rule.LONGEST_EDGE:
            scale = self.height / max(shape)
        else:
            down, across = self.height / height, self.width / width
            scale = across if abs(1 - across) < abs(1 - down) else down
        return self._nearest(scale * height), self._nearest(scale * width)

    def _nearest(self, length: float) -> int:
        # A thin strip would be rounded to no rows at all, so one multiple is the least.
        return max(1, round(length / self.multiple)) * self.multiple

    def _down(self, length: float) -> int:
        return max(1, math.floor(length / self.multiple)) * self.multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """All steps between a photograph's pixels and the tensor that a network was trained on.

    Attributes:
        sizing: Size of the network's input.
        resampling: Filter for resizing.
        padding: Reflected border: int(padding * sqrt(side / 2)) pixels are added around the
            photograph, and cropped from the output. 3 for ZoeDepth; 0 for none.
        fill: Multiple to which the network itself pads its input with its mean colour, evenly on
            both sides; that border is cropped from the output too. 14 for DPT on DINOv2.
        rescale: Factor for pixels of 0..255, before the mean is subtracted; applied inside the
            graph.
        mean: Mean of red, green, blue, after ``rescale``; applied inside the graph.
        std: Standard deviation of red, green, blue, after ``rescale``; applied inside the graph.
    """

    sizing: Sizing
    resampling: Resampling = Resampling.TRIANGLE
    padding: float = 0.0
    fill: int = 1
    rescale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.padding < math.inf:
            raise ModelError(f"padding is 0 or more, got {self.padding}")
        if self.padding and self.resampling.is_rounded:
            raise ModelError(f"padding goes with bilinear-*, not with {self.resampling}")
        if not 1 <= self.fill <= 512 or (self.padding and self.fill > 1):
            raise ModelError(f"fill is 1 to 512, and 1 where there is padding, got {self.fill}")
        if not (math.isfinite(self.rescale) and all(map(math.isfinite, self.mean))):
            raise ModelError(f"rescale and mean are finite, got {self.rescale}, {self.mean}")
        if not all(0 < each < math.inf for each in self.std):
            raise ModelError(f"std is positive, got {self.std}")

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size (height, width) of the network's input for a photograph of ``shape``."""
        return self.sizing.size(self._padded(shape))

    def pixels(
        self, photo: UInt8[np.ndarray, "h w 3"], shape: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "a b 3"] | Float32[np.ndarray, "a b 3"]:
        """Resize pixels, perhaps of a larger photograph of ``shape``, to the network's size."""
        height, width, _ = photo.shape
        size = self.size(shape or (height, width))
        if self.resampling is Resampling.TRIANGLE:
            return shrink(photo, size)
        if self.resampling.is_rounded:
            if size == (height, width):
                return photo
            filter = _PILLOW[self.resampling]
            return np.asarray(Image.fromarray(photo).resize((size[1], size[0]), filter))
        grid = Grid.CORNERS if self.resampling is Resampling.BILINEAR_CORNERS else Grid.CENTRES
        return bilinear_points(photo, size, grid=grid, border=self.border((height, width)))

    def border(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the reflected border [px]: rows above and below, columns left and right."""
        height, width = (int(math.sqrt(side / 2) * self.padding) for side in shape)
        return height, width

    def windows(self, shape: tuple[int, int]) -> tuple[Window, Window] | None:
        """Parts of an output's rows and columns that show a photograph; None if all do.

        A border need not end on a pixel edge of the output, so with one the output is resized once,
        to the photograph's size.
        """
        # In pixels of the network's input, of which a reflected border is a part.
        size = shape if self.padding else self.size(shape)
        down, across = (
            Window(before=edge, inside=side, after=edge)
            if edge
            else Window(before=(gap := -side % self.fill) // 2, inside=side, after=gap - gap // 2)
            for edge, side in zip(self.border(shape), size, strict=True)
        )
        has_border = down.before or down.after or across.before or across.after
        return (down, across) if has_border else None

    def metadata(self) -> Mapping[str, str]:
        """Metadata with which a file can be run; all but the steps inside the graph."""
        sizing = self.sizing
        return {
            f"{PREFIX}sizing": sizing.rule.value,
            f"{PREFIX}size": f"{sizing.height}x{sizing.width}",
            f"{PREFIX}area": f"{sizing.area}",
            f"{PREFIX}multiple": f"{sizing.multiple}",
            f"{PREFIX}resampling": self.resampling.value,
            f"{PREFIX}padding": f"{self.padding!r}",
            f"{PREFIX}fill": f"{self.fill}",
        }

    def _padded(self, shape: tuple[int, int]) -> tuple[int, int]:
        down, across = self.border(shape)
        return shape[0] + 2 * down, shape[1] + 2 * across


def read_preparation(metadata: Mapping[str, str]) -> Preparation:
    """Parse the metadata that ``Preparation.metadata`` wrote."""
    height, _, width = metadata[f"{PREFIX}size"].partition("x")
    try:
        return Preparation(
            sizing=Sizing(
                rule=Rule(metadata[f"{PREFIX}sizing"]),
                height=int(height),
                width=int(width),
                area=int(metadata[f"{PREFIX}area"]),
                multiple=int(metadata[f"{PREFIX}multiple"]),
            ),
            resampling=Resampling(metadata[f"{PREFIX}resampling"]),
            padding=float(metadata[f"{PREFIX}padding"]),
            fill=int(metadata[f"{PREFIX}fill"]),
        )
    except ModelError as error:
        raise ValueError(str(error)) from error


def network_size(shape: tuple[int, int], *, area: int, multiple: int) -> tuple[int, int]:
    """Size (height, width) at which a network trained at ``area`` [px] receives a photograph.

    Both sides are multiples of ``multiple``. The aspect ratio is kept as well as that allows, and
    the area is close to that of training, because a network learns the size of things in pixels.
    """
    height, width = shape
    ideal_height = math.sqrt(area * height / width)
    ideal_width = area / ideal_height
    candidates = [
        (rows * multiple, columns * multiple)
        for rows in _around(ideal_height / multiple)
        for columns in _around(ideal_width / multiple)
    ]

    def misfit(size: tuple[int, int]) -> float:
        aspect = math.log(size[0] * width / (size[1] * height))
        return 4 * abs(aspect) + abs(math.log(size[0] * size[1] / area))

    return min(candidates, key=misfit)


def _around(ideal: float) -> tuple[int, ...]:
    floor = max(1, math.floor(ideal))
    return (floor, floor + 1)


_PILLOW = {
    Resampling.BILINEAR: Image.Resampling.BILINEAR,
    Resampling.BICUBIC: Image.Resampling.BICUBIC,
    Resampling.LANCZOS: Image.Resampling.LANCZOS,
}
