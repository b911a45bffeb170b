"""Triangles where a surface is torn, so that its photograph's camera sees no hole.

A tear shows the layer that ``backing`` makes behind edges. It is coarser than the surface, since no
camera saw what is there. Where a tear is no edge, depth goes on from one side to the other, as the
depth map has it.
"""

import math
from dataclasses import replace

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.backing import Backing, behind_edges
from rilievo.geometry.surfaces.flat import Merged
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Numbers,
    Triangles,
    Vertices,
    corners_of,
    faces_of,
    triangles_of,
)
from rilievo.shapes import Int, Mask

_UNCUT = Cut(grazing=0.0, jump=1e9)
_COARSE = 6
"""Step between the points behind the surface."""
_BEYOND = 1 / 8
"""Largest margin beyond the border, as a share of the width: more would be seen for itself."""
_ALIKE = math.log(1.25)
"""Largest difference of log depth within a surface beside the border."""


@frozen
class Fill:
    """Triangles in a lattice's tears and behind its edges.

    Attributes:
        lattice: Points, those of the surface and those behind it, and a margin around them.
        margin: Number of points beyond each border of the surface.
        grown: Points that are no points of the surface, but behind it, or where rims do not move.
        triangles: Indices of the points in reading order, facing the camera.
        corners: Points that belong to a triangle, in order.
        normals: Unit normals of these.
        sources: Points from which they take their colours.
    """

    lattice: Lattice
    margin: int
    grown: Mask
    triangles: Triangles
    corners: Numbers
    normals: Vertices
    sources: Numbers


def fill_of(lattice: Lattice, faces: Faces, *, least: float, reach: int) -> Fill:
    """Fill the tears of a lattice.

    Args:
        lattice: Points of the surface.
        faces: Triangles of the surface.
        least: Least step of 1/depth at an edge behind which far surfaces go on.
        reach: Largest number of points that the layer goes behind the near side.
    """
    torn = np.logical_not(np.logical_and(*faces.drawn))
    layer, margin = behind_edges(lattice, reach - _COARSE, least), 0
    if layer is not None and layer.margin > 0 and isinstance(lattice.camera.lens, Pinhole):
        most = _BEYOND * lattice.valid.shape[1]
        margin = _COARSE * math.ceil(min(layer.margin, most) / _COARSE)
        layer = behind_edges(lattice.with_margin(margin), reach - _COARSE, least)
        torn = np.pad(torn, margin)
    if layer is None:
        triangles, grown = _across(lattice, torn), np.zeros(lattice.valid.shape, bool)
    else:
        lattice, large = layer.lattice, _large(layer)
        # A point of a rim moves, and large triangles end where it was.
        rim = _corners(torn)
        grown = layer.grown | (rim & _corners(large.cells))
        # A smooth rim lies up to half a cell inside of the cells that are torn (``contour``).
        beside = _beside(rim) & _beside(grown)
        open_cells = (torn | beside) & ~large.cells
        triangles = np.concatenate([_across(lattice, open_cells), large.triangles])
    corners, places = np.unique(triangles, return_inverse=True)
    points = lattice.points.reshape(3, -1).T[corners]
    return Fill(
        lattice=lattice,
        margin=margin,
        grown=grown,
        triangles=triangles,
        corners=corners,
        normals=_normals(points, places.reshape(triangles.shape)),
        sources=corners if layer is None else _inside(layer.sources(corners), layer, margin),
    )


def _corners(cells: Mask) -> Mask:
    """Points at the corners of cells."""
    points = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), bool)
    for corner in corners_of(points):
        corner |= cells
    return points


def _beside(points: Mask) -> Mask:
    """Cells that have one of the points as a corner."""
    return np.logical_or.reduce(corners_of(points))


def _inside(points: Numbers, layer: Backing, margin: int) -> Numbers:
    """Points of the photograph in place of those beyond its border: mirrored at it.

    Where another surface is there, it is the closest point of the border.
    """
    closest, mirrored = [], []
    for place, length in zip(
        np.divmod(points, layer.grown.shape[1]), layer.grown.shape, strict=True
    ):
        nearest = place.clip(margin, length - 1 - margin)
        closest.append(nearest)
        mirrored.append((2 * nearest - place).clip(margin, length - 1 - margin))
    at, mirror = (row * layer.grown.shape[1] + column for row, column in (closest, mirrored))
    depth, there = layer.surface.reshape(-1), layer.lattice.valid.reshape(-1)
    alike = there[mirror] & (abs(np.log(depth[mirror] / depth[at])) < _ALIKE)
    return np.where(alike, mirror, at)


def _across(lattice: Lattice, cells: Mask) -> Triangles:
    """Triangles of some cells, whatever their depth."""
    row, column = np.nonzero(cells)
    width = lattice.valid.shape[1]
    a = row * width + column
    corners = (a, a + 1, a + width, a + width + 1)
    (va, vb, vc, vd), (za, zb, zc, zd) = (
        [field.reshape(-1)[corner] for corner in corners]
        for field in (lattice.valid, lattice.depth)
    )
    a, b, c, d = corners
    falling = va & vd & ((abs(za - zd) <= abs(zb - zc)) | ~(vb & vc))
    first = np.stack([a, c, np.where(falling, d, b)], axis=1)
    second = np.stack([b, np.where(falling, a, c), d], axis=1)
    triangles = np.concatenate([first, second]).astype(np.int32)
    return triangles[lattice.valid.reshape(-1)[triangles].all(axis=1)]


def _large(layer: Backing) -> Merged:
    """Large triangles of the layer, wherever a view from beside may see it."""
    lattice = layer.lattice
    lines = [np.unique([*range(0, n, _COARSE), n - 1]) for n in layer.grown.shape]
    grid = np.ix_(*lines)
    small = replace(
        lattice,
        points=lattice.points[:, *grid],
        depth=lattice.depth[grid],
        valid=lattice.valid[grid],
        hollow=None,
    )
    drawn, whole = layer.reached, lattice.valid
    for axis, starts in enumerate(line[:-1] for line in lines):
        drawn = np.logical_or.reduceat(drawn, starts, axis=axis)
        whole = np.logical_and.reduceat(whole, starts, axis=axis)
    # The last corners of a cell are points of the next ones.
    drawn = drawn & whole & np.logical_and.reduce(corners_of(small.valid))
    cells = drawn
    for axis, line in enumerate(lines):
        cells = cells.repeat(np.diff(line), axis=axis)
    row, column = np.divmod(triangles_of(faces_of(small, _UNCUT), ~drawn), len(lines[1]))
    triangles = lines[0][row] * layer.grown.shape[1] + lines[1][column]
    return Merged(cells=cells, triangles=triangles.astype(np.int32))


def _normals(points: Vertices, triangles: Int[np.ndarray, "m 3"]) -> Vertices:
    """Unit normals of the points, weighted by area."""
    a, b, c = (points[corner].astype(np.float64) for corner in triangles.T)
    face, total = np.cross(b - a, c - a), np.zeros((len(points), 3))
    for corner in triangles.T:
        for axis in range(3):
            total[:, axis] += np.bincount(corner, face[:, axis], len(points))
    length = np.sqrt((total * total).sum(axis=1, keepdims=True))
    total = np.where(length > 0, total, -points)
    return (total / np.sqrt((total * total).sum(axis=1, keepdims=True))).astype(np.float32)
