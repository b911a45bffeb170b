"""Connected patches of a surface: small ones (specks) are removed, and small holes closed."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int, Mask
from rilievo.geometry.connected_components import Patches, label_linked_patches, label_patches
from rilievo.geometry.surfaces.lattice import Cut, Faces, Lattice, triangulate_cells
from rilievo.geometry.surfaces.ramps import PointIndices

_MIN_SPECK_LIMIT = 6
"""Points up to which a patch is a speck, however small ``Cut.specks`` is."""
_HOLE_ROUNDS = 64
"""Averages by which the depth of a closed hole becomes smooth."""

Links: TypeAlias = tuple[Bool[np.ndarray, "h v"], Bool[np.ndarray, "g w"]]
"""Whether each point is connected to that in the next column, and to that in the next row."""


def without_specks(lattice: Lattice, cut: Cut, links: Links | None = None) -> Lattice:
    """Remove the small patches of a surface, up to the size ``cut.specks``.

    ``links`` are the connections between points; by default, the sides of triangles connect them.
    """
    if not cut.specks or not lattice.valid.any():
        return lattice
    links = triangle_links(triangulate_cells(lattice, cut)) if links is None else links
    return replace(lattice, valid=lattice.valid & ~_speck_mask(lattice, cut, links))


def near_neighbours(lattice: Lattice, max_jumps: tuple[float, float]) -> Links:
    """Connect the neighbours whose depth differs little.

    ``max_jumps`` are the largest relative differences of depth, down and across.
    """
    depth, valid = lattice.depth, lattice.valid
    max_step_down, max_step_across = max_jumps
    beside = _is_step_small(depth[:, 1:], depth[:, :-1], max_step_across)
    below = _is_step_small(depth[1:], depth[:-1], max_step_down)
    return beside & valid[:, 1:] & valid[:, :-1], below & valid[1:] & valid[:-1]


def _is_step_small(
    first: np.ndarray, second: np.ndarray, max_step: float
) -> Bool[np.ndarray, "_ _"]:
    with np.errstate(invalid="ignore"):
        return np.maximum(first, second) <= np.minimum(first, second) * np.float32(1 + max_step)


def mend_lattice(lattice: Lattice, cut: Cut, *, remove_specks: bool = True) -> Lattice:
    """Remove specks, and close holes up to the same size.

    A hole is closed if its rim is one surface, within ``cut.jump``.
    """
    without_small = without_specks(lattice, cut) if remove_specks else lattice
    if not cut.specks or not without_small.valid.any():
        return without_small
    return _fill_small_holes(without_small, cut)


def _max_speck_size(cut: Cut, point_count: int) -> int:
    """Size of the largest patch that is a speck, on a lattice with this many points."""
    # A constant limit would be a large part of the picture on a coarse lattice.
    min_limit = min(_MIN_SPECK_LIMIT, point_count // 1000)
    return max(min_limit, int(cut.specks * point_count))


def _speck_mask(lattice: Lattice, cut: Cut, links: Links) -> Mask:
    """Mask of the points of small patches. The largest patch is never a speck."""
    patches = label_linked_patches(lattice.valid, *links)
    is_speck = patches.size <= _max_speck_size(cut, lattice.valid.size)
    is_speck[0] = False  # Label 0 stands for no patch.
    if len(patches.size) > 1:
        is_speck[1 + np.argmax(patches.size[1:])] = False
    return is_speck[patches.label]


def triangle_links(faces: Faces, combine: np.ufunc = np.logical_or) -> Links:
    """Connect points by the horizontal and vertical sides of triangles.

    Args:
        faces: Triangles of all cells.
        combine: Combines whether there is a triangle on either side of a connection. By default,
            one is enough; ``np.logical_xor`` gives the sides that belong to one triangle only.
    """
    has_first, has_second = faces.drawn_masks
    is_falling = faces.is_falling
    # The first triangle of a cell has its left side, and with a falling diagonal the lower one.
    has_upper_side = np.where(is_falling, has_second, has_first)
    has_lower_side = np.where(is_falling, has_first, has_second)
    # Along each row of points are the lower sides of the cells above it, and the upper sides of
    # those below it. Outside of the lattice, there are no cells.
    beside = combine(
        np.pad(has_lower_side, [(1, 0), (0, 0)]), np.pad(has_upper_side, [(0, 1), (0, 0)])
    )
    below = combine(np.pad(has_second, [(0, 0), (1, 0)]), np.pad(has_first, [(0, 0), (0, 1)]))
    return beside, below


def _fill_small_holes(lattice: Lattice, cut: Cut) -> Lattice:
    """Fill the small holes whose rim is one surface, except for those in ``lattice.hollow``.

    A filled hole begins with the mean of the nearest and the farthest depth on its rim. Then its
    1/depth, which is linear in the image on a plane, becomes smooth.
    """
    holes = label_patches(~lattice.valid)
    is_closable = _closable_holes(holes, cut, lattice.hollow)
    points = np.flatnonzero(is_closable[holes.label])
    rims = _depth_of_rims(lattice, holes, points)
    is_one_surface = rims.farthest <= rims.nearest * (1 + cut.jump)

    hole_of_point = holes.label.reshape(-1)
    points = points[is_one_surface[hole_of_point[points]]]
    if not points.size:
        return lattice
    mean_of_rim = (rims.nearest + rims.farthest) / 2
    depth = lattice.depth.reshape(-1).copy()
    depth[points] = mean_of_rim[hole_of_point[points]]
    neighbours = _four_neighbours(points, lattice.depth.shape[1])
    for _ in range(_HOLE_ROUNDS):
        # A round of Jacobi's method for Laplace's equation of 1/depth: each point gets the harmonic
        # mean of its neighbours' depth.
        depth[points] = 4 / (1 / depth[neighbours]).sum(axis=0)
    is_valid = lattice.valid.copy()
    is_valid.reshape(-1)[points] = True
    return lattice.with_depth(depth.reshape(lattice.depth.shape), is_valid)


def _closable_holes(holes: Patches, cut: Cut, hollow: Mask | None) -> Bool[np.ndarray, "n"]:
    """Whether each hole is small, surrounded by the surface, and nowhere hollow."""
    is_closable = holes.size <= _max_speck_size(cut, holes.label.size)
    is_closable[0] = False  # Label 0 stands for no hole.
    # Holes at the border of the picture have no complete rim.
    is_closable[holes.label[[0, -1]]] = False
    is_closable[holes.label[:, [0, -1]]] = False
    if hollow is not None:
        is_closable[holes.label[hollow]] = False
    return is_closable


@dataclass(frozen=True, slots=True, kw_only=True)
class _RimDepths:
    """Range of the depth along the rim of each hole; from infinity to 0 if it was not read."""

    nearest: Float64[np.ndarray, "n"]
    farthest: Float64[np.ndarray, "n"]


def _depth_of_rims(lattice: Lattice, holes: Patches, points: PointIndices) -> _RimDepths:
    """Read the depth beside some points of holes, none of which lies at the lattice's border."""
    hole_count = len(holes.size)
    hole_of_point = holes.label.reshape(-1)[points]
    depth, valid = lattice.depth.reshape(-1), lattice.valid.reshape(-1)
    nearest, farthest = np.full(hole_count, np.inf), np.zeros(hole_count)
    for neighbour in _four_neighbours(points, lattice.depth.shape[1]):
        is_rim = valid[neighbour]
        hole, rim_depth = hole_of_point[is_rim], depth[neighbour[is_rim]]
        np.minimum.at(nearest, hole, rim_depth)
        np.maximum.at(farthest, hole, rim_depth)
    return _RimDepths(nearest=nearest, farthest=farthest)


def _four_neighbours(points: PointIndices, width: int) -> Int[np.ndarray, "4 n"]:
    """Points above, below, left and right of some points of a lattice with ``width`` columns."""
    return points + np.array([-width, width, -1, 1])[:, None]
