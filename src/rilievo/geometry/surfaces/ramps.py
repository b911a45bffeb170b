"""Bands in which depth melts from a near to a far surface are made one step.

Networks blur the edges of objects. A point in such a band takes the depth of the end that is closer
to its own, or the near one beside a hole. Bands that are too wide are walls, and stay.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Int, Int32, Mask
from rilievo.geometry.surfaces.lattice import Lattice, find_edge_steps

Numbers = Int[np.ndarray, "n"]
"""Indices of points in reading order."""

_MIN_EDGE_STEP = 0.02
"""Step of 1/depth at an edge, times the median depth."""
_MAX_BAND_WIDTH = 0.04
"""Width of a band [fraction of the diagonal]."""
_MAX_EDGE_FRACTION = 0.03
"""Edges over points from which only the largest steps are edges, so that foliage is no confetti."""
_MIN_BAND_STEP = 0.25
"""Step of 1/depth between two points of a band [fraction of an edge's]."""
_MAX_SLOPE_BEYOND = 0.6
"""Slope of 1/depth beyond the near end over that of the band, from which the band is a wall."""
_DOUBLINGS = 6
"""A band has at most two to this power points between its ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpened:
    """Surface whose edges are steps; ``edge`` is the smallest of them in 1/depth."""

    lattice: Lattice
    edge: float


def sharpen_edges(lattice: Lattice) -> Sharpened:
    """Lay the bands of a surface onto their closer ends."""
    if not lattice.valid.any():
        return Sharpened(lattice=lattice, edge=np.inf)
    edge = _MIN_EDGE_STEP / float(np.median(lattice.depth[lattice.valid]))
    sharp = _collapse_bands(lattice, edge)
    steps_by_axis = find_edge_steps(sharp, edge).steps_by_axis()
    steps = np.concatenate([abs(change[change != 0]) for _, change in steps_by_axis])
    max_edges = int(_MAX_EDGE_FRACTION * lattice.valid.size)
    if len(steps) > max_edges:
        largest_left_out = np.partition(steps, -max_edges - 1)[-max_edges - 1]
        # A little lower, so that equal steps are edges together.
        edge = float(np.nextafter(largest_left_out, np.float32(0)))
    return Sharpened(lattice=sharp, edge=edge)


def _collapse_bands(lattice: Lattice, min_step: float) -> Lattice:
    """Give each point of a band the depth of one of its ends.

    Args:
        lattice: The surface.
        min_step: Step of 1/depth between the ends of a band.
    """
    height, width = lattice.valid.shape
    points, near, far = _ends_of_bands(lattice, min_step)
    depth = lattice.depth.reshape(-1)
    step = 1 / depth[near] - 1 / depth[far]
    near_row, near_column = np.divmod(near, width)
    far_row, far_column = np.divmod(far, width)
    rows, columns = near_row - far_row, near_column - far_column
    length = np.hypot(rows, columns)
    max_length = _MAX_BAND_WIDTH * math.hypot(height, width)

    # On a plane 1/depth is linear: a wall goes on beyond the near end as it came there. That is
    # looked up half a band further.
    half_rows, half_columns = _half_away_from_zero(rows), _half_away_from_zero(columns)
    row, column = near_row + half_rows, near_column + half_columns
    is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    beyond = np.where(is_inside, row * width + column, near)
    is_known = lattice.valid.reshape(-1)[beyond]
    rise_beyond = np.where(is_known, 1 / depth[beyond] - 1 / depth[near], 0)
    length_beyond = np.maximum(np.hypot(half_rows, half_columns), 1) / np.maximum(length, 1)
    is_band = (step > min_step) & (length <= max_length)
    is_band &= rise_beyond < _MAX_SLOPE_BEYOND * step * length_beyond

    points, near, far = points[is_band], near[is_band], far[is_band]
    near_depth, far_depth = depth[near], depth[far]
    is_at_hole = _is_beside_hole(lattice.valid).reshape(-1)[far]
    is_closer_to_near = depth[points] / near_depth <= far_depth / depth[points]
    collapsed = lattice.depth.copy()
    collapsed.reshape(-1)[points] = np.where(is_at_hole | is_closer_to_near, near_depth, far_depth)
    return lattice.with_depth(collapsed, lattice.valid)


def _ends_of_bands(lattice: Lattice, min_step: float) -> tuple[Numbers, Numbers, Numbers]:
    """Points of bands, and the near and the far end to which the steepest ways lead from each."""
    size, width = lattice.valid.size, lattice.valid.shape[1]
    nearer = np.arange(size, dtype=np.int32)  # neighbour up the steepest way, else the point itself
    farther = np.arange(size, dtype=np.int32)
    steepest_rise, steepest_fall = np.zeros(size, np.float32), np.zeros(size, np.float32)
    on_bands = []
    edges = find_edge_steps(lattice, _MIN_BAND_STEP * min_step)
    for axis, change in edges.steps_by_axis():
        steps = np.flatnonzero(change)
        row, column = np.divmod(steps, change.shape[1])
        first = row * width + column
        second = first + (width if axis == 0 else 1)
        rise = change.reshape(-1)[steps]
        for source, target, height in ((first, second, rise), (second, first, -rise)):
            _follow_steeper(nearer, steepest_rise, source, target, height)
            _follow_steeper(farther, steepest_fall, source, target, -height)
        on_bands += [first, second]
    points = np.unique(np.concatenate(on_bands))
    for neighbour in (nearer, farther):
        for _ in range(_DOUBLINGS):
            neighbour[points] = neighbour[neighbour[points]]
    return points, nearer[points], farther[points]


def _follow_steeper(
    neighbour: Int32[np.ndarray, "n"],
    steepest: np.ndarray,
    source: Numbers,
    target: Numbers,
    height: np.ndarray,
) -> None:
    """Lead from source to target wherever that is steeper than the way so far, in place."""
    is_steeper = height > steepest[source]
    steepest[source[is_steeper]] = height[is_steeper]
    neighbour[source[is_steeper]] = target[is_steeper]


def _is_beside_hole(valid: Mask) -> Mask:
    """Mask of the points next to an invalid one, along rows or columns."""
    is_beside = np.zeros(valid.shape, bool)
    for axis in (0, 1):
        is_valid, marked = np.moveaxis(valid, axis, 0), np.moveaxis(is_beside, axis, 0)
        marked[1:] |= ~is_valid[:-1]
        marked[:-1] |= ~is_valid[1:]
    return is_beside


def _half_away_from_zero(length: Numbers) -> Numbers:
    return np.sign(length) * ((abs(length) + 1) // 2)
