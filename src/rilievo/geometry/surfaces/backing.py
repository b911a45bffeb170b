"""Second layer of a surface, which continues far surfaces behind near ones.

It is made up, because no camera saw what lies there. Each point beside an edge belongs to its near
or to its far side. The layer continues 1/depth and the colours of the far sides smoothly over the
near ones, so that a floor or a wall goes on as a plane. It ends where turned views no longer see it
past the edge, and where the scene's own surface begins again. Its slope is limited, so that it is
nowhere a curtain itself. The photograph's own camera sees it where the surface is torn.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rilievo.arrays.shapes import Field, Mask, Pixels
from rilievo.geometry.surfaces.extension import extend_smoothly
from rilievo.geometry.surfaces.lattice import Edges, Lattice, find_edge_steps

_MAX_VIEW_SINE = math.sin(math.radians(45))
"""Sine of the largest angle by which views turn about the median depth."""
_SLOPE_RATIO_DOWN = 16
"""Largest slope of the layer down the columns, over that along the rows. Surfaces are turned to the
side above all, and floors change much from row to row."""
_MAX_INVERSE_DEPTH_RATIO = np.float32(1.05)
"""Largest 1/depth of a point of a far side, over that of the layer that continues the far sides."""
_MIN_REACH = 2
"""Fewest points on both sides of an edge that the layer covers, because rims are smoothed."""
_GRID_STEPS_PER_DIAGONAL = np.float32(math.sqrt(2))
"""Length of a diagonal that is counted in steps along rows and columns, over its true length."""
_MIXED_COLOUR_WIDTH = 4
"""Points beside an edge, or the photograph's border, whose colours may be those of both sides."""
COARSE_STEP = 6
"""Step between the points of the layer in meshes. It is made up, and needs no detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Layer behind the edges of a lattice.

    Attributes:
        lattice: Points of the layer, which are on the surface or behind it.
        is_seen: Mask of the points that can be seen past an edge from beside.
        has_clear_colour: Mask of the points where the photograph shows the layer itself.
    """

    lattice: Lattice
    is_seen: Mask
    has_clear_colour: Mask

    def soft_picture(self, colours: Pixels) -> Pixels:
        """Colours of the layer, with a pixel for ``COARSE_STEP`` points down and across.

        Each pixel is the mean of its points with a clear colour. Pixels without such a point
        continue the colours of the others smoothly. ``colours`` are those of the lattice's points.
        """
        has_colour = self.has_clear_colour if self.has_clear_colour.any() else self.lattice.valid
        has_colour = has_colour[..., None]
        point_counts = _sum_coarse_blocks(has_colour.astype(np.float32))
        colour_sums = _sum_coarse_blocks(np.where(has_colour, colours, np.float32(0)))
        mean_colours = colour_sums / np.maximum(point_counts, 1)
        # ``extend_smoothly`` takes and returns the colour channels as the first axis.
        extended = extend_smoothly(np.moveaxis(mean_colours, 2, 0), point_counts[..., 0] > 0)
        return np.ascontiguousarray(np.moveaxis(np.rint(extended), 0, 2)).astype(np.uint8)


def layer_behind_edges(
    lattice: Lattice, max_reach: int, min_edge_step: float, min_depth_ratio: float = 1.0
) -> Backing | None:
    """Make the layer behind the edges of a surface.

    A point belongs to a far side if the closest edge point is the far one of its edge. The layer
    continues 1/depth of the far sides behind the near sides. It can be seen up to the distance by
    which an edge moves aside in a turned view, which is its step of 1/depth times the parallax.

    Args:
        lattice: Points of the surface.
        max_reach: Most points by which the layer continues behind edges.
        min_edge_step: Least step of 1/depth at an edge.
        min_depth_ratio: Least ratio of the layer's depth to that of the surface.

    Returns:
        The layer, or None if the surface has no edge.
    """
    edges = find_edge_steps(lattice, min_edge_step)
    steps_of_far_points = _largest_steps(edges, is_far=True)
    steps_of_near_points = _largest_steps(edges, is_far=False)
    if not steps_of_far_points.any():
        return None
    distance_to_far = _grid_distance(steps_of_far_points > 0)
    distance_to_near = _grid_distance(steps_of_near_points > 0)
    is_beside_far_point = lattice.valid & (distance_to_far <= distance_to_near)

    parallax = _largest_parallax(lattice)
    is_far_side = _without_near_parts(lattice, is_beside_far_point, parallax)
    layer_inverse_depth = _continue_far_sides(lattice, is_far_side, parallax)
    depth = np.maximum(
        1 / _farthest_around(layer_inverse_depth), np.float32(min_depth_ratio) * lattice.depth
    )

    is_behind_near_side = ~is_far_side & _is_within_reach(steps_of_near_points, parallax, max_reach)
    is_at_edge = distance_to_near <= _MIN_REACH
    has_own_colour = is_far_side & (distance_to_near > _MIXED_COLOUR_WIDTH)
    return Backing(
        lattice=replace(lattice.with_depth(depth, lattice.valid), normals=None),
        is_seen=lattice.valid & (is_behind_near_side | is_at_edge),
        has_clear_colour=_without_border(has_own_colour, _MIXED_COLOUR_WIDTH),
    )


def _largest_parallax(lattice: Lattice) -> float:
    """Points by which a unit of 1/depth moves a point in the view that is turned the farthest.

    Views turn about the median depth. So their camera moves aside by the median depth times the
    sine of the angle, and a point at depth z by focal length * that / z in the picture.
    """
    median_depth = float(np.median(lattice.depth[lattice.valid]))
    return lattice.camera.focal / lattice.rows.step * _MAX_VIEW_SINE * median_depth


def _without_near_parts(lattice: Lattice, is_far_side: Mask, parallax: float) -> Mask:
    """Far sides without the points that lie clearly before the layer that continues all of them.

    Such points are near themselves: for example, the face that is the far side of the edge of a
    pair of glasses is near, compared with the wall behind the head.
    """
    layer_inverse_depth = _continue_far_sides(lattice, is_far_side, parallax)
    return is_far_side & (1 / lattice.depth <= _MAX_INVERSE_DEPTH_RATIO * layer_inverse_depth)


def _continue_far_sides(lattice: Lattice, is_far_side: Mask, parallax: float) -> Field:
    """1/depth of the far sides, continued smoothly, and nowhere nearer than the surface.

    Its slope is limited: if 1/depth changed faster from point to point, turned views would show the
    layer from behind, or before a surface beside it.
    """
    inverse_depth = 1 / lattice.depth
    extended = extend_smoothly(inverse_depth[None], is_far_side)[0]
    farthest = np.where(lattice.valid, np.minimum(extended, inverse_depth), extended)
    return _limit_slope(farthest, max_slopes=(_SLOPE_RATIO_DOWN / parallax, 1 / parallax))


def _is_within_reach(steps_of_near_points: Field, parallax: float, max_reach: int) -> Mask:
    """Whether a turned view may show what lies behind each point, past an edge.

    Args:
        steps_of_near_points: Largest step of 1/depth at each near point of an edge, elsewhere 0.
        parallax: Points by which a unit of 1/depth moves a point in the farthest view.
        max_reach: Limit of the distance from an edge [points].
    """
    # Distances are counted along rows and columns, so diagonal ones are longer than they are.
    reach = np.minimum(
        _GRID_STEPS_PER_DIAGONAL * parallax * steps_of_near_points + _MIN_REACH,
        np.float32(max(max_reach, _MIN_REACH)),
    )
    # For each point, the minimum of the distance from an edge point minus the reach of that point.
    negative_reach = np.where(steps_of_near_points > 0, -reach, np.float32(np.inf))
    return _limit_slope(negative_reach, max_slopes=(1, 1)) < 0


def _farthest_around(inverse_depth: Field) -> Field:
    """Least 1/depth up to half a coarse step above and below, and a whole one beside each point.

    So the layer's coarse triangles lie nowhere before the points between their corners.
    """
    # Minimums over 1 and then 2 points to each side cover 3 points, and with 3 more 6 points.
    least_down = _least_of_shifted(inverse_depth, (1, 2))
    return _least_of_shifted(least_down.T, (1, 2, 3)).T


def _least_of_shifted(field: Field, shifts: tuple[int, ...]) -> Field:
    """Minimum of each point and those ``shift`` rows above and below it; one shift at a time."""
    for shift in shifts:
        least = field.copy()
        np.minimum(least[shift:], field[:-shift], out=least[shift:])
        np.minimum(least[:-shift], field[shift:], out=least[:-shift])
        field = least
    return field


def _largest_steps(edges: Edges, *, is_far: bool) -> Field:
    """Size of the largest edge of which each point is the far end, or the near one.

    It is a step of 1/depth, and 0 for points that are no such end.
    """
    height, width = edges.below.shape[0] + 1, edges.below.shape[1]
    largest = np.zeros((height, width), np.float32)
    for axis, rise_to_next in edges.steps_by_axis():
        rise_to_next = np.moveaxis(rise_to_next, axis, 0)
        # The next point is the far end of an edge at which 1/depth falls, and else the near end.
        step_of_next = -rise_to_next if is_far else rise_to_next
        points = np.moveaxis(largest, axis, 0)  # A view, so what follows changes ``largest``.
        np.maximum(points[1:], step_of_next, out=points[1:])
        np.maximum(points[:-1], -step_of_next, out=points[:-1])
    return largest


def _without_border(mask: Mask, width: int) -> Mask:
    """Mask without the points up to ``width`` from its border."""
    inner = tuple(slice(width, length - width) for length in mask.shape)
    trimmed = np.zeros_like(mask)
    trimmed[inner] = mask[inner]
    return trimmed


def _grid_distance(points: Mask) -> Field:
    """Steps along rows and columns from each point to the closest of a mask."""
    distance = np.where(points, np.float32(0), np.float32(np.inf))
    return _limit_slope(distance, max_slopes=(1, 1))


def _sum_coarse_blocks(values: np.ndarray) -> np.ndarray:
    """Sum blocks of ``COARSE_STEP`` rows and columns; the last ones may be smaller."""
    rows = np.add.reduceat(values, range(0, values.shape[0], COARSE_STEP), axis=0)
    return np.add.reduceat(rows, range(0, values.shape[1], COARSE_STEP), axis=1)


def _limit_slope(field: Field, max_slopes: tuple[float, float]) -> Field:
    """Largest field below another one whose slopes down and across are at most ``max_slopes``.

    It is the distance transform of a sampled function with the L1 distance (Felzenszwalb and
    Huttenlocher, "Distance Transforms of Sampled Functions", 2012): the value at x is the minimum
    of field(y) + slope * |x - y| over all y. The axes follow one after the other. Along each, y
    before x give the running minimum of field - ramp, where the ramp is slope * position, and y
    after x that of field + ramp from the other end.
    """
    for axis, max_slope in enumerate(max_slopes):
        ramp = (np.arange(field.shape[axis], dtype=np.float32) * np.float32(max_slope))[:, None]
        rows = np.ascontiguousarray(np.moveaxis(field, axis, 0)) - ramp
        _take_running_minimum(rows)
        rows += 2 * ramp  # From the minimum - ramp to the minimum + ramp.
        _take_running_minimum(rows[::-1])
        field = np.moveaxis(rows - ramp, 0, axis)
    return field


def _take_running_minimum(rows: Field) -> None:
    """Give each row the minimum of all before it, in place; a third of ``accumulate``'s time."""
    for previous, row in pairwise(rows):
        np.minimum(previous, row, out=row)
