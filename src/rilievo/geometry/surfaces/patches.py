"""Connected patches of a surface: small ones (specks) are removed, and small holes closed."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Int, Mask
from rilievo.geometry.surfaces.lattice import Cut, Faces, Lattice, triangulate_cells
from rilievo.geometry.surfaces.ramps import Numbers

_MIN_SPECK_LIMIT = 6
"""Points up to which a patch is a speck, however small ``Cut.specks`` is."""
_HOLE_ROUNDS = 64
"""Averages by which the depth of a closed hole becomes smooth."""

Links: TypeAlias = tuple[Bool[np.ndarray, "h v"], Bool[np.ndarray, "g w"]]
"""Whether each point is connected to that in the next column, and to that in the next row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Patches of connected points.

    Attributes:
        label: Patch of each point, from 1; 0 for points of no patch.
        size: Number of points of each patch, and of none.
    """

    label: Int[np.ndarray, "h w"]
    size: Numbers


def label_patches(
    mask: Mask,
    beside: Bool[np.ndarray, "h v"],
    below: Bool[np.ndarray, "g w"],
) -> Patches:
    """Label the connected patches of the points of a mask.

    Args:
        mask: The points.
        beside: Whether each point is connected to that in the next column.
        below: Whether each point is connected to that in the next row.
    """
    starts_run = mask.copy()
    starts_run[:, 1:] &= ~beside
    # Runs along the rows, numbered from 1; a run is joined to the connected runs above it.
    run = np.cumsum(starts_run).reshape(mask.shape)
    run[~mask] = 0
    upper_run, lower_run = run[:-1][below], run[1:][below]
    is_new_pair = np.ones(upper_run.size, bool)
    is_new_pair[1:] = (np.diff(upper_run) != 0) | (np.diff(lower_run) != 0)
    run_count = int(starts_run.sum()) + 1
    root = least_joined_index(run_count, upper_run[is_new_pair], lower_run[is_new_pair])
    _, patch_of_run = np.unique(root, return_inverse=True)
    label = patch_of_run[run]
    return Patches(label=label, size=np.bincount(label.reshape(-1)))


def least_joined_index(
    count: int, first: Int[np.ndarray, "m"], second: Int[np.ndarray, "m"]
) -> Numbers:
    """Smallest index to which each index is joined, directly or by others (union-find).

    Args:
        count: Number of indices.
        first: First index of each pair that is joined.
        second: Second index of each pair.
    """
    root = np.arange(count)
    while True:
        first_root, second_root = root[first], root[second]
        is_apart = first_root != second_root
        if not is_apart.any():
            return root
        first, second = first[is_apart], second[is_apart]
        first_root, second_root = first_root[is_apart], second_root[is_apart]
        np.minimum.at(
            root, np.maximum(first_root, second_root), np.minimum(first_root, second_root)
        )
        while (root[root] != root).any():
            root = root[root]


def without_specks(lattice: Lattice, cut: Cut, links: Links | None = None) -> Lattice:
    """Remove the small patches of a surface.

    Args:
        lattice: The surface.
        cut: Limits; ``cut.specks`` says which patches are small.
        links: Connections between points; by default those by the sides of triangles.
    """
    if not cut.specks or not lattice.valid.any():
        return lattice
    links = triangle_links(triangulate_cells(lattice, cut)) if links is None else links
    return replace(lattice, valid=lattice.valid & ~_speck_mask(lattice, cut, links))


def near_neighbours(lattice: Lattice, reach: tuple[float, float]) -> Links:
    """Connect the neighbours whose depth differs little.

    Args:
        lattice: The surface.
        reach: Largest relative difference of depth, down and across.
    """
    depth, valid = lattice.depth, lattice.valid
    max_step_down, max_step_across = reach
    beside = _is_step_small(depth[:, 1:], depth[:, :-1], max_step_across)
    below = _is_step_small(depth[1:], depth[:-1], max_step_down)
    return beside & valid[:, 1:] & valid[:, :-1], below & valid[1:] & valid[:-1]


def _is_step_small(
    first: np.ndarray, second: np.ndarray, max_step: float
) -> Bool[np.ndarray, "_ _"]:
    with np.errstate(invalid="ignore"):
        return np.maximum(first, second) <= np.minimum(first, second) * np.float32(1 + max_step)


def mend_lattice(lattice: Lattice, cut: Cut, *, specks: bool = True) -> Lattice:
    """Remove specks, and close holes as small whose rim is one surface within ``cut.jump``."""
    lattice = without_specks(lattice, cut) if specks else lattice
    valid = lattice.valid
    if not cut.specks or not valid.any():
        return lattice
    depth = np.where(valid, lattice.depth, np.float32(1))
    closed = _close_holes(depth, valid, cut, lattice.hollow)
    is_filled = closed & ~valid
    if not is_filled.any():
        return lattice
    return lattice.with_depth(np.where(is_filled, depth, lattice.depth), closed)


def _is_small(size: Numbers, cut: Cut, point_count: int) -> Bool[np.ndarray, "n"]:
    # On a coarse lattice a few points are a large part of the picture.
    min_limit = min(_MIN_SPECK_LIMIT, point_count // 1000)
    return size <= max(min_limit, int(cut.specks * point_count))


def _speck_mask(lattice: Lattice, cut: Cut, links: Links) -> Mask:
    """Mask of the points of small patches. The largest patch of all is none."""
    patches = label_patches(lattice.valid, *links)
    is_speck = _is_small(patches.size, cut, lattice.valid.size)
    is_speck[0] = False
    if len(patches.size) > 1:
        is_speck[1 + np.argmax(patches.size[1:])] = False
    return is_speck[patches.label]


def triangle_links(faces: Faces, merge: np.ufunc = np.logical_or) -> Links:
    """Connect points by the horizontal and vertical sides of triangles.

    Args:
        faces: Triangles of all cells.
        merge: Function of whether there are triangles on either side of the connection: by default
            one is enough; ``np.logical_xor`` gives the sides of one triangle alone.
    """
    has_first, has_second = faces.drawn_masks
    falling = faces.falling
    height, width = falling.shape
    beside = np.zeros((height + 1, width), bool)
    beside[:-1] = np.where(falling, has_second, has_first)  # upper sides of cells
    beside[1:] = merge(beside[1:], np.where(falling, has_first, has_second))  # lower sides
    below = np.zeros((height, width + 1), bool)
    below[:, :-1] = has_first  # left sides
    below[:, 1:] = merge(below[:, 1:], has_second)  # right sides
    return beside, below


def _close_holes(depth: Field, valid: Mask, cut: Cut, hollow: Mask | None) -> Mask:
    """Close small holes, whose depth is set in place.

    Returns:
        Mask of the points that are valid or in a closed hole.
    """
    width = depth.shape[1]
    holes = label_patches(~valid, ~(valid[:, 1:] | valid[:, :-1]), ~(valid[1:] | valid[:-1]))
    is_closable = _is_small(holes.size, cut, valid.size)
    is_closable[0] = False  # which is no hole
    # Holes at the border of the picture have no complete rim.
    is_closable[holes.label[[0, -1]]] = False
    is_closable[holes.label[:, [0, -1]]] = False
    if hollow is not None:
        is_closable[holes.label[hollow]] = False

    # Nearest and farthest depth on the rim of each hole.
    flat_depth, flat_valid = depth.reshape(-1), valid.reshape(-1)
    points = np.flatnonzero(is_closable[holes.label])
    neighbours = points + np.array([-width, width, -1, 1])[:, None]
    hole = holes.label.reshape(-1)[points]
    nearest, farthest = np.full(holes.size.size, np.inf), np.zeros(holes.size.size)
    for neighbour in neighbours:
        is_rim = flat_valid[neighbour]
        np.minimum.at(nearest, hole[is_rim], flat_depth[neighbour[is_rim]])
        np.maximum.at(farthest, hole[is_rim], flat_depth[neighbour[is_rim]])

    is_one_surface = (farthest <= nearest * (1 + cut.jump))[hole]
    points, neighbours = points[is_one_surface], neighbours[:, is_one_surface]
    hole = hole[is_one_surface]
    flat_depth[points] = (nearest[hole] + farthest[hole]) / 2
    if points.size:
        for _ in range(_HOLE_ROUNDS):
            # 1/z of a plane is linear in the image, so the harmonic mean is averaged.
            flat_depth[points] = 4 / (1 / flat_depth[neighbours]).sum(axis=0)
    closed = valid.copy()
    closed.reshape(-1)[points] = True
    return closed
