"""Flat parts of a surface with fewer triangles: a fan from the middle of a block to its border.

All points on the border of a block stay, so neighbouring blocks of any size meet without cracks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from numpy.lib.stride_tricks import sliding_window_view

from rilievo.geometry.lattice import Faces, Lattice

_SIDES = (16, 8, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fans:
    """Triangles in place of those of flat blocks.

    Attributes:
        merged: Fours of neighbours whose triangles they replace.
        triangles: Numbers of the lattice's points in reading order, facing the camera.
    """

    merged: Bool[np.ndarray, "h w"]
    triangles: Int32[np.ndarray, "m 3"]


def flat_fans(lattice: Lattice, faces: Faces, tolerance: float) -> Fans:
    """Fans for blocks of 16, 8 and 4 neighbours without a tear.

    Args:
        lattice: Points.
        faces: Their triangles.
        tolerance: Largest relative change of a point's depth.
    """
    whole = faces.first.any(axis=0) & faces.second.any(axis=0)
    merged = np.zeros(whole.shape, bool)
    # 1/z of a plane is linear in the image.
    inverse = 1 / lattice.points[2]
    width = lattice.points.shape[2]
    triangles = [np.zeros((0, 3), np.int32)]
    for side in _SIDES:
        if min(whole.shape) < side:
            continue
        rows, columns = np.nonzero(_all(whole & ~merged, side))
        rows, columns = rows * side, columns * side
        blocks = sliding_window_view(inverse, (side + 1, side + 1))[rows, columns]
        flat = _deviation(blocks, side) <= tolerance
        rows, columns = rows[flat], columns[flat]
        inside = np.arange(side)
        merged[rows[:, None, None] + inside[:, None], columns[:, None, None] + inside[None, :]] = (
            True
        )
        triangles.append(_fans(rows * width + columns, side, width))
    return Fans(merged=merged, triangles=np.concatenate(triangles))


def _all(whole: Bool[np.ndarray, "h w"], side: int) -> Bool[np.ndarray, "a b"]:
    """Aligned blocks that are wholly true."""
    height, width = (length // side for length in whole.shape)
    cut = whole[: height * side, : width * side]
    return np.asarray(cut.reshape(height, side, width, side).all(axis=(1, 3)))


def _border(side: int) -> Iterator[tuple[int, int]]:
    """Row and column of the points around a block: down on the left, and around."""
    yield from ((i, 0) for i in range(side))
    yield from ((side, i) for i in range(side))
    yield from ((side - i, side) for i in range(side))
    yield from ((0, side - i) for i in range(side))


def _fans(corners: Int[np.ndarray, "n"], side: int, width: int) -> Int32[np.ndarray, "m 3"]:
    ring = np.array([row * width + column for row, column in _border(side)])
    middle = np.full_like(ring, side // 2 * width + side // 2)
    fan = np.stack([middle, ring, np.roll(ring, -1)], axis=1)
    return (corners[:, None, None] + fan).reshape(-1, 3).astype(np.int32)


def _deviation(blocks: Float32[np.ndarray, "n s s"], side: int) -> Float32[np.ndarray, "n"]:
    """The largest relative difference of each block from its fan."""
    row, column = np.mgrid[1:side, 1:side] - side // 2
    half = side // 2
    # A point is on the ray from the middle to the border, which it meets between two neighbours.
    reach = np.maximum(np.abs(row), np.abs(column))
    share = reach / half
    scale = half / np.maximum(reach, 1)
    down, across = row * scale + half, column * scale + half
    low = np.floor(np.stack([down, across]) + 1e-6).astype(int)
    high = np.minimum(np.ceil(np.stack([down, across]) - 1e-6).astype(int), side)
    part = np.maximum(down - low[0], across - low[1])
    rim = blocks[:, low[0], low[1]] * (1 - part) + blocks[:, high[0], high[1]] * part
    middle = blocks[:, half, half][:, None, None]
    fan = middle + share * (rim - middle)
    given = blocks[:, 1:side, 1:side]
    return (np.abs(fan - given) / given).max(axis=(1, 2)).astype(np.float32)
