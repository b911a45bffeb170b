"""Values that are known at some points of a grid, continued smoothly over the others."""

from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Bool, Float32

Channels: TypeAlias = Float32[np.ndarray, "c h w"]
Grid: TypeAlias = Bool[np.ndarray, "h w"]

_ROUNDS = 4
"""Averages of neighbours at each level, by which blocks become smooth."""


def extend_smoothly(values: Channels, known: Grid) -> Channels:
    """Continue values over the unknown points, between the smallest and the largest known value.

    The unknown points begin with the means of larger and larger blocks of known points, and are
    then averaged with their neighbours. So values that are linear around a small hole are nearly
    linear in it, and far from all known points values vary slowly. If no point is known, all are 0.
    """
    if known.all() or known.size == 1:
        return np.where(known, values, np.float32(0))
    height, width = known.shape
    block_count = _sum_blocks(known[None].astype(np.float32))
    block_sum = _sum_blocks(np.where(known, values, np.float32(0)))
    coarse = extend_smoothly(block_sum / np.maximum(block_count, 1), block_count[0] > 0)
    extended = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    extended = np.where(known, values, extended)
    for _ in range(_ROUNDS):
        extended = np.where(known, values, _mean_of_neighbours(extended))
    return extended


def _sum_blocks(values: Channels) -> Channels:
    """Sum blocks of 2 x 2 points; the last ones may be smaller."""
    _, height, width = values.shape
    even = np.pad(values, ((0, 0), (0, height % 2), (0, width % 2)))
    rows = even[:, ::2] + even[:, 1::2]
    return rows[:, :, ::2] + rows[:, :, 1::2]


def _mean_of_neighbours(values: Channels) -> Channels:
    """Mean of the four neighbours; those beyond the border are the points of the border."""
    total = np.concatenate([values[:, :1], values[:, :-1]], axis=1)
    total[:, :-1] += values[:, 1:]
    total[:, -1] += values[:, -1]
    total[:, :, 1:] += values[:, :, :-1]
    total[:, :, 0] += values[:, :, 0]
    total[:, :, :-1] += values[:, :, 1:]
    total[:, :, -1] += values[:, :, -1]
    total *= np.float32(0.25)
    return total
