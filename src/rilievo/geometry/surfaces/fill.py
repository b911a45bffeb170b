"""Triangles in the tears of a surface and behind its edges."""

import math
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Int, Mask
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.backing import ALIKE, Backing, layer_behind_edges
from rilievo.geometry.surfaces.flat import Merged
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Triangles,
    Vertices,
    cell_corners,
    corner_indices,
    triangulate_cells,
)
from rilievo.geometry.surfaces.ramps import Numbers

_UNCUT = Cut(grazing=0.0, jump=1e9)
_COARSE = 6
"""Step between points behind the surface."""
_SEAM = 3 * _COARSE
"""Points between the sources of a triangle from which they are not of one place."""
_BEYOND = 1 / 8
"""Largest margin, as a share of the width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Triangles in a lattice's tears and behind its edges.

    Attributes:
        margin: Points beyond each border.
        grown: Points behind the surface, or at unmoved rims.
        triangles: Rows of ``corners``.
        corners: Points, with ``normals``; twice where two triangles differ in colour.
        sources: Points of their colours.
    """

    lattice: Lattice
    margin: int
    grown: Mask
    triangles: Triangles
    corners: Numbers
    normals: Vertices
    sources: Numbers


def fill_tears(lattice: Lattice, faces: Faces, *, least: float, reach: int) -> Fill:
    """Fill tears; ``least`` is an edge's step of 1/depth, ``reach`` the points behind it."""
    torn = np.logical_not(np.logical_and(*faces.drawn_masks))
    layer, margin = layer_behind_edges(lattice, reach - _COARSE, least), 0
    if layer is not None and layer.margin > 0 and isinstance(lattice.camera.lens, Pinhole):
        most = _BEYOND * lattice.valid.shape[1]
        margin = _COARSE * math.ceil(min(layer.margin, most) / _COARSE)
        layer = layer_behind_edges(lattice.with_margin(margin), reach - _COARSE, least, margin)
        torn = np.pad(torn, margin)
    if layer is None:
        triangles, grown = _cell_triangles(lattice, torn), np.zeros(lattice.valid.shape, bool)
    else:
        lattice, large = layer.lattice, _coarse_triangles(layer)
        # A point of a rim moves, and large triangles end where it was.
        rim = _corner_mask(torn)
        grown = layer.grown | (rim & _corner_mask(large.cells))
        # A smooth rim lies up to half a cell inside of the cells that are torn (``contour``).
        beside = _cells_touching(rim) & _cells_touching(grown)
        open_cells = (torn | beside) & ~large.cells
        triangles = np.concatenate([_cell_triangles(lattice, open_cells), large.triangles])
    corners, places = np.unique(triangles, return_inverse=True)
    points, places = lattice.points.reshape(3, -1).T[corners], places.reshape(triangles.shape)
    normals, sources = _point_normals(points, places), corners
    if layer is not None:
        sources = _mirror_inside(layer.sources(corners), layer, margin)
        one, sources, places = _collapse_seams(places, sources, grown.reshape(-1)[corners], lattice)
        corners, normals = corners[one], normals[one]
    return Fill(
        lattice=lattice,
        margin=margin,
        grown=grown,
        triangles=places,
        corners=corners,
        normals=normals,
        sources=sources,
    )


def _collapse_seams(
    triangles: Triangles, sources: Numbers, grown: Bool[np.ndarray, "n"], lattice: Lattice
) -> tuple[Numbers, Numbers, Triangles]:
    """Points of triangles, their sources, and triangles with one source where three are far apart.

    Between places of the far surface lies what stands before it.
    """
    spread = [
        np.ptp(axis[triangles], axis=1) for axis in np.divmod(sources, lattice.valid.shape[1])
    ]
    seams = (np.maximum(*spread) > _SEAM) & grown[triangles].all(axis=1)
    three = sources[triangles]
    three[seams] = three[seams, :1]
    pairs, places = np.unique(triangles * np.int64(lattice.valid.size) + three, return_inverse=True)
    points, sources = np.divmod(pairs, lattice.valid.size)
    return points, sources, places.reshape(triangles.shape).astype(np.int32)


def _corner_mask(cells: Mask) -> Mask:
    points = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), bool)
    for corner in cell_corners(points):
        corner |= cells
    return points


def _cells_touching(points: Mask) -> Mask:
    return np.logical_or.reduce(cell_corners(points))


def _mirror_inside(points: Numbers, layer: Backing, margin: int) -> Numbers:
    """Flat indices mirrored at the border, or clamped to it."""
    closest, mirrored = [], []
    for place, length in zip(
        np.divmod(points, layer.grown.shape[1]), layer.grown.shape, strict=True
    ):
        nearest = place.clip(margin, length - 1 - margin)
        closest.append(nearest)
        mirrored.append((2 * nearest - place).clip(margin, length - 1 - margin))
    at, mirror = (row * layer.grown.shape[1] + column for row, column in (closest, mirrored))
    depth, there = layer.surface.reshape(-1), layer.lattice.valid.reshape(-1)
    alike = there[mirror] & (abs(np.log(depth[mirror] / depth[at])) < ALIKE)
    return np.where(alike, mirror, at)


def _cell_triangles(lattice: Lattice, cells: Mask) -> Triangles:
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


def _coarse_triangles(layer: Backing) -> Merged:
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
    drawn = drawn & whole & np.logical_and.reduce(cell_corners(small.valid))
    cells = drawn
    for axis, line in enumerate(lines):
        cells = cells.repeat(np.diff(line), axis=axis)
    row, column = np.divmod(corner_indices(triangulate_cells(small, _UNCUT), ~drawn), len(lines[1]))
    triangles = lines[0][row] * layer.grown.shape[1] + lines[1][column]
    return Merged(cells=cells, triangles=triangles.astype(np.int32))


def _point_normals(points: Vertices, triangles: Int[np.ndarray, "m 3"]) -> Vertices:
    a, b, c = (points[corner].astype(np.float64) for corner in triangles.T)
    face, total = np.cross(b - a, c - a), np.zeros((len(points), 3))
    for corner in triangles.T:
        for axis in range(3):
            total[:, axis] += np.bincount(corner, face[:, axis], len(points))
    length = np.sqrt((total * total).sum(axis=1, keepdims=True))
    total = np.where(length > 0, total, -points)
    return (total / np.sqrt((total * total).sum(axis=1, keepdims=True))).astype(np.float32)
