"""Second layer of a surface, which continues far sides of edges behind near ones.

It is made up, because no camera saw what lies there. The layer is a sheet behind the whole surface,
which continues the far sides of edges, mostly the closest one. Its slope is limited, so that it is
seen well from the camera and from beside, and is nowhere a curtain itself. Its colours are soft
colours of the photograph beyond the edge, clear of its rim and of the photograph's border. The
photograph's own camera sees the layer where the surface is torn.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rilievo.arrays.shapes import Field, Int, Int64, Mask, Shaped
from rilievo.geometry.surfaces.lattice import Edges, Lattice, find_edge_steps
from rilievo.geometry.surfaces.ramps import PointIndices

Grid = Int64[np.ndarray, "h w"]
"""Flat indices of points, or keys that contain them."""

_MIN_ANGLE_TO_RAYS = 10.0
"""Least angle between the layer and its rays [degrees]."""
_MAX_VIEW_SINE = math.sin(math.radians(20))
"""Sine of the largest angle by which views turn about the median depth."""
_COMPETING_SLOPE = 16
"""Slope by which far sides come nearer while they compete, over the layer's. It is steep, so that
of two far sides the one that is closer in the picture continues."""
_MIN_REACH = 2
"""Fewest points beside an edge that the layer covers, because rims are smoothed."""
_DIAGONAL_STEPS = math.sqrt(2)
"""Steps along rows and columns in a step along a diagonal."""
_CLEARANCE = 4
"""Points beside an edge, or the photograph's border, whose colours may be those of both sides."""
_COLOUR_OFFSET_FRACTION = 0.25
"""Distance beyond an edge from which colours are taken, over the distance behind it. Less looks
drawn out, and more looks mirrored."""
MAX_LOG_DEPTH_DIFFERENCE = math.log(1.25)
"""Largest difference of log depth between two points of which one gets the other's colour."""
_MIN_RELATIVE_STEP = 1e-4
"""Least distance of the layer's levels behind the surface."""

_LEVEL_UNIT = 1e-5
"""Resolution of levels in keys."""
_MAX_KEY_LEVEL = 2.0**33
"""Units below the farthest level beyond which far sides count as equal."""
_POINT_BITS = 28
_NO_KEY = np.int64(1) << 62
"""Key that is larger than all keys of points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Layer behind the edges of a lattice.

    Attributes:
        lattice: Points of the layer; those of the surface itself where the layer is not behind it.
        is_behind: Mask of the points behind the surface.
        is_within_reach: Mask of the points that can be seen through an edge from beside.
        margin: Points beyond the border at which the layer can be seen from beside.
        far_side_indices: Flat index of the point on the far side of an edge that each point
            continues.
        has_clear_colour: Mask of the points whose colours others may take.
        closest_clear: Flat index of the closest point with a clear colour to each point.
    """

    lattice: Lattice
    is_behind: Mask
    is_within_reach: Mask
    margin: float
    surface_depth: Field
    far_side_indices: Grid
    keeps_own_colour: Mask
    has_clear_colour: Mask
    closest_clear: Grid

    def colour_sources(self, points: PointIndices) -> PointIndices:
        """Points of the photograph from which the given points take their colours.

        Points in front keep their own colours. A point behind the surface takes the colour of a
        point that is mirrored beyond the edge, at a fraction of its own distance. That point is
        clear of near surfaces and of the photograph's border. If the same surface does not continue
        as far as that, the point takes a colour closer to the edge.
        """
        width = self.is_behind.shape[1]
        is_behind = self.is_behind.reshape(-1)[points]
        far_side = np.where(is_behind, self.far_side_indices.reshape(-1)[points], points)
        far_side_position = _row_and_column(far_side, width)
        away_from_edge = far_side_position - _row_and_column(points, width)
        distance = np.maximum(abs(away_from_edge).max(axis=0), 1)
        to_clearance = np.rint(away_from_edge * (_CLEARANCE / distance)).astype(int)
        closest_clear = self.closest_clear.reshape(-1)[far_side]
        to_closest_clear = _row_and_column(closest_clear, width) - far_side_position
        mirrored = np.rint(_COLOUR_OFFSET_FRACTION * away_from_edge).astype(int)

        # Each candidate on the same surface replaces the one before it, so the best comes last.
        sources = far_side
        is_clear = self.has_clear_colour.reshape(-1)
        for offset, must_be_clear in (
            (to_clearance, False),
            (to_closest_clear, True),
            (to_closest_clear + mirrored, True),
        ):
            is_possible = self._surface_continues(far_side_position, offset)
            candidate = np.where(is_possible, far_side + offset[0] * width + offset[1], far_side)
            if must_be_clear:
                is_possible = is_possible & is_clear[candidate]
            sources = np.where(is_possible, candidate, sources)
        return np.where(self.keeps_own_colour.reshape(-1)[points], points, sources)

    def _surface_continues(
        self, start: Int[np.ndarray, "2 n"], offset: Int[np.ndarray, "2 n"]
    ) -> Mask:
        """Whether the same surface continues from positions (row, column) to those at offsets."""
        end = start + offset
        height, width = self.is_behind.shape
        is_inside = (end >= 0).all(axis=0) & (end[0] < height) & (end[1] < width)
        row, column = np.where(is_inside, end, start)
        step_count = abs(offset).sum(axis=0) + _MIN_REACH
        max_change = 2 * max(_largest_level_steps(self.lattice)) * step_count
        max_change = np.minimum(max_change, MAX_LOG_DEPTH_DIFFERENCE)
        change = abs(np.log(self.surface_depth[row, column] / self.surface_depth[tuple(start)]))
        return is_inside & self.lattice.valid[row, column] & (change < max_change)


def layer_behind_edges(
    lattice: Lattice, reach: int, min_edge_step: float, margin: int = 0
) -> Backing | None:
    """Make the layer behind the edges of a surface.

    Args:
        lattice: Points of the surface.
        reach: Points by which the layer continues behind edges.
        min_edge_step: Least step of 1/depth at an edge.
        margin: Points on each side of the lattice that lie beyond the photograph.

    Returns:
        The layer, or None if the surface has no edge.
    """
    edges = find_edge_steps(lattice, min_edge_step)
    is_far_side = _edge_sides(edges, is_far=True)
    if not is_far_side.any():
        return None
    median_depth = float(np.median(lattice.depth[lattice.valid]))
    log_scale_start = np.float32(
        median_depth * _MAX_VIEW_SINE / math.tan(math.radians(_MIN_ANGLE_TO_RAYS))
    )
    levels = _levels_from_depth(lattice.depth, log_scale_start)
    slopes = _largest_level_steps(lattice)

    layer_levels = _layer_levels(is_far_side, levels, slopes)
    is_behind = lattice.valid & (layer_levels > levels + np.float32(_MIN_RELATIVE_STEP))
    depth = np.where(is_behind, _depth_from_levels(layer_levels, log_scale_start), lattice.depth)

    # Parallax between the surface and the layer: in the farthest allowed view, this many points
    # of the layer appear beside the edge.
    baseline_per_depth = lattice.camera.focal / lattice.rows.step * _MAX_VIEW_SINE
    parallax = np.float32(baseline_per_depth * median_depth) * (1 / lattice.depth - 1 / depth)
    border_parallax = np.concatenate([parallax[0], parallax[-1], parallax[:, 0], parallax[:, -1]])
    # Distances are counted along rows and columns, so a diagonal one counts more.
    max_distance = np.minimum(_DIAGONAL_STEPS * parallax + _MIN_REACH, max(reach, _MIN_REACH))
    is_within_reach = lattice.valid & (_steps_to_closest(is_far_side) <= max_distance)

    steps_to_near_side = _steps_to_closest(_edge_sides(edges, is_far=False))
    is_clear_of_edges = lattice.valid & (steps_to_near_side > _CLEARANCE)
    has_clear_colour = _without_border(is_clear_of_edges, margin + _CLEARANCE)
    return Backing(
        lattice=replace(lattice.with_depth(depth, lattice.valid), normals=None),
        is_behind=is_behind,
        is_within_reach=is_within_reach,
        margin=min(float(border_parallax.max()), reach),
        surface_depth=lattice.depth,
        far_side_indices=_far_side_indices(is_far_side, levels, slopes),
        keeps_own_colour=is_clear_of_edges & ~is_behind,
        has_clear_colour=has_clear_colour,
        closest_clear=_closest_point_indices(has_clear_colour),
    )


def _layer_levels(is_far_side: Mask, levels: Field, slopes: tuple[float, float]) -> Field:
    """Levels of the layer: the sheet of limited slope behind the competing far sides."""
    steep_slopes = (_COMPETING_SLOPE * slopes[0], _COMPETING_SLOPE * slopes[1])
    competing_levels = levels.reshape(-1)[_far_side_indices(is_far_side, levels, steep_slopes)]
    # ``_limit_slope`` gives a field below another. Negated levels make it one that lies behind.
    return -_limit_slope(-competing_levels, np.array(slopes, np.float32))


def _without_border(mask: Mask, width: int) -> Mask:
    """Mask without the points up to ``width`` from its border."""
    inner = tuple(slice(width, length - width) for length in mask.shape)
    trimmed = np.zeros_like(mask)
    trimmed[inner] = mask[inner]
    return trimmed


def _edge_sides(edges: Edges, *, is_far: bool) -> Mask:
    """Mask of the points on the far sides of edges, or on the near ones."""
    sign = -1 if is_far else 1
    height, width = edges.below.shape[0] + 1, edges.below.shape[1]
    is_side = np.zeros((height, width), bool)
    for axis, change in edges.steps_by_axis():
        step = np.moveaxis(sign * change, axis, 0)
        is_side_along_axis = np.moveaxis(is_side, axis, 0)  # A view of the mask.
        is_side_along_axis[1:] |= step > 0
        is_side_along_axis[:-1] |= step < 0
    return is_side


def _steps_to_closest(points: Mask) -> Field:
    """Steps along rows and columns from each point to the closest of a mask."""
    distance = np.where(points, np.float32(0), np.float32(np.inf))
    return _limit_slope(distance, np.ones(2, np.float32))


def _closest_point_indices(points: Mask) -> Grid:
    """Flat index of the closest point of a mask to each; its own if the mask is empty."""
    indices = np.arange(points.size).reshape(points.shape)
    if not points.any():
        return indices
    keys = np.where(points, indices, _NO_KEY)
    return _points_from_keys(_limit_slope(keys, np.array([1 << _POINT_BITS] * 2)))


def _row_and_column(points: PointIndices, width: int) -> Int[np.ndarray, "2 n"]:
    return np.stack(np.divmod(points, width))


def _points_from_keys(keys: Grid) -> Grid:
    return keys & ((1 << _POINT_BITS) - 1)


def _levels_from_depth(depth: Field, log_scale_start: np.float32) -> Field:
    """Levels: a scale of depth that is farther the larger it is, and limits the layer's slope.

    They are log(depth / ``log_scale_start``) beyond that depth, and 1 - ``log_scale_start`` / depth
    before it. So the slope of near points is limited in 1/depth, and nothing folds over in views
    from beside.
    """
    ratio = log_scale_start / depth
    return np.where(ratio < 1, -np.log(ratio), 1 - ratio)


def _depth_from_levels(levels: Field, log_scale_start: np.float32) -> Field:
    return log_scale_start * np.where(levels > 0, np.exp(levels), 1 / (1 - np.minimum(levels, 0)))


def _largest_level_steps(lattice: Lattice) -> tuple[float, float]:
    """Largest change of level from a point to the next, down and across.

    It is that of a surface at the least angle to its rays.
    """
    tangent = math.tan(math.radians(_MIN_ANGLE_TO_RAYS))
    step = lattice.rows.step
    down = min(1.0, step / (lattice.camera.focal_y * tangent))
    across = min(1.0, step / (lattice.camera.focal * tangent))
    return down, across


def _far_side_indices(is_far_side: Mask, levels: Field, slopes: tuple[float, float]) -> Grid:
    """Flat index of the point on the far side of an edge that lies behind each point.

    From each point on a far side, its level is continued with ``slopes`` towards the camera, per
    point down and across. Where several meet, the farthest wins.
    """
    far_points = np.flatnonzero(is_far_side)
    far_levels = levels[is_far_side].astype(np.float64)
    # A key has the quantised distance in front of the farthest level in its high bits, and the
    # point in its low bits. So the minimum of keys is the farthest level, and brings its point.
    units_before_farthest = (float(far_levels.max()) - far_levels) / _LEVEL_UNIT
    high_bits = np.rint(units_before_farthest.clip(max=_MAX_KEY_LEVEL)).astype(np.int64)
    keys = np.full(is_far_side.shape, _NO_KEY)
    keys.reshape(-1)[far_points] = (high_bits << _POINT_BITS) | far_points
    key_steps = np.array([round(slope / _LEVEL_UNIT) << _POINT_BITS for slope in slopes])
    return _points_from_keys(_limit_slope(keys, key_steps))


def _limit_slope(field: Shaped[np.ndarray, "h w"], steps: np.ndarray) -> Shaped[np.ndarray, "h w"]:
    """Largest field below another one that changes by at most ``steps`` per point down and across.

    Its value at x is the minimum of field(y) + step * |x - y|. Along each axis, that is a running
    minimum of field - ramp forwards, and then of field + ramp backwards.
    """
    for axis, step in enumerate(steps):
        ramp = (np.arange(field.shape[axis], dtype=field.dtype) * step)[:, None]
        lines = np.ascontiguousarray(np.moveaxis(field, axis, 0)) - ramp
        _running_minimum(lines)
        lines += 2 * ramp
        _running_minimum(lines[::-1])
        field = np.moveaxis(lines - ramp, 0, axis)
    return field


def _running_minimum(lines: Shaped[np.ndarray, "h w"]) -> None:
    """Give each row the minimum of all before it, in place; a third of ``accumulate``'s time."""
    for previous, line in pairwise(lines):
        np.minimum(previous, line, out=line)
