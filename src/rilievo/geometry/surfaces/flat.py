"""Flat parts of a surface: right triangles, halved where the surface or its texture bends."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float32, Int, Mask
from rilievo.geometry.surfaces.lattice import Faces, Lattice, Triangles, cell_corners

_SIDE = 64
"""Cells along the largest square, a power of two."""
_SLIP = 0.5
"""Largest slip of texture [points]."""
_STEEPEST = np.float32(1.1)
"""Ratio of depths in a cell whose triangles stay."""
_Grid = Float32[np.ndarray, "_ _"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Triangles that replace those of flat cells."""

    cells: Mask
    triangles: Triangles


def merge_flat_triangles(lattice: Lattice, faces: Faces, tolerance: float) -> Merged:
    """Merge them; ``tolerance`` is the relative change of depth that halves one."""
    whole = np.logical_and(*faces.drawn_masks) & _is_depth_ratio_small(lattice)
    height, width = lattice.valid.shape
    padding = [(0, -(length - 1) % _SIDE) for length in (height, width)]
    # 1/z of a plane is linear in the image.
    inverse = np.pad(1 / lattice.depth, padding, mode="edge")
    error = np.where(
        _corners_around_torn_cells(whole, inverse.shape), np.float32(np.inf), np.float32(0)
    )
    _propagate_errors(error, inverse, tolerance)
    large, single = _halve_triangles(error, tolerance)
    columns = inverse.shape[1]
    large, single = (
        _renumber_triangles_inside(corners, columns, (height, width)) for corners in (large, single)
    )
    # If both triangles of a cell remain, those of ``faces`` are better: split along the edge.
    row, column = (corners.min(axis=1) for corners in np.divmod(single, width))
    cell = row * (width - 1) + column
    alone = np.bincount(cell, minlength=whole.size)
    cells = whole & (alone < 2).reshape(whole.shape)
    halves = single[cells.reshape(-1)[cell]]
    return Merged(cells=cells, triangles=np.concatenate([large, halves]).astype(np.int32))


def _is_depth_ratio_small(lattice: Lattice) -> Mask:
    a, b, c, d = cell_corners(lattice.depth)
    nearest = np.minimum(np.minimum(a, b), np.minimum(c, d))
    return np.maximum(np.maximum(a, b), np.maximum(c, d)) < _STEEPEST * nearest


def _corners_around_torn_cells(whole: Mask, shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    height, width = whole.shape
    torn = np.zeros((shape[0] - 1, shape[1] - 1), bool)
    torn[:height, :width] = ~whole
    torn[height : height + 1, : width + 1] = True
    torn[: height + 1, width : width + 1] = True
    needed = np.zeros(shape, bool)
    for rows, columns in ((0, 0), (0, 1), (1, 0), (1, 1)):
        needed[rows : shape[0] - 1 + rows, columns : shape[1] - 1 + columns] |= torn
    # Only the points of the last halving are kept here; ``_propagate_errors`` adds others.
    needed[::2, ::2] = needed[1::2, 1::2] = False
    return needed


def _propagate_errors(error: _Grid, field: _Grid, tolerance: float) -> None:
    """Raise a point's error to that of triangles it halves."""
    side = 2
    while side <= _SIDE:
        slip = np.float32(tolerance / _SLIP * side / 2)
        _propagate_side_errors(error, field, side, slip)
        _propagate_side_errors(error.T, field.T, side, slip)
        _propagate_centre_errors(error, field, side, slip)
        side *= 2


def _propagate_side_errors(error: _Grid, field: _Grid, side: int, slip: np.float32) -> None:
    half = side // 2
    middle, ends = field[::side, half::side], field[::side, ::side]
    here = error[::side, half::side]
    np.maximum(here, _relative_bend(middle, ends[:, :-1], ends[:, 1:], slip), out=here)
    if half > 1:
        centres = error[half // 2 :: half, half // 2 :: half]
        pairs = np.maximum(centres[:, ::2], centres[:, 1::2])
        np.maximum(here[1:], pairs[1::2], out=here[1:])
        np.maximum(here[:-1], pairs[::2], out=here[:-1])


def _propagate_centre_errors(error: _Grid, field: _Grid, side: int, slip: np.float32) -> None:
    half = side // 2
    middle, corners = field[half::side, half::side], field[::side, ::side]
    falling = _relative_bend(middle, corners[:-1, :-1], corners[1:, 1:], slip)
    rising = _relative_bend(middle, corners[:-1, 1:], corners[1:, :-1], slip)
    own = np.where(_checkerboard(middle.shape), falling, rising)
    above, beside = error[::side, half::side], error[half::side, ::side]
    here = error[half::side, half::side]
    for other in (own, above[:-1], above[1:], beside[:, :-1], beside[:, 1:]):
        np.maximum(here, other, out=here)


def _checkerboard(shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    row, column = np.indices(shape, sparse=True)
    return (row + column) % 2 == 0


def _relative_bend(middle: _Grid, first: _Grid, second: _Grid, slip: np.float32) -> _Grid:
    """Relative bend of inverse depth, or slip of texture: half |z1 - z2| / (z1 + z2) points."""
    together = first + second
    bend = np.abs(together / 2 - middle) / middle
    return np.maximum(bend, slip * np.abs(first - second) / together)


def _halve_triangles(
    error: _Grid, tolerance: float
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "n 3"]]:
    """Point indices of triangles of earlier halvings, then of the last."""
    number = np.arange(error.size).reshape(error.shape)[::_SIDE, ::_SIDE]
    a, b, c, d = cell_corners(number)
    falling = _checkerboard(a.shape)
    # Corners: the two ends of the long side, then the right angle; facing the camera.
    pairs = (((d, a, c), (a, d, b)), ((c, b, a), (b, c, d)))
    open_ones = np.concatenate(
        [
            np.stack([corner[chosen] for corner in triangle], axis=1)
            for chosen, triangles in zip((falling, ~falling), pairs, strict=True)
            for triangle in triangles
        ]
    )
    done = []
    for _ in range(2 * (_SIDE.bit_length() - 1)):
        middle = open_ones[:, :2].sum(axis=1) // 2
        split = error.reshape(-1)[middle] > tolerance
        done.append(open_ones[~split])
        (a, b, c), m = open_ones[split].T, middle[split]
        open_ones = np.concatenate([np.stack([c, a, m], axis=1), np.stack([b, c, m], axis=1)])
    return np.concatenate(done), open_ones


def _renumber_triangles_inside(
    triangles: Int[np.ndarray, "m 3"], columns: int, shape: tuple[int, int]
) -> Int[np.ndarray, "n 3"]:
    row, column = np.divmod(triangles, columns)
    inside = ((row < shape[0]) & (column < shape[1])).all(axis=1)
    return (row * shape[1] + column)[inside]
