"""Triangles in the tears of a surface and behind its edges."""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Int, Mask, Pixels
from rilievo.geometry.surfaces.backing import COARSE_STEP, Backing, layer_behind_edges
from rilievo.geometry.surfaces.flat import Merged
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Triangles,
    Vertices,
    cell_corners,
    triangle_indices,
    triangulate_cells,
)
from rilievo.geometry.surfaces.ramps import PointIndices

_NO_TEARS = Cut(grazing=0.0, jump=1e9)
"""Limits at which nothing is torn."""
_MIN_DEPTH_RATIO = 1.01
"""Least ratio of the layer's depth to the surface's, so that neither shows through the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Triangles in a lattice's tears, where cells lack a triangle, and behind its edges.

    Attributes:
        tears: Triangles between points of the surface, which the photograph colours.
        behind: Triangles behind edges, which have soft colours. Their points lie behind those of
            the surface.
        soft_picture: Soft colours of the lattice, at a low resolution; None without a photograph.
    """

    tears: "FillTriangles"
    behind: "FillTriangles"
    soft_picture: Pixels | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillTriangles:
    """Triangles between points of a lattice.

    Attributes:
        triangles: Indices of the three corners among ``indices``.
        indices: Flat indices of the corners in the lattice.
        points: Positions of the corners.
        normals: Unit normals of the corners.
    """

    triangles: Triangles
    indices: PointIndices
    points: Vertices
    normals: Vertices


def fill_tears(
    lattice: Lattice,
    faces: Faces,
    *,
    min_edge_step: float,
    reach: int,
    colours: Pixels | None,
) -> Fill:
    """Fill the tears of a surface, and continue far surfaces behind its edges.

    Args:
        lattice: Points of the surface.
        faces: Triangles of the surface.
        min_edge_step: Least step of 1/depth at an edge.
        reach: Points by which far surfaces continue.
        colours: Colours of the points; None without a photograph.
    """
    is_torn = ~np.logical_and(*faces.drawn_masks)
    # Coarse cells are drawn as wholes, so the layer reaches up to a coarse step too far.
    layer = layer_behind_edges(
        lattice,
        max_reach=reach - COARSE_STEP,
        min_edge_step=min_edge_step,
        min_depth_ratio=_MIN_DEPTH_RATIO,
    )
    if layer is None:
        no_triangles = np.empty((0, 3), np.int32)
        return Fill(
            tears=_select_points(_cell_triangles(lattice, is_torn), lattice),
            behind=_select_points(no_triangles, lattice),
            soft_picture=None,
        )

    coarse = _coarse_triangles(layer)
    # The layer shares no point with the surface, so there would be a gap between a coarse cell and
    # the torn cells beside it. The layer covers these as well.
    is_layer = coarse.cells | (is_torn & _grow(coarse.cells))
    # The smooth rim of a near surface may end half a cell beside the torn cells (``contour``), so
    # the layer goes on for one more cell there.
    fine_cells = _grow(is_layer) & _grow(is_torn) & ~coarse.cells
    fine_triangles = _cell_triangles(layer.lattice, fine_cells)
    tears = _cell_triangles(lattice, is_torn & ~is_layer)
    return Fill(
        tears=_select_points(tears, lattice),
        behind=_select_points(np.concatenate([fine_triangles, coarse.triangles]), layer.lattice),
        soft_picture=None if colours is None else layer.soft_picture(colours),
    )


def _select_points(triangles: Triangles, lattice: Lattice) -> FillTriangles:
    """Renumber triangles, so that they are indices among the points that they use."""
    indices, corners = np.unique(triangles, return_inverse=True)
    renumbered = corners.reshape(triangles.shape).astype(np.int32)
    points = lattice.points.reshape(3, -1).T[indices]
    return FillTriangles(
        triangles=renumbered,
        indices=indices,
        points=points,
        normals=_point_normals(points, renumbered),
    )


def _grow(cells: Mask) -> Mask:
    """Mask of some cells, and of all cells that share a corner with one of them."""
    is_corner = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), bool)
    for corner in cell_corners(is_corner):
        corner |= cells
    return np.logical_or.reduce(cell_corners(is_corner))


def _cell_triangles(lattice: Lattice, cells: Mask) -> Triangles:
    """Two triangles for each of these cells, without those that have an invalid corner.

    They are those of ``Faces``, also where the surface is torn.
    """
    row, column = np.nonzero(cells)
    width = lattice.valid.shape[1]
    top_left = row * width + column
    top_right, bottom_left, bottom_right = top_left + 1, top_left + width, top_left + width + 1
    valid, depth = lattice.valid.reshape(-1), lattice.depth.reshape(-1)
    # A cell is split along the diagonal with the smaller step of depth; if a corner is missing,
    # along the diagonal that has both its ends.
    falling_step = abs(depth[top_left] - depth[bottom_right])
    rising_step = abs(depth[top_right] - depth[bottom_left])
    lacks_rising = ~(valid[top_right] & valid[bottom_left])
    has_falling = valid[top_left] & valid[bottom_right]
    is_falling = has_falling & ((falling_step <= rising_step) | lacks_rising)
    left_third = np.where(is_falling, bottom_right, top_right)
    right_third = np.where(is_falling, top_left, bottom_left)
    left = np.stack([top_left, bottom_left, left_third], axis=1)
    right = np.stack([top_right, right_third, bottom_right], axis=1)
    triangles = np.concatenate([left, right]).astype(np.int32)
    return triangles[valid[triangles].all(axis=1)]


def _coarse_triangles(layer: Backing) -> Merged:
    """Triangles of the layer behind a surface, with a coarse step."""
    lattice = layer.lattice
    height, width = lattice.valid.shape
    rows = np.unique([*range(0, height, COARSE_STEP), height - 1])
    columns = np.unique([*range(0, width, COARSE_STEP), width - 1])
    grid = np.ix_(rows, columns)
    coarse = replace(
        lattice,
        points=lattice.points[:, *grid],
        depth=lattice.depth[grid],
        valid=lattice.valid[grid],
        hollow=None,
    )

    # A coarse cell is drawn if any of its points is seen from beside and all are valid. The points
    # of a cell do not include its right and lower border, so these corners are checked as well.
    is_reached = _reduce_cells(np.logical_or, layer.is_seen, rows, columns)
    is_valid = _reduce_cells(np.logical_and, lattice.valid, rows, columns)
    is_drawn = is_reached & is_valid & np.logical_and.reduce(cell_corners(coarse.valid))
    cells = is_drawn.repeat(np.diff(rows), axis=0).repeat(np.diff(columns), axis=1)

    coarse_faces = triangulate_cells(coarse, _NO_TEARS)
    row, column = np.divmod(triangle_indices(coarse_faces, ~is_drawn), len(columns))
    triangles = rows[row] * width + columns[column]
    return Merged(cells=cells, triangles=triangles.astype(np.int32))


def _reduce_cells(
    operation: np.ufunc, mask: Mask, rows: PointIndices, columns: PointIndices
) -> Mask:
    """Reduce the points of each coarse cell; ``rows`` and ``columns`` are the cells' borders."""
    by_row = operation.reduceat(mask, rows[:-1], axis=0)
    return operation.reduceat(by_row, columns[:-1], axis=1)


def _point_normals(points: Vertices, triangles: Int[np.ndarray, "m 3"]) -> Vertices:
    """Area-weighted unit normals of the points; those without area face the camera."""
    a, b, c = (points[corner].astype(np.float64) for corner in triangles.T)
    triangle_normals = np.cross(b - a, c - a)  # As long as twice the area.
    total = np.zeros((len(points), 3))
    for corner in triangles.T:
        for axis in range(3):
            total[:, axis] += np.bincount(corner, triangle_normals[:, axis], len(points))
    length = np.sqrt((total * total).sum(axis=1, keepdims=True))
    total = np.where(length > 0, total, -points)
    return (total / np.sqrt((total * total).sum(axis=1, keepdims=True))).astype(np.float32)
