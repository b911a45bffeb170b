"""Bands in which depth melts from a near to a far surface are made one step.

Networks blur the edges of objects. A point in such a band takes the depth of the end that is closer
to its own, or the near one beside a hole. Bands that are too wide are walls, and stay.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float32, Int, Int32, Mask
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
    median_depth = float(np.median(lattice.depth[lattice.valid]))
    min_edge_step = _MIN_EDGE_STEP / median_depth
    sharp = _collapse_bands(lattice, min_edge_step)
    return Sharpened(lattice=sharp, min_edge_step=_limit_edges(sharp, min_edge_step))


def _limit_edges(lattice: Lattice, min_edge_step: float) -> float:
    """Raise the least step of 1/depth at an edge, if there would be too many edges."""
    steps_by_axis = find_edge_steps(lattice, min_edge_step).steps_by_axis()
    sizes = np.concatenate([abs(steps[steps != 0]) for _, steps in steps_by_axis])
    max_edges = int(_MAX_EDGE_FRACTION * lattice.valid.size)
    if len(sizes) <= max_edges:
        return min_edge_step
    largest_excluded = np.partition(sizes, -max_edges - 1)[-max_edges - 1]
    # One float lower, so that all steps of this size are edges.
    return float(np.nextafter(largest_excluded, np.float32(0)))


def _collapse_bands(lattice: Lattice, min_step: float) -> Lattice:
    """Give each point of a band the depth of one of its ends.

    ``min_step`` is the least step of 1/depth between the ends of a band.
    """
    candidates = _find_bands(lattice, min_step)
    bands = candidates.select(_is_blurred_edge(candidates, lattice, min_step))
    depth = lattice.depth.reshape(-1)
    band_depth, near_depth, far_depth = depth[bands.points], depth[bands.near], depth[bands.far]
    # Depths are compared by their ratios.
    is_closer_to_near = band_depth / near_depth <= far_depth / band_depth
    ends_at_hole = _is_beside_hole(lattice.valid).reshape(-1)[bands.far]
    collapsed = depth.copy()
    collapsed[bands.points] = np.where(ends_at_hole | is_closer_to_near, near_depth, far_depth)
    return lattice.with_depth(collapsed.reshape(lattice.depth.shape), lattice.valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bands:
    """Points of possible bands, with the near and the far end of the band of each."""

    points: PointIndices
    near: PointIndices
    far: PointIndices

    def select(self, mask: Bool[np.ndarray, "n"]) -> "_Bands":
        """Bands of some of the points."""
        return _Bands(points=self.points[mask], near=self.near[mask], far=self.far[mask])


def _is_blurred_edge(bands: _Bands, lattice: Lattice, min_step: float) -> Bool[np.ndarray, "n"]:
    """Tell which points lie on a blurred edge rather than on a wall or another real slope.

    A band is a blurred edge if its step of 1/depth is large, it is narrow, and the slope ends at
    its near end. On a plane 1/depth is linear, so a wall continues beyond the near end with the
    same slope. The slope there is measured over half the length of the band.
    """
    height, width = lattice.valid.shape
    depth = lattice.depth.reshape(-1)
    step = 1 / depth[bands.near] - 1 / depth[bands.far]
    near_row, near_column = np.divmod(bands.near, width)
    far_row, far_column = np.divmod(bands.far, width)
    rows, columns = near_row - far_row, near_column - far_column
    length = np.hypot(rows, columns)
    max_length = _MAX_BAND_WIDTH * math.hypot(height, width)

    rows_beyond = _half_rounded_away_from_zero(rows)
    columns_beyond = _half_rounded_away_from_zero(columns)
    length_beyond = np.hypot(rows_beyond, columns_beyond)
    rise_beyond = _rise_beyond(bands.near, rows_beyond, columns_beyond, lattice)
    length_ratio = np.maximum(length_beyond, 1) / np.maximum(length, 1)
    flattens_beyond_near = rise_beyond < _MAX_SLOPE_BEYOND * step * length_ratio
    return (step > min_step) & (length <= max_length) & flattens_beyond_near


def _rise_beyond(
    points: PointIndices, rows: PointIndices, columns: PointIndices, lattice: Lattice
) -> Float32[np.ndarray, "n"]:
    """Rise of 1/depth from each point to the one that is some rows and columns away.

    It is 0 if that one lies outside of the lattice, or has no depth.
    """
    height, width = lattice.valid.shape
    row, column = np.divmod(points, width)
    row, column = row + rows, column + columns
    is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    point_beyond = np.where(is_inside, row * width + column, points)
    depth = lattice.depth.reshape(-1)
    has_depth = lattice.valid.reshape(-1)[point_beyond]
    return np.where(has_depth, 1 / depth[point_beyond] - 1 / depth[points], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SteepestNeighbours:
    """Neighbour of each point to which 1/depth rises (or falls) most.

    Attributes:
        points: Flat indices of these neighbours; that of the point itself if it has none.
        rises: Size of the rise (or fall) of 1/depth to them; 0 if there is none.
    """

    points: Int32[np.ndarray, "n"]
    rises: Float32[np.ndarray, "n"]

    @classmethod
    def without_any(cls, point_count: int) -> "_SteepestNeighbours":
        """No neighbours yet."""
        points = np.arange(point_count, dtype=np.int32)
        return cls(points=points, rises=np.zeros(point_count, np.float32))

    def add(self, source: PointIndices, target: PointIndices, rise: np.ndarray) -> None:
        """Make each ``target`` the neighbour of its ``source`` if it is the steepest yet.

        This changes the arrays. A source must not occur twice in one call.
        """
        is_steeper = rise > self.rises[source]
        self.rises[source[is_steeper]] = rise[is_steeper]
        self.points[source[is_steeper]] = target[is_steeper]

    def ends_of_paths(self, starts: PointIndices) -> PointIndices:
        """Points to which the steepest paths from some points lead.

        It is pointer doubling: after k rounds, each start points to the point that is 2^k steps
        along its path.
        """
        points_ahead = self.points.copy()
        for _ in range(_DOUBLINGS):
            points_ahead[starts] = points_ahead[points_ahead[starts]]
        return points_ahead[starts]


def _find_bands(lattice: Lattice, min_step: float) -> _Bands:
    """Follow the steepest path of 1/depth from each point to the near and far end of its band."""
    point_count, width = lattice.valid.size, lattice.valid.shape[1]
    nearer = _SteepestNeighbours.without_any(point_count)
    farther = _SteepestNeighbours.without_any(point_count)
    band_points = []
    edges = find_edge_steps(lattice, _MIN_BAND_STEP_FRACTION * min_step)
    for axis, rise_to_next in edges.steps_by_axis():
        row, column = np.nonzero(rise_to_next)
        rise = rise_to_next[row, column]
        point = row * width + column
        next_point = point + (width if axis == 0 else 1)
        nearer.add(point, next_point, rise)
        nearer.add(next_point, point, -rise)
        # 1/depth falls towards farther points.
        farther.add(point, next_point, -rise)
        farther.add(next_point, point, rise)
        band_points += [point, next_point]
    points = np.unique(np.concatenate(band_points))
    return _Bands(
        points=points, near=nearer.ends_of_paths(points), far=farther.ends_of_paths(points)
    )


def _is_beside_hole(valid: Mask) -> Mask:
    """Mask of the points next to an invalid one, along rows or columns."""
    is_beside_hole = np.zeros(valid.shape, bool)
    is_beside_hole[1:] |= ~valid[:-1]
    is_beside_hole[:-1] |= ~valid[1:]
    is_beside_hole[:, 1:] |= ~valid[:, :-1]
    is_beside_hole[:, :-1] |= ~valid[:, 1:]
    return is_beside_hole


def _half_rounded_away_from_zero(length: PointIndices) -> PointIndices:
    return np.sign(length) * ((abs(length) + 1) // 2)
