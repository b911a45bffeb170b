"""Fewer triangles where a surface is flat: right-triangulated meshes (Evans et al., 2001).

The image is covered by squares of two right triangles. A triangle is split at the middle of its
long side as long as the surface bends more than allowed there, or its texture would be shifted.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float32, Int, Mask
from rilievo.geometry.surfaces.lattice import Faces, Lattice, Triangles, cell_corners

_SQUARE_SIDE = 64
"""Cells along a side of the largest squares, a power of two."""
_MAX_SPLITS = 2 * (_SQUARE_SIDE.bit_length() - 1)
"""Splits from the triangles of a square to those of a cell. Two splits halve the sides."""
_MAX_TEXTURE_SHIFT = 0.5
"""How far a texture may lie from its true position on a large triangle [points]."""
_MAX_DEPTH_RATIO = np.float32(1.1)
"""Largest ratio of the depths in a cell whose two triangles may be merged."""

_Grid = Float32[np.ndarray, "_ _"]
"""One number for each point of the lattice, padded to whole squares, or for some of these."""


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
    has_both_triangles = np.logical_and(*faces.drawn_masks)
    is_mergeable = has_both_triangles & _is_depth_ratio_small(lattice)
    height, width = lattice.valid.shape
    padding = [(0, -(length - 1) % _SQUARE_SIDE) for length in (height, width)]
    # 1/z of a plane is linear in the image.
    inverse_depth = np.pad(1 / lattice.depth, padding, mode="edge")

    must_split = _corners_around_kept_cells(is_mergeable, inverse_depth.shape)
    error = _errors_of_leaving_out(inverse_depth, must_split, tolerance)
    large, half_cells = _split_triangles(error, tolerance)
    padded_width = inverse_depth.shape[1]
    large = _renumber_triangles_inside(large, padded_width, (height, width))
    half_cells = _renumber_triangles_inside(half_cells, padded_width, (height, width))

    # If both halves of a cell remain, the triangles of ``faces`` are better, because their diagonal
    # follows the edge of the surface.
    cell_of_half = _cells_of_half_cells(half_cells, width)
    halves_per_cell = np.bincount(cell_of_half, minlength=is_mergeable.size)
    is_replaced = is_mergeable & (halves_per_cell < 2).reshape(is_mergeable.shape)
    single_halves = half_cells[is_replaced.reshape(-1)[cell_of_half]]
    triangles = np.concatenate([large, single_halves]).astype(np.int32)
    return Merged(cells=is_replaced, triangles=triangles)


def _cells_of_half_cells(half_cells: Int[np.ndarray, "n 3"], width: int) -> Int[np.ndarray, "n"]:
    """Flat index of the cell that contains each triangle, in a lattice of ``width`` points.

    A cell has the row and column of its top left point, so they are the smallest ones.
    """
    rows, columns = np.divmod(half_cells, width)
    return rows.min(axis=1) * (width - 1) + columns.min(axis=1)


def _is_depth_ratio_small(lattice: Lattice) -> Mask:
    corners = np.stack(cell_corners(lattice.depth))
    return corners.max(axis=0) < _MAX_DEPTH_RATIO * corners.min(axis=0)


def _corners_around_kept_cells(
    is_mergeable: Mask, padded_shape: tuple[int, ...]
) -> Bool[np.ndarray, "a b"]:
    """Mask of the points where triangles must be split, so that kept cells have their own two.

    Cells are kept if they cannot be merged, or lie just outside of the image.
    """
    height, width = is_mergeable.shape
    is_kept_cell = np.zeros((padded_shape[0] - 1, padded_shape[1] - 1), bool)
    is_kept_cell[:height, :width] = ~is_mergeable
    # The row below the image and the column right of it, so that no triangle crosses its border.
    is_kept_cell[height : height + 1, : width + 1] = True
    is_kept_cell[: height + 1, width : width + 1] = True

    is_split = np.zeros(padded_shape, bool)
    # The corners are views of the mask, so each kept cell marks its four points in it.
    for corner in cell_corners(is_split):
        corner |= is_kept_cell
    # Points with both indices even or both odd are unmarked. The others, at the finest splits, are
    # enough, because ``_errors_of_leaving_out`` passes their error on to coarser splits.
    is_split[::2, ::2] = False
    is_split[1::2, 1::2] = False
    return is_split


def _errors_of_leaving_out(
    inverse_depth: _Grid, must_split: Bool[np.ndarray, "a b"], tolerance: float
) -> _Grid:
    """Error of each point: that of a triangle that is not split at it, or at any finer split.

    Each point, except for the corners of the squares, splits the triangles on whose long side it is
    the middle. Its error is the largest of its own and of those of the four points at which the
    next finer triangles are split. So a triangle is split wherever one of its parts must be, and no
    cracks appear.

    Args:
        inverse_depth: 1/depth, padded to whole squares.
        must_split: Points with an infinite error.
        tolerance: Largest error with which a triangle stays whole; it scales the texture's error.
    """
    error = np.zeros(inverse_depth.shape, np.float32)
    error[must_split] = np.inf
    # From the smallest squares, of 2 x 2 cells, to the largest. In each size, the middles of the
    # sides are coarser splits than the centres of the next smaller squares, and finer ones than the
    # centres of these squares.
    side = 2
    while side <= _SQUARE_SIDE:
        half = side // 2
        # A texture that is shifted by _MAX_TEXTURE_SHIFT has an error of the tolerance.
        texture_weight = np.float32(tolerance / _MAX_TEXTURE_SHIFT * side / 2)
        error[::side, half::side] = _errors_at_side_middles(
            error, inverse_depth, side, texture_weight
        )
        # Rows of the transposed arrays are the vertical sides.
        error[half::side, ::side] = _errors_at_side_middles(
            error.T, inverse_depth.T, side, texture_weight
        ).T
        error[half::side, half::side] = _errors_at_centres(
            error, inverse_depth, side, texture_weight
        )
        side *= 2
    return error


def _errors_at_side_middles(
    error: _Grid, inverse_depth: _Grid, side: int, texture_weight: np.float32
) -> _Grid:
    """Errors at the middles of the horizontal sides of squares with ``side`` cells.

    ``error`` has those of all finer splits.
    """
    half = side // 2
    middles = inverse_depth[::side, half::side]
    corners = inverse_depth[::side, ::side]
    own_error = _interpolation_error(middles, corners[:, :-1], corners[:, 1:], texture_weight)
    largest = np.maximum(error[::side, half::side], own_error)
    if half > 1:
        # Centres of the four smaller squares around each middle: two above and two below.
        finer_centres = error[half // 2 :: half, half // 2 :: half]
        left_and_right = np.maximum(finer_centres[:, ::2], finer_centres[:, 1::2])
        above, below = left_and_right[1::2], left_and_right[::2]
        largest[1:] = np.maximum(largest[1:], above)
        largest[:-1] = np.maximum(largest[:-1], below)
    return largest


def _errors_at_centres(
    error: _Grid, inverse_depth: _Grid, side: int, texture_weight: np.float32
) -> _Grid:
    """Errors at the centres of squares with ``side`` cells, which are split along a diagonal.

    ``error`` has those of all finer splits, at the middles of the four sides.
    """
    half = side // 2
    centres = inverse_depth[half::side, half::side]
    corners = inverse_depth[::side, ::side]
    top_left, top_right, bottom_left, bottom_right = cell_corners(corners)
    along_falling = _interpolation_error(centres, top_left, bottom_right, texture_weight)
    along_rising = _interpolation_error(centres, top_right, bottom_left, texture_weight)
    own_error = np.where(_alternating_diagonals(centres.shape), along_falling, along_rising)

    horizontal_sides = error[::side, half::side]
    vertical_sides = error[half::side, ::side]
    above, below = horizontal_sides[:-1], horizontal_sides[1:]
    left, right = vertical_sides[:, :-1], vertical_sides[:, 1:]
    known_error = error[half::side, half::side]
    return np.maximum.reduce([known_error, own_error, above, below, left, right])


def _alternating_diagonals(shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    """Mask of the squares whose diagonal goes from the top left to the bottom right corner.

    It alternates like the fields of a chessboard, so that triangles of neighbours fit together.
    """
    row, column = np.indices(shape, sparse=True)
    return (row + column) % 2 == 0


def _interpolation_error(
    middle: _Grid, first: _Grid, second: _Grid, texture_weight: np.float32
) -> _Grid:
    """Error of replacing the middle of a line by the mean of its ends, all in 1/depth.

    It is the larger one of two errors. One is the relative difference of 1/depth. The other one is
    the shift of the texture, times a weight: the middle of the line in the image is
    |z1 - z2| / (z1 + z2) / 2 of its length away from that in space, and this ratio is the same for
    1/z1 and 1/z2.
    """
    sum_of_ends = first + second
    depth_error = np.abs(sum_of_ends / 2 - middle) / middle
    return np.maximum(depth_error, texture_weight * np.abs(first - second) / sum_of_ends)


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
    whole_triangles = []
    for _ in range(_MAX_SPLITS):
        # Rows and columns of the ends have even sums, so the mean index is that of the middle.
        middle_of_long_side = triangles[:, :2].sum(axis=1) // 2
        is_split = error.reshape(-1)[middle_of_long_side] > tolerance
        whole_triangles.append(triangles[~is_split])
        first_end, second_end, right_angle = triangles[is_split].T
        # The legs become the long sides of the two halves, whose right angles are at the middle.
        middle = middle_of_long_side[is_split]
        first_halves = np.stack([right_angle, first_end, middle], axis=1)
        second_halves = np.stack([second_end, right_angle, middle], axis=1)
        triangles = np.concatenate([first_halves, second_halves])
    return np.concatenate(whole_triangles), triangles


def _largest_triangles(shape: tuple[int, ...]) -> Int[np.ndarray, "m 3"]:
    """The two largest triangles of each square of ``_SQUARE_SIDE`` cells.

    The ends of the long side come first and the right angle last, counter-clockwise as the camera
    sees them.
    """
    point_index = np.arange(shape[0] * shape[1]).reshape(shape)[::_SQUARE_SIDE, ::_SQUARE_SIDE]
    top_left, top_right, bottom_left, bottom_right = cell_corners(point_index)
    has_falling_diagonal = _alternating_diagonals(top_left.shape)
    falling_triangles = (
        (bottom_right, top_left, bottom_left),
        (top_left, bottom_right, top_right),
    )
    rising_triangles = (
        (bottom_left, top_right, top_left),
        (top_right, bottom_left, bottom_right),
    )
    triangles = [
        *(np.stack(corners, axis=-1)[has_falling_diagonal] for corners in falling_triangles),
        *(np.stack(corners, axis=-1)[~has_falling_diagonal] for corners in rising_triangles),
    ]
    return np.concatenate(triangles)


def _renumber_triangles_inside(
    triangles: Int[np.ndarray, "m 3"], padded_columns: int, shape: tuple[int, int]
) -> Int[np.ndarray, "n 3"]:
    """Keep the triangles inside of the image, with point indices of the image without padding."""
    row, column = np.divmod(triangles, padded_columns)
    is_inside = ((row < shape[0]) & (column < shape[1])).all(axis=1)
    return (row * shape[1] + column)[is_inside]
