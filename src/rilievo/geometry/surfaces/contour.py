"""Smooth contours of a cut surface, in place of the staircase of pixels."""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Float64, Int
from rilievo.geometry.surfaces.lattice import Cut, Faces, Lattice, Triangles, cell_corners
from rilievo.geometry.surfaces.patches import triangle_links
from rilievo.geometry.surfaces.ramps import PointIndices

_ROUNDS = 12
"""Rounds in which a point moves halfway to the mean of its two neighbours."""
_MAX_MOVE = 0.45
"""Largest distance of a point from its original position [steps of the lattice]."""
_MIN_AREA_FRACTION = 0.2
"""Least fraction of its area that a triangle keeps."""
_MAX_FACTOR_CHANGE = 1 / 4
"""Largest change of the depth of a rim point [fraction of ``Cut.jump``]."""
_MAX_STEEP_CHANGE = 1 / 9
"""Largest change of depth of the points of a steep triangle [fraction of ``Cut.jump``]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contoured:
    """Lattice with smooth rims.

    Attributes:
        lattice: The lattice, whose rim points have moved.
        columns: Column of each point, which may be between two, in the lattice.
    """

    lattice: Lattice
    columns: Field
    rows: Field

    @classmethod
    def unmoved(cls, lattice: Lattice) -> "Contoured":
        """The lattice itself, whose points lie at whole columns and rows."""
        rows, columns = (grid.astype(np.float32) for grid in np.indices(lattice.valid.shape))
        return cls(lattice=lattice, columns=columns, rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rim:
    """Rim of a surface: the sides that belong to only one triangle.

    Attributes:
        points: Indices of its n points in the lattice.
        sides: Both ends of each side, as indices into ``points``.
        triangles: Triangles with one corner or more on the rim.
        corners: Corners of these triangles, as indices into ``points``; -1 for those elsewhere.
    """

    points: PointIndices
    sides: Int[np.ndarray, "k 2"]
    triangles: Triangles
    corners: Int[np.ndarray, "m 3"]


def smooth_contours(lattice: Lattice, faces: Faces, triangles: Triangles, cut: Cut) -> Contoured:
    """Smooth the rims of a surface, but not the border of the photograph.

    Rim points move in the picture, and stay on the surface. No triangle turns over, and the change
    of depth is limited by ``cut.jump``.
    """
    unmoved = Contoured.unmoved(lattice)
    rim = _find_rim(faces, triangles, lattice.valid.size)
    if not rim.points.size:
        return unmoved

    height, width = lattice.valid.shape
    positions = np.stack([unmoved.columns.reshape(-1), unmoved.rows.reshape(-1)], axis=1)
    original = positions[rim.points]
    is_inner = (original > 0).all(axis=1) & (original < [width - 1, height - 1]).all(axis=1)
    smoothed = _smooth_rims(original, rim.sides, np.asarray(is_inner))
    moved = _without_flips(smoothed, original, rim.corners, positions[rim.triangles])
    smooth_lattice = _move_rim_on_planes(lattice, rim, moved, cut)

    positions[rim.points] = moved
    columns, rows = (values.reshape(height, width) for values in positions.T.copy())
    return Contoured(lattice=smooth_lattice, columns=columns, rows=rows)


def _find_rim(faces: Faces, triangles: Triangles, lattice_size: int) -> _Rim:
    """Find the rim of a surface in a lattice of ``lattice_size`` points."""
    point_pairs = _sides_of_one_triangle(faces)
    points, sides = np.unique(point_pairs, return_inverse=True)
    rim_index = np.full(lattice_size, -1)  # of each point of the lattice
    rim_index[points] = np.arange(len(points))
    is_at_rim = (rim_index[triangles] >= 0).any(axis=1)
    return _Rim(
        points=points,
        sides=sides.reshape(point_pairs.shape),
        triangles=triangles[is_at_rim],
        corners=rim_index[triangles[is_at_rim]],
    )


def _sides_of_one_triangle(faces: Faces) -> Int[np.ndarray, "k 2"]:
    """Both points of each side that belongs to only one triangle.

    Such sides lie along rows, along columns, and on the diagonals of cells.
    """
    is_side_along_row, is_side_along_column = triangle_links(faces, np.logical_xor)
    height, width = is_side_along_column.shape[0] + 1, is_side_along_column.shape[1]
    point_index = np.arange(height * width).reshape(height, width)
    along_rows = (
        point_index[:, :-1][is_side_along_row],
        point_index[:, 1:][is_side_along_row],
    )
    along_columns = (
        point_index[:-1][is_side_along_column],
        point_index[1:][is_side_along_column],
    )

    # The diagonal of a cell is a side of the rim if one of its two triangles is drawn.
    is_rim_diagonal = np.logical_xor(*faces.drawn_masks)
    top_left, top_right, bottom_left, bottom_right = cell_corners(point_index)
    diagonal_start = np.where(faces.is_falling, top_left, top_right)
    diagonal_end = np.where(faces.is_falling, bottom_right, bottom_left)
    diagonals = diagonal_start[is_rim_diagonal], diagonal_end[is_rim_diagonal]
    sides = (along_rows, along_columns, diagonals)
    return np.concatenate([np.stack(ends, axis=1) for ends in sides])


def _smooth_rims(
    original: Float32[np.ndarray, "n 2"],
    side_ends: Int[np.ndarray, "k 2"],
    is_inner: Bool[np.ndarray, "n"],
) -> Float32[np.ndarray, "n 2"]:
    """Smooth the positions (x, y) of the rim points with exactly two neighbours on the rim.

    ``side_ends`` are the two points of each side of the rim. ``is_inner`` masks the points that do
    not lie on the border of the photograph.
    """
    neighbour_counts = np.bincount(side_ends.reshape(-1), minlength=len(original))
    is_movable = (is_inner & (neighbour_counts == 2))[:, None]
    position = original.astype(np.float64)
    for _ in range(_ROUNDS):
        mean_of_neighbours = _sum_of_neighbours(position, side_ends) / 2
        halfway = (mean_of_neighbours + position) / 2
        move = np.where(is_movable, halfway, position) - original
        length = np.sqrt((move * move).sum(axis=1, keepdims=True))
        # Moves that are too long are shortened.
        position = original + move / np.maximum(length / _MAX_MOVE, 1)
    return position.astype(np.float32)


def _sum_of_neighbours(
    position: Float64[np.ndarray, "n 2"], side_ends: Int[np.ndarray, "k 2"]
) -> Float64[np.ndarray, "n 2"]:
    """Sum of the positions of each rim point's neighbours, the other ends of its sides."""
    first_ends, second_ends = side_ends.T
    sums = [
        np.bincount(first_ends, coordinate[second_ends], len(position))
        + np.bincount(second_ends, coordinate[first_ends], len(position))
        for coordinate in position.T
    ]
    return np.stack(sums, axis=1)


def _without_flips(
    moved: Float32[np.ndarray, "n 2"],
    original: Float32[np.ndarray, "n 2"],
    rim_corners: Int[np.ndarray, "m 3"],
    corners: Float32[np.ndarray, "m 3 2"],
) -> Float32[np.ndarray, "n 2"]:
    """Positions of rim points without the moves that turn a triangle over or make it a sliver.

    A point that moves back may make a sliver of another triangle, so this is repeated until there
    are none.

    Args:
        moved: New positions of the rim points.
        original: Their original positions.
        rim_corners: Rim point at each corner of the triangles; -1 for a corner elsewhere.
        corners: Original positions of all corners of the triangles.
    """
    position = moved.copy()
    if not len(rim_corners):
        return position
    min_area = _MIN_AREA_FRACTION * _twice_signed_area(corners)
    is_at_rim = (rim_corners >= 0)[..., None]
    while True:
        # ``where`` discards the position that -1 selects.
        moved_corners = np.where(is_at_rim, position[rim_corners], corners)
        is_sliver = _twice_signed_area(moved_corners) < min_area
        if not is_sliver.any():
            return position
        moved_back = _rim_points_of(rim_corners[is_sliver])
        position[moved_back] = original[moved_back]


def _rim_points_of(rim_corners: Int[np.ndarray, "m 3"]) -> PointIndices:
    """Rim points at the corners of some triangles, each once; -1 stands for corners elsewhere."""
    points = np.unique(rim_corners)
    return points[points >= 0]


def _twice_signed_area(corners: Float32[np.ndarray, "m 3 2"]) -> Float32[np.ndarray, "m"]:
    a, b, c = np.moveaxis(corners, 1, 0)
    to_c, to_b = c - a, b - a
    return to_c[:, 0] * to_b[:, 1] - to_c[:, 1] * to_b[:, 0]


def _move_rim_on_planes(
    lattice: Lattice, rim: _Rim, new_positions: Float32[np.ndarray, "n 2"], cut: Cut
) -> Lattice:
    """Give rim points the depth at which their new rays meet the mean plane of their triangles.

    ``new_positions`` are the new columns and rows of the rim points.
    """
    points = lattice.points.reshape(3, -1).astype(np.float64)
    depth = lattice.depth.reshape(-1).astype(np.float64)
    old_rays = points[:, rim.points] / depth[rim.points]
    first_pixel = np.array([[lattice.columns.start], [lattice.rows.start]])
    new_pixels = first_pixel + lattice.rows.step * new_positions.T.astype(np.float64)
    new_rays = lattice.camera.rays(new_pixels)

    factor = _depth_factor_on_planes(_summed_normals(points, rim), old_rays, new_rays)
    max_change = _MAX_FACTOR_CHANGE * cut.jump
    factor = np.clip(factor, 1 - max_change, 1 + max_change)
    factor = _limit_steepening(factor, depth[rim.triangles], rim.corners, cut)

    depth[rim.points] *= factor
    points[:, rim.points] = new_rays * depth[rim.points]
    return replace(
        lattice,
        points=points.reshape(lattice.points.shape).astype(np.float32),
        depth=depth.reshape(lattice.depth.shape).astype(np.float32),
    )


def _depth_factor_on_planes(
    normals: Float64[np.ndarray, "3 n"],
    old_rays: Float64[np.ndarray, "3 n"],
    new_rays: Float64[np.ndarray, "3 n"],
) -> Float64[np.ndarray, "n"]:
    """Factor of the depth of points that move from one ray to another on their planes.

    On a plane with the normal n, depth along the ray r is in proportion to 1 / (n · r). Normals are
    of any length. Where the new ray meets the plane from behind or not at all, the factor is 1.
    """
    old_product = np.einsum("cn,cn->n", normals, old_rays)
    new_product = np.einsum("cn,cn->n", normals, new_rays)
    faces_camera = new_product < 0
    safe_divisor = np.where(faces_camera, new_product, -1)
    return np.where(faces_camera, old_product / safe_divisor, 1)


def _limit_steepening(
    factor: Float64[np.ndarray, "r"],
    corner_depth: Float64[np.ndarray, "m 3"],
    rim_corners: Int[np.ndarray, "m 3"],
    cut: Cut,
) -> Float64[np.ndarray, "r"]:
    """Limit the depth factors of rim points where a triangle would become too steep.

    Args:
        factor: Factor of the depth of each rim point.
        corner_depth: Depth at the corners of the triangles before the change.
        rim_corners: Rim point at each of these corners; -1 for a corner elsewhere.
        cut: Limits at which the surface is torn.
    """
    max_change = _MAX_STEEP_CHANGE * cut.jump
    # ``where`` discards the factor that -1 selects.
    new_depth = np.where(rim_corners >= 0, factor[rim_corners], 1) * corner_depth
    # A surface may have the ratio 1 + jump. Two corners that change by ``max_change`` in opposite
    # directions add about twice that.
    max_ratio = (1 + cut.jump) * (1 + 2 * max_change)
    is_steep = new_depth.max(axis=1) > max_ratio * new_depth.min(axis=1)
    steep_points = _rim_points_of(rim_corners[is_steep])
    limited = factor.copy()
    limited[steep_points] = factor[steep_points].clip(1 - max_change, 1 + max_change)
    return limited


def _summed_normals(points: Float64[np.ndarray, "3 p"], rim: _Rim) -> Float64[np.ndarray, "3 n"]:
    """Sum of the area-weighted normals of the triangles at each rim point."""
    a, b, c = (points[:, corner] for corner in rim.triangles.T)
    triangle_normals = np.cross(b - a, c - a, axis=0)
    normals = np.zeros((3, len(rim.points)))
    for corner in rim.corners.T:
        is_rim = corner >= 0
        for axis in range(3):
            normals[axis] += np.bincount(
                corner[is_rim], triangle_normals[axis, is_rim], len(rim.points)
            )
    return normals
