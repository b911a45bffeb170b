"""Ramps of depth between a near and a far surface, in place of which an edge is one step.

A network's depth runs over an edge in a few pixels. Such a ramp is no surface: seen from beside,
it is a curtain between both. Each of its points takes the depth of the end of the ramp that it is
closer to. Only what a turn of the camera pulls apart is a ramp here; depth that is far away, or
soft over many pixels, stays as it is.
"""

import numpy as np

from rilievo.geometry.surfaces.lattice import Lattice, neighbours
from rilievo.shapes import Field, Float32

_PULL = 0.04
"""Least step of 1/depth at an edge, times the median depth. A turn of 15 degrees about the median
moves such points apart by a hundredth of the focal length.
"""
_MOST = 0.003
"""Largest share of the points that are on ramps, so that a surface stays where its depth is."""
_ROUNDS = 16
"""Largest number of points from a ramp to its ends."""


def edge_step(lattice: Lattice) -> float:
    """Least step of 1/depth between neighbours that is an edge, not a slope.

    Where more than some points would be on ramps, only the steepest are.
    """
    if not lattice.valid.any():
        return np.inf
    least = _PULL / float(np.median(lattice.depth[lattice.valid]))
    return max(least, float(np.quantile(_steepness(lattice)[lattice.valid], 1 - _MOST)))


def without_ramps(lattice: Lattice, least: float) -> Lattice:
    """Lay the points between the ends of ramps onto the closer end.

    A slope goes on beyond its steepest part, a ramp does not: it is at most twice as high where
    half the steepness is enough.

    Args:
        lattice: Points of a surface.
        least: Least step of 1/depth between the points of a ramp.
    """
    steep = _steepness(lattice)
    places = np.flatnonzero(steep > least)
    if not places.size:
        return lattice
    inverse = _inverse(lattice).reshape(-1)
    near, far = _ends(lattice, steep, least)
    higher, lower = _ends(lattice, steep, least / 2)
    places = places[((higher - lower) <= 2 * (near - far))[places]]
    depth = lattice.depth.copy()
    closer = np.where(near - inverse <= inverse - far, near, far)
    depth.reshape(-1)[places] = 1 / closer[places]
    return lattice.with_depth(depth, lattice.valid)


def _ends(
    lattice: Lattice, steep: Field, least: float
) -> tuple[Float32[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
    """1/depth at the near and the far end of the ramp at each point, over steps of ``least``."""
    inverse = _inverse(lattice).reshape(-1)
    near, far = inverse.copy(), inverse.copy()
    source, target = neighbours(np.flatnonzero(steep > least), lattice.valid.shape)
    rise = inverse[target] - inverse[source]
    for ends, chosen, farthest in ((near, rise > least, np.fmax), (far, rise < -least, np.fmin)):
        begin, end = source[chosen], target[chosen]
        for _ in range(_ROUNDS):
            farthest.at(ends, begin, ends[end])
    return near, far


def _inverse(lattice: Lattice) -> Field:
    return np.where(lattice.valid, 1 / lattice.depth, np.float32(np.nan))


def _steepness(lattice: Lattice) -> Field:
    """Steepest rise of 1/depth to a neighbour, or steepest fall to one, whichever is less."""
    inverse = _inverse(lattice)
    rises, falls = np.zeros_like(inverse), np.zeros_like(inverse)
    for axis in (0, 1):
        change = np.moveaxis(np.nan_to_num(np.diff(inverse, axis=axis)), axis, 0)
        for most, way in ((rises, change), (falls, -change)):
            line = np.moveaxis(most, axis, 0)
            np.maximum(line[:-1], way, out=line[:-1])
            np.maximum(line[1:], -way, out=line[1:])
    return np.minimum(rises, falls)
