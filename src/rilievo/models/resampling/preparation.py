"""How photographs become a network's input, by the method of the network's authors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float32, Int, Pixels, UInt8
from rilievo.errors import ModelError
from rilievo.models.resampling.resizing import Window

BEYOND = 1e12
"""Depth that stands for an inverse depth of 0 [m]."""

PREFIX = "rilievo."
"""Beginning of the names of rilievo's metadata in a file."""

GAP = 3.0
"""Least factor by which the triangle filter shrinks after a box filter."""
BAND_PIXELS = 1 << 14
"""Pixels of the rows that are interpolated at once, so that they stay in the processor's cache."""


class Rule(StrEnum):
    """Rule for the size of the network's input, whose sides are multiples of a number."""

    AREA = "area"
    """About ``area`` pixels in the photograph's proportions: rilievo's own rule."""
    FIXED = "fixed"
    """``height`` x ``width``, whatever the photograph's proportions."""
    LEAST_CHANGE = "least-change"
    """The photograph's proportions, by that one of the two scales to ``height`` and ``width`` that
    is nearer to 1 (halves to even): DPT, Depth Anything, ZoeDepth.
    """
    SHORTEST_EDGE = "shortest-edge"
    """The shorter side becomes ``height``."""
    LONGEST_EDGE = "longest-edge"
    """The longer side becomes ``height``: Depth Anything 3."""
    FLOOR = "floor"
    """The photograph's size, at most ``area`` pixels: GLPN."""


class Resampling(StrEnum):
    """Filter that resizes a photograph."""

    TRIANGLE = "triangle"
    """Antialiased and linear, after a box filter."""
    BILINEAR = "bilinear"
    """Antialiased, as in Pillow."""
    BICUBIC = "bicubic"
    """Antialiased (a = -0.5), as in Pillow."""
    LANCZOS = "lanczos"
    """Antialiased, as in Pillow."""
    BILINEAR_POINTS = "bilinear-points"
    """Not antialiased and not rounded to whole levels, centres at halves: Depth Pro."""
    BILINEAR_CORNERS = "bilinear-corners"
    """Likewise, with the centres of the corner pixels aligned: ZoeDepth."""

    @property
    def is_rounded(self) -> bool:
        """Whether the input is uint8, else float32."""
        return self not in (Resampling.BILINEAR_POINTS, Resampling.BILINEAR_CORNERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """Rule for the size of the network's input, with its numbers; unused ones stay 0.

    Attributes:
        rule: Rule.
        height: Number of the rule [px].
        width: Number of the rule [px].
        area: Number of pixels.
        multiple: Number of which both sides are multiples.
    """

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
        """Height and width of the network's input for a photograph of (height, width)."""
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
            y_scale, x_scale = self.height / height, self.width / width
            scale = x_scale if abs(1 - x_scale) < abs(1 - y_scale) else y_scale
        return self._nearest_multiple(scale * height), self._nearest_multiple(scale * width)

    def _nearest_multiple(self, length: float) -> int:
        # A thin strip would be rounded to no rows at all, so one multiple is the least.
        return max(1, round(length / self.multiple)) * self.multiple

    def _multiple_below(self, length: float) -> int:
        return max(1, math.floor(length / self.multiple)) * self.multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Steps from the pixels of a photograph to the network's input.

    Attributes:
        sizing: Size of the input.
        resampling: Filter that resizes the photograph.
        padding: Number that gives a reflected border of int(padding * sqrt(side / 2)) pixels, as
            ZoeDepth has it; 0 for none.
        fill: Number to whose multiples the network itself pads, evenly on both sides; 14 for DPT
            on DINOv2.
        rescale: Factor of the pixels' levels.
        mean: Mean of each channel, which is subtracted after ``rescale``.
        std: Standard deviation of each channel, by which it is divided.
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
        """Height and width of the network's input for a photograph of (height, width)."""
        if self.padding:
            rows, columns = self.border(shape)
            shape = shape[0] + 2 * rows, shape[1] + 2 * columns
        return self.sizing.size(shape)

    def pixels(
        self, photo: Pixels, shape: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "a b 3"] | Float32[np.ndarray, "a b 3"]:
        """Resize a photograph, as one of ``shape`` would be resized; None for its own shape."""
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
        """Rows and columns of the reflected border at each side [px]."""
        height, width = (int(math.sqrt(side / 2) * self.padding) for side in shape)
        return height, width

    def windows(self, shape: tuple[int, int]) -> tuple[Window, Window] | None:
        """Parts of the input's rows and columns that show a photograph; None for all of it."""
        if not self.padding and self.fill == 1:
            return None
        # A reflected border is a part of the resized photograph, while the network pads its input.
        size = shape if self.padding else self.size(shape)
        row_border, column_border = self.border(shape)
        rows = self._window(row_border, size[0])
        columns = self._window(column_border, size[1])
        has_border = rows.before or rows.after or columns.before or columns.after
        return (rows, columns) if has_border else None

    def _window(self, border: int, side: int) -> Window:
        """Part of one axis, by its reflected border or else by the network's own padding."""
        if border:
            return Window(before=border, inside=side, after=border)
        missing = -side % self.fill
        return Window(before=missing // 2, inside=side, after=missing - missing // 2)

    def metadata(self) -> Mapping[str, str]:
        """Metadata for an ONNX file, whose graph rescales the pixels itself."""
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
    """Read ``Preparation.metadata``; older files have an area and a multiple only.

    Raises:
        KeyError: If an entry is missing.
        ValueError: If an entry is wrong.
    """
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
    """Height and width of about ``area`` pixels, in the proportions of ``shape``.

    Of the four pairs of multiples around the ideal size, it is the one with the least error, in
    which proportions count four times as much as the area.
    """
    height, width = shape
    ideal_height = math.sqrt(area * height / width)
    ideal_width = area / ideal_height
    min_rows, min_columns = (
        max(1, math.floor(ideal / multiple)) for ideal in (ideal_height, ideal_width)
    )
    candidates = [
        (rows * multiple, columns * multiple)
        for rows in (min_rows, min_rows + 1)
        for columns in (min_columns, min_columns + 1)
    ]

    def error(size: tuple[int, int]) -> float:
        rows, columns = size
        aspect_error = abs(math.log(rows * width / (columns * height)))
        return 4 * aspect_error + abs(math.log(rows * columns / area))

    return min(candidates, key=error)


class Grid(StrEnum):
    """How the pixels of two pictures of different sizes correspond."""

    CENTRES = "centres"
    """The outer edges meet, so that centres of pixels are at halves."""
    CORNERS = "corners"
    """The centres of the corner pixels meet."""


def shrink(pixels: Pixels, size: tuple[int, int]) -> UInt8[np.ndarray, "a b 3"]:
    """Resize without aliasing, by a triangle filter; large photographs by a box filter first."""
    if pixels.shape[:2] == size:
        return pixels
    height, width, _ = pixels.shape
    box_height = max(1, int(height / size[0] / GAP))
    box_width = max(1, int(width / size[1] / GAP))
    if box_height > 1 or box_width > 1:
        pixels = _box_means(pixels, box_height, box_width)
    image = Image.fromarray(pixels)
    # The last boxes may extend beyond the photograph.
    box = (0.0, 0.0, width / box_width, height / box_height)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))


def bilinear_points(
    pixels: Pixels,
    size: tuple[int, int],
    *,
    grid: Grid,
    border: tuple[int, int] = (0, 0),
) -> Float32[np.ndarray, "a b 3"]:
    """Resize linearly, neither antialiased nor rounded to whole levels.

    Args:
        pixels: Pixels.
        size: New height and width.
        grid: How old and new pixels correspond.
        border: Reflected rows and columns that are added at each side before.
    """
    rows = _neighbours(pixels.shape[0], size[0], grid, border[0])
    columns = _neighbours(pixels.shape[1], size[1], grid, border[1])
    # Rows of colours are taken as rows of numbers.
    left, right = (
        (3 * indices[:, None] + np.arange(3)).reshape(-1)
        for indices in (columns.before, columns.after)
    )
    right_weight = columns.fraction.repeat(3)
    left_weight = 1 - right_weight

    def between_columns(row_indices: Int[np.ndarray, "rows"]) -> Float32[np.ndarray, "rows n"]:
        lines = np.ascontiguousarray(pixels[row_indices]).reshape(len(row_indices), -1)
        interpolated = lines.take(left, axis=1) * left_weight
        interpolated += lines.take(right, axis=1) * right_weight
        return interpolated

    resized = np.empty((size[0], 3 * size[1]), np.float32)
    rows_per_band = max(1, BAND_PIXELS // size[1])
    for first in range(0, size[0], rows_per_band):
        band = slice(first, min(first + rows_per_band, size[0]))
        lower_weight = rows.fraction[band, None]
        upper = between_columns(rows.before[band])
        lower = between_columns(rows.after[band])
        upper *= 1 - lower_weight
        lower *= lower_weight
        np.add(upper, lower, out=resized[band])
    return resized.reshape(*size, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Neighbours:
    """Old pixels before and after each new one along an axis.

    Attributes:
        before: Index of the old pixel before.
        after: Index of the old pixel after.
        fraction: Distance to the one before [px], which is the weight of the one after.
    """

    before: Int[np.ndarray, "n"]
    after: Int[np.ndarray, "n"]
    fraction: Float32[np.ndarray, "n"]


def _neighbours(length: int, count: int, grid: Grid, border: int) -> _Neighbours:
    """Neighbours of ``count`` new pixels among ``length`` old ones with a reflected border."""
    padded_length = length + 2 * border
    indices = np.arange(count, dtype=np.float32)
    if grid is Grid.CORNERS:
        positions = indices * np.float32((padded_length - 1) / max(count - 1, 1))
    else:
        scale = np.float32(padded_length / count)
        positions = (indices + np.float32(0.5)) * scale - np.float32(0.5)
    positions = np.clip(positions, 0, padded_length - 1)
    before = positions.astype(np.intp)
    after = np.minimum(before + 1, padded_length - 1)
    return _Neighbours(
        before=_reflect_indices(before - border, length),
        after=_reflect_indices(after - border, length),
        fraction=positions - before.astype(np.float32),
    )


def _reflect_indices(index: Int[np.ndarray, "n"], length: int) -> Int[np.ndarray, "n"]:
    """Indices beyond either end, reflected at the first and the last pixel."""
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    folded = index % period
    return np.minimum(folded, period - folded)


def _box_means(pixels: Pixels, box_height: int, box_width: int) -> UInt8[np.ndarray, "a b 3"]:
    """Means over boxes of pixels, in strips, so that little memory is needed."""
    from rilievo.io.photographs.pixels import STRIP_PIXELS

    height, width, _ = pixels.shape
    reduced = np.empty((-(-height // box_height), -(-width // box_width), 3), np.uint8)
    rows_per_strip = max(1, STRIP_PIXELS // (width * box_height))
    for first in range(0, len(reduced), rows_per_strip):
        last = first + rows_per_strip
        strip = np.ascontiguousarray(pixels[first * box_height : last * box_height])
        image = Image.fromarray(strip).reduce((box_width, box_height))
        reduced[first:last] = np.asarray(image)
    return reduced


_PILLOW = {
    Resampling.BILINEAR: Image.Resampling.BILINEAR,
    Resampling.BICUBIC: Image.Resampling.BICUBIC,
    Resampling.LANCZOS: Image.Resampling.LANCZOS,
}
