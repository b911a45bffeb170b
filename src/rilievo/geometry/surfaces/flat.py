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
"""How far a texture may lie from its place on a large triangle [points]."""
_MAX_DEPTH_RATIO = np.float32(1.1)
"""Ratio of the depths in a cell from which its two triangles stay as they are."""

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

    Args:
        lattice: Points of the surface.
        faces: Its triangles. Cells that lack one stay as they are.
        tolerance: Relative change of 1/depth from which a triangle is split.
    """
    has_both = np.logical_and(*faces.drawn_masks)
    mergeable = has_both & _is_depth_ratio_small(lattice)
    height, width = lattice.valid.shape
    padding = [(0, -(length - 1) % _SQUARE_SIDE) for length in (height, width)]
    # 1/z of a plane is linear in the image.
    inverse_depth = np.pad(1 / lattice.depth, padding, mode="edge")
    columns = inverse_depth.shape[1]

    error = np.zeros(inverse_depth.shape, np.float32)
    error[_corners_around_kept_cells(mergeable, inverse_depth.shape)] = np.inf
    _propagate_errors(error, inverse_depth, tolerance)
    large, smallest = _split_triangles(error, tolerance)
    large = _renumber_triangles_inside(large, columns, (height, width))
    smallest = _renumber_triangles_inside(smallest, columns, (height, width))

    # If both triangles of a cell are of the smallest size, those of ``faces`` are better: they are
    # split along the edge of the surface.
    first_rows, first_columns = (index.min(axis=1) for index in np.divmod(smallest, width))
    cell_of_smallest = first_rows * (width - 1) + first_columns
    smallest_in_cell = np.bincount(cell_of_smallest, minlength=mergeable.size)
    replaced = mergeable & (smallest_in_cell < 2).reshape(mergeable.shape)
    single = smallest[replaced.reshape(-1)[cell_of_smallest]]
    return Merged(cells=replaced, triangles=np.concatenate([large, single]).astype(np.int32))


def _is_depth_ratio_small(lattice: Lattice) -> Mask:
    corners = np.stack(cell_corners(lattice.depth))
    return corners.max(axis=0) < _MAX_DEPTH_RATIO * corners.min(axis=0)


def _corners_around_kept_cells(mergeable: Mask, shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    """Mask of the points at which triangles must be split, so that cells keep their own ones.

    Cells are kept if they cannot be merged, or lie just outside of the image.
    """
    height, width = mergeable.shape
    kept = np.zeros((shape[0] - 1, shape[1] - 1), bool)
    kept[:height, :width] = ~mergeable
    kept[height : height + 1, : width + 1] = True
    kept[: height + 1, width : width + 1] = True

    needed = np.zeros(shape, bool)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        needed[row : shape[0] - 1 + row, column : shape[1] - 1 + column] |= kept
    # The last split of all is at points whose row or column alone is odd. These are enough,
    # because ``_propagate_errors`` hands their error to the splits before.
    needed[::2, ::2] = False
    needed[1::2, 1::2] = False
    return needed


def _propagate_errors(error: _Grid, inverse_depth: _Grid, tolerance: float) -> None:
    """Give each point the largest error of the splits at it and below it, in place.

    A triangle is then split wherever one of its parts must be, so that no cracks appear.
    """
    side = 2
    while side <= _SQUARE_SIDE:
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
    own_error = np.where(_falls_diagonally(centres.shape), along_falling, along_rising)

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


def _falls_diagonally(shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    """Whether the diagonal of a square goes from its top left to its bottom right corner.

    It alternates like the fields of a chessboard, so that triangles of neighbours fit together.
    """
    row, column = np.indices(shape, sparse=True)
    return (row + column) % 2 == 0


def _bend_or_slip(middle: _Grid, first: _Grid, second: _Grid, slip: np.float32) -> _Grid:
    """Error of replacing the middle of a line by the mean of its ends.

    It is the relative bend of 1/depth, or the slip of the texture if that is larger: the middle of
    the line in the image is half |z1 - z2| / (z1 + z2) of its length away from that in space.
    """
    sum_of_ends = first + second
    bend = np.abs(sum_of_ends / 2 - middle) / middle
    return np.maximum(bend, slip * np.abs(first - second) / sum_of_ends)


def _split_triangles(
    error: _Grid, tolerance: float
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "n 3"]]:
    """Point indices of the triangles that are larger than half a cell, and of those that are not.

    Each triangle has the two ends of its long side first, then its right angle.
    """
    point_index = np.arange(error.size).reshape(error.shape)[::_SQUARE_SIDE, ::_SQUARE_SIDE]
    top_left, top_right, bottom_left, bottom_right = cell_corners(point_index)
    falling = _falls_diagonally(top_left.shape)
    # Counter-clockwise as the camera sees them.
    pairs_by_diagonal = (
        (
            falling,
            ((bottom_right, top_left, bottom_left), (top_left, bottom_right, top_right)),
        ),
        (
            ~falling,
            ((bottom_left, top_right, top_left), (top_right, bottom_left, bottom_right)),
        ),
    )
    pending = np.concatenate(
        [
            np.stack([corner[squares] for corner in triangle], axis=1)
            for squares, pair in pairs_by_diagonal
            for triangle in pair
        ]
    )

    finished = []
    for _ in range(_MAX_SPLITS):
        # Rows and columns of the ends have even sums, so the mean index is that of the middle.
        middle = pending[:, :2].sum(axis=1) // 2
        is_split = error.reshape(-1)[middle] > tolerance
        finished.append(pending[~is_split])
        first_end, second_end, right_angle = pending[is_split].T
        new_angle = middle[is_split]
        pending = np.concatenate(
            [
                np.stack([right_angle, first_end, new_angle], axis=1),
                np.stack([second_end, right_angle, new_angle], axis=1),
            ]
        )
    return np.concatenate(finished), pending


def _renumber_triangles_inside(
    triangles: Int[np.ndarray, "m 3"], padded_columns: int, shape: tuple[int, int]
) -> Int[np.ndarray, "n 3"]:
    """Triangles inside of the image, with indices of its points in place of the padded ones."""
    row, column = np.divmod(triangles, padded_columns)
    is_inside = ((row < shape[0]) & (column < shape[1])).all(axis=1)
    return (row * shape[1] + column)[is_inside]
