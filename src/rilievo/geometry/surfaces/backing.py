"""Second layer of a surface, which continues far sides of edges behind near ones.

It is made up: no camera saw what lies there. The layer is a sheet behind the whole surface. It
goes on from the far sides of edges, mostly from the closest one, comes nearer no faster than a
surface that is well seen from its own camera and from beside (so that it is nowhere a curtain
itself), and has soft colours of the photograph beyond the edge, clear of its rim and of the
photograph's border. The photograph's own camera sees it where the surface is torn.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rilievo.arrays.shapes import Field, Int64, Mask, Shaped
from rilievo.geometry.surfaces.lattice import Edges, Lattice, find_edge_steps
from rilievo.geometry.surfaces.ramps import Numbers

Grid = Int64[np.ndarray, "h w"]
"""Flat indices of points, or keys that contain them."""

_MIN_ANGLE_TO_RAYS = 10.0
"""Angle between the layer and its rays [degrees]."""
_MAX_VIEW_SINE = math.sin(math.radians(20))
"""Sine of the angle by which views turn about the median depth."""
_COMPETING_SLOPE = 16
"""Slope by which far sides come nearer while they compete, in units of the layer's. It is steep, so
that of two far sides the one closer in the picture goes on."""
_MIN_REACH = 2
"""Points beside an edge that the layer covers at least, because rims are smoothed."""
_DIAGONAL_STEPS = math.sqrt(2)
"""Steps along rows and columns in a step along a diagonal."""
_CLEARANCE = 4
"""Points beside an edge, or the photograph's border, whose colours may be those of both sides."""
_COLOUR_DEPTH = 0.25
"""Distance beyond an edge from which colours are taken, over the distance behind it. Less looks
drawn out, and more looks mirrored."""
MAX_LOG_DEPTH_DIFFERENCE = math.log(1.25)
"""Difference of log depth up to which a point may have the colours of another."""
_MIN_RELATIVE_STEP = 1e-4
"""Relative distance from the surface from which a point of the layer is behind it."""

# Keys of far sides are integers: a level in the upper bits, and a point in the lower ones.
_LEVEL_UNIT = 1e-5
"""Resolution of levels in keys."""
_MAX_KEY_LEVEL = 2.0**33
"""Units below the farthest level from which far sides are equal."""
_POINT_BITS = 28
_NO_KEY = np.int64(1) << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Layer behind the edges of a lattice.

    Attributes:
        lattice: Points of the layer, which are those of the surface where it does not go on.
        grown: Mask of the points behind the surface.
        reached: Mask of the points that are seen through an edge from beside.
        margin: Points beyond the border at which something is seen from beside.
        surface: Depth of the surface itself.
        begin: Flat index of the far point whose surface each point continues.
        own: Mask of the points that keep their colours.
        clear: Mask of the points whose colours others may take.
        closest: Flat index of the closest of them to each point.
    """

    lattice: Lattice
    grown: Mask
    reached: Mask
    margin: float
    surface: Field
    begin: Grid
    own: Mask
    clear: Mask
    closest: Grid

    def sources(self, points: Numbers) -> Numbers:
        """Points of the photograph from which some points take their colours.

        Points in front keep their own colours. A point behind the surface has those beyond the edge
        at which the layer begins, a fraction as deep as it lies behind the edge, as far as the same
        surface goes on there. They are clear of what is near and of the photograph's border.
        """
        width = self.grown.shape[1]
        is_grown = self.grown.reshape(-1)[points]
        start = np.where(is_grown, self.begin.reshape(-1)[points], points)
        start_place = np.stack(np.divmod(start, width))
        away_from_edge = start_place - np.stack(np.divmod(points, width))
        distance = np.maximum(abs(away_from_edge).max(axis=0), 1)
        just_clear = np.rint(away_from_edge * (_CLEARANCE / distance)).astype(int)
        closest_place = np.stack(np.divmod(self.closest.reshape(-1)[start], width))
        to_closest = closest_place - start_place
        as_deep = to_closest + np.rint(_COLOUR_DEPTH * away_from_edge).astype(int)

        # Later ones are better, where the same surface goes on and colours are clear.
        sources = start
        is_clear = self.clear.reshape(-1)
        for offset, must_be_clear in ((just_clear, False), (to_closest, True), (as_deep, True)):
            is_possible = self._surface_continues(start_place, offset)
            end = np.where(is_possible, start + offset[0] * width + offset[1], start)
            if must_be_clear:
                is_possible &= is_clear[end]
            sources = np.where(is_possible, end, sources)
        return np.where(self.own.reshape(-1)[points], points, sources)

    def _surface_continues(self, start: Numbers, offset: Numbers) -> Mask:
        """Whether the same surface goes on from places (row, column) to others at an offset."""
        row, column = end = start + offset
        height, width = self.grown.shape
        is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row, column = np.where(is_inside, end, start)
        steps = abs(offset).sum(axis=0) + _MIN_REACH
        max_change = 2 * max(_largest_level_steps(self.lattice)) * steps
        max_change = np.minimum(max_change, MAX_LOG_DEPTH_DIFFERENCE)
        change = abs(np.log(self.surface[row, column] / self.surface[tuple(start)]))
        return is_inside & self.lattice.valid[row, column] & (change < max_change)


def layer_behind_edges(
    lattice: Lattice, reach: int, edge: float, margin: int = 0
) -> Backing | None:
    """Make the layer behind the edges of a surface.

    Args:
        lattice: Points of the surface.
        reach: Points by which the layer goes on behind edges.
        edge: Step of 1/depth at an edge.
        margin: Points on each side of the lattice that lie beyond the photograph.

    Returns:
        The layer, or None if the surface has no edge.
    """
    edges = find_edge_steps(lattice, edge)
    far_sides = _edge_sides(edges, is_far=True)
    if not far_sides.any():
        return None
    pivot = float(np.median(lattice.depth[lattice.valid]))
    linear_from = np.float32(pivot * _MAX_VIEW_SINE / math.tan(math.radians(_MIN_ANGLE_TO_RAYS)))
    levels = _levels_of_depth(lattice.depth, linear_from)
    slopes = _largest_level_steps(lattice)
    steep_slopes = (_COMPETING_SLOPE * slopes[0], _COMPETING_SLOPE * slopes[1])

    # The layer is the sheet of limited slope behind the levels of the competing far sides.
    competing = levels.reshape(-1)[_far_side_points(far_sides, levels, steep_slopes)]
    layer_levels = -_limit_slope(-competing, np.array(slopes, np.float32))
    grown = lattice.valid & (layer_levels > levels + np.float32(_MIN_RELATIVE_STEP))
    depth = np.where(grown, _depth_of_levels(layer_levels, linear_from), lattice.depth)

    # Points by which the farthest view moves what is in front of the layer.
    pull = lattice.camera.focal / lattice.rows.step * _MAX_VIEW_SINE
    displacement = np.float32(pull * pivot) * (1 / lattice.depth - 1 / depth)
    at_border = np.concatenate(
        [displacement[0], displacement[-1], displacement[:, 0], displacement[:, -1]]
    )
    max_distance = np.minimum(_DIAGONAL_STEPS * displacement + _MIN_REACH, max(reach, _MIN_REACH))
    is_reached = lattice.valid & (_steps_to_closest(far_sides) <= max_distance)

    steps_to_near_side = _steps_to_closest(_edge_sides(edges, is_far=False))
    has_clear_colour = lattice.valid & (steps_to_near_side > _CLEARANCE)
    border = margin + _CLEARANCE
    inner = tuple(slice(border, length - border) for length in grown.shape)
    clear = np.zeros_like(has_clear_colour)
    clear[inner] = has_clear_colour[inner]
    return Backing(
        lattice=replace(lattice.with_depth(depth, lattice.valid), normals=None),
        grown=grown,
        reached=is_reached,
        margin=min(float(at_border.max()), reach),
        surface=lattice.depth,
        begin=_far_side_points(far_sides, levels, slopes),
        own=has_clear_colour & ~grown,
        clear=clear,
        closest=_closest_point_indices(clear),
    )


def _edge_sides(edges: Edges, *, is_far: bool) -> Mask:
    """Mask of the points on the far sides of edges, or on the near ones."""
    sign = -1 if is_far else 1
    height, width = edges.below.shape[0] + 1, edges.below.shape[1]
    sides = np.zeros((height, width), bool)
    for axis, change in edges.steps_by_axis():
        step = np.moveaxis(sign * change, axis, 0)
        marked = np.moveaxis(sides, axis, 0)
        marked[1:] |= step > 0
        marked[:-1] |= step < 0
    return sides


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
    return _point_of_key(_limit_slope(keys, np.array([1 << _POINT_BITS] * 2)))


def _point_of_key(keys: Grid) -> Grid:
    return keys & ((1 << _POINT_BITS) - 1)


def _levels_of_depth(depth: Field, linear_from: np.float32) -> Field:
    """Levels in which the slope of the layer is limited.

    They are the log of depth beyond ``linear_from``, and linear in 1/depth before it, so that
    nothing folds over when it is seen from beside.
    """
    ratio = linear_from / depth
    return np.where(ratio < 1, -np.log(ratio), 1 - ratio)


def _depth_of_levels(levels: Field, linear_from: np.float32) -> Field:
    return linear_from * np.where(levels > 0, np.exp(levels), 1 / (1 - np.minimum(levels, 0)))


def _largest_level_steps(lattice: Lattice) -> tuple[float, float]:
    """Largest change of level from a point to the next, down and across."""
    slope = math.tan(math.radians(_MIN_ANGLE_TO_RAYS))
    step = lattice.rows.step
    down = min(1.0, step / (lattice.camera.focal_y * slope))
    across = min(1.0, step / (lattice.camera.focal * slope))
    return down, across


def _far_side_points(far_sides: Mask, levels: Field, slopes: tuple[float, float]) -> Grid:
    """Flat index of the far side that lies behind each point.

    It is the one whose level, which comes nearer by these slopes on the way, is the farthest.
    """
    points = np.flatnonzero(far_sides)
    side_levels = levels[far_sides]
    farthest = float(side_levels.max())
    units_below = (farthest - side_levels.astype(np.float64)) / _LEVEL_UNIT
    units_below = np.rint(units_below.clip(max=_MAX_KEY_LEVEL)).astype(np.int64)
    keys = np.full(far_sides.shape, _NO_KEY)
    keys.reshape(-1)[points] = (units_below << _POINT_BITS) | points
    steps = np.array([round(slope / _LEVEL_UNIT) << _POINT_BITS for slope in slopes])
    return _point_of_key(_limit_slope(keys, steps))


def _limit_slope(field: Shaped[np.ndarray, "h w"], steps: np.ndarray) -> Shaped[np.ndarray, "h w"]:
    """Largest field below another whose steps down and across are limited."""
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
    for before, line in pairwise(lines):
        np.minimum(before, line, out=line)
