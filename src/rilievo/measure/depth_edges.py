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

NOISE_OF_BEND = 10.0
"""Largest second difference that noise explains, in its standard deviations: four of its own."""
EDGE_REACH = 4
"""Steps to each side of the largest one that belong to one edge [px]."""
LEAST_RISE, NOISE_OF_RISE = 0.04, 20.0
"""Least rise of log depth at an edge whose width counts, also in deviations of the noise."""
LEAST_STEEPNESS = 4.5
"""Width from which on a rise is no edge [px]."""
MOST_SLOPE = 0.1
"""Largest slope of the surfaces beside an edge, a pixel, as a share of its rise."""
LEAST_SHARPENED = 0.008
"""Least rise of an edge that is made sharp, as a share of inverse depth."""
MOST_BEND = 0.008
"""The same of the difference between two such slopes: a surface is flat before its edge."""
WIDE_EDGES = 0.75
"""Quantile of the widths of edges; maps are often resized at small steps alone."""
SHARP_WIDTH, LEAST_EDGES = 1.3, 20
"""Width up to which edges are sharp, which surfaces beside a step add to [px], and how many edges
tell a width."""
LEAST_WIDTH, MOST_WIDTH = 0.65, 1.6
"""Widths of the edges that are made sharp, in that of most edges of the map."""
WIDEST_SHARPENED, LEAST_SOFT_EDGES = 3.9, 12
"""Width up to which edges are made sharp [px], and how many others tell that they were not."""
WIDEST_ON_COARSE_GRID = 2.6
"""The same on every second, fourth or eighth pixel, where slanted surfaces have edges, too."""
LEAST_VALID_ON_COARSE_GRID = 0.99
"""Least share of pixels with depth; holes hide the edges of a grid."""
LEAST_BLOCKS, LEAST_CHANGES = 12, 0.5
"""Least number of rows and columns at which values change, to tell blocks of equal pixels, and
least share of the borders of blocks at which they do."""
MOST_PIXELS_BETWEEN, MOST_HOLE = 12, 4
"""Most pixels between two surfaces that are made sharp, and in a small hole of a row."""


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


def smoothing_radius(noise: float) -> int:
    """Radius of the pixels that are averaged where depth has a noise [px]."""
    return min(MOST_RADIUS, math.ceil(noise / NOISE_OF_PIXEL)) if noise > LEAST_NOISE else 0


def smoothed(
    depth: Float64[np.ndarray, "h w"], valid: Mask, noise: float
) -> Float64[np.ndarray, "h w"]:
    """Depth with less noise; depth without noise, planes and edges stay as they are.

    Inverse depth is averaged with those pairs of opposite neighbours that both are on its surface.
    Their mean is then the pixel's own inverse depth, but for noise: where surfaces meet, it is not.
    """
    radius = smoothing_radius(noise)
    if not radius:
        return depth
    logs = np.log(depth)
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
        bend = np.abs(padded[ahead] + padded[behind] - 2 * inverse)
        is_near &= bend <= NOISE_OF_BEND * noise * inverse
        both = is_valid[ahead] & is_valid[behind] & is_near
        total += np.where(both, padded[ahead] + padded[behind], 0)
        count += 2 * both
    return np.where(valid, count / total, depth)


def _half_of_offsets(radius: int) -> list[tuple[int, int]]:
    around = range(-radius, radius + 1)
    return [(down, right) for down in around for right in around if (down, right) > (0, 0)]


def edge_width(
    depth: Float64[np.ndarray, "h w"], valid: Mask, *, least_edges: int = LEAST_EDGES
) -> float:
    """Number of steps in which depth goes from one surface to the next [px]; 1 of sharp edges.

    It is 2 or more where a map was resized or blurred, or where pixels at edges show a mixture. The
    width of an edge is its whole rise over its largest step. Fewer than ``least_edges`` tell no
    width.
    """
    valid = valid & (depth > 0)
    stride = max(1, depth.size // MOST_EDGE_PIXELS)
    logs = np.log(np.where(valid, depth, 1).astype(np.float64))
    least = max(LEAST_RISE, NOISE_OF_RISE * noise_of(logs[::stride], valid[::stride]))
    widths = [
        _edge_widths(lines[::stride], has_depth[::stride], least)
        for lines, has_depth in ((logs, valid), (logs.T, valid.T))
    ]
    found = np.concatenate(widths)
    if len(found) < least_edges:
        return 1.0
    width = float(np.quantile(found, WIDE_EDGES))
    return width if width > SHARP_WIDTH else 1.0


def _edge_widths(
    lines: Float64[np.ndarray, "h w"], has_depth: Mask, least: float
) -> Float64[np.ndarray, "n"]:
    """Widths of the edges along lines of log depth that rise by more than ``least``."""
    steps = np.diff(lines, axis=1)
    steps[~(has_depth[:, 1:] & has_depth[:, :-1])] = 0
    padded = np.pad(steps, ((0, 0), (EDGE_REACH, EDGE_REACH)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * EDGE_REACH + 1, axis=1)
    may_be_edge = np.abs(steps) > least / LEAST_STEEPNESS
    same_way = around[may_be_edge] * np.sign(steps[may_be_edge])[:, None]
    # What the surfaces beside the edge rise.
    slope = np.maximum(np.median(same_way[:, [0, 1, -2, -1]], axis=1), 0)
    rises = np.maximum(same_way - slope[:, None], 0)
    largest = rises[:, EDGE_REACH]
    is_first_largest = (rises[:, :EDGE_REACH] < largest[:, None]).all(axis=1)
    is_first_largest &= (rises[:, EDGE_REACH:] <= largest[:, None]).all(axis=1)
    rise = rises.sum(axis=1)
    is_edge = is_first_largest & (rise > least) & (largest > rise / LEAST_STEEPNESS)
    is_edge &= slope <= MOST_SLOPE * rise
    return rise[is_edge] / largest[is_edge]


def sharpened(
    depth: Float64[np.ndarray, "h w"], valid: Mask, width: float, noise: float
) -> Float64[np.ndarray, "h w"]:
    """Depth whose edges, ``width`` pixels wide, are made sharp; surfaces stay as they are.

    Each pixel between two surfaces gets the depth of the one that is nearer to its own, continued
    as a plane, first along rows and then along columns. So the border lies in the middle of the
    edge. Small holes do not matter. ``noise`` is the standard deviation of log depth
    from pixel to pixel.
    """
    if width <= SHARP_WIDTH:
        return depth
    widths = (LEAST_WIDTH * width, MOST_WIDTH * width)
    most = min(MOST_PIXELS_BETWEEN, math.ceil(MOST_WIDTH * widths[1]))
    found = depth
    for _ in range(2):
        found = _sharpened_along_rows(found, valid, widths, most, noise).T
        valid = valid.T
    return found


def blur_width(
    depth: Float64[np.ndarray, "h w"], sharper: Float64[np.ndarray, "h w"], valid: Mask
) -> float:
    """Width of edges that are blurred although ``sharper`` was made of depth [px]; 0 if none are.

    So it is after a blur of two pixels, and after cubic interpolation, which swings at an edge.
    Edges that are too wide for ``edge_width`` are found on every second, fourth or eighth pixel.
    """

    def width_on_grid(values: Float64[np.ndarray, "h w"], step: int) -> float:
        grid = (slice(None, None, step), slice(None, None, step))
        return edge_width(values[grid], valid[grid], least_edges=LEAST_SOFT_EDGES)

    width = width_on_grid(depth, 1)
    if width_on_grid(sharper, 1) > SHARP_WIDTH or width > WIDEST_SHARPENED:
        return width
    if valid.mean() < LEAST_VALID_ON_COARSE_GRID:
        return 0.0
    for step in (2, 4, 8):
        if min(depth.shape) < 2 * EDGE_REACH * step:
            break
        width = width_on_grid(depth, step)
        if width > WIDEST_ON_COARSE_GRID:
            return step * width
    return 0.0


def block_side(values: Float64[np.ndarray, "h w"]) -> int:
    """Find the side of the square blocks of equal pixels that a map consists of [px].

    A map that was enlarged n times by repeating pixels consists of blocks of n×n pixels. Other
    maps consist of blocks of one pixel.
    """
    return min(_block_length(values, axis=0), _block_length(values, axis=1))


def _block_length(values: Float64[np.ndarray, "h w"], *, axis: int) -> int:
    """Find the length of the blocks of equal pixels along one axis [px].

    Values change only at borders of blocks, so that the length of a block divides all distances
    between changes.
    """
    is_change = np.any(np.diff(values, axis=axis) != 0, axis=1 - axis)
    changes = np.flatnonzero(is_change)
    if len(changes) < LEAST_BLOCKS:
        return 1

    length = int(np.gcd.reduce(np.diff(changes)))
    borders = (changes[-1] - changes[0]) / length
    # A few changes may have a common divisor by chance. In blocks, most borders are changes.
    return length if len(changes) >= LEAST_CHANGES * borders else 1


def _sharpened_along_rows(
    depth: Float64[np.ndarray, "h w"],
    valid: Mask,
    widths: tuple[float, float],
    most: int,
    noise: float,
) -> Float64[np.ndarray, "h w"]:
    """Depth with sharp edges along rows, for edges of ``widths`` and at most so many pixels."""
    inverse, has_depth = _without_small_holes(1 / depth, valid)
    found, is_open = depth.copy(), valid.copy()
    least = max(LEAST_SHARPENED, NOISE_STEPS * noise)
    for count in range(1, most + 1):
        # Three pixels of the surface to the left, those between, and three of that to the right.
        places = depth.shape[1] - count - 5
        if places < 1:
            break
        values = [inverse[:, shift : shift + places] for shift in range(count + 6)]
        all_valid = np.ones(values[0].shape, bool)
        for shift in range(count + 6):
            all_valid &= has_depth[:, shift : shift + places]
        left, between, right = values[:3], values[3:-3], values[-3:]
        rise = right[0] - left[2]
        size = np.abs(rise)
        steps = np.diff(np.stack(values[2:-2]), axis=0) * np.sign(rise)
        largest = steps.max(axis=0)
        left_slope, right_slope = (left[2] - left[0]) / 2, (right[2] - right[0]) / 2
        bend = np.maximum(
            np.abs(left[2] - 2 * left[1] + left[0]), np.abs(right[2] - 2 * right[1] + right[0])
        )
        farther = np.minimum(right[0], left[2])
        is_edge = all_valid & (size > least * farther)
        is_edge &= np.maximum(np.abs(left_slope), np.abs(right_slope)) <= MOST_SLOPE * size
        is_edge &= bend <= MOST_BEND * size + NOISE_STEPS * noise * farther
        is_edge &= steps.min(axis=0) >= -MOST_SLOPE * size
        is_edge &= (widths[0] * largest <= size) & (size <= widths[1] * largest)
        for number, value in enumerate(between, 1):
            by_left = left[2] + number * left_slope
            by_right = right[0] - (count + 1 - number) * right_slope
            is_left = np.abs(value - by_left) <= np.abs(value - by_right)
            nearer = np.where(is_left, by_left, by_right)
            target = np.s_[:, number + 2 : number + 2 + places]
            changes = is_edge & is_open[target] & (nearer > 0)
            found[target] = np.where(changes, 1 / np.where(changes, nearer, 1), found[target])
            is_open[target] &= ~is_edge
    return found


def _without_small_holes(
    inverse: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    """Inverse depth with small holes in a row filled by lines, and what has depth."""
    filled, has_depth = inverse.copy(), valid.copy()
    for length in range(1, MOST_HOLE + 1):
        places = inverse.shape[1] - length - 1
        if places < 1:
            break
        before, after = inverse[:, :places], inverse[:, length + 1 :]
        is_hole = valid[:, :places] & valid[:, length + 1 :]
        for shift in range(1, length + 1):
            is_hole &= ~valid[:, shift : shift + places]
        for shift in range(1, length + 1):
            target = np.s_[:, shift : shift + places]
            by_line = before + (after - before) * shift / (length + 1)
            filled[target] = np.where(is_hole, by_line, filled[target])
            has_depth[target] |= is_hole
    return filled, has_depth
