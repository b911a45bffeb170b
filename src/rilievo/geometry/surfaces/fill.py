"""Triangles where a surface is torn, so that its photograph's camera sees no hole.

A tear shows the layer that ``backing`` grows behind near surfaces. Where none was grown, depth goes
on from one side of the tear to the other, as the depth map has it. Behind the surface the layer is
coarser, since no camera saw what is there.
"""

import math
from dataclasses import replace

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.surfaces.backing import behind_edges
from rilievo.geometry.surfaces.flat import Merged
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Triangles,
    corners_of,
    faces_of,
    triangles_of,
    vertex_normals,
)
from rilievo.shapes import Bool, Int, Mask, Vectors

_UNCUT = Cut(grazing=0.0, jump=1e9)
_FARTHEST = math.sin(math.radians(20))
"""Sine of the angle by which views turn about the median depth before they are held."""
_COARSE = 4
"""Step between the points behind the surface."""


@frozen
class Fill:
    """Triangles in a lattice's tears and behind its edges.

    Attributes:
        lattice: Points, those of the surface and those behind it.
        grown: Points that are behind the surface.
        rows: Row of the lattice from which each point takes its colour.
        columns: Column of the lattice from which each point takes its colour.
        normals: Unit normals of the points.
        triangles: Indices of the points in reading order, facing the camera.
    """

    lattice: Lattice
    grown: Mask
    rows: Int[np.ndarray, "h w"]
    columns: Int[np.ndarray, "h w"]
    normals: Vectors
    triangles: Triangles


def fill_of(lattice: Lattice, faces: Faces, cut: Cut, *, least: float, reach: int) -> Fill:
    """Fill the tears of a lattice.

    Args:
        lattice: Points of the surface.
        faces: Triangles of the surface.
        cut: Limits of the surface.
        least: Least step of 1/depth at a tear behind which far surfaces go on.
        reach: Largest number of points that the layer goes behind the near side.
    """
    median = float(np.median(lattice.depth[lattice.valid]))
    pull = lattice.camera.focal / lattice.rows.step * _FARTHEST * median
    layer = behind_edges(lattice, cut, reach, least=least, pull=pull)
    # What no triangle of the surface holds is seen in the fill, at its own depth.
    grown = np.zeros(layer.grown.size, bool)
    grown[triangles_of(faces)] = True
    grown = layer.grown & grown.reshape(layer.grown.shape)
    depth = np.where(grown, layer.lattice.depth, lattice.depth)
    behind = replace(lattice.with_depth(depth, lattice.valid), normals=None)
    torn = np.logical_not(np.logical_and(*faces.drawn))
    every, large = faces_of(behind, _UNCUT), _large(behind, grown, np.float32(1 + cut.jump))
    # A smooth rim may uncover a part of the cells beside a tear.
    beside = _around(torn) & _corners(grown) & ~large.cells
    own_rows, own_columns = np.indices(grown.shape)
    return Fill(
        lattice=behind,
        grown=grown,
        rows=np.where(grown, layer.rows, own_rows),
        columns=np.where(grown, layer.columns, own_columns),
        normals=vertex_normals(every, behind),
        triangles=np.concatenate([triangles_of(every, ~(torn | beside)), large.triangles]),
    )


def _corners(field: Mask) -> Bool[np.ndarray, "g v"]:
    """Whether any of four neighbours is true."""
    a, b, c, d = corners_of(field)
    return a | b | c | d


def _around(cells: Mask) -> Mask:
    """Cells and all that touch them."""
    return _corners(_corners(np.pad(cells, 1)))


def _large(lattice: Lattice, grown: Mask, factor: np.float32) -> Merged:
    """Large triangles over all points that are behind the surface.

    None has a corner that is nearer, by more than the factor, than what it shows there.
    """
    cells = np.zeros([length - 1 for length in grown.shape], bool)
    every = np.s_[..., ::_COARSE, ::_COARSE]
    z = lattice.depth[every]
    height, width = (length - 1 for length in z.shape)
    if not height or not width:
        return Merged(cells=cells, triangles=np.zeros((0, 3), np.int32))
    small = replace(
        lattice, points=lattice.points[every], depth=z, valid=lattice.valid[every], hollow=None
    )
    inside = np.s_[: height * _COARSE, : width * _COARSE]
    shown = np.where(grown, lattice.depth, np.float32(np.inf))[inside]
    nearest = shown.reshape(height, _COARSE, width, _COARSE).min(axis=(1, 3))
    a, b, c, d = corners_of(z)
    drawn = np.minimum(np.minimum(a, b), np.minimum(c, d)) * factor >= nearest
    cells[inside] = drawn.repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)
    row, column = np.divmod(triangles_of(faces_of(small, _UNCUT), ~drawn), width + 1)
    triangles = _COARSE * (row * grown.shape[1] + column)
    return Merged(cells=cells, triangles=triangles.astype(np.int32))
