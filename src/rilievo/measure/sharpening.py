"""Sharpening of edges between surfaces, where a depth map was resized or blurred."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask
from rilievo.measure.depth_edges import MAX_SURFACE_SLOPE, SHARP_EDGE_WIDTH
from rilievo.measure.depth_noise import MAX_NOISE_STEP

_MIN_RELATIVE_WIDTH, _MAX_RELATIVE_WIDTH = 0.65, 1.6
"""Widths of the edges that are made sharp, over the width of most edges of the map."""
_MAX_PIXELS_BETWEEN = 12
"""Most pixels between two surfaces that are moved to one of them."""
_MIN_RISE = 0.008
"""Least rise at an edge that is made sharp, as a fraction of inverse depth."""
_MAX_SURFACE_BEND = 0.008
"""Largest second difference of a surface beside an edge, as a fraction of the edge's rise."""
_SURFACE_PIXELS = 3
"""Pixels to each side of an edge that tell the surface there: its depth, slope and bend."""
_MAX_HOLE = 4
"""Most pixels without depth in a row that are filled before edges are sought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _EdgeLimits:
    """Edges that are made sharp.

    Attributes:
        min_width: Least width: the whole rise over its largest step [px].
        max_width: Largest width [px].
        noise: Standard deviation of log depth from pixel to pixel.
    """

    min_width: float
    max_width: float
    noise: float

    @property
    def max_pixels_between(self) -> int:
        """Most pixels between the surfaces on both sides of such an edge."""
        return min(_MAX_PIXELS_BETWEEN, math.ceil(_MAX_RELATIVE_WIDTH * self.max_width))


def sharpen_edges(
    depth: Float64[np.ndarray, "h w"], valid: Mask, width: float, noise: float
) -> Float64[np.ndarray, "h w"]:
    """Sharpen the edges of depth that are about ``width`` pixels wide; surfaces stay as they are.

    Each pixel between two surfaces gets the depth of that surface which is nearer to its own depth,
    continued as a plane. Edges are sharpened along rows, then along columns, so the border of an
    object comes to lie in the middle of its edge. Small holes do not matter.

    Args:
        depth: Depth [m], positive everywhere.
        valid: Pixels with depth.
        width: Width of most edges of the map, by ``edge_width`` [px].
        noise: Standard deviation of log depth from pixel to pixel.
    """
    if width <= SHARP_EDGE_WIDTH:
        return depth
    limits = _EdgeLimits(
        min_width=_MIN_RELATIVE_WIDTH * width, max_width=_MAX_RELATIVE_WIDTH * width, noise=noise
    )
    sharp_along_rows = _sharpen_along_rows(depth, valid, limits)
    return _sharpen_along_rows(sharp_along_rows.T, valid.T, limits).T


@dataclass(frozen=True, slots=True)
class _EdgeProfiles:
    """Inverse depth across possible edges along rows, for each place of a window in the map.

    Attributes:
        left: Last three pixels of the surface to the left, as one map for each of them.
        between: Pixels between the two surfaces.
        right: First three pixels of the surface to the right.
    """

    left: Sequence[Float64[np.ndarray, "h w"]]
    between: Sequence[Float64[np.ndarray, "h w"]]
    right: Sequence[Float64[np.ndarray, "h w"]]

    def is_edge(self, limits: _EdgeLimits) -> Mask:
        """Where two flat surfaces meet at an edge that rises steadily and is as wide as others."""
        rise = self.right[0] - self.left[-1]
        height = np.abs(rise)
        farther = np.minimum(self.right[0], self.left[-1])
        min_height = max(_MIN_RISE, MAX_NOISE_STEP * limits.noise) * farther

        slope = np.maximum(np.abs(_slope(self.left)), np.abs(_slope(self.right)))
        bend = np.maximum(_bend(self.left), _bend(self.right))
        max_bend = _MAX_SURFACE_BEND * height + MAX_NOISE_STEP * limits.noise * farther

        across_edge = np.stack([self.left[-1], *self.between, self.right[0]])
        steps = np.diff(across_edge, axis=0) * np.sign(rise)
        largest_step = steps.max(axis=0)
        is_steady = steps.min(axis=0) >= -MAX_SURFACE_SLOPE * height
        is_wide_enough = limits.min_width * largest_step <= height
        is_narrow_enough = height <= limits.max_width * largest_step
        return (
            (height > min_height)
            & (slope <= MAX_SURFACE_SLOPE * height)
            & (bend <= max_bend)
            & is_steady
            & is_wide_enough
            & is_narrow_enough
        )

    def nearer_surface(self, index: int) -> Float64[np.ndarray, "h w"]:
        """Inverse depth of the surface that is nearer to a pixel between them, continued there."""
        pixels_from_left, pixels_from_right = index + 1, len(self.between) - index
        left_surface = self.left[-1] + pixels_from_left * _slope(self.left)
        right_surface = self.right[0] - pixels_from_right * _slope(self.right)
        value = self.between[index]
        is_left_nearer = np.abs(value - left_surface) <= np.abs(value - right_surface)
        return np.where(is_left_nearer, left_surface, right_surface)


def _slope(surface: Sequence[Float64[np.ndarray, "h w"]]) -> Float64[np.ndarray, "h w"]:
    """Rise of a surface from pixel to pixel, by three pixels of it."""
    return (surface[2] - surface[0]) / 2


def _bend(surface: Sequence[Float64[np.ndarray, "h w"]]) -> Float64[np.ndarray, "h w"]:
    """Absolute second difference of three pixels of a surface."""
    return np.abs(surface[2] - 2 * surface[1] + surface[0])


def _sharpen_along_rows(
    depth: Float64[np.ndarray, "h w"], valid: Mask, limits: _EdgeLimits
) -> Float64[np.ndarray, "h w"]:
    """Sharpen edges along rows, the narrowest first, so that each pixel changes at most once."""
    inverse_depth, has_depth = _fill_small_holes(1 / depth, valid)
    sharp, may_change = depth.copy(), valid.copy()
    for between_count in range(1, limits.max_pixels_between + 1):
        # Pixels of the left surface, those between, and pixels of the right surface.
        window_length = _SURFACE_PIXELS + between_count + _SURFACE_PIXELS
        places = depth.shape[1] - window_length + 1
        if places < 1:
            break
        columns = [slice(first, first + places) for first in range(window_length)]
        values = [inverse_depth[:, column] for column in columns]
        profiles = _EdgeProfiles(
            left=values[:_SURFACE_PIXELS],
            between=values[_SURFACE_PIXELS:-_SURFACE_PIXELS],
            right=values[-_SURFACE_PIXELS:],
        )
        all_valid = np.all([has_depth[:, column] for column in columns], axis=0)
        is_edge = all_valid & profiles.is_edge(limits)

        for index in range(between_count):
            pixel = np.s_[:, columns[_SURFACE_PIXELS + index]]
            surface = profiles.nearer_surface(index)
            changes = is_edge & may_change[pixel] & (surface > 0)
            sharp[pixel] = np.where(changes, 1 / np.where(changes, surface, 1), sharp[pixel])
            may_change[pixel] &= ~is_edge
    return sharp


def _fill_small_holes(
    inverse_depth: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    """Fill short gaps within rows by straight lines; returns inverse depth and its mask."""
    filled, has_depth = inverse_depth.copy(), valid.copy()
    for length in range(1, _MAX_HOLE + 1):
        places = inverse_depth.shape[1] - length - 1
        if places < 1:
            break
        before, after = inverse_depth[:, :places], inverse_depth[:, length + 1 :]
        gap_columns = [slice(first, first + places) for first in range(1, length + 1)]

        is_hole = valid[:, :places] & valid[:, length + 1 :]
        for columns in gap_columns:
            is_hole &= ~valid[:, columns]
        for offset, columns in enumerate(gap_columns, 1):
            on_line = before + (after - before) * offset / (length + 1)
            filled[:, columns] = np.where(is_hole, on_line, filled[:, columns])
            has_depth[:, columns] |= is_hole
    return filled, has_depth
