"""Bands in which depth melts from a near to a far surface are made one step."""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Int, Mask
from rilievo.geometry.surfaces.lattice import Lattice, find_edge_steps

Numbers = Int[np.ndarray, "n"]
"""Points in reading order."""

_PULL = 0.02
"""Least step of 1/depth at an edge, times the median depth."""
_WIDEST = 0.04
"""Largest width, as a share of the diagonal."""
_MOST = 0.03
"""Most edges, as a share of points, so that foliage is no confetti."""
_SLOPE = 0.25
"""Steps of a band, as a share of an edge's."""
_GOES_ON = 0.6
"""Slope of 1/depth beyond the near end of a plane, as a share."""
_DOUBLINGS = 6
"""Power of two of the farthest end of a band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpened:
    """Surface whose edges are steps; ``edge`` is the least of 1/depth."""

    lattice: Lattice
    edge: float


def sharpen_edges(lattice: Lattice) -> Sharpened:
    """Lay bands onto their closer ends; only the largest steps where edges are many."""
    if not lattice.valid.any():
        return Sharpened(lattice=lattice, edge=np.inf)
    edge = _PULL / float(np.median(lattice.depth[lattice.valid]))
    sharp = _collapse_bands(lattice, edge)
    steps = np.concatenate(
        [abs(change[change != 0]) for _, change in find_edge_steps(sharp, edge).steps_by_axis()]
    )
    most = int(_MOST * lattice.valid.size)
    if len(steps) > most:
        # Equal steps are edges together.
        edge = float(np.nextafter(np.partition(steps, -most - 1)[-most - 1], np.float32(0)))
    return Sharpened(lattice=sharp, edge=edge)


def _collapse_bands(lattice: Lattice, least: float) -> Lattice:
    shape = lattice.valid.shape
    # The steepest ways up and down, from point to point.
    near, far = (np.arange(lattice.valid.size, dtype=np.int32) for _ in range(2))
    steepest = np.zeros((2, lattice.valid.size), np.float32)
    parts = []
    for axis, change in find_edge_steps(lattice, _SLOPE * least).steps_by_axis():
        places = np.flatnonzero(change)
        row, column = np.divmod(places, change.shape[1])
        one = row * shape[1] + column
        other = one + (shape[1] if axis == 0 else 1)
        rise = change.reshape(-1)[places]
        for source, target, step in ((one, other, rise), (other, one, -rise)):
            for ends, most, height in ((near, steepest[0], step), (far, steepest[1], -step)):
                chosen = height > most[source]
                most[source[chosen]] = height[chosen]
                ends[source[chosen]] = target[chosen]
        parts += [one, other]
    places = np.unique(np.concatenate(parts))
    for ends in (near, far):
        for _ in range(_DOUBLINGS):
            ends[places] = ends[ends[places]]
    near, far = near[places], far[places]
    flat = lattice.depth.reshape(-1)
    step = 1 / flat[near] - 1 / flat[far]
    (row, column), (from_row, from_column) = np.divmod(near, shape[1]), np.divmod(far, shape[1])
    down, right = row - from_row, column - from_column
    chosen = (step > least) & (np.hypot(down, right) <= _WIDEST * math.hypot(*shape))
    # On a plane 1/depth is linear: a wall goes on beyond the near end as it came there.
    row, column = row + _half_away_from_zero(down), column + _half_away_from_zero(right)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    beyond = np.where(inside, row * shape[1] + column, near)
    rise = np.where(lattice.valid.reshape(-1)[beyond], 1 / flat[beyond] - 1 / flat[near], 0)
    length = np.maximum(
        np.hypot(_half_away_from_zero(down), _half_away_from_zero(right)), 1
    ) / np.maximum(np.hypot(down, right), 1)
    chosen &= rise < _GOES_ON * step * length
    places, is_open = places[chosen], _is_beside_hole(lattice.valid).reshape(-1)[far[chosen]]
    near, far = flat[near[chosen]], flat[far[chosen]]
    is_near = is_open | (flat[places] / near <= far / flat[places])
    depth = lattice.depth.copy()
    depth.reshape(-1)[places] = np.where(is_near, near, far)
    return lattice.with_depth(depth, lattice.valid)


def _is_beside_hole(valid: Mask) -> Mask:
    beside = np.zeros(valid.shape, bool)
    for axis in (0, 1):
        line, chosen = np.moveaxis(valid, axis, 0), np.moveaxis(beside, axis, 0)
        chosen[1:] |= ~line[:-1]
        chosen[:-1] |= ~line[1:]
    return beside


def _half_away_from_zero(length: Numbers) -> Numbers:
    return np.sign(length) * ((abs(length) + 1) // 2)
