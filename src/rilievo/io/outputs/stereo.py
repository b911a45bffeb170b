"""Stereo pairs from a photograph and its depth."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Int, Mask, Pixels, UInt8
from rilievo.io.map_pictures import ColourRange, colour_range, picture_quantity
from rilievo.io.outputs.save_options import StereoOptions
from rilievo.io.png import bands
from rilievo.records.depth_map import DepthMap

_MAX_SURFACE_STEP = 1.5
"""Largest difference in parallax [px] between neighbouring pixels of the same surface."""


def stereo_picture(
    pixels: Pixels, depth: DepthMap, options: StereoOptions, limits: ColourRange | None = None
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Draw both eyes' pictures in one.

    Args:
        pixels: Photograph.
        depth: Its depth; where it is invalid, a pixel counts as farthest.
        options: Layout, strength and convergence.
        limits: Inverse depth of the farthest and the nearest point; by default those of the map.
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
    inverse_depth = np.where(depth.valid, picture_quantity(depth), np.float32(limits.low))
    nearness = np.clip((inverse_depth - np.float32(limits.low)) / np.float32(span), 0, 1)
    factor = np.float32(options.strength * depth.shape[1])
    return (nearness - np.float32(options.convergence)) * factor


def eye_view(pixels: Pixels, parallax: Field, side: float) -> Pixels:
    """Draw the view of one eye.

    Args:
        pixels: Photograph.
        parallax: Column in the left picture minus that in the right [px].
        side: 0.5 for the left eye, -0.5 for the right one.
    """
    if parallax.shape[1] < 2:
        return pixels
    picture = np.empty_like(pixels)
    for rows in bands(parallax.shape):  # each row by itself, so little is held at once
        picture[rows] = _draw_rows(pixels[rows], parallax[rows], np.float32(side))
    return picture


def _draw_rows(pixels: Pixels, parallax: Field, side: np.float32) -> Pixels:
    eye = _move_to_eye(parallax, side)
    rows, columns = np.indices(parallax.shape, sparse=True)
    width = parallax.shape[1]
    source_columns = np.clip(columns - eye.parallax * side, 0, width - 1)
    left = np.minimum(source_columns.astype(np.intp), width - 2)
    weight = source_columns - left
    # Colours are not interpolated across an edge: the nearer pixel is taken.
    is_edge = np.abs(parallax[rows, left] - parallax[rows, left + 1]) > _MAX_SURFACE_STEP
    weight = np.where(is_edge, np.rint(weight), weight)[..., None]
    colours = pixels[rows, left] * (1 - weight) + pixels[rows, left + 1] * weight
    return np.rint(colours).astype(np.uint8)[rows, _colour_columns(eye)]


@dataclass(frozen=True, slots=True)
class _EyeParallax:
    """Parallax [px] of the pixels of an eye's picture, and which of them the photograph shows."""

    parallax: Field
    seen: Mask


def _move_to_eye(parallax: Field, side: np.float32) -> _EyeParallax:
    """Move each pixel's parallax to its column in an eye's picture; the nearest pixel wins."""
    height, width = parallax.shape
    # Halves round up; rounding to even would leave out every second column.
    target = np.floor(np.arange(width) + parallax * side + 0.5).astype(np.intp)
    is_inside = (target >= 0) & (target < width)
    target += width * np.arange(height)[:, None]
    moved = np.full(parallax.shape, -np.inf, np.float32)
    np.maximum.at(moved.reshape(-1), target[is_inside], parallax[is_inside])
    moved[np.isneginf(moved)] = np.nan

    # Slopes are stretched: a pixel between two of the same surface gets their mean.
    before, after = moved[:, :-2], moved[:, 2:]
    is_same_surface = np.abs(before - after) <= 2 * _MAX_SURFACE_STEP
    is_gap = np.isnan(moved[:, 1:-1]) & is_same_surface
    moved[:, 1:-1][is_gap] = ((before + after) / 2)[is_gap]
    seen = ~np.isnan(moved)
    return _EyeParallax(parallax=np.where(seen, moved, np.float32(0)), seen=seen)


def _colour_columns(eye: _EyeParallax) -> Int[np.ndarray, "h w"]:
    """Column whose colour each pixel takes: its own, or in a hole that of the farther side.

    The far surface beside a hole is mirrored into it, as long as it belongs to the same surface.
    """
    parallax, seen = eye.parallax, eye.seen
    width = seen.shape[1]
    rows, columns = np.indices(seen.shape, sparse=True)
    left = np.maximum.accumulate(np.where(seen, columns, -1), axis=1)
    right = np.minimum.accumulate(np.where(seen, columns, width)[:, ::-1], axis=1)[:, ::-1]
    left_parallax = np.where(left >= 0, parallax[rows, np.maximum(left, 0)], np.inf)
    right_parallax = np.where(right < width, parallax[rows, np.minimum(right, width - 1)], np.inf)

    edge = np.where(left_parallax <= right_parallax, left, right)
    edge = np.clip(edge, 0, width - 1)
    mirrored = np.clip(2 * edge - columns, 0, width - 1)
    step = np.abs(parallax[rows, mirrored] - parallax[rows, edge])
    is_same_surface = seen[rows, mirrored] & (step <= 2 * _MAX_SURFACE_STEP)
    return np.where(seen, columns, np.where(is_same_surface, mirrored, edge))
