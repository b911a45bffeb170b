"""Fewer triangles where a surface is flat: right-triangulated meshes (Evans et al., 2001).

The image is covered by squares of two right triangles. A triangle is split at the middle of its
long side as long as the surface bends more than allowed there, or its texture would slip.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float32, Int, Mask
from rilievo.geometry.surfaces.lattice import Faces, Lattice, Triangles, cell_corners

_SQUARE_SIDE = 64
"""Cells along a side of the largest squares, a power of two."""
_MAX_SPLITS = 2 * (_SQUARE_SIDE.bit_length() - 1)
"""Splits from the triangles of a square to those of a cell. Two splits halve the sides."""
_MAX_TEXTURE_SLIP = 0.5
"""How far a texture may lie from its true position on a large triangle [points]."""
_MAX_DEPTH_RATIO = np.float32(1.1)
"""Largest ratio of the depths in a cell whose two triangles may be merged."""

_Grid = Float32[np.ndarray, "_ _"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Large triangles that replace those of flat cells.

    Attributes:
        cells: Mask of the cells whose own triangles are replaced.
        triangles: Point indices of the triangles.
    """

    cells: Mask
    triangles: Triangles


def merge_flat_triangles(lattice: Lattice, faces: Faces, tolerance: float) -> Merged:
    """Replace the triangles of flat cells by larger ones.

    Cells with only one triangle stay as they are. A triangle is split where the relative error of
    1/depth exceeds ``tolerance``.
    """
    has_both = np.logical_and(*faces.drawn_masks)
    mergeable = has_both & _is_depth_ratio_small(lattice)
    height, width = lattice.valid.shape
    padding = [(0, -(length - 1) % _SQUARE_SIDE) for length in (height, width)]
    # 1/z of a plane is linear in the image.
    inverse_depth = np.pad(1 / lattice.depth, padding, mode="edge")
    columns = inverse_depth.shape[1]

    # ``error`` is that of leaving out a point; infinite where a triangle has to be split.
    error = np.zeros(inverse_depth.shape, np.float32)
    error[_corners_around_kept_cells(mergeable, inverse_depth.shape)] = np.inf
    _propagate_errors(error, inverse_depth, tolerance)
    large, half_cells = _split_triangles(error, tolerance)
    large = _renumber_triangles_inside(large, columns, (height, width))
    half_cells = _renumber_triangles_inside(half_cells, columns, (height, width))

    # If both halves of a cell remain, the triangles of ``faces`` are better, because their diagonal
    # follows the edge of the surface.
    first_rows, first_columns = (index.min(axis=1) for index in np.divmod(half_cells, width))
    cell_of_half = first_rows * (width - 1) + first_columns
    halves_per_cell = np.bincount(cell_of_half, minlength=mergeable.size)
    replaced = mergeable & (halves_per_cell < 2).reshape(mergeable.shape)
    single_halves = half_cells[replaced.reshape(-1)[cell_of_half]]
    triangles = np.concatenate([large, single_halves]).astype(np.int32)
    return Merged(cells=replaced, triangles=triangles)


def _is_depth_ratio_small(lattice: Lattice) -> Mask:
    corners = np.stack(cell_corners(lattice.depth))
    return corners.max(axis=0) < _MAX_DEPTH_RATIO * corners.min(axis=0)


def _corners_around_kept_cells(mergeable: Mask, shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    """Mask of the points where triangles must be split, so that kept cells have their own two.

    Cells are kept if they cannot be merged, or lie just outside of the image. ``shape`` is that of
    the padded image.
    """
    height, width = mergeable.shape
    is_kept_cell = np.zeros((shape[0] - 1, shape[1] - 1), bool)
    is_kept_cell[:height, :width] = ~mergeable
    # The row below the image and the column right of it, so that no triangle crosses its border.
    is_kept_cell[height : height + 1, : width + 1] = True
    is_kept_cell[: height + 1, width : width + 1] = True

    is_split = np.zeros(shape, bool)
    # The corners are views of the mask, so each kept cell marks its four points in it.
    for corner in cell_corners(is_split):
        corner |= is_kept_cell
    # Points with both indices even or both odd are unmarked. The others, at the finest splits, are
    # enough, because ``_propagate_errors`` passes their error on to coarser splits.
    is_split[::2, ::2] = False
    is_split[1::2, 1::2] = False
    return is_split


def _propagate_errors(error: _Grid, inverse_depth: _Grid, tolerance: float) -> None:
    """Give each point the largest error of its own split and of all finer splits, in place.

    So a triangle is split wherever one of its parts must be, and no cracks appear.
    """
    side = 2
    while side <= _SQUARE_SIDE:
        # Scales the slip of the texture, so that its limit is the tolerance too.
        slip = np.float32(tolerance / _MAX_TEXTURE_SLIP * side / 2)
        _propagate_side_errors(error, inverse_depth, side, slip)
        _propagate_side_errors(error.T, inverse_depth.T, side, slip)
        _propagate_centre_errors(error, inverse_depth, side, slip)
        side *= 2


def _propagate_side_errors(error: _Grid, field: _Grid, side: int, slip: np.float32) -> None:
    """Raise the errors at the middles of the horizontal sides of squares."""
    half = side // 2
    middles = field[::side, half::side]
    corners = field[::side, ::side]
    error_at_middles = error[::side, half::side]
    own_error = _bend_or_slip(middles, corners[:, :-1], corners[:, 1:], slip)
    np.maximum(error_at_middles, own_error, out=error_at_middles)
    if half > 1:
        # Centres of the four smaller squares around each middle: two above and two below.
        centres = error[half // 2 :: half, half // 2 :: half]
        pairs = np.maximum(centres[:, ::2], centres[:, 1::2])
        np.maximum(error_at_middles[1:], pairs[1::2], out=error_at_middles[1:])
        np.maximum(error_at_middles[:-1], pairs[::2], out=error_at_middles[:-1])


def _propagate_centre_errors(error: _Grid, field: _Grid, side: int, slip: np.float32) -> None:
    """Raise the errors at the centres of squares, which are split along a diagonal."""
    half = side // 2
    centres = field[half::side, half::side]
    corners = field[::side, ::side]
    along_falling = _bend_or_slip(centres, corners[:-1, :-1], corners[1:, 1:], slip)
    along_rising = _bend_or_slip(centres, corners[:-1, 1:], corners[1:, :-1], slip)
    own_error = np.where(_alternating_diagonals(centres.shape), along_falling, along_rising)

    horizontal_sides = error[::side, half::side]
    vertical_sides = error[half::side, ::side]
    error_at_centres = error[half::side, half::side]
    for source in (
        own_error,
        horizontal_sides[:-1],
        horizontal_sides[1:],
        vertical_sides[:, :-1],
        vertical_sides[:, 1:],
    ):
        np.maximum(error_at_centres, source, out=error_at_centres)


def _alternating_diagonals(shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    """Mask of the squares whose diagonal goes from the top left to the bottom right corner.

    It alternates like the fields of a chessboard, so that triangles of neighbours fit together.
    """
    row, column = np.indices(shape, sparse=True)
    return (row + column) % 2 == 0


def _bend_or_slip(middle: _Grid, first: _Grid, second: _Grid, slip: np.float32) -> _Grid:
    """Error of replacing the middle of a line by the mean of its ends.

    It is the relative bend of 1/depth, or the slip of the texture if that is larger: the middle of
    the line in the image is |z1 - z2| / (z1 + z2) / 2 of its length away from that in space.
    """
    sum_of_ends = first + second
    bend = np.abs(sum_of_ends / 2 - middle) / middle
    return np.maximum(bend, slip * np.abs(first - second) / sum_of_ends)


def _split_triangles(
    error: _Grid, tolerance: float
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "n 3"]]:
    """Split triangles as long as their error exceeds the tolerance.

    Each triangle has the two ends of its long side first, and its right angle last.

    Returns:
        Point indices of the triangles that are larger than half a cell, and of those that are half
        a cell, which no split can divide.
    """
    triangles = _largest_triangles(error.shape)
    finished = []
    for _ in range(_MAX_SPLITS):
        # Rows and columns of the ends have even sums, so the mean index is that of the middle.
        middle = triangles[:, :2].sum(axis=1) // 2
        is_split = error.reshape(-1)[middle] > tolerance
        finished.append(triangles[~is_split])
        first_end, second_end, right_angle = triangles[is_split].T
        new_right_angle = middle[is_split]
        triangles = np.concatenate(
            [
                np.stack([right_angle, first_end, new_right_angle], axis=1),
                np.stack([second_end, right_angle, new_right_angle], axis=1),
            ]
        )
    return np.concatenate(finished), triangles


def _largest_triangles(shape: tuple[int, ...]) -> Int[np.ndarray, "m 3"]:
    """The two largest triangles of each square of ``_SQUARE_SIDE`` cells.

    The ends of the long side come first and the right angle last, counter-clockwise as the camera
    sees them.
    """
    point_index = np.arange(shape[0] * shape[1]).reshape(shape)[::_SQUARE_SIDE, ::_SQUARE_SIDE]
    top_left, top_right, bottom_left, bottom_right = cell_corners(point_index)
    has_falling_diagonal = _alternating_diagonals(top_left.shape)
    triangles_and_squares = (
        ((bottom_right, top_left, bottom_left), has_falling_diagonal),
        ((top_left, bottom_right, top_right), has_falling_diagonal),
        ((bottom_left, top_right, top_left), ~has_falling_diagonal),
        ((top_right, bottom_left, bottom_right), ~has_falling_diagonal),
    )
    return np.concatenate(
        [
            np.stack([corner[squares] for corner in triangle], axis=1)
            for triangle, squares in triangles_and_squares
        ]
    )


def _renumber_triangles_inside(
    triangles: Int[np.ndarray, "m 3"], padded_columns: int, shape: tuple[int, int]
) -> Int[np.ndarray, "n 3"]:
    """Keep the triangles inside of the image, with point indices of the image without padding."""
    row, column = np.divmod(triangles, padded_columns)
    is_inside = ((row < shape[0]) & (column < shape[1])).all(axis=1)
    return (row * shape[1] + column)[is_inside]
