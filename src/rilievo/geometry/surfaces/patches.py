"""Connected patches of a surface: small ones (specks) are removed, and small holes closed."""

from dataclasses import replace
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Mask
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


def near_neighbours(lattice: Lattice, reach: tuple[float, float]) -> Links:
    """Connect the neighbours whose depth differs little.

    ``reach`` is the largest relative difference of depth, down and across.
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


def mend_lattice(lattice: Lattice, cut: Cut, *, remove_specks: bool = True) -> Lattice:
    """Remove specks, and close holes up to the same size.

    A hole is closed if its rim is one surface, within ``cut.jump``.
    """
    mended = without_specks(lattice, cut) if remove_specks else lattice
    if not cut.specks or not mended.valid.any():
        return mended
    # Any finite depth will do in holes. Then that of small ones is filled in place.
    depth = np.where(mended.valid, mended.depth, np.float32(1))
    is_valid = _fill_small_holes(depth, mended.valid, cut, mended.hollow)
    is_filled = is_valid & ~mended.valid
    if not is_filled.any():
        return mended
    return mended.with_depth(np.where(is_filled, depth, mended.depth), is_valid)


def _is_small(size: PointIndices, cut: Cut, point_count: int) -> Bool[np.ndarray, "n"]:
    """Whether patches of these sizes are specks."""
    # A constant limit would be a large part of the picture on a coarse lattice.
    min_limit = min(_MIN_SPECK_LIMIT, point_count // 1000)
    return size <= max(min_limit, int(cut.specks * point_count))


def _speck_mask(lattice: Lattice, cut: Cut, links: Links) -> Mask:
    """Mask of the points of small patches. The largest patch is never a speck."""
    patches = label_linked_patches(lattice.valid, *links)
    is_speck = _is_small(patches.size, cut, lattice.valid.size)
    is_speck[0] = False  # Label 0 stands for no patch.
    if len(patches.size) > 1:
        is_speck[1 + np.argmax(patches.size[1:])] = False
    return is_speck[patches.label]


def triangle_links(faces: Faces, merge: np.ufunc = np.logical_or) -> Links:
    """Connect points by the horizontal and vertical sides of triangles.

    Args:
        faces: Triangles of all cells.
        merge: Combines whether there is a triangle on either side of a connection. By default, one
            is enough; ``np.logical_xor`` gives the sides that belong to one triangle only.
    """
    has_first, has_second = faces.drawn_masks
    is_falling = faces.is_falling
    height, width = is_falling.shape
    beside = np.zeros((height + 1, width), bool)
    beside[:-1] = np.where(is_falling, has_second, has_first)  # upper sides of cells
    beside[1:] = merge(beside[1:], np.where(is_falling, has_first, has_second))  # lower sides
    below = np.zeros((height, width + 1), bool)
    below[:, :-1] = has_first  # left sides
    below[:, 1:] = merge(below[:, 1:], has_second)  # right sides
    return beside, below


def _fill_small_holes(depth: Field, valid: Mask, cut: Cut, keep_open: Mask | None) -> Mask:
    """Fill ``depth`` in small holes, in place.

    Holes with a point in ``keep_open`` stay open. Depth must be finite in holes.

    Returns:
        Mask of the points that are valid or in a filled hole.
    """
    width = depth.shape[1]
    holes = label_patches(~valid)
    hole_count = len(holes.size)
    is_closable = _closable_holes(holes, cut, keep_open)

    # Closable holes do not touch the border of the picture, so all four neighbours exist.
    points = np.flatnonzero(is_closable[holes.label])
    neighbours = points + np.array([-width, width, -1, 1])[:, None]
    hole_label = holes.label.reshape(-1)[points]
    flat_depth, flat_valid = depth.reshape(-1), valid.reshape(-1)
    nearest_on_rim, farthest_on_rim = np.full(hole_count, np.inf), np.zeros(hole_count)
    for neighbour in neighbours:
        is_rim = flat_valid[neighbour]
        np.minimum.at(nearest_on_rim, hole_label[is_rim], flat_depth[neighbour[is_rim]])
        np.maximum.at(farthest_on_rim, hole_label[is_rim], flat_depth[neighbour[is_rim]])

    is_one_surface = farthest_on_rim <= nearest_on_rim * (1 + cut.jump)
    is_filled = is_one_surface[hole_label]
    points, neighbours = points[is_filled], neighbours[:, is_filled]
    hole_label = hole_label[is_filled]
    flat_depth[points] = (nearest_on_rim[hole_label] + farthest_on_rim[hole_label]) / 2
    if points.size:
        for _ in range(_HOLE_ROUNDS):
            # Jacobi relaxation of 1/z, which is linear in the image on a plane: each point gets
            # the harmonic mean of its neighbours.
            flat_depth[points] = 4 / (1 / flat_depth[neighbours]).sum(axis=0)
    is_valid_or_filled = valid.copy()
    is_valid_or_filled.reshape(-1)[points] = True
    return is_valid_or_filled


def _closable_holes(holes: Patches, cut: Cut, keep_open: Mask | None) -> Bool[np.ndarray, "n"]:
    """Whether each hole is small, surrounded by the surface, and nowhere keep_open."""
    is_closable = _is_small(holes.size, cut, holes.label.size)
    is_closable[0] = False  # Label 0 stands for no hole.
    # Holes at the border of the picture have no complete rim.
    is_closable[holes.label[[0, -1]]] = False
    is_closable[holes.label[:, [0, -1]]] = False
    if keep_open is not None:
        is_closable[holes.label[keep_open]] = False
    return is_closable
