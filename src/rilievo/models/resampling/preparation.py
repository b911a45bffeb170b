"""How photographs become a network's input, by the method of the network's authors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float32, Int, Pixels, UInt8
from rilievo.errors import ModelError
from rilievo.models.resampling.resizing import PaddedAxis

INFINITE_DEPTH = 1e12
"""Depth that stands for an inverse depth of 0 [m]."""

REDUCING_GAP = 3.0
"""A large photograph is first shrunk by a box filter, to this factor above its final size at least
(as Pillow's ``reducing_gap``).
"""
BAND_PIXELS = 1 << 14
"""Pixels of the rows that are interpolated at once, so that they stay in the processor's cache."""
_STRIP_PIXELS = 2_000_000
"""Pixels that are reduced at a time, so that a large photograph is not copied as a whole."""


class Rule(StrEnum):
    """Rule for the size of the network's input, whose sides are multiples of a number."""

    AREA = "area"
    """About ``pixel_count`` pixels in the photograph's proportions: rilievo's own rule."""
    FIXED = "fixed"
    """``height`` x ``width``, whatever the photograph's proportions."""
    LEAST_CHANGE = "least-change"
    """The photograph's proportions. Of the two scales that reach ``height`` or ``width``, the one
    nearer to 1 is taken: DPT, Depth Anything, ZoeDepth.
    """
    SHORTEST_EDGE = "shortest-edge"
    """The shorter side becomes ``height``."""
    LONGEST_EDGE = "longest-edge"
    """The longer side becomes ``height``: Depth Anything 3."""
    FLOOR = "floor"
    """The photograph's own size, shrunk to at most ``pixel_count`` pixels, and both sides rounded
    down to a multiple: GLPN.
    """


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
    """Size of the network's input, by a rule and its parameters (see ``Rule``).

    Attributes:
        height: Height of the input for ``FIXED`` and ``LEAST_CHANGE``, and length of the named edge
            for ``SHORTEST_EDGE`` and ``LONGEST_EDGE`` [px]; 0 for other rules.
        width: Width of the input for ``FIXED`` and ``LEAST_CHANGE`` [px]; 0 for other rules.
        pixel_count: Pixels of the input for ``AREA`` and ``FLOOR``; 0 for other rules.
        multiple: Both sides of the input are multiples of this [px].
    """

    rule: Rule
    height: int = 0
    width: int = 0
    pixel_count: int = 0
    multiple: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.multiple <= 512:
            raise ModelError(f"multiple must be 1 to 512, got {self.multiple}")
        has_pixel_count = self.rule in (Rule.AREA, Rule.FLOOR)
        pixel_count = self.pixel_count if has_pixel_count else self.height * self.width
        has_negative_side = min(self.height, self.width) < 0
        if has_negative_side or not self.multiple**2 <= pixel_count <= 10**8:
            raise ModelError(
                f"a size by the rule '{self.rule}' with multiples of {self.multiple} must have "
                f"{self.multiple**2} to 1e8 pixels, got {self}"
            )

    def __str__(self) -> str:
        parameters = f"{self.height}x{self.width}" if self.height else f"{self.pixel_count}"
        return f"{self.rule} {parameters} /{self.multiple}"

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the network's input for a photograph of (height, width)."""
        height, width = shape
        if self.rule is Rule.AREA:
            return network_size(shape, pixel_count=self.pixel_count, multiple=self.multiple)
        if self.rule is Rule.FIXED:
            return self.height, self.width
        if self.rule is Rule.FLOOR:
            scale = min(1.0, math.sqrt(self.pixel_count / (height * width)))
            return self._multiple_below(height * scale), self._multiple_below(width * scale)
        scale = self._scale_by_sides(height, width)
        return self._nearest_multiple(scale * height), self._nearest_multiple(scale * width)

    def _scale_by_sides(self, height: int, width: int) -> float:
        """Factor by which a photograph is resized, for the rules that state lengths of sides."""
        if self.rule is Rule.SHORTEST_EDGE:
            return self.height / min(height, width)
        if self.rule is Rule.LONGEST_EDGE:
            return self.height / max(height, width)
        assert self.rule is Rule.LEAST_CHANGE, "the other rules are not about sides"
        y_scale = self.height / height
        x_scale = self.width / width
        return x_scale if abs(1 - x_scale) < abs(1 - y_scale) else y_scale

    def _nearest_multiple(self, length: float) -> int:
        # At least one multiple, because a thin strip would be rounded to no rows at all.
        return max(1, round(length / self.multiple)) * self.multiple

    def _multiple_below(self, length: float) -> int:
        return max(1, math.floor(length / self.multiple)) * self.multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Steps from the pixels of a photograph to the network's input.

    The input is ``(rescale * pixels - mean) / std`` in each channel; pixels are 0 to 255.

    Attributes:
        border_factor: Before it is resized, the photograph gets a reflected border of
            int(border_factor * sqrt(side / 2)) pixels at each side, as in ZoeDepth; 0 for none.
        pad_multiple: The network itself pads its input to multiples of this, evenly on both sides;
            14 for DPT on DINOv2 [px].
    """

    sizing: Sizing
    resampling: Resampling = Resampling.TRIANGLE
    border_factor: float = 0.0
    pad_multiple: int = 1
    rescale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        # Messages name the entries of an ONNX file's metadata, "padding" and "fill".
        if not 0 <= self.border_factor < math.inf:
            raise ModelError(f"padding must be 0 or more, got {self.border_factor}")
        if self.border_factor and self.resampling.is_rounded:
            raise ModelError(f"padding needs resampling by bilinear-*, not by {self.resampling}")
        is_padded_twice = self.border_factor > 0 and self.pad_multiple > 1
        if not 1 <= self.pad_multiple <= 512 or is_padded_twice:
            raise ModelError(
                f"fill must be 1 to 512, and 1 if there is padding, got {self.pad_multiple}"
            )
        if not (math.isfinite(self.rescale) and all(map(math.isfinite, self.mean))):
            raise ModelError(f"rescale and mean must be finite, got {self.rescale}, {self.mean}")
        if not all(0 < deviation < math.inf for deviation in self.std):
            raise ModelError(f"std must be positive, got {self.std}")

    def size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the network's input for a photograph of (height, width)."""
        if self.border_factor:
            rows, columns = self.border(shape)
            shape = shape[0] + 2 * rows, shape[1] + 2 * columns
        return self.sizing.size(shape)

    def pixels(
        self, photo: Pixels, shape: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "a b 3"] | Float32[np.ndarray, "a b 3"]:
        """Resize a photograph to the size of the input, with levels of 0 to 255.

        The size is the one for a photograph of ``shape``; by default of the photograph's own.
        """
        height, width, _ = photo.shape
        size = self.size(shape or (height, width))
        if self.resampling is Resampling.TRIANGLE:
            return shrink(photo, size)
        if self.resampling.is_rounded:
            if size == (height, width):
                return photo
            pillow_filter = _PILLOW_FILTERS[self.resampling]
            return np.asarray(Image.fromarray(photo).resize((size[1], size[0]), pillow_filter))
        grid = Grid.CORNERS if self.resampling is Resampling.BILINEAR_CORNERS else Grid.CENTRES
        return bilinear_points(photo, size, grid=grid, border=self.border((height, width)))

    def border(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the reflected border at each side [px]."""
        height, width = (int(math.sqrt(side / 2) * self.border_factor) for side in shape)
        return height, width

    def padded_axes(self, shape: tuple[int, int]) -> tuple[PaddedAxis, PaddedAxis] | None:
        """Rows and columns of the input for a photograph of ``shape``; None without padding."""
        if not self.border_factor and self.pad_multiple == 1:
            return None
        if self.border_factor:
            # The reflected border is added before the photograph is resized, so it is measured in
            # pixels of the photograph.
            row_border, column_border = self.border(shape)
            rows = _evenly_padded(shape[0], 2 * row_border)
            columns = _evenly_padded(shape[1], 2 * column_border)
        else:
            # The network's own padding is measured in pixels of the input.
            height, width = self.size(shape)
            rows = _evenly_padded(height, -height % self.pad_multiple)
            columns = _evenly_padded(width, -width % self.pad_multiple)
        is_padded = max(rows.padding_after, columns.padding_after) > 0
        return (rows, columns) if is_padded else None

    def metadata(self) -> Mapping[str, str]:
        """Metadata for an ONNX file, whose graph normalises the pixels itself."""
        sizing = self.sizing
        return {
            "rilievo.sizing": sizing.rule.value,
            "rilievo.size": f"{sizing.height}x{sizing.width}",
            "rilievo.area": f"{sizing.pixel_count}",
            "rilievo.multiple": f"{sizing.multiple}",
            "rilievo.resampling": self.resampling.value,
            "rilievo.padding": f"{self.border_factor!r}",
            "rilievo.fill": f"{self.pad_multiple}",
        }


def _evenly_padded(length: int, padding: int) -> PaddedAxis:
    """Axis with padding at both ends; the odd pixel of an odd padding is at the far end."""
    before = padding // 2
    return PaddedAxis(padding_before=before, photo_length=length, padding_after=padding - before)


def parse_preparation(metadata: Mapping[str, str]) -> Preparation:
    """Parse ``Preparation.metadata``; KeyError or ValueError if an entry is missing or wrong."""
    if "rilievo.sizing" not in metadata:
        # Files of older versions state these two numbers only.
        pixel_count, multiple = int(metadata["rilievo.area"]), int(metadata["rilievo.multiple"])
        sizing = Sizing(rule=Rule.AREA, pixel_count=pixel_count, multiple=multiple)
        return Preparation(sizing=sizing)

    height, _, width = metadata["rilievo.size"].partition("x")
    try:
        return Preparation(
            sizing=Sizing(
                rule=Rule(metadata["rilievo.sizing"]),
                height=int(height),
                width=int(width),
                pixel_count=int(metadata["rilievo.area"]),
                multiple=int(metadata["rilievo.multiple"]),
            ),
            resampling=Resampling(metadata["rilievo.resampling"]),
            border_factor=float(metadata["rilievo.padding"]),
            pad_multiple=int(metadata["rilievo.fill"]),
        )
    except ModelError as error:
        raise ValueError(str(error)) from error


def network_size(shape: tuple[int, int], *, pixel_count: int, multiple: int) -> tuple[int, int]:
    """Height and width of about ``pixel_count`` pixels, in the proportions of ``shape``.

    Of the four pairs of multiples around the ideal size, it is the one with the least error. An
    error of the proportions counts four times as much as one of the number of pixels.
    """
    height, width = shape
    ideal_height = math.sqrt(pixel_count * height / width)
    ideal_width = pixel_count / ideal_height
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
        return 4 * aspect_error + abs(math.log(rows * columns / pixel_count))

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
    box_height = max(1, int(height / size[0] / REDUCING_GAP))
    box_width = max(1, int(width / size[1] / REDUCING_GAP))
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

    ``border`` is the number of reflected rows and columns that are added at each side first.
    """
    height, width = size
    rows = _linear_taps(pixels.shape[0], height, grid, border[0])
    columns = _linear_taps(pixels.shape[1], width, grid, border[1])
    # For speed, the colours of a row are interpolated as one flat row of 3 * width numbers.
    left = _flat_colour_indices(columns.before)
    right = _flat_colour_indices(columns.after)
    right_weight = columns.fraction.repeat(3)
    left_weight = 1 - right_weight

    def interpolate_columns(row_indices: Int[np.ndarray, "rows"]) -> Float32[np.ndarray, "rows n"]:
        flat_rows = np.ascontiguousarray(pixels[row_indices]).reshape(len(row_indices), -1)
        interpolated = flat_rows.take(left, axis=1) * left_weight
        interpolated += flat_rows.take(right, axis=1) * right_weight
        return interpolated

    resized = np.empty((height, 3 * width), np.float32)
    rows_per_band = max(1, BAND_PIXELS // width)
    for first_row in range(0, height, rows_per_band):
        band = slice(first_row, min(first_row + rows_per_band, height))
        lower_weight = rows.fraction[band, None]
        upper = interpolate_columns(rows.before[band])
        lower = interpolate_columns(rows.after[band])
        upper *= 1 - lower_weight
        lower *= lower_weight
        np.add(upper, lower, out=resized[band])
    return resized.reshape(height, width, 3)


def _flat_colour_indices(columns: Int[np.ndarray, "n"]) -> Int[np.ndarray, "m"]:
    """Indices of the red, green and blue of these columns in a flattened row of pixels."""
    return (3 * columns[:, None] + np.arange(3)).reshape(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinearTaps:
    """The two old pixels between which each new pixel is interpolated, along one axis.

    Attributes:
        fraction: Distance to the one before [px], which is the weight of the one after.
    """

    before: Int[np.ndarray, "n"]
    after: Int[np.ndarray, "n"]
    fraction: Float32[np.ndarray, "n"]


def _linear_taps(old_length: int, new_length: int, grid: Grid, border: int) -> _LinearTaps:
    """Linear interpolation of an axis with a reflected border to ``new_length`` pixels."""
    padded_length = old_length + 2 * border
    new_indices = np.arange(new_length, dtype=np.float32)
    if grid is Grid.CORNERS:
        positions = new_indices * np.float32((padded_length - 1) / max(new_length - 1, 1))
    else:
        scale = np.float32(padded_length / new_length)
        positions = (new_indices + np.float32(0.5)) * scale - np.float32(0.5)
    positions = np.clip(positions, 0, padded_length - 1)
    before = positions.astype(np.intp)
    after = np.minimum(before + 1, padded_length - 1)
    return _LinearTaps(
        before=_reflect_indices(before - border, old_length),
        after=_reflect_indices(after - border, old_length),
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
    """Means over boxes of pixels, computed strip by strip, which takes little memory."""
    height, width, _ = pixels.shape
    new_height, new_width = math.ceil(height / box_height), math.ceil(width / box_width)
    reduced = np.empty((new_height, new_width, 3), np.uint8)
    rows_per_strip = max(1, _STRIP_PIXELS // (width * box_height))
    for first_row in range(0, new_height, rows_per_strip):
        end_row = first_row + rows_per_strip
        strip = np.ascontiguousarray(pixels[first_row * box_height : end_row * box_height])
        image = Image.fromarray(strip).reduce((box_width, box_height))
        reduced[first_row:end_row] = np.asarray(image)
    return reduced


_PILLOW_FILTERS = {
    Resampling.BILINEAR: Image.Resampling.BILINEAR,
    Resampling.BICUBIC: Image.Resampling.BICUBIC,
    Resampling.LANCZOS: Image.Resampling.LANCZOS,
}
