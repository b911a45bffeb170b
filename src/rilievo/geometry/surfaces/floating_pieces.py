"""Small pieces that float before a surface are laid back onto it.

Networks tear a letter on a sign or a leaf from what it belongs to. Such a piece is small, and most
of its rim is torn.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.geometry.surfaces.lattice import Cut, Lattice, triangulate_cells
from rilievo.geometry.surfaces.patches import Patches, label_patches, triangle_links
from rilievo.geometry.surfaces.ramps import Numbers

MAX_PIECE_FRACTION = 0.004
"""Points of a floating piece over all points."""
_MIN_TORN_RIM = 0.5
"""Fraction of a piece's rim that is torn."""
_MIN_CONTACT = 0.2
"""Fraction of the torn rim along a surface from which the piece may belong to it."""
_ROUNDS = 64
"""Averages by which the depth of a piece becomes smooth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rim:
    """Pairs of neighbouring points that belong to different patches.

    Each pair stands twice, from either side.

    Attributes:
        patch: Patch of a point; never 0.
        neighbour: Patch of the other point; 0 if it belongs to none.
    """

    patch: Numbers
    neighbour: Numbers


def lay_back_pieces(
    lattice: Lattice, cut: Cut, max_fraction: float = MAX_PIECE_FRACTION
) -> Lattice:
    """Move small floating pieces back to the surface behind them.

    Args:
        lattice: The surface.
        cut: Limits at which it is torn into patches.
        max_fraction: Points of a piece over all points; 0 leaves all pieces.
    """
    if not max_fraction or not lattice.valid.any():
        return lattice
    patches = label_patches(lattice.valid, *triangle_links(triangulate_cells(lattice, cut)))
    host_of_patch = _find_hosts(patches, _find_rim(patches), lattice, max_fraction)
    if not (host_of_patch > 0).any():
        return lattice
    inverse_depth = _continue_from_hosts(
        1 / lattice.depth.astype(np.float64), patches, host_of_patch
    )
    depth = (1 / inverse_depth).astype(lattice.depth.dtype)
    is_moved = host_of_patch[patches.label] > 0
    return lattice.with_depth(np.where(is_moved, depth, lattice.depth), lattice.valid)


def _find_rim(patches: Patches) -> _Rim:
    label = patches.label
    pairs = [(label[:, 1:], label[:, :-1]), (label[1:], label[:-1])]
    patch = np.concatenate([side.reshape(-1) for a, b in pairs for side in (a, b)])
    neighbour = np.concatenate([side.reshape(-1) for a, b in pairs for side in (b, a)])
    is_rim = (patch != neighbour) & (patch > 0)
    return _Rim(patch=patch[is_rim], neighbour=neighbour[is_rim])


def _find_hosts(patches: Patches, rim: _Rim, lattice: Lattice, max_fraction: float) -> Numbers:
    """Patch that each floating piece joins: the farthest it touches enough; 0 for none."""
    count = patches.size.size
    is_small = patches.size <= max_fraction * lattice.valid.size
    is_small[0] = False
    rim_length = np.bincount(rim.patch, minlength=count)
    torn_length = np.bincount(rim.patch[rim.neighbour > 0], minlength=count)
    is_piece = is_small & (torn_length > _MIN_TORN_RIM * np.maximum(rim_length, 1))

    # Length of the contact of each piece with each patch that is no piece.
    is_contact = is_piece[rim.patch] & (rim.neighbour > 0) & ~is_piece[rim.neighbour]
    piece_and_host = rim.patch[is_contact].astype(np.int64) * count + rim.neighbour[is_contact]
    pairs, contact_length = np.unique(piece_and_host, return_counts=True)
    piece, host = np.divmod(pairs, count)
    is_long_enough = contact_length >= _MIN_CONTACT * torn_length[piece]
    piece, host = piece[is_long_enough], host[is_long_enough]

    # Of several hosts the last one stays, so the farthest is last.
    order = np.argsort(_median_depth_of_patches(patches, lattice)[host], kind="stable")
    host_of_patch = np.zeros(count, int)
    host_of_patch[piece[order]] = host[order]
    return host_of_patch


def _median_depth_of_patches(patches: Patches, lattice: Lattice) -> Values:
    label, depth = patches.label.reshape(-1), lattice.depth.reshape(-1)
    sorted_depth = depth[np.lexsort((depth, label))]
    start = np.cumsum(patches.size) - patches.size
    middle = np.minimum(start + patches.size // 2, depth.size - 1)
    return sorted_depth[middle].astype(np.float64)


def _continue_from_hosts(
    inverse_depth: Float64[np.ndarray, "h w"], patches: Patches, host_of_patch: Numbers
) -> Float64[np.ndarray, "h w"]:
    """Continue 1/depth from hosts over their pieces, smoothly.

    Each point of a piece becomes the mean of its neighbours in the piece and in the host, again and
    again, from the mean of the host along the piece's rim.
    """
    height, width = inverse_depth.shape
    # A border of no patch, so that each point has four neighbours.
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
