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
_DOWN = 16
"""How much more the layer may change down than across. Surfaces are turned to the side above all,
and floors change much from row to row."""
_TOLERANCE = np.float32(1.05)
"""Ratio of 1/depth to that of the layer up to which a point belongs to the layer."""
_MIN_REACH = 2
"""Fewest points on both sides of an edge that the layer covers, because rims are smoothed."""
_DIAGONAL = np.float32(math.sqrt(2))
"""Steps along rows and columns in a step along a diagonal."""
_CLEARANCE = 4
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

        ``colours`` are those of the lattice's points.
        """
        is_source = self.has_clear_colour if self.has_clear_colour.any() else self.lattice.valid
        count = _sum_coarse_blocks(is_source[..., None].astype(np.float32))
        total = _sum_coarse_blocks(np.where(is_source[..., None], colours, np.float32(0)))
        means = np.moveaxis(total / np.maximum(count, 1), 2, 0)
        soft = extend_smoothly(means, count[..., 0] > 0)
        return np.ascontiguousarray(np.moveaxis(np.rint(soft), 0, 2)).astype(np.uint8)


def layer_behind_edges(
    lattice: Lattice, reach: int, min_edge_step: float, min_ratio: float = 1.0
) -> Backing | None:
    """Make the layer behind the edges of a surface.

    Args:
        lattice: Points of the surface.
        reach: Most points by which the layer continues behind edges.
        min_edge_step: Least step of 1/depth at an edge.
        min_ratio: Least ratio of the layer's depth to that of the surface.

    Returns:
        The layer, or None if the surface has no edge.
    """
    edges = find_edge_steps(lattice, min_edge_step)
    far_steps, near_steps = (_largest_steps(edges, is_far=is_far) for is_far in (True, False))
    if not far_steps.any():
        return None
    steps_to_near = _steps_to_closest(near_steps > 0)
    is_on_far_side = lattice.valid & (_steps_to_closest(far_steps > 0) <= steps_to_near)

    # In the farthest allowed view, a point appears moved by this many points per unit of 1/depth.
    median_depth = float(np.median(lattice.depth[lattice.valid]))
    parallax = lattice.camera.focal / lattice.rows.step * _MAX_VIEW_SINE * median_depth
    inverse_depth = 1 / lattice.depth
    sheet = _sheet_behind(inverse_depth, lattice.valid, is_on_far_side, parallax)
    # What lies before the continued far sides is no far side, as a face behind glasses.
    is_on_far_side &= inverse_depth <= _TOLERANCE * sheet
    sheet = _sheet_behind(inverse_depth, lattice.valid, is_on_far_side, parallax)
    depth = np.maximum(1 / _farthest_around(sheet), np.float32(min_ratio) * lattice.depth)

    # Distances are counted along rows and columns, so a diagonal one counts more.
    edge_reach = np.minimum(
        _DIAGONAL * parallax * near_steps + _MIN_REACH, np.float32(max(reach, _MIN_REACH))
    )
    missing_reach = np.where(near_steps > 0, -edge_reach, np.float32(np.inf))
    is_hidden = ~is_on_far_side & (_limit_slope(missing_reach, (1, 1)) < 0)
    return Backing(
        lattice=replace(lattice.with_depth(depth, lattice.valid), normals=None),
        is_seen=lattice.valid & (is_hidden | (steps_to_near <= _MIN_REACH)),
        has_clear_colour=_without_border(is_on_far_side & (steps_to_near > _CLEARANCE), _CLEARANCE),
    )


def _sheet_behind(
    inverse_depth: Field, valid: Mask, is_on_far_side: Mask, parallax: float
) -> Field:
    """1/depth of the far sides, continued smoothly, and nowhere nearer than the surface.

    If 1/depth changed faster from point to point, turned views would show the sheet from behind, or
    before a surface beside it.
    """
    extended = extend_smoothly(inverse_depth[None], is_on_far_side)[0]
    farthest = np.where(valid, np.minimum(extended, inverse_depth), extended)
    return _limit_slope(farthest, (_DOWN / parallax, 1 / parallax))


def _farthest_around(inverse_depth: Field) -> Field:
    """Least 1/depth up to half a coarse step above and below, and a whole one beside each point.

    So the layer's coarse triangles lie nowhere before the points between their corners.
    """
    for axis, shifts in enumerate(((1, 2), (1, 2, 3))):
        lines = np.moveaxis(inverse_depth, axis, 0)
        for shift in shifts:
            least = lines.copy()
            np.minimum(least[shift:], lines[:-shift], out=least[shift:])
            np.minimum(least[:-shift], lines[shift:], out=least[:-shift])
            lines = least
        inverse_depth = np.moveaxis(lines, 0, axis)
    return inverse_depth


def _largest_steps(edges: Edges, *, is_far: bool) -> Field:
    """Largest step of 1/depth at the edges of which each point is the far side, or the near one.

    It is 0 for points beside no edge.
    """
    sign = np.float32(-1 if is_far else 1)
    height, width = edges.below.shape[0] + 1, edges.below.shape[1]
    largest = np.zeros((height, width), np.float32)
    for axis, change in edges.steps_by_axis():
        step = np.moveaxis(sign * change, axis, 0)
        largest_along_axis = np.moveaxis(largest, axis, 0)  # A view.
        np.maximum(largest_along_axis[1:], step, out=largest_along_axis[1:])
        np.maximum(largest_along_axis[:-1], -step, out=largest_along_axis[:-1])
    return largest


def _without_border(mask: Mask, width: int) -> Mask:
    """Mask without the points up to ``width`` from its border."""
    inner = tuple(slice(width, length - width) for length in mask.shape)
    trimmed = np.zeros_like(mask)
    trimmed[inner] = mask[inner]
    return trimmed


def _steps_to_closest(points: Mask) -> Field:
    """Steps along rows and columns from each point to the closest of a mask."""
    distance = np.where(points, np.float32(0), np.float32(np.inf))
    return _limit_slope(distance, (1, 1))


def _sum_coarse_blocks(values: np.ndarray) -> np.ndarray:
    """Sum blocks of ``COARSE_STEP`` rows and columns; the last ones may be smaller."""
    rows = np.add.reduceat(values, range(0, values.shape[0], COARSE_STEP), axis=0)
    return np.add.reduceat(rows, range(0, values.shape[1], COARSE_STEP), axis=1)


def _limit_slope(field: Field, steps: tuple[float, float]) -> Field:
    """Largest field below another one that changes by at most ``steps`` per point down and across.

    Its value at x is the minimum of field(y) + step * |x - y|. Along each axis, that is a running
    minimum of field - ramp forwards, and then of field + ramp backwards.
    """
    for axis, step in enumerate(steps):
        ramp = (np.arange(field.shape[axis], dtype=np.float32) * np.float32(step))[:, None]
        lines = np.ascontiguousarray(np.moveaxis(field, axis, 0)) - ramp
        _running_minimum(lines)
        lines += 2 * ramp
        _running_minimum(lines[::-1])
        field = np.moveaxis(lines - ramp, 0, axis)
    return field


def _running_minimum(lines: Field) -> None:
    """Give each row the minimum of all before it, in place; a third of ``accumulate``'s time."""
    for previous, line in pairwise(lines):
        np.minimum(previous, line, out=line)
