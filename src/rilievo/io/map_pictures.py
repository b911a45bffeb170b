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
from rilievo.io.png import bands
from rilievo.records.depth_map import DepthKind, DepthMap

DEPTH_COLOURS = "spectral"
"""Default map of depth; red is near."""
SIGNED_COLOURS = "rdbu"
"""Map of signed errors; white is zero."""
ANGLE_COLOURS = "magma"
"""Map of angles; black is zero."""

# Rows of colour_maps.png. viridis, magma, inferno and plasma: Smith and van der Walt, CC0. turbo:
# Mikhailov, Google, Apache-2.0. spectral and rdbu: Brewer's ColorBrewer, Apache-2.0, blue first.
# The last is a ramp from black to white.
COLOUR_MAPS = ("viridis", "magma", "inferno", "plasma", "turbo", "spectral", "rdbu", "grey")
# Names of the first and the last colour. In a picture of 1/depth these are far and near.
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
LEAST_SPAN = 1.5
"""Least ratio of far to near."""
LEAST_SHARE = 0.6
"""Least share of pixels above the lowest tenth of rows."""
_SAMPLES = 1 << 16

# Smaller depths are drawn as this one, so that their inverse stays finite.
_NEAREST = 1e-30
_CONSTANT = 1e-6
SKY = (206, 214, 224)
_SKY_IN = {"grey": (96, 140, 190), "rdbu": (196, 190, 130)}
NO_NORMAL = 128
"""Grey of a vector without length."""


def check_colour_map(name: str) -> str:
    """Check that a colour map exists, and return its name.

    Raises:
        OptionError: If it does not exist.
    """
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
    """RGB of invalid pixels, which the map does not contain."""
    return (160, 32, 32) if colour_map == "grey" else (128, 128, 128)


def sky_colour(colour_map: str) -> tuple[int, int, int]:
    """RGB of the sky, which the map does not contain."""
    return _SKY_IN.get(colour_map, SKY)


@cache
def colour_table(name: str) -> UInt8[np.ndarray, "256 3"]:
    """RGB of a colour map's 256 rows."""
    with Image.open(Path(__file__).with_name("colour_maps.png"), formats=["PNG"]) as image:
        return np.asarray(image)[COLOUR_MAPS.index(check_colour_map(name))]


@cache
def sky_table(name: str) -> UInt8[np.ndarray, "256 3"]:
    """Colour table that begins with the sky."""
    table = colour_table(name).copy()
    table[0] = sky_colour(name)
    return table


class Drawn(StrEnum):
    """Quantity of a colour picture."""

    INVERSE_DEPTH = "inverse_depth"
    """1/depth of every kind; near gets the last colour."""
    DEPTH = "depth"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourRange:
    """Drawn values of the first and last colour.

    Raises:
        OptionError: If they are not finite or out of order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise OptionError(
                f"a colour range is two finite numbers in order, got {self.low:g} to {self.high:g}"
            )


def picture_quantity(depth: DepthMap, quantity: Drawn = Drawn.INVERSE_DEPTH) -> Field:
    """Inverse depth, or depth; affine values as they are, or negated.

    Undefined outside ``depth.valid``.
    """
    return _invert_or_negate(depth.values, depth.kind, quantity)


def colour_range_from_depths(
    near: float, far: float, kind: DepthKind, quantity: Drawn
) -> ColourRange:
    """Convert a range of depth, in either order, to drawn values.

    Raises:
        OptionError: If a depth is not positive, or the range is empty or not finite.
    """
    ends = (near, far)
    if kind.is_depth:
        if min(ends) <= 0:
            raise OptionError(f"a colour range of depths is positive, got {near:g} to {far:g}")
        drawn_ends = [1 / end for end in ends] if quantity is Drawn.INVERSE_DEPTH else [*ends]
    else:
        drawn_ends = [_drawing_sign(kind, quantity) * end for end in ends]
    if near == far:
        raise OptionError(f"a colour range has two different ends, got {near:g} twice")
    return ColourRange(low=min(drawn_ends), high=max(drawn_ends))


def colour_range(
    depth: DepthMap, quantity: Drawn = Drawn.INVERSE_DEPTH, sky: Mask | None = None
) -> ColourRange:
    """Percentiles 2 and 98 of drawn values, without the sky.

    The near end is above the lowest tenth of rows, unless less than ``LEAST_SHARE`` is left. A
    depth range spans at least ``LEAST_SPAN``.
    """
    step = max(1, int(np.ceil(np.sqrt(depth.values.size / _SAMPLES))))
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    some = DepthMap(values=depth.values[grid], kind=depth.kind, valid=depth.valid[grid])
    sample = DrawnSample.from_map(some, quantity, None if sky is None else sky[grid])
    if not sample.values.size:
        return ColourRange(low=0.0, high=1.0)
    return range_of_samples([sample], depth.kind, quantity)


@dataclass(frozen=True, slots=True)
class DrawnSample:
    """Values of valid pixels without sky; ``upper`` are without the lowest tenth of rows."""

    values: Float32[np.ndarray, "n"]
    upper: Float32[np.ndarray, "m"]

    @classmethod
    def from_map(cls, depth: DepthMap, quantity: Drawn, sky: Mask | None = None) -> "DrawnSample":
        """Sample of a map's valid pixels without its sky."""
        values, rows = picture_quantity(depth, quantity), math.ceil(0.9 * depth.shape[0])
        shown = depth.valid if sky is None else depth.valid & ~sky
        return cls(values[shown], values[:rows][shown[:rows]])


def range_of_samples(
    samples: Sequence[DrawnSample], kind: DepthKind, quantity: Drawn
) -> ColourRange:
    """Common ``colour_range`` of several maps; a constant one keeps its range."""
    low, high = _percentiles_2_and_98(np.concatenate([sample.values for sample in samples]))
    upper = np.concatenate([sample.upper for sample in samples])
    if upper.size:
        least = LEAST_SHARE * (high - low)
        first, last = _percentiles_2_and_98(upper)
        if quantity is Drawn.INVERSE_DEPTH:
            high = min(high, max(last, low + least))
        else:
            low = max(low, min(first, high - least))
    middle, half = (low + high) / 2, (high - low) / 2
    least = middle * (LEAST_SPAN - 1) / (LEAST_SPAN + 1)
    if not kind.is_depth or half >= least or 2 * half <= _CONSTANT * high:
        return ColourRange(low=low, high=high)
    return ColourRange(low=middle - least, high=middle + least)


def _percentiles_2_and_98(values: Float32[np.ndarray, "n"]) -> tuple[float, float]:
    # np.percentile would import numpy.ma, which takes longer than drawing the picture.
    numbers = np.sort(values)
    positions = np.array((0.02, 0.98)) * (numbers.size - 1)
    below = np.floor(positions).astype(int)
    first = numbers[below].astype(np.float64)
    last = numbers[np.minimum(below + 1, numbers.size - 1)]
    low, high = first + (positions - below) * (last - first)
    return float(low), float(high)


def colourise(
    depth: DepthMap,
    *,
    colour_map: str = DEPTH_COLOURS,
    limits: ColourRange | None = None,
    quantity: Drawn = Drawn.INVERSE_DEPTH,
    sky: Mask | None = None,
) -> Pixels:
    """Draw depth as RGB; invalid pixels have ``invalid_colour``, those of the sky ``sky_colour``.

    Equal limits get the middle colour; by default they are ``colour_range``.

    Raises:
        OptionError: If there is no such colour map.
    """
    if sky is not None and not sky.any():
        sky = None
    table = colour_table(colour_map) if sky is None else sky_table(colour_map)
    if limits is None:
        limits = colour_range(depth, quantity, sky)
    picture = np.empty((*depth.shape, 3), np.uint8)
    for rows in bands(depth.shape):
        numbers, valid = (
            _invert_or_negate(depth.values[rows], depth.kind, quantity),
            depth.valid[rows],
        )
        is_whole = valid.all()
        levels = _levels_in_range(numbers if is_whole else np.where(valid, numbers, 0), limits)
        if sky is not None:
            _set_sky_level(levels, sky[rows])
        table.take(levels, axis=0, out=picture[rows], mode="clip")
        if not is_whole:
            empty = ~valid if sky is None else ~valid & ~sky[rows]
            picture[rows][empty] = np.array(invalid_colour(colour_map), np.uint8)
    return picture


def colour_levels(
    depth: DepthMap,
    limits: ColourRange,
    quantity: Drawn = Drawn.INVERSE_DEPTH,
    sky: Mask | None = None,
) -> UInt8[np.ndarray, "h w"]:
    """Rows of the colour table for each pixel of a fully valid map."""
    levels = np.empty(depth.shape, np.uint8)
    for rows in bands(depth.shape):
        levels[rows] = _levels_in_range(
            _invert_or_negate(depth.values[rows], depth.kind, quantity), limits
        )
        if sky is not None:
            _set_sky_level(levels[rows], sky[rows])
    return levels


def _set_sky_level(levels: UInt8[np.ndarray, "h w"], sky: Mask) -> None:
    """Set 0 at the sky, at least 1 elsewhere."""
    np.maximum(levels, 1, out=levels)
    levels[sky] = 0


@cache
def linear_light() -> Float32[np.ndarray, "256"]:
    """Linear light of sRGB levels, 0 to 1 (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


NORMALS_AXES = {
    "opengl": (
        (1, -1, -1),
        "x right, y up, z towards the viewer (OpenGL), from -1..1 to 0..255: a wall head-on is "
        "(128, 128, 255)",
    ),
    "directx": (
        (1, 1, -1),
        "x right, y down, z towards the viewer (DirectX), from -1..1 to 0..255: a wall head-on is "
        "(128, 128, 255)",
    ),
    "opencv": (
        (1, 1, 1),
        "x right, y down, z forward (OpenCV), from -1..1 to 0..255: a wall head-on is "
        "(128, 128, 0)",
    ),
}
PICTURE_AXES = "opengl"


def normals_picture(
    normals: Vectors, mask: Mask | None = None, *, axes: str = PICTURE_AXES
) -> Pixels:
    """Draw normals of our frame, mapped from -1..1 to 0..255; others are ``NO_NORMAL``."""
    height, width = normals.shape[1:]
    picture = np.empty((height, width, 3), np.uint8)
    for rows in bands((height, width)):
        for channel, sign in enumerate(NORMALS_AXES[axes][0]):
            numbers = normals[channel, rows] * np.float32(127.5 * sign)
            numbers += np.float32(128)
            np.nan_to_num(numbers, copy=False, nan=0)
            picture[rows, :, channel] = np.clip(numbers, 0, 255, out=numbers)
    if mask is not None and not mask.all():
        picture[~mask] = NO_NORMAL
    nothing = np.isnan(normals[2])
    if nothing.any():
        picture[nothing] = NO_NORMAL
    return picture


def _invert_or_negate(values: Field, kind: DepthKind, quantity: Drawn) -> Field:
    if not kind.is_depth:
        return -values if _drawing_sign(kind, quantity) < 0 else values
    if quantity is Drawn.DEPTH:
        return values
    # Invalid values may be anything, and must not raise warnings.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.float32(1) / np.maximum(values, np.float32(_NEAREST))


def _drawing_sign(kind: DepthKind, quantity: Drawn) -> int:
    """1 where affine values grow in the drawn order, otherwise -1."""
    grow_when_near = kind is DepthKind.AFFINE_INVERSE
    return 1 if grow_when_near == (quantity is Drawn.INVERSE_DEPTH) else -1


def _levels_in_range(numbers: Field, limits: ColourRange) -> UInt8[np.ndarray, "h w"]:
    """Colour rows 0 to 255; 128 for a constant range."""
    span = limits.high - limits.low
    if span <= _CONSTANT * max(abs(limits.low), abs(limits.high), _NEAREST):
        # Differences this small are rounding errors; they get the middle colour, neither near nor
        # far.
        steps = np.full(numbers.shape, 128, np.uint8)
        steps[numbers < np.float32(limits.low - span)] = 0
        steps[numbers > np.float32(limits.high + span)] = 255
        return steps
    with np.errstate(over="ignore"):
        steps = numbers - np.float32(limits.low)
        steps *= np.float32(256 / span)
    return np.clip(steps, 0, 255, out=steps).astype(np.uint8)
