"""Stereo pairs from a photograph and its depth."""

import numpy as np

from rilievo.arrays.shapes import Field, Int, Mask, Pixels, UInt8
from rilievo.io.map_pictures import ColourRange, colour_range, picture_quantity
from rilievo.io.outputs.save_options import StereoOptions
from rilievo.io.png import bands
from rilievo.records.depth_map import DepthMap

_STEP = 1.5


def stereo_picture(
    pixels: Pixels, depth: DepthMap, options: StereoOptions, limits: ColourRange | None = None
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Draw both eyes' pictures in one.

    Invalid depth counts as farthest; ``limits`` are inverse depth, by default of the map.
    """
    parallax = _parallax(depth, options, limits or colour_range(depth))
    left, right = (eye_view(pixels, parallax, side) for side in (0.5, -0.5))
    if options.layout == "anaglyph":
        return np.concatenate([left[..., :1], right[..., 1:]], axis=2)
    return np.concatenate([left, right], axis=1 if options.layout == "side-by-side" else 0)


def stereo_size(shape: tuple[int, int], options: StereoOptions) -> tuple[int, int]:
    """Size (height, width) of the stereo picture."""
    height, width = shape
    return {
        "side-by-side": (height, 2 * width),
        "top-bottom": (2 * height, width),
        "anaglyph": (height, width),
    }[options.layout]


def _parallax(depth: DepthMap, options: StereoOptions, limits: ColourRange) -> Field:
    """Column in the left picture minus that in the right [px]."""
    span = limits.high - limits.low
    if span <= 0:
        return np.zeros(depth.shape, np.float32)
    numbers = np.where(depth.valid, picture_quantity(depth), np.float32(limits.low))
    nearness = np.clip((numbers - np.float32(limits.low)) / np.float32(span), 0, 1)
    factor = np.float32(options.strength * depth.shape[1])
    return (nearness - np.float32(options.convergence)) * factor


def eye_view(pixels: Pixels, parallax: Field, side: float) -> Pixels:
    """Draw the view of one eye.

    Parallax is the left eye's column minus the right's [px]; ``side`` is 0.5 for the left.
    """
    if parallax.shape[1] < 2:
        return pixels
    picture = np.empty_like(pixels)
    for rows in bands(parallax.shape):  # each row by itself, so little is held at once
        picture[rows] = _eye_view_band(pixels[rows], parallax[rows], side)
    return picture


def _eye_view_band(pixels: Pixels, parallax: Field, side: float) -> Pixels:
    width = parallax.shape[1]
    shift, mask = _eye_parallax(parallax, np.float32(side))
    rows, columns = np.indices(shift.shape, sparse=True)
    source = np.clip(columns - shift * np.float32(side), 0, width - 1)
    first = np.minimum(source.astype(np.intp), width - 2)
    part = source - first
    # Colours are not interpolated across an edge: the nearer pixel is taken.
    torn = np.abs(parallax[rows, first] - parallax[rows, first + 1]) > _STEP
    part = np.where(torn, np.rint(part), part)[..., None]
    colours = pixels[rows, first] * (1 - part) + pixels[rows, first + 1] * part
    return np.rint(colours).astype(np.uint8)[rows, _hole_sources(shift, mask)]


def _eye_parallax(parallax: Field, side: np.float32) -> tuple[Field, Mask]:
    """Parallax [px] in an eye's picture; mask of pixels seen."""
    height, width = parallax.shape
    # Halves round up; rounding to even would leave out every second column.
    target = np.floor(np.arange(width) + parallax * side + 0.5).astype(np.intp)
    inside = (target >= 0) & (target < width)
    target += width * np.arange(height)[:, None]
    shift = np.full(parallax.shape, -np.inf, np.float32)
    # The largest one stays, which is the nearest.
    np.maximum.at(shift.reshape(-1), target[inside], parallax[inside])
    shift[np.isneginf(shift)] = np.nan
    # Slopes are stretched: a pixel between two of the same surface gets their mean.
    before, after = shift[:, :-2], shift[:, 2:]
    gap = np.isnan(shift[:, 1:-1]) & (np.abs(before - after) <= 2 * _STEP)
    shift[:, 1:-1][gap] = ((before + after) / 2)[gap]
    mask = ~np.isnan(shift)
    return np.where(mask, shift, np.float32(0)), mask


def _hole_sources(shift: Field, mask: Mask) -> Int[np.ndarray, "h w"]:
    """Column whose colour each pixel takes, its own outside holes."""
    width = mask.shape[1]
    rows, columns = np.indices(mask.shape, sparse=True)
    left = np.maximum.accumulate(np.where(mask, columns, -1), axis=1)
    right = np.minimum.accumulate(np.where(mask, columns, width)[:, ::-1], axis=1)[:, ::-1]
    at_left = np.where(left >= 0, shift[rows, np.maximum(left, 0)], np.inf)
    at_right = np.where(right < width, shift[rows, np.minimum(right, width - 1)], np.inf)
    edge = np.where(at_left <= at_right, left, right)
    edge = np.clip(edge, 0, width - 1)
    mirrored = np.clip(2 * edge - columns, 0, width - 1)
    alike = mask[rows, mirrored] & (np.abs(shift[rows, mirrored] - shift[rows, edge]) <= 2 * _STEP)
    return np.where(mask, columns, np.where(alike, mirrored, edge))
