"""Small pieces that float before a surface are moved back onto it.

Networks tear a letter on a sign, or a leaf, from the surface to which it belongs. Such a piece is
small, and most of its rim is torn.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int, Values
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
    links = triangle_links(triangulate_cells(lattice, cut))
    patches = label_linked_patches(lattice.valid, *links)
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
    left, right = label[:, :-1].reshape(-1), label[:, 1:].reshape(-1)
    upper, lower = label[:-1].reshape(-1), label[1:].reshape(-1)
    patch = np.concatenate([right, left, lower, upper])
    neighbour = np.concatenate([left, right, upper, lower])
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
    # The rim of a patch is torn where it borders on another patch, and not on a hole.
    is_torn = borders.neighbour_label > 0
    rim_length = np.bincount(borders.patch_label, minlength=patch_count)
    torn_length = np.bincount(borders.patch_label[is_torn], minlength=patch_count)
    is_piece = is_small & (torn_length > _MIN_TORN_RIM * np.maximum(rim_length, 1))

    contacts = _find_contacts(borders, is_piece)
    is_long_enough = contacts.length >= _MIN_CONTACT * torn_length[contacts.piece]
    piece, host = contacts.piece[is_long_enough], contacts.host[is_long_enough]

    # In an assignment with repeated indices the last value stays, so the farthest host is last.
    nearest_first = np.argsort(_median_depth_of_patches(patches, lattice)[host], kind="stable")
    host_of_patch = np.zeros(patch_count, int)
    host_of_patch[piece[nearest_first]] = host[nearest_first]
    return host_of_patch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contacts:
    """Pairs of a piece and a patch that touches it and is no piece, each pair once.

    Attributes:
        piece: Label of the piece.
        host: Label of the patch.
        length: Number of the pairs of neighbouring points along which they touch.
    """

    piece: Int[np.ndarray, "k"]
    host: Int[np.ndarray, "k"]
    length: Int[np.ndarray, "k"]


def _find_contacts(borders: _PatchBorders, is_piece: Bool[np.ndarray, "n"]) -> _Contacts:
    """Find the patches to which pieces may belong; ``is_piece`` tells for each label."""
    patch, neighbour = borders.patch_label, borders.neighbour_label
    is_contact = is_piece[patch] & (neighbour > 0) & ~is_piece[neighbour]
    # Each pair of labels becomes one number, so that equal pairs can be counted.
    patch_count = len(is_piece)
    pair_numbers = patch[is_contact].astype(np.int64) * patch_count + neighbour[is_contact]
    distinct_pairs, length = np.unique(pair_numbers, return_counts=True)
    piece, host = np.divmod(distinct_pairs, patch_count)
    return _Contacts(piece=piece, host=host, length=length)


def _median_depth_of_patches(patches: Patches, lattice: Lattice) -> Values:
    """Median depth of each patch; the upper one of two medians."""
    label, depth = patches.label.reshape(-1), lattice.depth.reshape(-1)
    depth_by_label = depth[np.lexsort((depth, label))]
    first_of_patch = np.cumsum(patches.size) - patches.size
    median_of_patch = np.minimum(first_of_patch + patches.size // 2, depth.size - 1)
    return depth_by_label[median_of_patch].astype(np.float64)


def _extend_host_depth(
    inverse_depth: Float64[np.ndarray, "h w"],
    patches: Patches,
    host_of_patch: Int[np.ndarray, "n"],
) -> Float64[np.ndarray, "h w"]:
    """Continue 1/depth from hosts over their pieces, smoothly.

    Pieces begin with the mean of the host along their rim. Then each point repeatedly becomes the
    mean of its neighbours in the piece and in the host (Jacobi's method for Laplace's equation).

    Args:
        inverse_depth: 1/depth of all points.
        patches: Patches of connected points.
        host_of_patch: Label of each piece's host; 0 for patches that are no piece.
    """
    height, width = inverse_depth.shape
    # Padding with label 0, no patch, gives each point four neighbours.
    label = np.pad(patches.label, 1).reshape(-1)
    values = np.pad(inverse_depth, 1).reshape(-1)
    points = np.flatnonzero(host_of_patch[label] > 0)
    piece = label[points]
    padded_width = width + 2
    neighbours = points + np.array([-padded_width, padded_width, -1, 1])[:, None]
    is_in_host = label[neighbours] == host_of_patch[piece]
    is_in_piece = label[neighbours] == piece

    patch_count = host_of_patch.size
    rim_sum = np.bincount(piece, (values[neighbours] * is_in_host).sum(axis=0), patch_count)
    rim_length = np.bincount(piece, is_in_host.sum(axis=0), patch_count)
    values[points] = (rim_sum / np.maximum(rim_length, 1))[piece]

    weight = (is_in_host | is_in_piece).astype(np.float64)
    total_weight = np.maximum(weight.sum(axis=0), 1)
    has_neighbour = np.asarray(weight.any(axis=0))
    for _ in range(_ROUNDS):
        mean = (values[neighbours] * weight).sum(axis=0) / total_weight
        values[points] = np.where(has_neighbour, mean, values[points])
    return values.reshape(height + 2, padded_width)[1:-1, 1:-1]
