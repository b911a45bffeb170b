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

_LEANING = 10.0
"""Least angle [degrees] of layer and rays."""
_FARTHEST = math.sin(math.radians(20))
"""Sine of the turn of views about the median depth."""
_CLOSER = 16
"""Slope by which far sides come nearer, in the layer's: the closer of two goes on."""
_RIM = 2
"""Number of points beside an edge that the layer covers at least, since rims are smooth."""
_ASLANT = math.sqrt(2)
"""Steps along rows and columns in a step aslant."""
_CLEAR = 4
"""Points beside an edge whose colours may be the other side's, and of a photograph's frame."""
_DEEP = 0.25
"""Depth of colours beyond an edge for that behind it; less looks drawn out, more mirrored."""
ALIKE = math.log(1.25)
"""Largest log depth difference of points with the colours of one another."""
_SAME = 1e-4
"""Relative step of depth of layer and surface that counts as none."""
_UNIT = 1e-5
"""Resolution of levels."""
_LOWEST = 2.0**33
"""Units below the farthest level where far sides are equal."""
_BITS = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Layer behind the edges of a lattice.

    Attributes:
        grown: Points behind the surface.
        reached: Points seen through an edge from beside.
        margin: Points beyond the border.
        surface: Depth of the surface.
        begin: Far point whose surface each continues.
        own: Points with colours of their own.
        clear: Points whose colours others have.
        closest: The closest of them.
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
        """Points whose colours these points take, clear of what is near and of the border.

        Behind the surface they lie beyond the edge at which the layer begins, a share as deep as
        the others behind it; where another thing is there, they are the closest.
        """
        width = self.grown.shape[1]
        is_grown = self.grown.reshape(-1)[points]
        start = np.where(is_grown, self.begin.reshape(-1)[points], points)
        places, begin = (np.stack(np.divmod(indices, width)) for indices in (points, start))
        away = begin - places
        straight = np.rint(away * (_CLEAR / np.maximum(abs(away).max(axis=0), 1))).astype(int)
        closest = np.stack(np.divmod(self.closest.reshape(-1)[start], width)) - begin
        sources, is_clear = start, self.clear.reshape(-1)
        for further in (straight, closest, closest + np.rint(_DEEP * away).astype(int)):
            there = self._surface_continues(begin, further)
            end = np.where(there, start + further[0] * width + further[1], start)
            there &= is_clear[end] | (further is straight)
            sources = np.where(there, end, sources)
        return np.where(self.own.reshape(-1)[points], points, sources)

    def _surface_continues(self, start: Numbers, away: Numbers) -> Mask:
        """Whether a surface goes on from some places to others."""
        row, column = end = start + away
        height, width = self.grown.shape
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row, column = np.where(inside, end, start)
        steepest = 2 * max(_largest_level_steps(self.lattice)) * (abs(away).sum(axis=0) + _RIM)
        change = abs(np.log(self.surface[row, column] / self.surface[tuple(start)]))
        return inside & self.lattice.valid[row, column] & (change < np.minimum(steepest, ALIKE))


def layer_behind_edges(
    lattice: Lattice, reach: int, least: float, margin: int = 0
) -> Backing | None:
    """Layer ``reach`` points behind edges, steps of ``least`` in 1/depth; None without one.

    The last ``margin`` points on each side are beyond the photograph.
    """
    edges = find_edge_steps(lattice, least)
    far = _edge_sides(edges, -1)
    if not far.any():
        return None
    pivot = float(np.median(lattice.depth[lattice.valid]))
    bend = np.float32(pivot * _FARTHEST / math.tan(math.radians(_LEANING)))
    levels = _levels_of_depth(lattice.depth, bend)
    slopes = _largest_level_steps(lattice)
    closer = _far_side_points(far, levels, (_CLOSER * slopes[0], _CLOSER * slopes[1]))
    farthest = -_limit_slope(-levels.reshape(-1)[closer], np.array(slopes, np.float32))
    grown = lattice.valid & (farthest > levels + np.float32(_SAME))
    depth = np.where(grown, _depth_of_levels(farthest, bend), lattice.depth)
    # Points by which the farthest view moves what is in front of the layer.
    pull = lattice.camera.focal / lattice.rows.step * _FARTHEST
    moved = np.float32(pull * pivot) * (1 / lattice.depth - 1 / depth)
    border = np.concatenate([moved[0], moved[-1], moved[:, 0], moved[:, -1]])
    away, is_far = (
        _steps_to_closest(far),
        lattice.valid & (_steps_to_closest(_edge_sides(edges, 1)) > _CLEAR),
    )
    inner = tuple(slice(margin + _CLEAR, n - margin - _CLEAR) for n in grown.shape)
    clear = np.zeros_like(is_far)
    clear[inner] = is_far[inner]
    return Backing(
        lattice=replace(lattice.with_depth(depth, lattice.valid), normals=None),
        grown=grown,
        reached=lattice.valid & (away <= np.minimum(_ASLANT * moved + _RIM, max(reach, _RIM))),
        margin=min(float(border.max()), reach),
        surface=lattice.depth,
        begin=_far_side_points(far, levels, slopes),
        own=is_far & ~grown,
        clear=clear,
        closest=_closest_point_indices(clear),
    )


def _edge_sides(edges: Edges, way: int) -> Mask:
    """Points on the far sides of edges, or with 1 for ``way`` on the near ones."""
    height, width = edges.below.shape[0] + 1, edges.below.shape[1]
    sides = np.zeros((height, width), bool)
    for axis, change in edges.steps_by_axis():
        line, chosen = np.moveaxis(way * change, axis, 0), np.moveaxis(sides, axis, 0)
        chosen[1:] |= line > 0
        chosen[:-1] |= line < 0
    return sides


def _steps_to_closest(points: Mask) -> Field:
    """Points between each place and the closest of a mask."""
    return _limit_slope(np.where(points, np.float32(0), np.float32(np.inf)), np.ones(2, np.float32))


def _closest_point_indices(points: Mask) -> Grid:
    """Flat index of the closest point; without any, its own."""
    every = np.arange(points.size).reshape(points.shape)
    if not points.any():
        return every
    keys = np.where(points, every, np.int64(1) << 62)
    return _limit_slope(keys, np.array([1 << _BITS] * 2)) & ((1 << _BITS) - 1)


def _levels_of_depth(depth: Field, bend: np.float32) -> Field:
    """Levels of depth with limited steps; linear in 1/depth before ``bend``, so nothing folds."""
    ratio = bend / depth
    return np.where(ratio < 1, -np.log(ratio), 1 - ratio)


def _depth_of_levels(levels: Field, bend: np.float32) -> Field:
    return bend * np.where(levels > 0, np.exp(levels), 1 / (1 - np.minimum(levels, 0)))


def _largest_level_steps(lattice: Lattice) -> tuple[float, float]:
    """Largest change of level a point down and across."""
    lengths = (lattice.camera.focal_y, lattice.camera.focal)
    lean = math.tan(math.radians(_LEANING))
    down, across = (min(1.0, lattice.rows.step / (focal * lean)) for focal in lengths)
    return down, across


def _far_side_points(far: Mask, levels: Field, slopes: tuple[float, float]) -> Grid:
    """Flat index of the far side behind each point."""
    number, last = np.flatnonzero(far), float(levels[far].max())
    keys = np.full(far.shape, np.int64(1) << 62)
    below = np.rint(((last - levels[far].astype(np.float64)) / _UNIT).clip(max=_LOWEST))
    keys.reshape(-1)[number] = (below.astype(np.int64) << _BITS) | number
    steps = np.array([round(slope / _UNIT) << _BITS for slope in slopes])
    return _limit_slope(keys, steps) & ((1 << _BITS) - 1)


def _limit_slope(field: Shaped[np.ndarray, "h w"], steps: np.ndarray) -> Shaped[np.ndarray, "h w"]:
    """Largest field below another with limited steps."""
    for axis, step in enumerate(steps):
        ramp = (np.arange(field.shape[axis], dtype=field.dtype) * step)[:, None]
        line = np.ascontiguousarray(np.moveaxis(field, axis, 0)) - ramp
        _running_minimum(line)
        line += 2 * ramp
        _running_minimum(line[::-1])
        field = np.moveaxis(line - ramp, 0, axis)
    return field


def _running_minimum(lines: Shaped[np.ndarray, "h w"]) -> None:
    """Give each row the minimum of all before it, in place; a third of ``accumulate``'s time."""
    for before, line in pairwise(lines):
        np.minimum(before, line, out=line)
