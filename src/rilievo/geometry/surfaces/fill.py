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
    triangle_indices,
    triangulate_cells,
)
from rilievo.geometry.surfaces.ramps import PointIndices

_NO_TEARS = Cut(grazing=0.0, jump=1e9)
"""Limits at which nothing is torn."""
_COARSE_STEP = 6
"""Step between points of the layer behind the surface, which is made up and needs no detail."""
_MIN_SEAM = 3 * _COARSE_STEP
"""Least distance between the sources of a triangle's colours at a seam [points]."""
_MAX_MARGIN = 1 / 8
"""Most points beyond a border of the photograph [fraction of the width]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Triangles in a lattice's tears, where cells lack a triangle, and behind its edges.

    Attributes:
        lattice: Lattice of the fill, with the points beyond the borders.
        margin_points: Points beyond each border of the photograph.
        is_apart: Mask of the points that share no vertex with the surface: they lie behind it, or
            on a rim, whose points move when it is smoothed.
        triangles: Indices of corners.
        corner_points: Point of each corner. A point has two corners where triangles differ in
            colour.
        normals: Unit normal of each corner.
        colour_sources: Point of the photograph that gives each corner its colour.
    """

    lattice: Lattice
    margin_points: int
    is_apart: Mask
    triangles: Triangles
    corner_points: PointIndices
    normals: Vertices
    colour_sources: PointIndices


def fill_tears(lattice: Lattice, faces: Faces, *, min_edge_step: float, reach: int) -> Fill:
    """Fill the tears of a surface, and continue far surfaces behind its edges.

    ``min_edge_step`` is the least step of 1/depth at an edge. Far surfaces continue by ``reach``
    points.
    """
    is_torn = ~np.logical_and(*faces.drawn_masks)
    margin = 0
    layer = layer_behind_edges(lattice, reach - _COARSE_STEP, min_edge_step)
    if layer is not None and layer.margin > 0 and isinstance(lattice.camera.lens, Pinhole):
        max_margin = _MAX_MARGIN * lattice.valid.shape[1]
        margin = _COARSE_STEP * math.ceil(min(layer.margin, max_margin) / _COARSE_STEP)
        wide_lattice = lattice.with_margin(margin)
        layer = layer_behind_edges(wide_lattice, reach - _COARSE_STEP, min_edge_step, margin)
        is_torn = np.pad(is_torn, margin)
    if layer is None:
        return _fill_without_layer(lattice, is_torn)

    coarse = _coarse_triangles(layer)
    # A point of a rim moves when it is smoothed, and coarse triangles end where it was.
    rim = _corner_mask(is_torn)
    is_apart = layer.is_behind | (rim & _corner_mask(coarse.cells))
    # A smooth rim lies up to half a cell inside of the cells that are torn (``contour``).
    is_beside_rim = _cells_touching(rim) & _cells_touching(is_apart)
    open_cells = (is_torn | is_beside_rim) & ~coarse.cells
    triangles = np.concatenate([_cell_triangles(layer.lattice, open_cells), coarse.triangles])

    points, triangles, normals = _renumber_points(triangles, layer.lattice)
    sources = _mirror_inside(layer.colour_sources(points), layer, margin)
    is_point_apart = is_apart.reshape(-1)[points]
    coloured = _collapse_seams(triangles, sources, is_point_apart, layer.lattice)
    return Fill(
        lattice=layer.lattice,
        margin_points=margin,
        is_apart=is_apart,
        triangles=coloured.triangles,
        corner_points=points[coloured.point_index],
        normals=normals[coloured.point_index],
        colour_sources=coloured.colour_sources,
    )


def _fill_without_layer(lattice: Lattice, is_torn: Mask) -> Fill:
    """Fill the tears of a surface that has no edge, with the colours of its own points."""
    points, triangles, normals = _renumber_points(_cell_triangles(lattice, is_torn), lattice)
    return Fill(
        lattice=lattice,
        margin_points=0,
        is_apart=np.zeros(lattice.valid.shape, bool),
        triangles=triangles,
        corner_points=points,
        normals=normals,
        colour_sources=points,
    )


def _renumber_points(
    triangles: Triangles, lattice: Lattice
) -> tuple[PointIndices, Triangles, Vertices]:
    """Points that triangles use, the triangles with indices of these, and the points' normals."""
    points, corners = np.unique(triangles, return_inverse=True)
    renumbered = corners.reshape(triangles.shape)
    return points, renumbered, _point_normals(lattice.points.reshape(3, -1).T[points], renumbered)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ColouredCorners:
    """Corners of triangles. A point has several corners where its triangles differ in colour.

    Attributes:
        point_index: Index of each corner's point among the points of the fill.
        colour_sources: Point of the photograph that gives each corner its colour.
        triangles: Indices of corners.
    """

    point_index: PointIndices
    colour_sources: PointIndices
    triangles: Triangles


def _collapse_seams(
    triangles: Triangles, sources: PointIndices, is_apart: Bool[np.ndarray, "n"], lattice: Lattice
) -> _ColouredCorners:
    """Give each triangle at a seam behind the surface a single colour.

    At a seam, the corners of a triangle take their colours from points that lie far apart. Between
    these points, the photograph shows what stands in front of the far surface.

    ``sources`` are the points of the photograph that give the points their colours.
    """
    rows, columns = np.divmod(sources, lattice.valid.shape[1])
    distance = np.maximum(np.ptp(rows[triangles], axis=1), np.ptp(columns[triangles], axis=1))
    is_seam = (distance > _MIN_SEAM) & is_apart[triangles].all(axis=1)
    source_of_corner = sources[triangles]
    source_of_corner[is_seam] = source_of_corner[is_seam, :1]

    # One corner for each pair of a point and a source.
    pair_keys = triangles * np.int64(lattice.valid.size) + source_of_corner
    pairs, corners = np.unique(pair_keys, return_inverse=True)
    points, sources = np.divmod(pairs, lattice.valid.size)
    return _ColouredCorners(
        point_index=points,
        colour_sources=sources,
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


def _mirror_inside(points: PointIndices, layer: Backing, margin: int) -> PointIndices:
    """Replace points beyond the photograph by their mirror images inside.

    If the mirror image shows another surface, the closest point of the border replaces them.
    """
    shape = np.array(layer.is_behind.shape)[:, None]
    width = layer.is_behind.shape[1]
    first, last = margin, shape - 1 - margin
    position = np.stack(np.divmod(points, width))
    closest = position.clip(first, last)
    mirrored = (2 * closest - position).clip(first, last)
    closest_point = closest[0] * width + closest[1]
    mirror_point = mirrored[0] * width + mirrored[1]
    depth, is_valid = layer.surface_depth.reshape(-1), layer.lattice.valid.reshape(-1)
    log_ratio = np.log(depth[mirror_point] / depth[closest_point])
    is_same_surface = is_valid[mirror_point] & (abs(log_ratio) < MAX_LOG_DEPTH_DIFFERENCE)
    return np.where(is_same_surface, mirror_point, closest_point)


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
    height, width = layer.is_behind.shape
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

    # A coarse cell is drawn if any of its points is seen from beside and all are valid. The points
    # of a cell do not include its right and lower border, so these corners are checked as well.
    is_reached = _reduce_cells(np.logical_or, layer.is_within_reach, rows, columns)
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
