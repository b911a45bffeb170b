"""Connected patches: small ones (specks) are removed, small holes closed.

Small pieces that float before a surface, laid back onto it; most of their rim is torn.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float64, Int, Mask, Values
from rilievo.geometry.surfaces.lattice import Cut, Faces, Lattice, triangulate_cells
from rilievo.geometry.surfaces.ramps import Numbers

_FEWEST = 6
"""Points of a speck, whatever ``Cut.specks``."""
_ROUNDS = 64
"""Averages of a closed hole's depth."""

Links: TypeAlias = tuple[Bool[np.ndarray, "h v"], Bool[np.ndarray, "g w"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Connected points: patch of each, 0 for others, and sizes."""

    label: Int[np.ndarray, "h w"]
    size: Numbers


def label_patches(
    chosen: Mask,
    beside: Bool[np.ndarray, "h v"],
    below: Bool[np.ndarray, "g w"],
) -> Patches:
    """Label patches of points by connections to the next column and row."""
    begins = chosen.copy()
    begins[:, 1:] &= ~beside
    # Runs along the rows, numbered from 1; a run is joined to the connected runs above it.
    run = np.cumsum(begins).reshape(chosen.shape)
    run[~chosen] = 0
    above, under = run[:-1][below], run[1:][below]
    is_new = np.ones(above.size, bool)
    is_new[1:] = (np.diff(above) != 0) | (np.diff(under) != 0)
    root = least_joined_index(int(begins.sum()) + 1, above[is_new], under[is_new])
    _, number = np.unique(root, return_inverse=True)
    label = number[run]
    return Patches(label=label, size=np.bincount(label.reshape(-1)))


def least_joined_index(
    count: int, first: Int[np.ndarray, "m"], second: Int[np.ndarray, "m"]
) -> Numbers:
    """Least index that each is joined to, if indirectly."""
    root = np.arange(count)
    while True:
        one, other = root[first], root[second]
        apart = one != other
        if not apart.any():
            return root
        first, second, one, other = (indices[apart] for indices in (first, second, one, other))
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while (root[root] != root).any():
            root = root[root]


def without_specks(lattice: Lattice, cut: Cut, links: Links | None = None) -> Lattice:
    """Remove small patches; ``links`` are corners of a triangle by default."""
    if not cut.specks or not lattice.valid.any():
        return lattice
    links = triangle_links(triangulate_cells(lattice, cut)) if links is None else links
    return replace(lattice, valid=lattice.valid & ~_speck_mask(lattice, cut, links))


def near_neighbours(lattice: Lattice, reach: tuple[float, float]) -> Links:
    """Neighbours within a relative ``reach``, down and across."""
    z, valid = lattice.depth, lattice.valid

    def close(one: np.ndarray, other: np.ndarray, share: float) -> Bool[np.ndarray, "_ _"]:
        with np.errstate(invalid="ignore"):
            return np.maximum(one, other) <= np.minimum(one, other) * np.float32(1 + share)

    beside = valid[:, 1:] & valid[:, :-1] & close(z[:, 1:], z[:, :-1], reach[1])
    below = valid[1:] & valid[:-1] & close(z[1:], z[:-1], reach[0])
    return beside, below


def mend_lattice(lattice: Lattice, cut: Cut, *, specks: bool = True) -> Lattice:
    """Remove specks, and close holes as small, whose rim is one surface within ``cut.jump``."""
    lattice = without_specks(lattice, cut) if specks else lattice
    without = lattice.valid
    if not cut.specks or not without.any():
        return lattice
    z = np.where(without, lattice.depth, np.float32(1))
    closed = _close_holes(z, without, cut, lattice.hollow)
    filled = closed & ~without
    if not filled.any():
        return lattice
    return lattice.with_depth(np.where(filled, z, lattice.depth), closed)


def _is_small(size: Numbers, cut: Cut, lattice: int) -> Bool[np.ndarray, "n"]:
    # On a coarse lattice a few points are a large part of the picture.
    return size <= max(min(_FEWEST, lattice // 1000), int(cut.specks * lattice))


def _speck_mask(lattice: Lattice, cut: Cut, links: Links) -> Mask:
    regions = label_patches(lattice.valid, *links)
    is_small = _is_small(regions.size, cut, lattice.valid.size)
    is_small[0] = False
    if len(regions.size) > 1:
        is_small[1 + np.argmax(regions.size[1:])] = False
    return is_small[regions.label]


def triangle_links(faces: Faces, merge: np.ufunc = np.logical_or) -> Links:
    """Sides of triangles, by ``merge`` of both neighbours' masks."""
    (first, second), falling = faces.drawn_masks, faces.falling
    height, width = falling.shape
    beside = np.zeros((height + 1, width), bool)
    below = np.zeros((height, width + 1), bool)
    beside[:-1], below[:, :-1] = np.where(falling, second, first), first
    beside[1:] = merge(beside[1:], np.where(falling, first, second))
    below[:, 1:] = merge(below[:, 1:], second)
    return beside, below


def _close_holes(
    z: Field,
    valid: Mask,
    cut: Cut,
    hollow: Mask | None,
) -> Mask:
    """Mask with small holes closed; their depth is set in place."""
    holes = label_patches(~valid, ~(valid[:, 1:] | valid[:, :-1]), ~(valid[1:] | valid[:-1]))
    is_small = _is_small(holes.size, cut, valid.size)
    # Holes at the border of the picture have no complete rim; patch 0 is no hole.
    border = (holes.label[[0, -1]], holes.label[:, [0, -1]])
    is_small[np.concatenate([[0], *(labels.reshape(-1) for labels in border)])] = False
    if hollow is not None:
        is_small[holes.label[hollow]] = False
    places = np.flatnonzero(is_small[holes.label])
    around = places + np.array([-z.shape[1], z.shape[1], -1, 1])[:, None]
    owner, flat = holes.label.reshape(-1)[places], z.reshape(-1)
    near, far = np.full(holes.size.size, np.inf), np.zeros(holes.size.size)
    for side in around:
        is_rim = valid.reshape(-1)[side]
        np.minimum.at(near, owner[is_rim], flat[side[is_rim]])
        np.maximum.at(far, owner[is_rim], flat[side[is_rim]])
    chosen = (far <= near * (1 + cut.jump))[owner]
    places, around, owner = places[chosen], around[:, chosen], owner[chosen]
    flat[places] = (near[owner] + far[owner]) / 2
    for _ in range(_ROUNDS if places.size else 0):
        # 1/z of a plane is linear in the image.
        flat[places] = 4 / (1 / flat[around]).sum(axis=0)
    closed = valid.copy()
    closed.reshape(-1)[places] = True
    return closed


MOST = 0.004
"""Largest share of points of a piece."""
_CUT_RIM = 0.5
"""Least torn share of its rim."""
_LEAST_CONTACT = 0.2
"""Least share of it along the background."""
_PIECE_ROUNDS = 64
"""Averages of its depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rim:
    own: Numbers
    other: Numbers


def lay_back_pieces(lattice: Lattice, cut: Cut, most: float = MOST) -> Lattice:
    """Move floating pieces of at most the share ``most`` to their background."""
    if not most or not lattice.valid.any():
        return lattice
    regions = label_patches(lattice.valid, *triangle_links(triangulate_cells(lattice, cut)))
    rim = _border_labels(regions)
    hosts = _find_hosts(regions, rim, lattice, most)
    if not (hosts > 0).any():
        return lattice
    inverse = _inverse_depth_laid_back(1 / lattice.depth.astype(np.float64), regions, hosts)
    depth = (1 / inverse).astype(lattice.depth.dtype)
    moved = hosts[regions.label] > 0
    return lattice.with_depth(np.where(moved, depth, lattice.depth), lattice.valid)


def _border_labels(pieces: Patches) -> _Rim:
    """Labels of neighbours in two patches, from each side once."""
    label = pieces.label
    pairs = [(label[:, 1:], label[:, :-1]), (label[1:], label[:-1])]
    own = np.concatenate([labels.reshape(-1) for a, b in pairs for labels in (a, b)])
    other = np.concatenate([labels.reshape(-1) for a, b in pairs for labels in (b, a)])
    apart = (own != other) & (own > 0)
    return _Rim(own=own[apart], other=other[apart])


def _find_hosts(pieces: Patches, rim: _Rim, lattice: Lattice, most: float) -> Numbers:
    """Patch that each small piece joins; 0 for none."""
    count = pieces.size.size
    small = pieces.size <= most * lattice.valid.size
    small[0] = False
    whole = np.bincount(rim.own, minlength=count)
    torn = np.bincount(rim.own[rim.other > 0], minlength=count)
    piece = small & (torn > _CUT_RIM * np.maximum(whole, 1))
    depth = _median_patch_depths(pieces, lattice)
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


def _median_patch_depths(pieces: Patches, lattice: Lattice) -> Values:
    label, z = pieces.label.reshape(-1), lattice.depth.reshape(-1)
    order = np.lexsort((z, label))
    start = np.cumsum(pieces.size) - pieces.size
    return z[order][np.minimum(start + pieces.size // 2, z.size - 1)].astype(np.float64)


def _inverse_depth_laid_back(
    inverse: Float64[np.ndarray, "h w"], pieces: Patches, hosts: Numbers
) -> Float64[np.ndarray, "h w"]:
    """Inverse depth with pieces continued from their hosts."""
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
    for _ in range(_PIECE_ROUNDS):
        mean = (flat[around] * weight).sum(axis=0) / share
        flat[places] = np.where(has_any, mean, flat[places])
    return flat.reshape(height + 2, width + 2)[1:-1, 1:-1]
