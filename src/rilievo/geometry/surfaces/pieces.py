"""Small pieces that float before a surface, laid back onto it; most of their rim is torn."""

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.surfaces.lattice import Cut, Lattice, Numbers, faces_of
from rilievo.geometry.surfaces.patches import Patches, links_of, patches
from rilievo.shapes import Float64, Values

MOST = 0.004
"""Largest share of points of a piece."""
_CUT_RIM = 0.5
"""Least torn share of its rim."""
_LEAST_CONTACT = 0.2
"""Least share of it along the background."""
_ROUNDS = 64
"""Averages of its depth."""


@frozen
class _Rim:
    own: Numbers
    other: Numbers


def without_pieces(lattice: Lattice, cut: Cut, most: float = MOST) -> Lattice:
    """Lay small floating pieces back; ``most`` is their largest share, 0 for none."""
    if not most or not lattice.valid.any():
        return lattice
    regions = patches(lattice.valid, *links_of(faces_of(lattice, cut)))
    rim = _rim(regions)
    hosts = _hosts(regions, rim, lattice, most)
    if not (hosts > 0).any():
        return lattice
    inverse = _laid_back(1 / lattice.depth.astype(np.float64), regions, hosts)
    depth = (1 / inverse).astype(lattice.depth.dtype)
    moved = hosts[regions.label] > 0
    return lattice.with_depth(np.where(moved, depth, lattice.depth), lattice.valid)


def _rim(pieces: Patches) -> _Rim:
    label = pieces.label
    pairs = [(label[:, 1:], label[:, :-1]), (label[1:], label[:-1])]
    own = np.concatenate([labels.reshape(-1) for a, b in pairs for labels in (a, b)])
    other = np.concatenate([labels.reshape(-1) for a, b in pairs for labels in (b, a)])
    apart = (own != other) & (own > 0)
    return _Rim(own=own[apart], other=other[apart])


def _hosts(pieces: Patches, rim: _Rim, lattice: Lattice, most: float) -> Numbers:
    count = pieces.size.size
    small = pieces.size <= most * lattice.valid.size
    small[0] = False
    whole = np.bincount(rim.own, minlength=count)
    torn = np.bincount(rim.own[rim.other > 0], minlength=count)
    piece = small & (torn > _CUT_RIM * np.maximum(whole, 1))
    depth = _median_depth(pieces, lattice)
    chosen = piece[rim.own] & (rim.other > 0) & ~piece[rim.other]
    both, contacts = np.unique(
        rim.own[chosen].astype(np.int64) * count + rim.other[chosen], return_counts=True
    )
    own, other = np.divmod(both, count)
    enough = contacts >= _LEAST_CONTACT * torn[own]
    hosts = np.zeros(count, int)
    # The farthest last, so that it stays.
    order = np.argsort(depth[other[enough]], kind="stable")
    hosts[own[enough][order]] = other[enough][order]
    return hosts


def _median_depth(pieces: Patches, lattice: Lattice) -> Values:
    label, z = pieces.label.reshape(-1), lattice.depth.reshape(-1)
    order = np.lexsort((z, label))
    start = np.cumsum(pieces.size) - pieces.size
    return z[order][np.minimum(start + pieces.size // 2, z.size - 1)].astype(np.float64)


def _laid_back(
    inverse: Float64[np.ndarray, "h w"], pieces: Patches, hosts: Numbers
) -> Float64[np.ndarray, "h w"]:
    height, width = inverse.shape
    label = np.pad(pieces.label, 1)
    flat, names = np.pad(inverse, 1).reshape(-1), label.reshape(-1)
    places = np.flatnonzero(hosts[names] > 0)
    own = names[places]
    around = places + np.array([-(width + 2), width + 2, -1, 1])[:, None]
    is_host = names[around] == hosts[own]
    weight = (is_host | (names[around] == own)).astype(np.float64)
    total = np.bincount(own, (flat[around] * is_host).sum(axis=0), hosts.size)
    count = np.bincount(own, is_host.sum(axis=0), hosts.size)
    flat[places] = (total / np.maximum(count, 1))[own]
    share = np.maximum(weight.sum(axis=0), 1)
    has_any = np.asarray(weight.any(axis=0))
    for _ in range(_ROUNDS):
        mean = (flat[around] * weight).sum(axis=0) / share
        flat[places] = np.where(has_any, mean, flat[places])
    return flat.reshape(height + 2, width + 2)[1:-1, 1:-1]
