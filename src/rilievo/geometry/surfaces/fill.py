"""Triangles in the tears of a surface and behind its edges."""

import math
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Int, Mask
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.backing import MAX_LOG_DEPTH_DIFFERENCE, Backing, layer_behind_edges
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
"""Limits at which nothing is torn."""
_COARSE_STEP = 6
"""Step between points behind the surface, which is made up and needs no detail."""
_MIN_SEAM = 3 * _COARSE_STEP
"""Distance between the sources of a triangle's colours from which they are of different places."""
_MAX_MARGIN = 1 / 8
"""Points beyond a border of the photograph [fraction of the width]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Triangles in a lattice's tears and behind its edges.

    Attributes:
        lattice: Lattice of the fill, with the points beyond the borders.
        margin: Points beyond each border of the photograph.
        grown: Mask of the points behind the surface, or where a rim was before it was smoothed.
        triangles: Indices of corners.
        corners: Point of each corner. A point has two corners where triangles differ in colour.
        normals: Normal at each corner.
        sources: Point of the photograph that gives each corner its colour.
    """

    lattice: Lattice
    margin: int
    grown: Mask
    triangles: Triangles
    corners: Numbers
    normals: Vertices
    sources: Numbers


def fill_tears(lattice: Lattice, faces: Faces, *, edge: float, reach: int) -> Fill:
    """Fill the tears of a surface, and go on behind its edges.

    Args:
        lattice: Points of the surface.
        faces: Its triangles.
        edge: Step of 1/depth at an edge.
        reach: Points by which far surfaces go on behind edges.
    """
    is_torn = ~np.logical_and(*faces.drawn_masks)
    margin = 0
    layer = layer_behind_edges(lattice, reach - _COARSE_STEP, edge)
    if layer is not None and layer.margin > 0 and isinstance(lattice.camera.lens, Pinhole):
        max_margin = _MAX_MARGIN * lattice.valid.shape[1]
        margin = _COARSE_STEP * math.ceil(min(layer.margin, max_margin) / _COARSE_STEP)
        wide_lattice = lattice.with_margin(margin)
        layer = layer_behind_edges(wide_lattice, reach - _COARSE_STEP, edge, margin)
        is_torn = np.pad(is_torn, margin)
    if layer is None:
        grown = np.zeros(lattice.valid.shape, bool)
        triangles = _cell_triangles(lattice, is_torn)
    else:
        lattice = layer.lattice
        coarse = _coarse_triangles(layer)
        # A point of a rim moves when it is smoothed, and coarse triangles end where it was.
        rim = _corner_mask(is_torn)
        grown = layer.grown | (rim & _corner_mask(coarse.cells))
        # A smooth rim lies up to half a cell inside of the cells that are torn (``contour``).
        is_beside = _cells_touching(rim) & _cells_touching(grown)
        open_cells = (is_torn | is_beside) & ~coarse.cells
        triangles = np.concatenate([_cell_triangles(lattice, open_cells), coarse.triangles])

    points, corners_of_triangles = np.unique(triangles, return_inverse=True)
    corners_of_triangles = corners_of_triangles.reshape(triangles.shape)
    normals = _point_normals(lattice.points.reshape(3, -1).T[points], corners_of_triangles)
    coloured = _ColouredCorners(
        points=np.arange(len(points)), sources=points, triangles=corners_of_triangles
    )
    if layer is not None:
        sources = _mirror_inside(layer.sources(points), layer, margin)
        is_grown = grown.reshape(-1)[points]
        coloured = _collapse_seams(corners_of_triangles, sources, is_grown, lattice)
    return Fill(
        lattice=lattice,
        margin=margin,
        grown=grown,
        triangles=coloured.triangles,
        corners=points[coloured.points],
        normals=normals[coloured.points],
        sources=coloured.sources,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ColouredCorners:
    """Corners of triangles, each with the source of its colour.

    Attributes:
        points: Point of each corner, as an index of the fill's points.
        sources: Point of the photograph that gives each corner its colour.
        triangles: Indices of corners.
    """

    points: Numbers
    sources: Numbers
    triangles: Triangles


def _collapse_seams(
    triangles: Triangles, sources: Numbers, grown: Bool[np.ndarray, "n"], lattice: Lattice
) -> _ColouredCorners:
    """Give each triangle behind the surface one colour if those of its corners lie far apart.

    Between two places of the far surface the photograph shows what stands before it.

    Args:
        triangles: Indices of points.
        sources: Point of the photograph that gives each point its colour.
        grown: Mask of the points behind the surface.
        lattice: Lattice of the fill.
    """
    rows, columns = np.divmod(sources, lattice.valid.shape[1])
    spread = np.maximum(np.ptp(rows[triangles], axis=1), np.ptp(columns[triangles], axis=1))
    is_seam = (spread > _MIN_SEAM) & grown[triangles].all(axis=1)
    source_of_corner = sources[triangles]
    source_of_corner[is_seam] = source_of_corner[is_seam, :1]

    # One corner for each pair of a point and a source.
    pair_keys = triangles * np.int64(lattice.valid.size) + source_of_corner
    pairs, corners = np.unique(pair_keys, return_inverse=True)
    points, sources = np.divmod(pairs, lattice.valid.size)
    return _ColouredCorners(
        points=points,
        sources=sources,
        triangles=corners.reshape(triangles.shape).astype(np.int32),
    )


def _corner_mask(cells: Mask) -> Mask:
    """Mask of the corners of some cells."""
    points = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), bool)
    for corner in cell_corners(points):
        corner |= cells
    return points


def _cells_touching(points: Mask) -> Mask:
    """Mask of the cells that have one of these points as a corner."""
    return np.logical_or.reduce(cell_corners(points))


def _mirror_inside(points: Numbers, layer: Backing, margin: int) -> Numbers:
    """Replace points beyond the photograph by their mirror images inside.

    If the mirror image shows another surface, the closest point of the border replaces them.
    """
    closest, mirrored = [], []
    for index, length in zip(
        np.divmod(points, layer.grown.shape[1]), layer.grown.shape, strict=True
    ):
        first, last = margin, length - 1 - margin
        nearest = index.clip(first, last)
        closest.append(nearest)
        mirrored.append((2 * nearest - index).clip(first, last))
    width = layer.grown.shape[1]
    closest_point = closest[0] * width + closest[1]
    mirror_point = mirrored[0] * width + mirrored[1]
    depth, is_valid = layer.surface.reshape(-1), layer.lattice.valid.reshape(-1)
    log_ratio = np.log(depth[mirror_point] / depth[closest_point])
    is_same_surface = is_valid[mirror_point] & (abs(log_ratio) < MAX_LOG_DEPTH_DIFFERENCE)
    return np.where(is_same_surface, mirror_point, closest_point)


def _cell_triangles(lattice: Lattice, cells: Mask) -> Triangles:
    """Two triangles for each of these cells, but none with an invalid corner.

    The corners a b / c d and the diagonals are those of ``Faces``.
    """
    row, column = np.nonzero(cells)
    width = lattice.valid.shape[1]
    a = row * width + column
    b, c, d = a + 1, a + width, a + width + 1
    valid, depth = lattice.valid.reshape(-1), lattice.depth.reshape(-1)
    changes_less_along_falling = abs(depth[a] - depth[d]) <= abs(depth[b] - depth[c])
    lacks_rising = ~(valid[b] & valid[c])
    falling = valid[a] & valid[d] & (changes_less_along_falling | lacks_rising)
    first = np.stack([a, c, np.where(falling, d, b)], axis=1)
    second = np.stack([b, np.where(falling, a, c), d], axis=1)
    triangles = np.concatenate([first, second]).astype(np.int32)
    return triangles[valid[triangles].all(axis=1)]


def _coarse_triangles(layer: Backing) -> Merged:
    """Triangles of the layer behind a surface, with a coarse step."""
    lattice = layer.lattice
    height, width = layer.grown.shape
    rows = np.unique([*range(0, height, _COARSE_STEP), height - 1])
    columns = np.unique([*range(0, width, _COARSE_STEP), width - 1])
    grid = np.ix_(rows, columns)
    coarse = replace(
        lattice,
        points=lattice.points[:, *grid],
        depth=lattice.depth[grid],
        valid=lattice.valid[grid],
        hollow=None,
    )

    # A coarse cell is drawn if any of its points is seen from beside and all are valid. The last
    # corners of a cell are points of the next ones.
    is_reached = _reduce_cells(np.logical_or, layer.reached, rows, columns)
    is_valid = _reduce_cells(np.logical_and, lattice.valid, rows, columns)
    is_drawn = is_reached & is_valid & np.logical_and.reduce(cell_corners(coarse.valid))
    cells = is_drawn.repeat(np.diff(rows), axis=0).repeat(np.diff(columns), axis=1)

    coarse_faces = triangulate_cells(coarse, _UNCUT)
    row, column = np.divmod(corner_indices(coarse_faces, ~is_drawn), len(columns))
    triangles = rows[row] * width + columns[column]
    return Merged(cells=cells, triangles=triangles.astype(np.int32))


def _reduce_cells(operation: np.ufunc, mask: Mask, rows: Numbers, columns: Numbers) -> Mask:
    """Reduce the points of each coarse cell, whose first row and column are in the lists."""
    by_row = operation.reduceat(mask, rows[:-1], axis=0)
    return operation.reduceat(by_row, columns[:-1], axis=1)


def _point_normals(points: Vertices, triangles: Int[np.ndarray, "m 3"]) -> Vertices:
    """Area-weighted unit normals of the points; those of no area face the camera."""
    a, b, c = (points[corner].astype(np.float64) for corner in triangles.T)
    triangle_normals = np.cross(b - a, c - a)
    total = np.zeros((len(points), 3))
    for corner in triangles.T:
        for axis in range(3):
            total[:, axis] += np.bincount(corner, triangle_normals[:, axis], len(points))
    length = np.sqrt((total * total).sum(axis=1, keepdims=True))
    total = np.where(length > 0, total, -points)
    return (total / np.sqrt((total * total).sum(axis=1, keepdims=True))).astype(np.float32)
