"""Small pieces that float before a surface are moved back onto it.

Networks tear a letter on a sign, or a leaf, from the surface to which it belongs. Such a piece is
small, and most of its rim is torn.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Values
from rilievo.geometry.connected_components import Patches, label_linked_patches
from rilievo.geometry.surfaces.lattice import Cut, Lattice, triangulate_cells
from rilievo.geometry.surfaces.patches import triangle_links

_MIN_TORN_RIM = 0.5
"""Least fraction of a piece's rim that is torn."""
_MIN_CONTACT = 0.2
"""Least fraction of a piece's torn rim along the surface to which it may belong."""
_ROUNDS = 64
"""Rounds of averaging by which the depth of a piece becomes smooth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PatchBorders:
    """Pairs of neighbouring points that belong to different patches.

    Each pair is listed twice, from either side.

    Attributes:
        patch_label: Patch of the first point; never 0.
        neighbour_label: Patch of the second point; 0 if it belongs to none.
    """

    patch_label: Int[np.ndarray, "n"]
    neighbour_label: Int[np.ndarray, "n"]


def lay_back_pieces(lattice: Lattice, cut: Cut, max_fraction: float) -> Lattice:
    """Move small floating pieces back to their host, the surface behind them.

    A piece is a patch that has at most ``max_fraction`` of all points, and mostly torn
    borders. With 0, nothing moves.
    """
    if not max_fraction or not lattice.valid.any():
        return lattice
    patches = label_linked_patches(lattice.valid, *triangle_links(triangulate_cells(lattice, cut)))
    host_of_patch = _find_hosts(patches, _find_patch_borders(patches), lattice, max_fraction)
    if not (host_of_patch > 0).any():
        return lattice
    inverse_depth = _extend_host_depth(1 / lattice.depth.astype(np.float64), patches, host_of_patch)
    depth = (1 / inverse_depth).astype(lattice.depth.dtype)
    is_moved = host_of_patch[patches.label] > 0
    return lattice.with_depth(np.where(is_moved, depth, lattice.depth), lattice.valid)


def _find_patch_borders(patches: Patches) -> _PatchBorders:
    """Find the pairs of neighbours in different patches, along rows and columns."""
    label = patches.label
    pairs = [(label[:, 1:], label[:, :-1]), (label[1:], label[:-1])]
    patch = np.concatenate([side.reshape(-1) for a, b in pairs for side in (a, b)])
    neighbour = np.concatenate([side.reshape(-1) for a, b in pairs for side in (b, a)])
    is_rim = (patch != neighbour) & (patch > 0)
    return _PatchBorders(patch_label=patch[is_rim], neighbour_label=neighbour[is_rim])


def _find_hosts(
    patches: Patches, borders: _PatchBorders, lattice: Lattice, max_fraction: float
) -> Int[np.ndarray, "n"]:
    """Find the patch (host) to which each floating piece belongs; 0 for patches that are no piece.

    It is the farthest patch that touches enough of the piece's rim.
    """
    patch_count = patches.size.size
    is_small = patches.size <= max_fraction * lattice.valid.size
    is_small[0] = False  # Label 0 stands for no patch.
    rim_length = np.bincount(borders.patch_label, minlength=patch_count)
    torn_length = np.bincount(
        borders.patch_label[borders.neighbour_label > 0], minlength=patch_count
    )
    is_piece = is_small & (torn_length > _MIN_TORN_RIM * np.maximum(rim_length, 1))

    # Length of the contact of each piece with each patch that is no piece.
    is_contact = (
        is_piece[borders.patch_label]
        & (borders.neighbour_label > 0)
        & ~is_piece[borders.neighbour_label]
    )
    contacts = (
        borders.patch_label[is_contact].astype(np.int64) * patch_count
        + borders.neighbour_label[is_contact]
    )
    pairs, contact_length = np.unique(contacts, return_counts=True)
    piece, host = np.divmod(pairs, patch_count)
    is_long_enough = contact_length >= _MIN_CONTACT * torn_length[piece]
    piece, host = piece[is_long_enough], host[is_long_enough]

    # In an assignment with repeated indices the last value stays, so the farthest host is last.
    order = np.argsort(_median_depth_of_patches(patches, lattice)[host], kind="stable")
    host_of_patch = np.zeros(patch_count, int)
    host_of_patch[piece[order]] = host[order]
    return host_of_patch


def _median_depth_of_patches(patches: Patches, lattice: Lattice) -> Values:
    label, depth = patches.label.reshape(-1), lattice.depth.reshape(-1)
    sorted_depth = depth[np.lexsort((depth, label))]
    start = np.cumsum(patches.size) - patches.size
    middle = np.minimum(start + patches.size // 2, depth.size - 1)
    return sorted_depth[middle].astype(np.float64)


def _extend_host_depth(
    inverse_depth: Float64[np.ndarray, "h w"],
    patches: Patches,
    host_of_patch: Int[np.ndarray, "n"],
) -> Float64[np.ndarray, "h w"]:
    """Continue 1/depth from hosts over their pieces, smoothly.

    Pieces begin with the mean of the host along their rim. Then each point repeatedly becomes the
    mean of its neighbours in the piece and in the host.
    """
    height, width = inverse_depth.shape
    # Padding with label 0, no patch, gives each point four neighbours.
    label = np.pad(patches.label, 1).reshape(-1)
    values = np.pad(inverse_depth, 1).reshape(-1)
    points = np.flatnonzero(host_of_patch[label] > 0)
    piece = label[points]
    neighbours = points + np.array([-(width + 2), width + 2, -1, 1])[:, None]
    is_host = label[neighbours] == host_of_patch[piece]
    weight = (is_host | (label[neighbours] == piece)).astype(np.float64)

    patch_count = host_of_patch.size
    rim_sum = np.bincount(piece, (values[neighbours] * is_host).sum(axis=0), patch_count)
    rim_count = np.bincount(piece, is_host.sum(axis=0), patch_count)
    values[points] = (rim_sum / np.maximum(rim_count, 1))[piece]

    total_weight = np.maximum(weight.sum(axis=0), 1)
    has_neighbour = np.asarray(weight.any(axis=0))
    for _ in range(_ROUNDS):
        mean = (values[neighbours] * weight).sum(axis=0) / total_weight
        values[points] = np.where(has_neighbour, mean, values[points])
    return values.reshape(height + 2, width + 2)[1:-1, 1:-1]
