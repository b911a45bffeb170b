"""Preparation of photographs by a network's authors' method, and resizing of its maps."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Pixels, UInt8, Vectors
from rilievo.errors import ModelError
from rilievo.io.png import bands
from rilievo.models.resampling.inference import Filter, Resizing, Space
from rilievo.records.depth_map import DepthKind, DepthMap

# Depth of inverse depth 0 [m].
BEYOND = 1e12
# Keys 1981, as PyTorch and OpenCV.
_CUBIC = -0.75


def resize(
    field: Float32[np.ndarray, "*c a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "*c h w"]:
    """Resize linearly, antialiased where it shrinks."""
    if field.shape[-2:] == shape:
        return field
    if shape[0] > field.shape[-2] and shape[1] > field.shape[-1]:
        return _enlarge_linearly(field, shape)
    if field.ndim > 2:
        return np.stack([resize(channel, shape) for channel in field])
    image = Image.fromarray(np.ascontiguousarray(field))
    # Converted in bands, because Pillow's export of pixels takes three times their memory.
    resized = np.empty(shape, np.float32)
    for rows in bands(shape):
        resized[rows] = _resize_rows(image, shape, rows)
    return resized


def _enlarge_linearly(
    field: Float32[np.ndarray, "*c a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "*c h w"]:
    """Enlarge a field in a third of Pillow's time."""
    (height, width), last = shape, field.shape[-2] - 1
    rows, columns = (
        np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
        for length, count in zip(field.shape[-2:], shape, strict=True)
    )
    first = columns.astype(np.int64)
    share = (columns - first).astype(np.float32)
    with np.errstate(invalid="ignore"):  # infinite values are refused later
        wide = np.diff(field, axis=-1, append=field[..., -1:]).take(first, axis=-1)
        wide *= share
        wide += field.take(first, axis=-1)
        first = rows.astype(np.int64)
        share = (rows - first).astype(np.float32)
        ends = np.searchsorted(first, np.arange(last + 1), side="right").tolist()
        enlarged = np.empty((*field.shape[:-2], height, width), np.float32)
        start = 0
        for row, end in enumerate(ends):
            band, line = enlarged[..., start:end, :], wide[..., row : row + 1, :]
            below = min(row + 1, last)
            np.multiply(share[start:end, None], wide[..., below : below + 1, :] - line, out=band)
            band += line
            start = end
    return enlarged


def resize_normals(
    normals: Float32[np.ndarray, "3 a b"],
    shape: tuple[int, int],
    filter: Filter = Filter.ANTIALIASED,
) -> Vectors:
    """Resize normals to unit length; zero ones face the camera."""
    resized = resize_by_filter(normals, shape, filter)
    for rows in bands(shape):
        band = resized[:, rows]
        length = np.sqrt(np.einsum("chw,chw->hw", band, band))
        lost = length < 1e-6
        if lost.any():
            band[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
            length[lost] = 1.0
        band /= length
    return resized


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Part of a side that shows the photograph, in any unit."""

    before: int
    inside: int
    after: int

    def ends(self, length: int) -> tuple[float, float]:
        """Begin and end of the photograph [px]."""
        scale = length / (self.before + self.inside + self.after)
        return self.before * scale, length - self.after * scale


def resize_by_filter(
    field: Float32[np.ndarray, "*c a b"],
    shape: tuple[int, int],
    filter: Filter,
    windows: tuple[Window, Window] | None = None,
) -> Float32[np.ndarray, "*c h w"]:
    """Resize a field, or a window of it."""
    if windows is None and (field.shape[-2:] == shape or filter is Filter.ANTIALIASED):
        return resize(field, shape) if filter is Filter.ANTIALIASED else field.copy()
    if field.ndim > 2:
        return np.stack([resize_by_filter(channel, shape, filter, windows) for channel in field])
    if windows is not None and filter is Filter.ANTIALIASED:
        (top, bottom), (left, right) = (
            window.ends(side) for window, side in zip(windows, field.shape, strict=True)
        )
        image = Image.fromarray(np.ascontiguousarray(field))
        box, size = (left, top, right, bottom), (shape[1], shape[0])
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
    down, across = windows or (None, None)
    wide = np.zeros((field.shape[0], shape[1]), np.float32)
    for index, share in _filter_taps(field.shape[1], shape[1], filter, across):
        wide += field.take(index, axis=1) * share
    resized = np.zeros(shape, np.float32)
    lines = _filter_taps(field.shape[0], shape[0], filter, down)
    for rows in bands(shape):
        for index, share in lines:
            resized[rows] += wide[index[rows]] * share[rows, None]
    return resized


def _filter_taps(
    length: int, count: int, filter: Filter, window: Window | None
) -> list[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]]:
    """Indices and weights, one array pair a tap."""
    window = window or Window(before=0, inside=count, after=0)
    whole = (window.before + window.inside + window.after) * count / window.inside
    place = np.arange(count, dtype=np.float32) + np.float32(window.before * count / window.inside)
    scale, place = np.float32(length) / np.float32(whole), place + np.float32(0.5)
    if filter is Filter.LINEAR:
        at = np.maximum(scale * place - np.float32(0.5), np.float32(0))
    else:
        # It rounds once there: a product and a difference are one operation.
        at = (np.float64(scale) * place.astype(np.float64) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.int64)
    t = at - first.astype(np.float32)
    weights = [1 - t, t] if filter is Filter.LINEAR else _cubic_weights(t)
    start = first if filter is Filter.LINEAR else first - 1
    return [
        (np.clip(start + number, 0, length - 1), weight.astype(np.float32))
        for number, weight in enumerate(weights)
    ]


def _cubic_weights(t: Float32[np.ndarray, "n"]) -> list[Float32[np.ndarray, "n"]]:
    a = np.float32(_CUBIC)

    def near(x: np.ndarray) -> np.ndarray:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: np.ndarray) -> np.ndarray:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far((1 - t) + 1)]


def resize_depth(
    depth: Float32[np.ndarray, "a b"],
    shape: tuple[int, int],
    rule: Resizing,
    *,
    positive: bool,
    shift: float = 0.0,
    windows: tuple[Window, Window] | None = None,
) -> Field:
    """Resize depth by a rule, without its limits.

    A log rule does not see ``shift`` [m].
    """
    if windows is None and depth.shape == shape:
        return depth
    is_plain = rule.space is Space.VALUES
    entered = depth if is_plain else _to_space(depth, rule.space, shift)
    large = resize_by_filter(entered, shape, rule.filter, windows)
    if rule.filter is Filter.CUBIC and positive and not (large > 0).all():
        low = ~(large > 0)
        large[low] = resize_by_filter(depth, shape, Filter.LINEAR, windows)[low]
    return large if is_plain else _from_space(large, rule.space, shift)


def depth_map(
    depth: Float32[np.ndarray, "a b"],
    valid: Bool[np.ndarray, "a b"] | None,
    kind: DepthKind,
    shape: tuple[int, int],
    rule: Resizing,
    *,
    shift: float = 0.0,
) -> DepthMap:
    """Resize depth and its mask by a card's rule."""
    if valid is None or valid.all():
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        return DepthMap(values=limit_depth(values, rule), kind=kind)
    # Cubic weights of a part of the pixels may cancel.
    filter = Filter.LINEAR if rule.filter is Filter.CUBIC else rule.filter
    weight = resize_by_filter(valid.astype(np.float32), shape, filter)
    inside = weight > 0.5
    if rule.blended:
        values = resize_depth(depth, shape, rule, positive=kind.is_depth, shift=shift)
        values = limit_depth(values, rule)
        inside &= np.isfinite(values) & ((values > 0) if kind.is_depth else True)
        return DepthMap(values=np.where(inside, values, np.float32(0)), kind=kind, valid=inside)
    # Invalid pixels are not blended into their neighbours.
    entered = np.where(valid, depth, np.float32(1))
    if rule.space is not Space.VALUES:
        entered = _to_space(entered, rule.space, shift)
    sums = resize_by_filter(np.where(valid, entered, np.float32(0)), shape, filter)
    values = np.divide(sums, weight, out=np.zeros_like(sums), where=inside)
    if rule.space is not Space.VALUES:
        values[inside] = _from_space(values[inside], rule.space, shift)
    return DepthMap(values=limit_depth(values, rule), kind=kind, valid=inside)


def limit_depth(depth: Float32[np.ndarray, "*h"], rule: Resizing) -> Float32[np.ndarray, "*h"]:
    """Depth within a rule's limits."""
    return np.clip(depth, rule.nearest, rule.farthest) if rule.farthest else depth


def _to_space(
    depth: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    # Values that are no depth are refused when the inference is checked.
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / depth
        return np.log(depth - np.float32(shift))


def _from_space(
    field: Float32[np.ndarray, "*h"], space: Space, shift: float
) -> Float32[np.ndarray, "*h"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        if space is Space.INVERSE:
            return np.float32(1) / field
        return np.exp(field) + np.float32(shift)


def _resize_rows(
    image: Image.Image, shape: tuple[int, int], rows: slice
) -> Float32[np.ndarray, "rows w"]:
    height, width = shape
    # The box crops only the output grid; pixels beyond it still count at its edges.
    top, bottom = (row * image.height / height for row in (rows.start, rows.stop))
    size, box = (width, rows.stop - rows.start), (0.0, top, float(image.width), bottom)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))


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
