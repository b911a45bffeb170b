"""Colour maps, and pictures of depth and normals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Field, Float32, Mask, Pixels, UInt8, Vectors
from rilievo.errors import OptionError, suggest
from rilievo.io.png import row_bands
from rilievo.records.depth_map import DepthKind, DepthMap

COLOUR_MAPS = ("viridis", "magma", "inferno", "plasma", "turbo", "spectral", "rdbu", "grey")
"""Colour maps, in the order of the rows of colour_maps.png.

viridis, magma, inferno and plasma: Smith and van der Walt, CC0. turbo: Mikhailov, Google,
Apache-2.0. spectral and rdbu: Brewer's ColorBrewer, Apache-2.0, blue first. grey is a ramp from
black to white.
"""
DEPTH_COLOURS = "spectral"
"""Default map of depth; red is near."""
SIGNED_COLOURS = "rdbu"
"""Map of signed errors; white is zero."""
ANGLE_COLOURS = "magma"
"""Map of angles; black is zero."""
_END_COLOURS = {
    "viridis": ("dark violet", "yellow"),
    "magma": ("black", "pale yellow"),
    "inferno": ("black", "pale yellow"),
    "plasma": ("dark blue", "yellow"),
    "turbo": ("dark violet", "dark red"),
    "spectral": ("violet", "dark red"),
    "rdbu": ("dark blue", "dark red"),
    "grey": ("black", "white"),
}
"""Names of the first and the last colour, which are far and near in a picture of 1/depth."""
_SKY_COLOUR = (206, 214, 224)
_OTHER_SKY_COLOURS = {"grey": (96, 140, 190), "rdbu": (196, 190, 130)}
"""Colours of the sky, as RGB, for colour maps that contain a colour like ``_SKY_COLOUR``."""
_CONSTANT_LEVEL = 128  # row of the colour table for a depth map whose values are all equal

_MIN_FAR_TO_NEAR = 1.5  # smallest ratio of the two depths of a colour range
_MIN_UPPER_RANGE = 0.6  # smallest range of the upper rows, as a fraction of the range of all rows
_UPPER_ROWS = 0.9
"""Fraction of all rows; the lowest ones show the ground at the photographer's feet."""
_MAX_SAMPLES = 1 << 16  # pixels from which a colour range is computed
_MIN_DEPTH = 1e-30  # smaller depths are drawn as this one, so that their inverse stays finite
_MAX_CONSTANT_SPAN = 1e-6  # relative; smaller spans are rounding errors of a constant

NO_NORMAL = 128
"""Grey of a pixel without a normal: the colour of a vector of length 0."""
PICTURE_AXES = "opengl"
"""Default axes of pictures of normals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalsAxes:
    """Axes in which a picture stores normals.

    Attributes:
        signs: Factors, 1 or -1, by which x, y and z in rilievo's frame are multiplied.
        description: Text about the axes and the colours, which the files state.
    """

    signs: tuple[int, int, int]
    description: str


NORMALS_AXES = {
    "opengl": NormalsAxes(
        signs=(1, -1, -1),
        description="x right, y up, z towards the viewer (OpenGL), scaled from -1..1 to 0..255: a "
        "wall seen head-on is (128, 128, 255)",
    ),
    "directx": NormalsAxes(
        signs=(1, 1, -1),
        description="x right, y down, z towards the viewer (DirectX), scaled from -1..1 to 0..255: "
        "a wall seen head-on is (128, 128, 255)",
    ),
    "opencv": NormalsAxes(
        signs=(1, 1, 1),
        description="x right, y down, z forward (OpenCV), scaled from -1..1 to 0..255: a wall "
        "seen head-on is (128, 128, 0)",
    ),
}
"""Axes by name."""


def check_colour_map(name: str) -> str:
    """Return the name of a colour map; raise ``OptionError`` if there is none of this name."""
    if name not in COLOUR_MAPS:
        raise OptionError(f"no colour map '{name}'; {suggest(name, COLOUR_MAPS)}")
    return name


def describe_depth_colours(colour_map: str) -> str:
    """Say which colours of a picture of 1/depth are near and far: "near is white and far is black".

    Raises:
        OptionError: If the colour map does not exist.
    """
    far, near = _END_COLOURS[check_colour_map(colour_map)]
    return f"near is {near} and far is {far}"


def invalid_colour(colour_map: str) -> tuple[int, int, int]:
    """RGB of invalid pixels, a colour that the colour map does not contain."""
    return (160, 32, 32) if colour_map == "grey" else (128, 128, 128)


def sky_colour(colour_map: str) -> tuple[int, int, int]:
    """RGB of the sky, a colour that the colour map does not contain."""
    return _OTHER_SKY_COLOURS.get(colour_map, _SKY_COLOUR)


@cache
def colour_table(name: str) -> UInt8[np.ndarray, "256 3"]:
    """RGB of a colour map's 256 rows."""
    with Image.open(Path(__file__).with_name("colour_maps.png"), formats=["PNG"]) as image:
        return np.asarray(image)[COLOUR_MAPS.index(check_colour_map(name))]


@cache
def sky_table(name: str) -> UInt8[np.ndarray, "256 3"]:
    """Colour table whose first row is the colour of the sky."""
    table = colour_table(name).copy()
    table[0] = sky_colour(name)
    return table


class DrawnQuantity(StrEnum):
    """Quantity that a colour picture draws."""

    INVERSE_DEPTH = "inverse_depth"
    """1/depth; near gets the last colour."""
    DEPTH = "depth"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourRange:
    """Drawn values that get the first and the last colour; they must be finite and in order."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise OptionError(
                f"a colour range needs two finite numbers in increasing order, got {self.low:g} "
                f"to {self.high:g}"
            )


def picture_quantity(
    depth: DepthMap, quantity: DrawnQuantity = DrawnQuantity.INVERSE_DEPTH
) -> Field:
    """Values that a picture draws: inverse depth or depth, or affine values with a sign.

    The sign makes affine values grow in the same direction. Values are undefined where
    ``depth.valid`` is False.
    """
    return _drawn_values(depth.values, depth.kind, quantity)


def colour_range_from_depths(
    near: float, far: float, kind: DepthKind, quantity: DrawnQuantity
) -> ColourRange:
    """Convert a range of depth, in either order, to drawn values.

    Raises:
        OptionError: If a depth is not positive, or the range is empty or not finite.
    """
    if kind.is_depth and min(near, far) <= 0:
        raise OptionError(f"a colour range of depths must be positive, got {near:g} to {far:g}")
    if near == far:
        raise OptionError(f"a colour range needs two different ends, got {near:g} twice")
    drawn_near = _drawn_value(near, kind, quantity)
    drawn_far = _drawn_value(far, kind, quantity)
    return ColourRange(low=min(drawn_near, drawn_far), high=max(drawn_near, drawn_far))


def _drawn_value(value: float, kind: DepthKind, quantity: DrawnQuantity) -> float:
    """Value that a picture draws for a depth, or for an affine value."""
    if not kind.is_depth:
        return drawing_sign(kind, quantity) * value
    return 1 / value if quantity is DrawnQuantity.INVERSE_DEPTH else value


def colour_range(
    depth: DepthMap, quantity: DrawnQuantity = DrawnQuantity.INVERSE_DEPTH, sky: Mask | None = None
) -> ColourRange:
    """Choose the colour range: percentiles 2 and 98 of the drawn values, without the sky.

    The near end ignores the lowest tenth of the rows, unless this would leave less than 0.6 of the
    range. The far end of a depth range is at least 1.5 times as far as the near one.
    """
    step = max(1, int(np.ceil(np.sqrt(depth.values.size / _MAX_SAMPLES))))
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    coarse_depth = DepthMap(values=depth.values[grid], kind=depth.kind, valid=depth.valid[grid])
    sample = DrawnSample.from_map(coarse_depth, quantity, None if sky is None else sky[grid])
    if not sample.values.size:
        return ColourRange(low=0.0, high=1.0)
    return common_colour_range([sample], depth.kind, quantity)


@dataclass(frozen=True, slots=True)
class DrawnSample:
    """Drawn values of the valid pixels that are not sky.

    Attributes:
        upper: Values without the lowest tenth of the rows.
    """

    values: Float32[np.ndarray, "n"]
    upper: Float32[np.ndarray, "m"]

    @classmethod
    def from_map(
        cls, depth: DepthMap, quantity: DrawnQuantity, sky: Mask | None = None
    ) -> "DrawnSample":
        """Take the drawn values of a map's valid pixels, without its sky."""
        values = picture_quantity(depth, quantity)
        is_sampled = depth.valid if sky is None else depth.valid & ~sky
        num_upper_rows = math.ceil(_UPPER_ROWS * depth.shape[0])
        upper = values[:num_upper_rows][is_sampled[:num_upper_rows]]
        return cls(values[is_sampled], upper)


def common_colour_range(
    samples: Sequence[DrawnSample], kind: DepthKind, quantity: DrawnQuantity
) -> ColourRange:
    """Choose one colour range for several maps, as ``colour_range`` does for one.

    If all values are equal, the range stays as it is.
    """
    low, high = _percentiles_2_and_98(np.concatenate([sample.values for sample in samples]))
    upper = np.concatenate([sample.upper for sample in samples])
    if upper.size:
        # The near end is the high one in inverse depth. It ignores the ground at the
        # photographer's feet, but keeps a part of the range.
        min_range = _MIN_UPPER_RANGE * (high - low)
        upper_low, upper_high = _percentiles_2_and_98(upper)
        if quantity is DrawnQuantity.INVERSE_DEPTH:
            high = min(high, max(upper_high, low + min_range))
        else:
            low = max(low, min(upper_low, high - min_range))
    return _widen_depth_range(low, high) if kind.is_depth else ColourRange(low=low, high=high)


def _widen_depth_range(low: float, high: float) -> ColourRange:
    """Widen a range of depth or inverse depth around its middle, until far / near is at least 1.5.

    With half of the range h, far / near = (middle + h) / (middle - h), which is solved for h. The
    range of a constant stays as it is.
    """
    middle, half_range = (low + high) / 2, (high - low) / 2
    min_half_range = middle * (_MIN_FAR_TO_NEAR - 1) / (_MIN_FAR_TO_NEAR + 1)
    is_constant = 2 * half_range <= _MAX_CONSTANT_SPAN * high
    if half_range >= min_half_range or is_constant:
        return ColourRange(low=low, high=high)
    return ColourRange(low=middle - min_half_range, high=middle + min_half_range)


def _percentiles_2_and_98(values: Float32[np.ndarray, "n"]) -> tuple[float, float]:
    """Percentiles with linear interpolation between neighbouring values."""
    # np.percentile would import numpy.ma, which takes longer than drawing the picture.
    ascending = np.sort(values)
    positions = np.array((0.02, 0.98)) * (ascending.size - 1)
    indices = np.floor(positions).astype(int)
    below = ascending[indices].astype(np.float64)
    above = ascending[np.minimum(indices + 1, ascending.size - 1)]
    percentile_2, percentile_98 = below + (positions - indices) * (above - below)
    return float(percentile_2), float(percentile_98)


def colourise(
    depth: DepthMap,
    *,
    colour_map: str = DEPTH_COLOURS,
    limits: ColourRange | None = None,
    quantity: DrawnQuantity = DrawnQuantity.INVERSE_DEPTH,
    sky: Mask | None = None,
) -> Pixels:
    """Draw depth as RGB; invalid pixels have ``invalid_colour``, those of the sky ``sky_colour``.

    Args:
        depth: Depth of any kind.
        colour_map: One of ``COLOUR_MAPS``.
        limits: Values that get the first and the last colour; ``colour_range`` by default. If both
            are equal, depth gets the middle colour.
        quantity: Quantity to draw.
        sky: Mask of the sky; None if it gets no colour of its own.

    Raises:
        OptionError: If there is no such colour map.
    """
    has_sky = sky is not None and bool(sky.any())
    is_sky = sky if has_sky else None
    table = sky_table(colour_map) if has_sky else colour_table(colour_map)
    rgb_of_invalid = np.array(invalid_colour(colour_map), np.uint8)
    used_limits = colour_range(depth, quantity, is_sky) if limits is None else limits
    picture = np.empty((*depth.shape, 3), np.uint8)
    # In bands of rows, whose arrays stay in the processor's cache.
    for rows in row_bands(depth.shape):
        sky_rows = None if is_sky is None else is_sky[rows]
        levels = _levels_of_rows(depth, rows, used_limits, quantity, sky_rows)
        table.take(levels, axis=0, out=picture[rows], mode="clip")
        valid = depth.valid[rows]
        if not valid.all():
            has_no_colour = ~valid if sky_rows is None else ~valid & ~sky_rows
            picture[rows][has_no_colour] = rgb_of_invalid
    return picture


def _levels_of_rows(
    depth: DepthMap, rows: slice, limits: ColourRange, quantity: DrawnQuantity, sky: Mask | None
) -> UInt8[np.ndarray, "h w"]:
    """Row of the colour table for each pixel in some rows of a map; ``sky`` is that of these rows.

    The levels of invalid pixels mean nothing, and have to be replaced by their own colour.
    """
    values = _drawn_values(depth.values[rows], depth.kind, quantity)
    valid = depth.valid[rows]
    if not valid.all():
        # Invalid values may be NaN, which no integer can hold.
        values = np.where(valid, values, 0)
    levels = _colour_levels(values, limits)
    return levels if sky is None else _with_sky_level(levels, sky)


def colour_levels(
    depth: DepthMap,
    limits: ColourRange,
    quantity: DrawnQuantity = DrawnQuantity.INVERSE_DEPTH,
    sky: Mask | None = None,
) -> UInt8[np.ndarray, "h w"]:
    """Row of the colour table for each pixel of a map without invalid pixels."""
    levels = np.empty(depth.shape, np.uint8)
    for rows in row_bands(depth.shape):
        values = _drawn_values(depth.values[rows], depth.kind, quantity)
        levels_without_sky = _colour_levels(values, limits)
        if sky is None:
            levels[rows] = levels_without_sky
        else:
            levels[rows] = _with_sky_level(levels_without_sky, sky[rows])
    return levels


def _with_sky_level(levels: UInt8[np.ndarray, "h w"], sky: Mask) -> UInt8[np.ndarray, "h w"]:
    """Return level 0 for the sky, whose colour is in row 0 of ``sky_table``, and 1 to 255 else."""
    above_sky_level = np.maximum(levels, 1)
    above_sky_level[sky] = 0
    return above_sky_level


@cache
def linear_light() -> Float32[np.ndarray, "256"]:
    """Linear light, 0 to 1, for each 8-bit level of sRGB (IEC 61966-2-1)."""
    levels = np.arange(256) / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def normals_picture(
    normals: Vectors, mask: Mask | None = None, *, axes: str = PICTURE_AXES
) -> Pixels:
    """Draw normals in rilievo's frame as colours, from -1..1 to 0..255.

    Pixels outside of the mask, and those without a normal, are ``NO_NORMAL``. ``axes`` is a name in
    ``NORMALS_AXES``.
    """
    height, width = normals.shape[1:]
    picture = np.empty((height, width, 3), np.uint8)
    for rows in row_bands((height, width)):
        for channel, sign in enumerate(NORMALS_AXES[axes].signs):
            picture[rows, :, channel] = _component_levels(normals[channel, rows], sign)
    has_no_normal = np.isnan(normals[2])
    if mask is not None:
        has_no_normal |= ~mask
    if has_no_normal.any():
        picture[has_no_normal] = NO_NORMAL
    return picture


def _component_levels(component: Field, sign: int) -> Float32[np.ndarray, "h w"]:
    """Scale a component of normals, times a sign, from -1..1 to 0..255; 0 where it is NaN."""
    levels = component * np.float32(127.5 * sign)
    levels += np.float32(128)
    # An integer cannot hold NaN.
    np.nan_to_num(levels, copy=False, nan=0)
    return np.clip(levels, 0, 255, out=levels)


def _drawn_values(values: Field, kind: DepthKind, quantity: DrawnQuantity) -> Field:
    """Depth or inverse depth; affine values, negated if they fall in the drawn direction."""
    if not kind.is_depth:
        return -values if drawing_sign(kind, quantity) < 0 else values
    if quantity is DrawnQuantity.DEPTH:
        return values
    # Invalid values may be anything, and must not raise warnings.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.float32(1) / np.maximum(values, np.float32(_MIN_DEPTH))


def drawing_sign(kind: DepthKind, quantity: DrawnQuantity) -> int:
    """Sign of affine values in a picture: 1 if they grow in the same direction as the quantity."""
    values_grow_towards_camera = kind is DepthKind.AFFINE_INVERSE
    quantity_grows_towards_camera = quantity is DrawnQuantity.INVERSE_DEPTH
    return 1 if values_grow_towards_camera == quantity_grows_towards_camera else -1


def _colour_levels(values: Field, limits: ColourRange) -> UInt8[np.ndarray, "h w"]:
    """Row of the colour table for each value, 0 to 255."""
    value_range = limits.high - limits.low
    largest = max(abs(limits.low), abs(limits.high), _MIN_DEPTH)
    if value_range <= _MAX_CONSTANT_SPAN * largest:
        return _levels_of_constant(values, limits)
    # Huge values become infinite, and then get the last row.
    with np.errstate(over="ignore"):
        levels = values - np.float32(limits.low)
        levels *= np.float32(256 / value_range)
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def _levels_of_constant(values: Field, limits: ColourRange) -> UInt8[np.ndarray, "h w"]:
    """Row of the colour table for each value, if both limits are equal but for rounding.

    The limits are percentiles, so values of the constant lie outside of them, too. All that are
    less than the range of the limits away are such values.
    """
    value_range = limits.high - limits.low
    levels = np.full(values.shape, _CONSTANT_LEVEL, np.uint8)
    levels[values < np.float32(limits.low - value_range)] = 0
    levels[values > np.float32(limits.high + value_range)] = 255
    return levels
