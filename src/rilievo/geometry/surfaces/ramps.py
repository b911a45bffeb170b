"""Bands in which depth melts from a near to a far surface are made one step.

Networks blur the edges of objects. A point in such a band takes the depth of the end that is closer
to its own, or the near one beside a hole. Bands that are too wide are walls, and stay.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Int, Int32, Mask
from rilievo.geometry.surfaces.lattice import Lattice, find_edge_steps

PointIndices = Int[np.ndarray, "n"]
"""Flat indices of points of a lattice."""

_MIN_EDGE_STEP = 0.02
"""Least step of 1/depth at an edge, times the median depth."""
_MAX_BAND_WIDTH = 0.04
"""Largest width of a band [fraction of the diagonal]."""
_MAX_EDGE_FRACTION = 0.03
"""Most edges per point. Beyond it, only the largest steps count, or foliage would be confetti."""
_MIN_BAND_STEP_FRACTION = 0.25
"""Least step of 1/depth between two points of a band [fraction of an edge's]."""
_MAX_SLOPE_BEYOND = 0.6
"""Largest slope of 1/depth beyond the near end of a band, over that of the band. A steeper one
is a wall."""
_DOUBLINGS = 6
"""Rounds of pointer doubling: a band has at most 2 to this power points between its ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpened:
    """Surface whose edges are steps of 1/depth; the smallest is ``min_edge_step``."""

    lattice: Lattice
    min_edge_step: float


def sharpen_edges(lattice: Lattice) -> Sharpened:
    """Replace blurred edges (bands) by single steps.

    The result says too which step of 1/depth is the smallest that counts as an edge.
    """
    if not lattice.valid.any():
        return Sharpened(lattice=lattice, min_edge_step=np.inf)
    min_edge_step = _MIN_EDGE_STEP / float(np.median(lattice.depth[lattice.valid]))
    sharp = _collapse_bands(lattice, min_edge_step)
    steps_by_axis = find_edge_steps(sharp, min_edge_step).steps_by_axis()
    steps = np.concatenate([abs(change[change != 0]) for _, change in steps_by_axis])
    max_edges = int(_MAX_EDGE_FRACTION * lattice.valid.size)
    if len(steps) > max_edges:  # Only the largest steps stay edges.
        largest_excluded = np.partition(steps, -max_edges - 1)[-max_edges - 1]
        # One float lower, so that all steps of this size are edges.
        min_edge_step = float(np.nextafter(largest_excluded, np.float32(0)))
    return Sharpened(lattice=sharp, min_edge_step=min_edge_step)


def _collapse_bands(lattice: Lattice, min_step: float) -> Lattice:
    """Give each point of a band the depth of one of its ends.

    ``min_step`` is the least step of 1/depth between the ends of a band.
    """
    depth = lattice.depth.reshape(-1)
    bands = _find_bands(lattice, min_step)
    is_band = _is_blurred_edge(bands, lattice, min_step)
    points, near, far = bands.points[is_band], bands.near[is_band], bands.far[is_band]
    near_depth, far_depth = depth[near], depth[far]
    is_at_hole = _is_beside_hole(lattice.valid).reshape(-1)[far]
    is_closer_to_near = depth[points] / near_depth <= far_depth / depth[points]
    collapsed = lattice.depth.copy()
    collapsed.reshape(-1)[points] = np.where(is_at_hole | is_closer_to_near, near_depth, far_depth)
    return lattice.with_depth(collapsed, lattice.valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bands:
    """Points of possible bands, with the near and the far end of the band of each."""

    points: PointIndices
    near: PointIndices
    far: PointIndices


def _is_blurred_edge(bands: _Bands, lattice: Lattice, min_step: float) -> Bool[np.ndarray, "n"]:
    """Tell which points lie on a blurred edge rather than on a wall or another real slope.

    On a plane 1/depth is linear, so a wall continues beyond the near end with the same slope. The
    slope there is measured over half the length of the band.
    """
    height, width = lattice.valid.shape
    depth = lattice.depth.reshape(-1)
    step = 1 / depth[bands.near] - 1 / depth[bands.far]
    near_row, near_column = np.divmod(bands.near, width)
    far_row, far_column = np.divmod(bands.far, width)
    rows, columns = near_row - far_row, near_column - far_column
    length = np.hypot(rows, columns)
    max_length = _MAX_BAND_WIDTH * math.hypot(height, width)

    # The point that lies half a band's length past the near end; the near end itself if that is
    # outside of the picture.
    half_rows = _half_rounded_away_from_zero(rows)
    half_columns = _half_rounded_away_from_zero(columns)
    row, column = near_row + half_rows, near_column + half_columns
    is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    point_beyond = np.where(is_inside, row * width + column, bands.near)
    is_known = lattice.valid.reshape(-1)[point_beyond]
    rise_beyond = np.where(is_known, 1 / depth[point_beyond] - 1 / depth[bands.near], 0)
    length_ratio = np.maximum(np.hypot(half_rows, half_columns), 1) / np.maximum(length, 1)
    flattens_beyond_near = rise_beyond < _MAX_SLOPE_BEYOND * step * length_ratio
    return (step > min_step) & (length <= max_length) & flattens_beyond_near


def _find_bands(lattice: Lattice, min_step: float) -> _Bands:
    """Follow the steepest path of 1/depth from each point to the near and far end of its band."""
    size, width = lattice.valid.size, lattice.valid.shape[1]
    # The steepest nearer and farther neighbour of each point; the point itself if it has none.
    nearer = np.arange(size, dtype=np.int32)
    farther = np.arange(size, dtype=np.int32)
    steepest_rise, steepest_fall = np.zeros(size, np.float32), np.zeros(size, np.float32)
    band_points = []
    edges = find_edge_steps(lattice, _MIN_BAND_STEP_FRACTION * min_step)
    for axis, inverse_depth_steps in edges.steps_by_axis():
        steps = np.flatnonzero(inverse_depth_steps)
        # Steps to the next column are one column fewer than the points.
        row, column = np.divmod(steps, inverse_depth_steps.shape[1])
        first = row * width + column
        second = first + (width if axis == 0 else 1)
        rise = inverse_depth_steps.reshape(-1)[steps]
        for source, target, rise_to_target in ((first, second, rise), (second, first, -rise)):
            # These update the neighbours and the steepest steps in place.
            _keep_steepest(nearer, steepest_rise, source, target, rise_to_target)
            _keep_steepest(farther, steepest_fall, source, target, -rise_to_target)
        band_points += [first, second]
    points = np.unique(np.concatenate(band_points))
    # Pointer doubling: after k rounds, each point leads 2^k steps along its path.
    for neighbour in (nearer, farther):
        for _ in range(_DOUBLINGS):
            neighbour[points] = neighbour[neighbour[points]]
    return _Bands(points=points, near=nearer[points], far=farther[points])


def _keep_steepest(
    neighbour: Int32[np.ndarray, "n"],
    steepest: np.ndarray,
    source: PointIndices,
    target: PointIndices,
    rise: np.ndarray,
) -> None:
    """Make ``target`` the neighbour of ``source`` where the rise is the steepest yet, in place."""
    is_steeper = rise > steepest[source]
    steepest[source[is_steeper]] = rise[is_steeper]
    neighbour[source[is_steeper]] = target[is_steeper]


def _is_beside_hole(valid: Mask) -> Mask:
    """Mask of the points next to an invalid one, along rows or columns."""
    is_beside = np.zeros(valid.shape, bool)
    for axis in (0, 1):
        is_valid, marked = np.moveaxis(valid, axis, 0), np.moveaxis(is_beside, axis, 0)
        marked[1:] |= ~is_valid[:-1]
        marked[:-1] |= ~is_valid[1:]
    return is_beside


def _half_rounded_away_from_zero(length: PointIndices) -> PointIndices:
    return np.sign(length) * ((abs(length) + 1) // 2)
