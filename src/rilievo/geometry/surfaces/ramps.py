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
    bands = _find_bands(lattice, min_step)
    bands = bands.select(_is_blurred_edge(bands, lattice, min_step))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _SteepestNeighbours:
    """Neighbour of each point to which 1/depth rises most; the point itself if it has none.

    Attributes:
        points: Flat indices of these neighbours.
        rises: Rise of 1/depth to them; 0 if there is none.
    """

    points: Int32[np.ndarray, "n"]
    rises: Float32[np.ndarray, "n"]

    @classmethod
    def without_any(cls, point_count: int) -> "_SteepestNeighbours":
        """No neighbours yet."""
        points = np.arange(point_count, dtype=np.int32)
        return cls(points=points, rises=np.zeros(point_count, np.float32))

    def add(self, source: PointIndices, target: PointIndices, rise: np.ndarray) -> None:
        """Make ``target`` the neighbour of ``source`` where it is the steepest yet, in place."""
        is_steeper = rise > self.rises[source]
        self.rises[source[is_steeper]] = rise[is_steeper]
        self.points[source[is_steeper]] = target[is_steeper]

    def ends_of_paths(self, starts: PointIndices) -> PointIndices:
        """Points to which the steepest paths from some points lead.

        By pointer doubling: after k rounds, each start points to what is 2^k steps along its path.
        """
        for _ in range(_DOUBLINGS):
            self.points[starts] = self.points[self.points[starts]]
        return self.points[starts]


def _find_bands(lattice: Lattice, min_step: float) -> _Bands:
    """Follow the steepest path of 1/depth from each point to the near and far end of its band."""
    size, width = lattice.valid.size, lattice.valid.shape[1]
    nearer = _SteepestNeighbours.without_any(size)
    farther = _SteepestNeighbours.without_any(size)
    band_points = []
    edges = find_edge_steps(lattice, _MIN_BAND_STEP_FRACTION * min_step)
    for axis, inverse_depth_steps in edges.steps_by_axis():
        steps = np.flatnonzero(inverse_depth_steps)
        rise = inverse_depth_steps.reshape(-1)[steps]
        # Steps to the next column are one column fewer than the points.
        row, column = np.divmod(steps, inverse_depth_steps.shape[1])
        first = row * width + column
        second = first + (width if axis == 0 else 1)
        nearer.add(first, second, rise)
        farther.add(first, second, -rise)
        nearer.add(second, first, -rise)
        farther.add(second, first, rise)
        band_points += [first, second]
    points = np.unique(np.concatenate(band_points))
    return _Bands(
        points=points, near=nearer.ends_of_paths(points), far=farther.ends_of_paths(points)
    )


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
