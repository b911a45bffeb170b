"""A second layer of a surface, which continues the far side of an edge behind the near side.

It is made up: no camera saw what lies there. The layer begins at the last two points on the far
side of a tear and goes on at their depth, as far as the near side covers it, in the colours of the
photograph mirrored at the edge. The photograph's own camera sees it where the surface is torn.
"""

from dataclasses import replace

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.surfaces.lattice import Cut, Lattice, Numbers, neighbours
from rilievo.shapes import Float32, Int, Mask

_ROUNDS = 16
"""Number of times that the depth of the layer is averaged with its neighbours."""


@frozen
class Backing:
    """The layer behind the edges of a lattice.

    Attributes:
        lattice: Points of the layer, with the points of the far side at which it begins.
        grown: Points of the layer that are behind the surface.
        rows: Row of the lattice from which each point takes its colour.
        columns: Column of the lattice from which each point takes its colour.
    """

    lattice: Lattice
    grown: Mask
    rows: Int[np.ndarray, "h w"]
    columns: Int[np.ndarray, "h w"]


def behind_edges(
    lattice: Lattice,
    cut: Cut,
    reach: int,
    *,
    least: float = 0.0,
    pull: float = 1e9,
    flying: Mask | None = None,
) -> Backing:
    """Make the layer behind every tear of depth; it has no point where nothing is torn.

    Args:
        lattice: Points of the surface.
        cut: Limits of the surface; ``jump`` decides what is a tear.
        reach: Largest number of points that the layer goes behind the near side.
        least: Least step of 1/depth at such a tear.
        pull: Points by which the farthest view moves a point, per unit of 1/depth: the layer goes
            no farther than such a view sees.
        flying: Points between a near and a far surface (``surface.flying_pixels``), which are
            neither: the layer passes behind them as if the near side reached the far one; None
            if no point is passed over.
    """
    height, width = lattice.valid.shape
    z = np.where(lattice.valid, lattice.depth, np.float32(np.inf)).reshape(-1)
    if flying is not None:
        z = _without_ramps(z, np.flatnonzero(flying & lattice.valid), (height, width))
    factor = np.float32(1 + cut.jump)
    layer = np.zeros(z.size, np.float32)
    seed = np.full(z.size, -1)
    front = _far_ends(z, (height, width), factor, np.float32(least))
    # One more point of the far side, since a smooth rim leaves a gap before its end.
    source, target = neighbours(front, (height, width))
    ring = target[(z[target] < z[source] * factor) & (z[source] < z[target] * factor)]
    for begin in (ring, front):
        layer[begin], seed[begin] = z[begin], begin
    rounds: list[np.ndarray] = []
    for away in range(reach):
        source, target = neighbours(front, (height, width))
        covered = (seed[target] < 0) & (z[target] * factor < layer[source])
        covered &= away <= pull * (1 / z[target] - 1 / layer[source])
        source, target = source[covered], target[covered]
        if not target.size:
            break
        front, first, where = np.unique(target, return_index=True, return_inverse=True)
        total = np.bincount(where, 1 / layer[source].astype(np.float64))
        layer[front] = np.bincount(where) / total
        seed[front] = seed[source[first]]
        rounds.append(front)
    grown = np.concatenate(rounds) if rounds else np.zeros(0, int)
    _average(layer, grown, z[grown] * factor, (height, width))
    there = (seed >= 0).reshape(height, width)
    behind = np.zeros(z.size, bool)
    behind[grown] = True
    depth = np.where(there, layer.reshape(height, width), np.float32(1))
    rows, columns = _mirrored(seed, layer, z, (height, width), factor)
    return Backing(
        lattice=replace(lattice.with_depth(depth, there), normals=None),
        grown=behind.reshape(height, width),
        rows=rows,
        columns=columns,
    )


def _without_ramps(
    z: Float32[np.ndarray, "p"], flying: Numbers, shape: tuple[int, int]
) -> Float32[np.ndarray, "p"]:
    """Depth in which the points of a ramp have that of its near end, so that its edge is sharp."""
    filled = z.copy()
    filled[flying] = np.inf
    while flying.size:
        source, target = neighbours(flying, shape)
        # Downhill only: the near end of a ramp, never the far one.
        nearer = np.isfinite(filled[target]) & (z[target] < z[source])
        source, target = source[nearer], target[nearer]
        if not source.size:
            break
        values = filled[target]
        np.minimum.at(filled, source, values)
        flying = flying[~np.isfinite(filled[flying])]
    return filled


def _far_ends(
    z: Float32[np.ndarray, "p"], shape: tuple[int, int], factor: np.float32, least: np.float32
) -> Numbers:
    """Find points with a neighbour that is nearer by more than the factor, and by ``least``."""
    field = z.reshape(shape)
    far = np.zeros(shape, bool)
    for axis in (0, 1):
        line, found = np.moveaxis(field, axis, 0), np.moveaxis(far, axis, 0)
        change = np.diff(1 / line, axis=0)
        found[1:] |= np.isfinite(line[1:]) & (line[:-1] * factor < line[1:]) & (-change > least)
        found[:-1] |= np.isfinite(line[:-1]) & (line[1:] * factor < line[:-1]) & (change > least)
    return np.flatnonzero(far)


def _average(
    layer: Float32[np.ndarray, "p"],
    grown: Numbers,
    nearest: Float32[np.ndarray, "n"],
    shape: tuple[int, int],
) -> None:
    """Smooth the layer where it was grown, behind ``nearest``; its far ends stay."""
    if not grown.size:
        return
    order = np.argsort(grown)
    grown, nearest = grown[order], nearest[order]
    source, target = neighbours(grown, shape)
    known = layer[target] > 0
    owner, target = np.searchsorted(grown, source[known]), target[known]
    count = np.bincount(owner, minlength=len(grown))
    for _ in range(_ROUNDS):
        total = np.bincount(owner, 1 / layer[target].astype(np.float64), len(grown))
        layer[grown] = np.maximum(count / total, nearest)


def _mirrored(
    seed: Int[np.ndarray, "p"],
    layer: Float32[np.ndarray, "p"],
    z: Float32[np.ndarray, "p"],
    shape: tuple[int, int],
    factor: np.float32,
) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
    """Find the source of each colour: as far beyond the edge as the point is behind it.

    Where another surface is there, it is the far end itself.
    """
    height, width = shape
    rows, columns = np.divmod(np.arange(seed.size), width)
    from_row, from_column = np.divmod(np.maximum(seed, 0), width)
    row, column = 2 * from_row - rows, 2 * from_column - columns
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    depth = z[np.where(inside, row * width + column, 0)]
    # Not what is nearer, nor what is another thing behind.
    alike = inside & (depth * factor > layer) & (depth < layer * factor)
    row, column = np.where(alike, row, from_row), np.where(alike, column, from_column)
    return row.reshape(shape), column.reshape(shape)
