"""A second layer of a surface, which continues the far side of an edge behind the near side.

It is made up: no camera saw what lies there. The layer is a sheet behind the whole surface. It
goes on from the far sides of edges, mostly from the closest one, comes nearer no faster than a
surface that is well seen from its own camera and from beside (so that it is nowhere a curtain
itself), and has the colours of the photograph mirrored at the edge. The photograph's own camera
sees it where the surface is torn.
"""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.surfaces.lattice import Lattice, Numbers, edges_of
from rilievo.shapes import Field, Int64, Mask, Shaped

Grid = Int64[np.ndarray, "h w"]
"""Whole numbers of the points of a lattice."""

_LEANING = 10.0
"""Least angle [degrees] between the layer and the rays that see it."""
_FARTHEST = math.sin(math.radians(20))
"""Sine of the angle by which views turn about the median depth before they are held."""
_CLOSER = 16
"""Slope by which far sides seem to come nearer with distance, in slopes of the layer: where two
meet behind a thing, the closer one goes on.
"""
_RIM = 2
"""Number of points beside an edge that the layer covers at least, since rims are smooth."""
_SAME = 1e-4
"""Relative step of depth below which a point of the layer is that of the surface."""
_UNIT = 1e-5
"""Resolution of levels of depth."""
_LOWEST = 2.0**33
"""Units below the farthest level beyond which far sides count as equal."""
_BITS = 28
"""Bits of a point's number."""


@frozen
class Backing:
    """The layer behind the edges of a lattice.

    Attributes:
        lattice: Points of the layer, and of the surface where it is not behind that.
        grown: Points of the layer that are behind the surface.
        reached: Points that are seen through an edge in a view from beside.
        margin: Points beyond the border as far as which the layer is seen behind what is near.
        surface: Depth of the surface.
        begin: Number of the point on the far side of an edge whose colours each one continues.
    """

    lattice: Lattice
    grown: Mask
    reached: Mask
    margin: float
    surface: Field
    begin: Grid

    def sources(self, points: Numbers) -> Numbers:
        """Points that have the colours of others: as far beyond the edge as those are behind it.

        Where another surface is there, it is the point at which the layer begins.
        """
        height, width = self.grown.shape
        begin = self.begin.reshape(-1)[points]
        (row, column), (from_row, from_column) = np.divmod(points, width), np.divmod(begin, width)
        down, right = from_row - row, from_column - column
        inside = (row + 2 * down >= 0) & (row + 2 * down < height)
        inside &= (column + 2 * right >= 0) & (column + 2 * right < width)
        mirrored = np.where(inside, begin + down * width + right, begin)
        depth, there = self.surface.reshape(-1), self.lattice.valid.reshape(-1)
        steepest = max(_slopes(self.lattice)) * (abs(down) + abs(right) + _RIM)
        alike = there[mirrored] & (abs(np.log(depth[mirrored] / depth[begin])) < 2 * steepest)
        sources = np.where(alike, mirrored, begin)
        return np.where(self.grown.reshape(-1)[points], sources, points)


def behind_edges(lattice: Lattice, reach: int, least: float) -> Backing | None:
    """Make the layer behind every edge; None without an edge.

    Args:
        lattice: Points of the surface.
        reach: Largest number of points that the layer goes behind the near side.
        least: Least step of 1/depth at an edge.
    """
    far = _far_sides(lattice, least)
    if not far.any():
        return None
    pivot = float(np.median(lattice.depth[lattice.valid]))
    bend = np.float32(pivot * _FARTHEST / math.tan(math.radians(_LEANING)))
    levels = _levels(lattice.depth, bend)
    slopes = _slopes(lattice)
    closer = _begin(far, levels, (_CLOSER * slopes[0], _CLOSER * slopes[1]))
    farthest = -_least(-levels.reshape(-1)[closer], np.array(slopes, np.float32))
    grown = lattice.valid & (farthest > levels + np.float32(_SAME))
    depth = np.where(grown, _depth(farthest, bend), lattice.depth)
    # Points by which the farthest view moves what is in front of the layer.
    pull = lattice.camera.focal / lattice.rows.step * _FARTHEST
    moved = np.float32(pull * pivot) * (1 / lattice.depth - 1 / depth)
    border = np.concatenate([moved[0], moved[-1], moved[:, 0], moved[:, -1]])
    away = _least(np.where(far, np.float32(0), np.float32(np.inf)), np.ones(2, np.float32))
    return Backing(
        lattice=replace(lattice.with_depth(depth, lattice.valid), normals=None),
        grown=grown,
        reached=lattice.valid & (away <= np.minimum(moved + _RIM, max(reach, _RIM))),
        margin=min(float(border.max()), reach),
        surface=lattice.depth,
        begin=_begin(far, levels, slopes),
    )


def _far_sides(lattice: Lattice, least: float) -> Mask:
    """Find points with a neighbour that is nearer by an edge."""
    far = np.zeros(lattice.valid.shape, bool)
    for axis, change in edges_of(lattice, least).lines():
        line, chosen = np.moveaxis(change, axis, 0), np.moveaxis(far, axis, 0)
        chosen[1:] |= line < 0
        chosen[:-1] |= line > 0
    return far


def _levels(depth: Field, bend: np.float32) -> Field:
    """Levels of depth whose steps on the layer are limited.

    They are logarithms relative to a depth ``bend``, and beyond it the layer leans by ``_LEANING``
    at least. Before it they are linear in 1/depth, which is how views move points: there the layer
    does not fold over in the farthest view.
    """
    ratio = bend / depth
    return np.where(ratio < 1, -np.log(ratio), 1 - ratio)


def _depth(levels: Field, bend: np.float32) -> Field:
    """Depth of levels."""
    return bend * np.where(levels > 0, np.exp(levels), 1 / (1 - np.minimum(levels, 0)))


def _slopes(lattice: Lattice) -> tuple[float, float]:
    """Steps of levels on the layer, from row to row and column to column."""
    lengths = (lattice.camera.focal_y, lattice.camera.focal)
    lean = math.tan(math.radians(_LEANING))
    down, across = (min(1.0, lattice.rows.step / (focal * lean)) for focal in lengths)
    return down, across


def _begin(far: Mask, levels: Field, slopes: tuple[float, float]) -> Grid:
    """Find the far side behind each point: the farthest, if each came nearer with distance.

    Depth and the number of its point are the high and the low bits of one whole number.
    """
    number, last = np.flatnonzero(far), float(levels[far].max())
    keys = np.full(far.shape, np.int64(1) << 62)
    below = np.rint(((last - levels[far].astype(np.float64)) / _UNIT).clip(max=_LOWEST))
    keys.reshape(-1)[number] = (below.astype(np.int64) << _BITS) | number
    steps = np.array([round(slope / _UNIT) << _BITS for slope in slopes])
    return _least(keys, steps) & ((1 << _BITS) - 1)


def _least(field: Shaped[np.ndarray, "h w"], steps: np.ndarray) -> Shaped[np.ndarray, "h w"]:
    """Largest field below another that changes by at most a step from row to row, and across."""
    for axis, step in enumerate(steps):
        ramp = (np.arange(field.shape[axis], dtype=field.dtype) * step)[:, None]
        line = np.ascontiguousarray(np.moveaxis(field, axis, 0)) - ramp
        _lower(line)
        line += 2 * ramp
        _lower(line[::-1])
        field = np.moveaxis(line - ramp, 0, axis)
    return field


def _lower(lines: Shaped[np.ndarray, "h w"]) -> None:
    """Lower each line to the least of those before it, which takes a third of ``accumulate``."""
    for before, line in pairwise(lines):
        np.minimum(before, line, out=line)
