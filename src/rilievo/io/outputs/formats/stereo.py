"""Stereo pairs from a photograph and its depth."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Int, Mask, Pixels, UInt8
from rilievo.io.map_pictures import (
    ColourRange,
    DrawnQuantity,
    colour_range,
    colour_range_from_depths,
    picture_quantity,
)
from rilievo.io.outputs.save_options import SaveOptions, StereoOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.video_drawing import Drawing, VideoJob
from rilievo.io.outputs.writing import WriteJob
from rilievo.io.png import row_bands
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo

_MAX_SURFACE_STEP = 1.5
"""Largest difference in parallax [px] between neighbouring pixels of the same surface."""


def write(job: WriteJob, depth: DepthMap, photo: Photo) -> FileFacts:
    """Write a stereo pair: the photograph as two eyes would see it."""
    options = job.options.stereo_options
    limits = _inverse_depth_range(depth.kind, job.options)
    picture = stereo_picture(photo.pixels, depth, options, limits)
    return job.write_png(picture, job.describe_file(_describe(options)))


def draw_video(job: VideoJob) -> Drawing:
    """Prepare a video of stereo pairs, with one range of parallax for all frames."""
    options = job.options.stereo_options
    limits = _inverse_depth_range(job.known_depth_range.kind, job.options)
    if limits is None and job.options.draw is DrawnQuantity.INVERSE_DEPTH:
        # The user states no range, and the range of the colours is one of inverse depth, too.
        limits = job.known_depth_range.colours

    def draw(prediction: PredictionRecord) -> Pixels:
        """Draw both views of a frame."""
        assert prediction.photo is not None, "the output needs the photograph"
        return stereo_picture(prediction.photo.pixels, prediction.depth, options, limits)

    return Drawing(
        facts=job.describe_file(_describe(options)),
        draw=draw,
        size=_picture_size(job.size, options),
    )


def _inverse_depth_range(kind: DepthKind, options: SaveOptions) -> ColourRange | None:
    """Convert the range of depth in the options to inverse depth; None if they have none."""
    if options.colour_limits is None:
        return None
    return colour_range_from_depths(*options.colour_limits, kind, DrawnQuantity.INVERSE_DEPTH)


def _describe(options: StereoOptions) -> str:
    """Describe a stereo pair for its sidecar."""
    return (
        f"pictures for two eyes, {options.layout}; strength {options.strength:g}, "
        f"convergence {options.convergence:g}"
    )


def stereo_picture(
    pixels: Pixels, depth: DepthMap, options: StereoOptions, limits: ColourRange | None = None
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Draw the views of both eyes as one picture.

    Args:
        pixels: Photograph.
        depth: Depth of the photograph; pixels without depth count as farthest.
        options: Layout, strength and convergence.
        limits: Inverse depth of the farthest and the nearest point; by default those of the map.
    """
    parallax = _parallax(depth, options, limits or colour_range(depth))
    left, right = (eye_view(pixels, parallax, eye_offset) for eye_offset in (0.5, -0.5))
    if options.layout == "anaglyph":
        return np.concatenate([left[..., :1], right[..., 1:]], axis=2)
    return np.concatenate([left, right], axis=1 if options.layout == "side-by-side" else 0)


def _picture_size(shape: tuple[int, int], options: StereoOptions) -> tuple[int, int]:
    """Size (height, width) of the stereo picture."""
    height, width = shape
    return {
        "side-by-side": (height, 2 * width),
        "top-bottom": (2 * height, width),
        "anaglyph": (height, width),
    }[options.layout]


def _parallax(depth: DepthMap, options: StereoOptions, limits: ColourRange) -> Field:
    """Column in the left picture minus column in the right one [px].

    It is strength · width · (nearness - convergence), where nearness is 0 at the farthest point and
    1 at the nearest, linear in inverse depth.
    """
    inverse_depth_range = limits.high - limits.low
    if inverse_depth_range <= 0:
        return np.zeros(depth.shape, np.float32)
    inverse_depth = np.where(depth.valid, picture_quantity(depth), np.float32(limits.low))
    excess = inverse_depth - np.float32(limits.low)
    nearness = np.clip(excess / np.float32(inverse_depth_range), 0, 1)
    max_parallax = np.float32(options.strength * depth.shape[1])
    return (nearness - np.float32(options.convergence)) * max_parallax


def eye_view(pixels: Pixels, parallax: Field, eye_offset: float) -> Pixels:
    """Draw the view of one eye.

    Args:
        pixels: Photograph.
        parallax: Column in the left picture minus column in the right one [px].
        eye_offset: Fraction of the parallax by which the eye's picture is moved: 0.5 for the left
            eye, -0.5 for the right one.
    """
    if parallax.shape[1] < 2:
        return pixels
    picture = np.empty_like(pixels)
    for rows in row_bands(parallax.shape):  # Rows are independent; a few at a time save memory.
        picture[rows] = _draw_rows(pixels[rows], parallax[rows], np.float32(eye_offset))
    return picture


def _draw_rows(pixels: Pixels, parallax: Field, eye_offset: np.float32) -> Pixels:
    """Draw rows of an eye's view: sample the photograph, then fill what it does not show."""
    eye = _move_to_eye(parallax, eye_offset)
    rows, columns = np.indices(parallax.shape, sparse=True)
    width = parallax.shape[1]
    source_columns = np.clip(columns - eye.parallax * eye_offset, 0, width - 1)
    left = np.minimum(source_columns.astype(np.intp), width - 2)
    right_weight = source_columns - left
    # Colours are not interpolated across an edge; the closer of the two columns is taken there.
    is_edge = np.abs(parallax[rows, left] - parallax[rows, left + 1]) > _MAX_SURFACE_STEP
    right_weight = np.where(is_edge, np.rint(right_weight), right_weight)[..., None]
    colours = pixels[rows, left] * (1 - right_weight) + pixels[rows, left + 1] * right_weight
    drawn = np.rint(colours).astype(np.uint8)
    return drawn[rows, _inpainting_columns(eye)]  # holes filled


@dataclass(frozen=True, slots=True)
class _EyeParallax:
    """Parallax [px] of an eye's picture, and the mask of the pixels that the photograph shows."""

    parallax: Field
    seen: Mask


def _move_to_eye(parallax: Field, eye_offset: np.float32) -> _EyeParallax:
    """Forward-warp the parallax to an eye's picture: move each pixel's value to its column there.

    If several pixels move to one column, the nearest of them, with the largest parallax, is kept.
    """
    height, width = parallax.shape
    # Halves are rounded up, because rounding them to even would leave out every second column.
    target_columns = np.floor(np.arange(width) + parallax * eye_offset + 0.5).astype(np.intp)
    is_inside = (target_columns >= 0) & (target_columns < width)
    flat_targets = target_columns + width * np.arange(height)[:, None]
    moved = np.full(parallax.shape, -np.inf, np.float32)
    # ``reshape`` returns a view, through which ``moved`` is filled.
    np.maximum.at(moved.reshape(-1), flat_targets[is_inside], parallax[is_inside])
    moved[np.isneginf(moved)] = np.nan

    # Where a slope is stretched, the gap between two pixels of the same surface gets their mean.
    # They are two columns apart, so the largest step of a surface counts twice.
    left, right = moved[:, :-2], moved[:, 2:]
    is_same_surface = np.abs(left - right) <= 2 * _MAX_SURFACE_STEP
    is_gap = np.isnan(moved[:, 1:-1]) & is_same_surface
    moved[:, 1:-1][is_gap] = ((left + right) / 2)[is_gap]
    seen = ~np.isnan(moved)
    return _EyeParallax(parallax=np.where(seen, moved, np.float32(0)), seen=seen)


def _inpainting_columns(eye: _EyeParallax) -> Int[np.ndarray, "h w"]:
    """Column whose colour each pixel takes: its own, or in a hole that of the farther surface.

    Of the surfaces on both sides of a hole, the farther one, which has less parallax, is mirrored
    into it. Where the mirrored column belongs to
    another surface, the colour at the edge of the hole is repeated.
    """
    parallax, seen = eye.parallax, eye.seen
    width = seen.shape[1]
    rows, columns = np.indices(seen.shape, sparse=True)
    # The nearest seen columns on both sides of each pixel; -1 and width if there are none.
    left = np.maximum.accumulate(np.where(seen, columns, -1), axis=1)
    right = np.minimum.accumulate(np.where(seen, columns, width)[:, ::-1], axis=1)[:, ::-1]
    # A missing side has infinite parallax, so it is never the farther one.
    left_parallax = np.where(left >= 0, parallax[rows, np.maximum(left, 0)], np.inf)
    right_parallax = np.where(right < width, parallax[rows, np.minimum(right, width - 1)], np.inf)

    is_left_farther = left_parallax <= right_parallax
    edge_columns = np.clip(np.where(is_left_farther, left, right), 0, width - 1)
    # Reflection of the column about the edge of the hole.
    mirrored = np.clip(2 * edge_columns - columns, 0, width - 1)
    parallax_step = np.abs(parallax[rows, mirrored] - parallax[rows, edge_columns])
    is_same_surface = seen[rows, mirrored] & (parallax_step <= 2 * _MAX_SURFACE_STEP)
    hole_columns = np.where(is_same_surface, mirrored, edge_columns)
    return np.where(seen, columns, hole_columns)
