"""Noise of a depth map, and how sharp it is where one surface ends before another."""

import math

import numpy as np

from rilievo.arrays.shapes import Float64, Mask

CONTINUOUS = 0.05
"""Largest step of log depth between neighbours on one surface, without noise."""
EDGE, SHARP = 0.03, 0.25
"""Least step of log depth at an edge, and the largest share of it beside a sharp edge."""
SHARP_EDGES = 0.82
"""Share of sharp edges, each weighted by its step, below which a depth map is soft."""
MOST_EDGE_PIXELS = 1_000_000
"""Pixels along whose rows and columns edges are sought; of larger maps, lines are left out."""
LEAST_NOISE = 1e-3
"""Standard deviation of log depth from pixel to pixel up to which nothing is smoothed."""
NOISE_OF_PIXEL, MOST_RADIUS = 0.005, 3
"""Noise for which a pixel's neighbours are averaged, and the largest radius."""
NOISE_STEPS = 6.0
"""Steps between neighbours that noise explains, in its standard deviations."""


def noise_of(logs: Float64[np.ndarray, "h w"], valid: Mask) -> float:
    """Standard deviation of noise in log depth, by second differences along rows."""
    three = valid[:, :-2] & valid[:, 1:-1] & valid[:, 2:]
    bends = np.abs(logs[:, :-2] - 2 * logs[:, 1:-1] + logs[:, 2:])[three]
    return 1.4826 / math.sqrt(6) * float(np.median(bends)) if len(bends) else 0.0


def has_soft_edges(depth: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether depth melts from one surface to the next, as that of a network does.

    A step counts if it is larger than a step beside it that goes the same way. It is sharp if it
    is far larger than both.
    """
    valid = valid & (depth > 0)
    stride = max(1, depth.size // MOST_EDGE_PIXELS)
    logs = np.log(np.where(valid, depth, 1).astype(np.float64))
    least = max(EDGE, NOISE_STEPS * noise_of(logs[::stride], valid[::stride]))
    sharp = total = 0.0
    for lines, are_valid in ((logs, valid), (logs.T, valid.T)):
        values, has_depth = lines[::stride], are_valid[::stride]
        steps = np.diff(values, axis=1)
        steps[~(has_depth[:, 1:] & has_depth[:, :-1])] = 0
        way = np.sign(steps[:, 1:-1])
        step = np.abs(steps[:, 1:-1])
        before, after = np.maximum(way * steps[:, :-2], 0), np.maximum(way * steps[:, 2:], 0)
        is_edge = step - np.minimum(before, after) > least
        is_sharp = is_edge & (np.maximum(before, after) < SHARP * step)
        total += float(step[is_edge].sum())
        sharp += float(step[is_sharp].sum())
    return sharp < SHARP_EDGES * total


def smoothed(
    depth: Float64[np.ndarray, "h w"], valid: Mask, noise: float
) -> Float64[np.ndarray, "h w"]:
    """Depth with less noise; depth without noise, planes and edges stay as they are.

    Inverse depth is averaged with those pairs of opposite neighbours that both are on its surface.
    """
    logs = np.log(depth)
    radius = min(MOST_RADIUS, math.ceil(noise / NOISE_OF_PIXEL) if noise > LEAST_NOISE else 0)
    if not radius:
        return depth
    most = max(CONTINUOUS, NOISE_STEPS * noise)
    inverse, padded = 1 / depth, np.pad(1 / depth, radius)
    near = np.pad(logs, radius)
    is_valid = np.pad(valid, radius)
    total, count = inverse.copy(), np.ones(depth.shape)
    height, width = depth.shape
    for down, right in _half_of_offsets(radius):
        ahead = np.s_[
            radius + down : radius + down + height, radius + right : radius + right + width
        ]
        behind = np.s_[
            radius - down : radius - down + height, radius - right : radius - right + width
        ]
        is_near = np.maximum(np.abs(near[ahead] - logs), np.abs(near[behind] - logs)) <= most
        both = is_valid[ahead] & is_valid[behind] & is_near
        total += np.where(both, padded[ahead] + padded[behind], 0)
        count += 2 * both
    return np.where(valid, count / total, depth)


def _half_of_offsets(radius: int) -> list[tuple[int, int]]:
    around = range(-radius, radius + 1)
    return [(down, right) for down in around for right in around if (down, right) > (0, 0)]
