"""Preparation of photographs by a network's authors' method."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float32, Int, Pixels, UInt8
from rilievo.errors import ModelError
from rilievo.models.resampling.resizing import Window

# Depth of inverse depth 0 [m].
BEYOND = 1e12

PREFIX = "rilievo."

# Least factor after a box filter.
GAP = 3.0
BAND_PIXELS = 1 << 14


class Rule(StrEnum):
    """Rule for the network's size, in multiples."""

    AREA = "area"
    """Roughly ``area`` pixels: rilievo's rule."""
    FIXED = "fixed"
    LEAST_CHANGE = "least-change"
    """Aspect ratio kept, by the scale nearer to 1 (halves to even): DPT, Depth Anything, ZoeDepth.
    """
    SHORTEST_EDGE = "shortest-edge"
    LONGEST_EDGE = "longest-edge"
    """Longer side becomes ``height``: Depth Anything 3."""
    FLOOR = "floor"
    """Own size, at most ``area`` pixels: GLPN."""


class Resampling(StrEnum):
    """Filter that resizes a photograph."""

    TRIANGLE = "triangle"
    """Antialiased bilinear, after a box filter."""
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    """Antialiased (a = -0.5), as in Pillow."""
    LANCZOS = "lanczos"
    BILINEAR_POINTS = "bilinear-points"
    """Centres at halves, not rounded: Depth Pro."""
    BILINEAR_CORNERS = "bilinear-corners"
    """Corner centres aligned, not rounded: ZoeDepth."""

    @property
    def is_rounded(self) -> bool:
        """Whether the input is uint8, else float32."""
        return self not in (Resampling.BILINEAR_POINTS, Resampling.BILINEAR_CORNERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """Rule with its parameters; unused ones stay 0."""

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
        """Size of the network's input."""
        height, width = shape
        if self.rule is Rule.AREA:
            return network_size(shape, area=self.area, multiple=self.multiple)
        if self.rule is Rule.FIXED:
            return self.height, self.width
        if self.rule is Rule.FLOOR:
            scale = min(1.0, math.sqrt(self.area / (height * width)))
            return self._multiple_below(height * scale), self._multiple_below(width * scale)
        if self.rule is Rule.SHORTEST_EDGE:
            scale = self.height / min(shape)
        elif self.rule is Rule.LONGEST_EDGE:
            scale = self.height / max(shape)
        else:
            down, across = self.height / height, self.width / width
            scale = across if abs(1 - across) < abs(1 - down) else down
        return self._nearest_multiple(scale * height), self._nearest_multiple(scale * width)

    def _nearest_multiple(self, length: float) -> int:
        # A thin strip would be rounded to no rows at all, so one multiple is the least.
        return max(1, round(length / self.multiple)) * self.multiple

    def _multiple_below(self, length: float) -> int:
        return max(1, math.floor(length / self.multiple)) * self.multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Steps between pixels and the tensor.

    Attributes:
        padding: Reflected border of int(padding * sqrt(side / 2)) pixels; 3 for ZoeDepth.
        fill: Multiple to which the network pads evenly; 14 for DPT on DINOv2.
        rescale: Factor of pixels, with ``mean`` and ``std`` inside the graph.
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
        if not all(0 < deviation < math.inf for deviation in self.std):
            raise ModelError(f"std is positive, got {self.std}")

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size of the network's input."""
        if self.padding:
            down, across = self.border(shape)
            shape = shape[0] + 2 * down, shape[1] + 2 * across
        return self.sizing.size(shape)

    def pixels(
        self, photo: Pixels, shape: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "a b 3"] | Float32[np.ndarray, "a b 3"]:
        """Resize pixels as for a photograph of ``shape``."""
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
        """Reflected rows and columns [px]."""
        height, width = (int(math.sqrt(side / 2) * self.padding) for side in shape)
        return height, width

    def windows(self, shape: tuple[int, int]) -> tuple[Window, Window] | None:
        """Parts of rows and columns that show a photograph."""
        if not self.padding and self.fill == 1:
            return None
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
        """Metadata for a file; without steps inside the graph."""
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


def read_preparation(metadata: Mapping[str, str]) -> Preparation:
    """Parse ``Preparation.metadata``; an area by default."""
    if f"{PREFIX}sizing" not in metadata:
        area, multiple = int(metadata[f"{PREFIX}area"]), int(metadata[f"{PREFIX}multiple"])
        return Preparation(sizing=Sizing(rule=Rule.AREA, area=area, multiple=multiple))
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
    """Multiples near ``area`` [px] that keep the aspect ratio."""
    height, width = shape
    ideal_height = math.sqrt(area * height / width)
    ideal_width = area / ideal_height
    least_rows, least_columns = (
        max(1, math.floor(ideal / multiple)) for ideal in (ideal_height, ideal_width)
    )
    sizes = [
        (rows * multiple, columns * multiple)
        for rows in (least_rows, least_rows + 1)
        for columns in (least_columns, least_columns + 1)
    ]
    misfits = [
        4 * abs(math.log(rows * width / (columns * height))) + abs(math.log(rows * columns / area))
        for rows, columns in sizes
    ]
    return sizes[misfits.index(min(misfits))]


class Grid(StrEnum):
    """Alignment of two pictures' pixel grids: outer edges, or centres of corner pixels."""

    CENTRES = "centres"
    CORNERS = "corners"


def shrink(pixels: Pixels, size: tuple[int, int]) -> UInt8[np.ndarray, "a b 3"]:
    """Resize without aliasing: triangle filter, after a box filter on large photographs."""
    if pixels.shape[:2] == size:
        return pixels
    height, width, _ = pixels.shape
    down, across = max(1, int(height / size[0] / GAP)), max(1, int(width / size[1] / GAP))
    reduced = pixels if down == across == 1 else _box_means(pixels, down, across)
    image = Image.fromarray(reduced)
    # The last boxes may extend beyond the photograph.
    box = (0.0, 0.0, width / across, height / down)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))


def bilinear_points(
    pixels: Pixels,
    size: tuple[int, int],
    *,
    grid: Grid,
    border: tuple[int, int] = (0, 0),
) -> Float32[np.ndarray, "a b 3"]:
    """Interpolate linearly, neither antialiased nor rounded; reflect ``border``."""
    rows = _Taps(pixels.shape[0], size[0], grid, border[0])
    columns = _Taps(pixels.shape[1], size[1], grid, border[1])
    # Rows of colours are taken as rows of numbers, in bands that stay in the processor's cache.
    before, after = (
        (3 * indices[:, None] + np.arange(3)).reshape(-1)
        for indices in (columns.before, columns.after)
    )
    across = columns.fraction.repeat(3)
    back = 1 - across
    result = np.empty((size[0], 3 * size[1]), np.float32)
    step = max(1, BAND_PIXELS // size[1])
    for first in range(0, size[0], step):
        band = slice(first, min(first + step, size[0]))
        down = rows.fraction[band, None]
        lines: list[Float32[np.ndarray, "rows n"]] = []
        for side in (rows.before, rows.after):
            picked = np.ascontiguousarray(pixels[side[band]]).reshape(band.stop - first, -1)
            line = picked.take(before, axis=1) * back
            line += picked.take(after, axis=1) * across
            lines.append(line)
        top, bottom = lines
        top *= 1 - down
        bottom *= down
        np.add(top, bottom, out=result[band])
    return result.reshape(*size, 3)


class _Taps:
    def __init__(self, length: int, count: int, grid: Grid, border: int) -> None:
        whole = length + 2 * border
        places = np.arange(count, dtype=np.float32)
        if grid is Grid.CORNERS:
            at = places * np.float32((whole - 1) / max(count - 1, 1))
        else:
            at = (places + np.float32(0.5)) * np.float32(whole / count) - np.float32(0.5)
        at = np.clip(at, 0, whole - 1)
        before = at.astype(np.intp)
        self.fraction: Float32[np.ndarray, " count"] = at - before.astype(np.float32)
        self.before = _reflect_indices(before - border, length)
        self.after = _reflect_indices(np.minimum(before + 1, whole - 1) - border, length)


def _reflect_indices(index: Int[np.ndarray, " count"], length: int) -> Int[np.ndarray, " count"]:
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    folded = index % period
    return np.minimum(folded, period - folded)


def _box_means(pixels: Pixels, down: int, across: int) -> UInt8[np.ndarray, "a b 3"]:
    from rilievo.io.photographs.pixels import STRIP_PIXELS

    height, width, _ = pixels.shape
    reduced = np.empty((-(-height // down), -(-width // across), 3), np.uint8)
    rows = max(1, STRIP_PIXELS // (width * down))
    for first in range(0, len(reduced), rows):
        strip = np.ascontiguousarray(pixels[first * down : (first + rows) * down])
        reduced[first : first + rows] = np.asarray(Image.fromarray(strip).reduce((across, down)))
    return reduced


_PILLOW = {
    Resampling.BILINEAR: Image.Resampling.BILINEAR,
    Resampling.BICUBIC: Image.Resampling.BICUBIC,
    Resampling.LANCZOS: Image.Resampling.LANCZOS,
}
