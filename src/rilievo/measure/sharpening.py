"""Sharpening of edges between surfaces, where a depth map was resized or blurred."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask
from rilievo.measure.depth_edges import MAX_SURFACE_SLOPE, SHARP_EDGE_WIDTH
from rilievo.measure.depth_noise import MAX_NOISE_STEP

_MIN_WIDTH_RATIO, _MAX_WIDTH_RATIO = 0.65, 1.6
"""Limits of the width of edges that are made sharp, over the width of most edges of the map."""
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
    """Range of the edges that are sharpened.

    Attributes:
        min_width: Smallest width of an edge, its whole rise divided by its largest step [px].
        max_width: Largest width [px].
        noise: Standard deviation of log depth from pixel to pixel.
    """

    min_width: float
    max_width: float
    noise: float

    @property
    def max_pixels_between(self) -> int:
        """Most pixels between the surfaces on both sides of such an edge."""
        return min(_MAX_PIXELS_BETWEEN, math.ceil(_MAX_WIDTH_RATIO * self.max_width))


def sharpen_edges(
    depth: Float64[np.ndarray, "h w"], valid: Mask, width: float, noise: float
) -> Float64[np.ndarray, "h w"]:
    """Sharpen the edges of depth that are about ``width`` pixels wide; surfaces stay as they are.

    Each pixel between two surfaces gets the depth of that surface which is nearer to its own depth,
    continued as a plane. Edges are sharpened along rows, then along columns, so the border of an
    object comes to lie in the middle of its edge. Small holes do not matter.

    ``noise`` is the standard deviation of log depth from pixel to pixel.
    """
    if width <= SHARP_EDGE_WIDTH:
        return depth
    limits = _EdgeLimits(
        min_width=_MIN_WIDTH_RATIO * width, max_width=_MAX_WIDTH_RATIO * width, noise=noise
    )
    sharp_along_rows = _sharpen_along_rows(depth, valid, limits)
    return _sharpen_along_rows(sharp_along_rows.T, valid.T, limits).T


@dataclass(frozen=True, slots=True)
class _EdgeProfiles:
    """Inverse depth across possible edges along rows.

    A window goes over a left surface, the pixels between and a right surface. Each map holds one
    pixel of the window, for every position of the window.

    Attributes:
        left: Last three pixels of the surface to the left.
        between: Pixels between the two surfaces.
        right: First three pixels of the surface to the right.
    """

    left: Sequence[Float64[np.ndarray, "h w"]]
    between: Sequence[Float64[np.ndarray, "h w"]]
    right: Sequence[Float64[np.ndarray, "h w"]]

    def is_edge(self, limits: _EdgeLimits) -> Mask:
        """Mask of the edges: two flat surfaces, with a steady rise of the usual width between."""
        left_end, right_end = self.left[-1], self.right[0]
        signed_rise = right_end - left_end
        rise = np.abs(signed_rise)
        farther = np.minimum(right_end, left_end)  # Inverse depth is less farther away.
        min_rise = max(_MIN_RISE, MAX_NOISE_STEP * limits.noise) * farther
        is_high_enough = rise > min_rise

        slope = np.maximum(np.abs(_slope(self.left)), np.abs(_slope(self.right)))
        bend = np.maximum(_bend(self.left), _bend(self.right))
        max_bend = _MAX_SURFACE_BEND * rise + MAX_NOISE_STEP * limits.noise * farther
        are_surfaces_flat = (slope <= MAX_SURFACE_SLOPE * rise) & (bend <= max_bend)

        across_edge = np.stack([left_end, *self.between, right_end])
        steps = np.diff(across_edge, axis=0) * np.sign(signed_rise)
        largest_step = steps.max(axis=0)
        is_steady = steps.min(axis=0) >= -MAX_SURFACE_SLOPE * rise
        # The width of an edge is its rise over its largest step.
        is_wide_enough = limits.min_width * largest_step <= rise
        is_narrow_enough = rise <= limits.max_width * largest_step
        is_width_usual = is_wide_enough & is_narrow_enough
        return is_high_enough & are_surfaces_flat & is_steady & is_width_usual

    def extrapolate_closer_surface(self, index: int) -> Float64[np.ndarray, "h w"]:
        """Value at a pixel between the surfaces, extrapolated from the one that matches better."""
        pixels_from_left, pixels_from_right = index + 1, len(self.between) - index
        left_surface = self.left[-1] + pixels_from_left * _slope(self.left)
        right_surface = self.right[0] - pixels_from_right * _slope(self.right)
        value = self.between[index]
        is_left_closer = np.abs(value - left_surface) <= np.abs(value - right_surface)
        return np.where(is_left_closer, left_surface, right_surface)


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
        # A window has pixels of the left surface, those between, and pixels of the right surface.
        window_length = _SURFACE_PIXELS + between_count + _SURFACE_PIXELS
        window_count = depth.shape[1] - window_length + 1
        if window_count < 1:
            break
        # Each slice has the pixels at one position of all windows.
        columns = [slice(first, first + window_count) for first in range(window_length)]
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
            surface = profiles.extrapolate_closer_surface(index)
            is_changed = is_edge & may_change[pixel] & (surface > 0)
            safe_surface = np.where(is_changed, surface, 1)
            sharp[pixel] = np.where(is_changed, 1 / safe_surface, sharp[pixel])
            may_change[pixel] &= ~is_edge
    return sharp


def _fill_small_holes(
    inverse_depth: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    """Fill short gaps within rows by linear interpolation; return inverse depth and its mask."""
    filled, has_depth = inverse_depth.copy(), valid.copy()
    for length in range(1, _MAX_HOLE + 1):
        # A window has a pixel before the gap, the gap, and a pixel after it.
        window_count = inverse_depth.shape[1] - length - 1
        if window_count < 1:
            break
        before, after = inverse_depth[:, :window_count], inverse_depth[:, length + 1 :]
        gap_columns = [slice(first, first + window_count) for first in range(1, length + 1)]

        is_gap = valid[:, :window_count] & valid[:, length + 1 :]
        for columns in gap_columns:
            is_gap &= ~valid[:, columns]
        for offset, columns in enumerate(gap_columns, 1):
            interpolated = before + (after - before) * offset / (length + 1)
            filled[:, columns] = np.where(is_gap, interpolated, filled[:, columns])
            has_depth[:, columns] |= is_gap
    return filled, has_depth
