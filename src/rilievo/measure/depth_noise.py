"""Noise of depth from pixel to pixel, and how it is averaged away on surfaces."""

import math

import numpy as np

from rilievo.arrays.shapes import Float64, Mask

NEGLIGIBLE_NOISE = 1e-3
"""Standard deviation of log depth up to which depth counts as free of noise."""
MAX_NOISE_STEP = 6.0
"""Largest step of log depth between neighbours that noise explains, in its standard deviations."""
MAX_SURFACE_STEP = 0.05
"""Largest step of log depth between neighbours on one surface, if depth has no noise."""

_DEVIATIONS_PER_MEDIAN = 1.4826
"""Standard deviation of normally distributed errors, in medians of their absolute values."""
_NOISE_PER_RADIUS = 0.005
"""Noise for which the radius of smoothing grows by one pixel."""
_MAX_SMOOTHING_RADIUS = 3
"""Largest radius of smoothing [px], beyond which small objects would be lost."""
_MAX_NOISE_BEND = 10.0
"""Largest second difference that noise explains, in standard deviations of the noise. The standard
deviation of second differences is √6 of these, so this is about four of its own."""


def log_depth_noise(log_depth: Float64[np.ndarray, "h w"], valid: Mask) -> float:
    """Estimate the standard deviation of the noise in log depth, by second differences along rows.

    It is 0 where no three neighbours have depth.
    """
    has_three = valid[:, :-2] & valid[:, 1:-1] & valid[:, 2:]
    second_differences = log_depth[:, :-2] - 2 * log_depth[:, 1:-1] + log_depth[:, 2:]
    bends = np.abs(second_differences)[has_three]
    if not len(bends):
        return 0.0
    # The variance of a second difference is 1 + 4 + 1 times that of a pixel.
    return _DEVIATIONS_PER_MEDIAN / math.sqrt(6) * float(np.median(bends))


def largest_surface_step(noise: float) -> float:
    """Largest step of log depth between neighbours on one surface whose depth has a noise."""
    return max(MAX_SURFACE_STEP, MAX_NOISE_STEP * noise)


def smoothing_radius(noise: float) -> int:
    """Radius of the neighbourhood over which noisy depth is averaged [px]; 0 without noise."""
    if noise <= NEGLIGIBLE_NOISE:
        return 0
    return min(_MAX_SMOOTHING_RADIUS, math.ceil(noise / _NOISE_PER_RADIUS))


def smooth_depth(
    depth: Float64[np.ndarray, "h w"], valid: Mask, noise: float
) -> Float64[np.ndarray, "h w"]:
    """Average the noise of depth away on each surface; planes and edges stay as they are.

    Inverse depth is linear on a plane, so the mean of two opposite neighbours is the pixel's own
    inverse depth, except for noise. Each pixel is averaged with those pairs for which this holds.
    Where two surfaces meet, it does not hold, so the pairs are left out.
    """
    radius = smoothing_radius(noise)
    if radius == 0:
        return depth

    log_depth, inverse_depth = np.log(depth), 1 / depth
    padded_logs = np.pad(log_depth, radius)
    padded_inverse = np.pad(inverse_depth, radius)
    padded_valid = np.pad(valid, radius)
    max_bend = _MAX_NOISE_BEND * noise * inverse_depth

    total, count = inverse_depth.copy(), np.ones(depth.shape)
    for down, right in _pair_offsets(radius):
        ahead_slice = _padded_slice(depth.shape, radius, down, right)
        behind_slice = _padded_slice(depth.shape, radius, -down, -right)
        step_ahead = np.abs(padded_logs[ahead_slice] - log_depth)
        step_behind = np.abs(padded_logs[behind_slice] - log_depth)
        bend = np.abs(
            padded_inverse[ahead_slice] + padded_inverse[behind_slice] - 2 * inverse_depth
        )

        is_on_surface = np.maximum(step_ahead, step_behind) <= largest_surface_step(noise)
        is_on_surface &= bend <= max_bend
        is_on_surface &= padded_valid[ahead_slice] & padded_valid[behind_slice]
        total += np.where(
            is_on_surface, padded_inverse[ahead_slice] + padded_inverse[behind_slice], 0
        )
        count += 2 * is_on_surface
    # One over the mean inverse depth.
    return np.where(valid, count / total, depth)


def _pair_offsets(radius: int) -> list[tuple[int, int]]:
    """Rows and columns to the first pixel of each pair of opposite neighbours."""
    offsets = range(-radius, radius + 1)
    return [(down, right) for down in offsets for right in offsets if (down, right) > (0, 0)]


def _padded_slice(
    shape: tuple[int, int], padding: int, down: int, right: int
) -> tuple[slice, slice]:
    """Slice of a padded map that is the map itself, moved by an offset."""
    height, width = shape
    top, left = padding + down, padding + right
    return slice(top, top + height), slice(left, left + width)
