"""Smooth contours of a cut surface, in place of the staircase of pixels."""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int
from rilievo.geometry.surfaces.lattice import Cut, Faces, Lattice, Triangles, cell_corners
from rilievo.geometry.surfaces.patches import triangle_links
from rilievo.geometry.surfaces.ramps import Numbers

_ROUNDS = 12
"""Rounds in which a point moves halfway to the mean of its two neighbours."""
_MAX_MOVE = 0.45
"""Distance of a point from its start [steps of the lattice]."""
_MIN_AREA_FRACTION = 0.2
"""Fraction of its area that a triangle keeps."""
_MAX_STEEP_CHANGE = 1 / 9
"""Change of depth of the points of a steep triangle [fraction of ``Cut.jump``]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contoured:
    """Lattice with smooth rims.

    Attributes:
        lattice: The lattice, whose rim points have moved.
        columns: Column of each point, which may be between two, in the lattice.
        rows: Row of each point.
    """

    lattice: Lattice
    columns: Field
    rows: Field


def smooth_contours(lattice: Lattice, faces: Faces, triangles: Triangles, cut: Cut) -> Contoured:
    """Smooth the rims of a surface, but not the border of the photograph.

    Rim points move in the picture, and stay on the surface. No triangle turns over, and the change
    of depth is limited by ``cut.jump``.
    """
    height, width = lattice.valid.shape
    rows, columns = (grid.astype(np.float32) for grid in np.mgrid[:height, :width])
    sides = _rim_sides(faces)
    rim, ends = np.unique(sides, return_inverse=True)
    if not rim.size:
        return Contoured(lattice=lattice, columns=columns, rows=rows)

    ends = ends.reshape(sides.shape)
    start = np.stack([columns.reshape(-1)[rim], rows.reshape(-1)[rim]], axis=1)
    is_inner = (start > 0).all(axis=1) & (start < [width - 1, height - 1]).all(axis=1)
    moved = _smooth_rims(start, ends, np.asarray(is_inner))

    # Triangles with a rim point; -1 stands for corners that are none.
    rim_index = np.full(lattice.valid.size, -1)
    rim_index[rim] = np.arange(len(rim))
    rim_corners = rim_index[triangles]
    has_rim_corner = (rim_corners >= 0).any(axis=1)
    rim_corners, triangles = rim_corners[has_rim_corner], triangles[has_rim_corner]
    unmoved = np.stack([grid.reshape(-1)[triangles] for grid in (columns, rows)], axis=2)
    _undo_flips(moved, start, rim_corners, unmoved)

    columns.reshape(-1)[rim], rows.reshape(-1)[rim] = moved.T
    lattice = _move_rim_on_planes(lattice, rim, moved, triangles, rim_corners, cut)
    return Contoured(lattice=lattice, columns=columns, rows=rows)


def _rim_sides(faces: Faces) -> Int[np.ndarray, "k 2"]:
    """Sides that belong to one triangle alone, as pairs of points."""
    beside, below = triangle_links(faces, np.logical_xor)
    lacks_one = np.logical_xor(*faces.drawn_masks)
    height, width = below.shape[0] + 1, below.shape[1]
    point_index = np.arange(height * width).reshape(height, width)
    a, b, c, d = cell_corners(point_index)
    diagonal_start = np.where(faces.falling, a, b)
    diagonal_end = np.where(faces.falling, d, c)
    pairs = (
        (point_index[:, :-1][beside], point_index[:, 1:][beside]),
        (point_index[:-1][below], point_index[1:][below]),
        (diagonal_start[lacks_one], diagonal_end[lacks_one]),
    )
    return np.concatenate([np.stack(pair, axis=1) for pair in pairs])


def _smooth_rims(
    start: Float32[np.ndarray, "n 2"], ends: Int[np.ndarray, "k 2"], is_inner: Bool[np.ndarray, "n"]
) -> Float32[np.ndarray, "n 2"]:
    """Smooth the rim points (x, y) that have exactly two neighbours on the rim.

    Args:
        start: Positions of the points.
        ends: Pairs of points that are neighbours.
        is_inner: Mask of the points that do not lie on the border of the photograph.
    """
    first, second = ends.T
    count = len(start)
    has_two_neighbours = np.bincount(ends.reshape(-1), minlength=count) == 2
    is_movable = (is_inner & has_two_neighbours)[:, None]
    position = start.astype(np.float64)
    for _ in range(_ROUNDS):
        neighbour_sum = np.stack(
            [
                np.bincount(first, values[second], count)
                + np.bincount(second, values[first], count)
                for values in position.T
            ],
            axis=1,
        )
        halfway = (neighbour_sum / 2 + position) / 2
        move = np.where(is_movable, halfway, position) - start
        length = np.sqrt((move * move).sum(axis=1, keepdims=True))
        position = start + move / np.maximum(length / _MAX_MOVE, 1)
    return position.astype(np.float32)


def _undo_flips(
    moved: Float32[np.ndarray, "n 2"],
    start: Float32[np.ndarray, "n 2"],
    rim_corners: Int[np.ndarray, "m 3"],
    unmoved: Float32[np.ndarray, "m 3 2"],
) -> None:
    """Undo moves, in place, until no triangle turns over or becomes a sliver.

    Args:
        moved: Positions of rim points.
        start: Positions before they were moved.
        rim_corners: Rim points of triangles; -1 for corners that are none.
        unmoved: Positions of the corners of triangles before.
    """
    min_area = _MIN_AREA_FRACTION * _twice_signed_area(unmoved)
    while len(rim_corners):
        is_rim = (rim_corners >= 0)[..., None]
        corners = np.where(is_rim, moved[rim_corners], unmoved)
        is_narrow = _twice_signed_area(corners) < min_area
        if not is_narrow.any():
            return
        undone = np.unique(rim_corners[is_narrow])
        undone = undone[undone >= 0]
        moved[undone] = start[undone]


def _twice_signed_area(corners: Float32[np.ndarray, "m 3 2"]) -> Float32[np.ndarray, "m"]:
    a, b, c = np.moveaxis(corners, 1, 0)
    to_c, to_b = c - a, b - a
    return to_c[:, 0] * to_b[:, 1] - to_c[:, 1] * to_b[:, 0]


def _move_rim_on_planes(
    lattice: Lattice,
    rim: Numbers,
    moved: Float32[np.ndarray, "n 2"],
    triangles: Triangles,
    rim_corners: Int[np.ndarray, "m 3"],
    cut: Cut,
) -> Lattice:
    """Give rim points the depth at which their new rays meet the plane of their triangles.

    Args:
        lattice: The lattice.
        rim: Its rim points.
        moved: Their new columns and rows in the lattice.
        triangles: Triangles with a rim point.
        rim_corners: Rim points of these triangles; -1 for corners that are none.
        cut: Limits of depth.
    """
    points = lattice.points.reshape(3, -1).astype(np.float64)
    depth = lattice.depth.reshape(-1).astype(np.float64)
    old_rays = points[:, rim] / depth[rim]
    first_pixel = np.array([[lattice.columns.start], [lattice.rows.start]])
    new_rays = lattice.camera.rays(first_pixel + lattice.rows.step * moved.T.astype(np.float64))

    # The plane of a point has the summed normal of its triangles.
    a, b, c = (points[:, corner] for corner in triangles.T)
    triangle_normals = np.cross(b - a, c - a, axis=0)
    normals = np.zeros((3, len(rim)))
    for corner in rim_corners.T:
        is_rim = corner >= 0
        for axis in range(3):
            normals[axis] += np.bincount(corner[is_rim], triangle_normals[axis, is_rim], len(rim))
    along_old = np.einsum("cn,cn->n", normals, old_rays)
    along_new = np.einsum("cn,cn->n", normals, new_rays)
    faces_camera = along_new < 0
    factor = np.where(faces_camera, along_old / np.where(faces_camera, along_new, -1), 1)
    factor = np.clip(factor, 1 - cut.jump / 4, 1 + cut.jump / 4)

    # Points of triangles that would become steeper than a surface may be hardly change.
    max_change = _MAX_STEEP_CHANGE * cut.jump
    corner_depth = np.where(rim_corners >= 0, factor[rim_corners], 1) * depth[triangles]
    max_ratio = (1 + cut.jump) * (1 + 2 * max_change)
    is_steep = corner_depth.max(axis=1) > max_ratio * corner_depth.min(axis=1)
    held = np.unique(rim_corners[is_steep])
    held = held[held >= 0]
    factor[held] = factor[held].clip(1 - max_change, 1 + max_change)

    depth[rim] *= factor
    points[:, rim] = new_rays * depth[rim]
    return replace(
        lattice,
        points=points.reshape(lattice.points.shape).astype(np.float32),
        depth=depth.reshape(lattice.depth.shape).astype(np.float32),
    )
