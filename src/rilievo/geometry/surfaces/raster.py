"""Pictures of triangles as a pinhole camera sees them.

Edges are computed from their upper end, so that common pixels are shared once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Int32, Matrix
from rilievo.geometry.surfaces.lattice import Vertices
from rilievo.geometry.surfaces.meshes import Mesh
from rilievo.geometry.surfaces.ramps import Numbers

_NEAR = 1e-3
"""Least depth, as a share of the median."""
_AREA = 1 << 17
"""Area of boxes drawn at a time [px]."""
_LEAST_LENGTH = np.float32(1e-6)
"""Least length of an edge [px], a divisor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Mesh as a camera sees it.

    Attributes:
        inverse_depth: 1/depth, 0 without a triangle.
        pixels: Pixel (u, v) of the photograph.
    """

    inverse_depth: Field
    pixels: Float32[np.ndarray, "2 h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Corners:
    y: Float32[np.ndarray, "3 m"]
    values: Float32[np.ndarray, "4 3 m"]

    def select_triangles(self, which: slice) -> "_Corners":
        return _Corners(y=self.y[:, which], values=self.values[..., which])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spans:
    row: Int32[np.ndarray, "n"]
    left: Float32[np.ndarray, "4 n"]
    right: Float32[np.ndarray, "4 n"]


def rasterise(
    mesh: Mesh,
    points: Vertices,
    K: Matrix,
    shape: tuple[int, int],
) -> Raster:
    """Draw a mesh; ``points`` and K [px] are of the camera that looks."""
    height, width = shape
    nearest = np.zeros(height * width, np.float32)
    # Pairs (u, v), so that a pixel is one place in memory.
    pixels = np.zeros(height * width, np.complex64)
    corners = _project_corners(mesh, points, K)
    for which in _triangle_batches(corners, shape):
        place, values = _span_pixels(_row_spans(corners.select_triangles(which), height), width)
        inverse = values[0]
        is_seen = _put_nearest(nearest, place, inverse)
        pairs = np.empty((len(place), 2), np.float32)
        np.divide(values[1], inverse, out=pairs[:, 0])
        np.divide(values[2], inverse, out=pairs[:, 1])
        pairs = pairs.view(np.complex64)[:, 0]
        if not is_seen.all():
            which = np.flatnonzero(is_seen)
            place, pairs = place.take(which), pairs.take(which)
        pixels[place] = pairs
    both = pixels.view(np.float32).reshape(*shape, 2)
    return Raster(inverse_depth=nearest.reshape(shape), pixels=np.moveaxis(both, 2, 0))


def _put_nearest(
    nearest: Float32[np.ndarray, "n"],
    place: Int[np.ndarray, "k"],
    inverse: Float32[np.ndarray, "k"],
) -> Bool[np.ndarray, "k"]:
    """Raise pixels to 1/z in place; mask of samples that stay."""
    nearest[place] = np.maximum(nearest.take(place), inverse)
    now = nearest.take(place)
    # Of several samples of one pixel the last stands there, which need not be the nearest.
    lost = np.flatnonzero(now < inverse)
    if lost.size:
        np.maximum.at(nearest, place.take(lost), inverse.take(lost))
        now = nearest.take(place)
    return inverse >= now


def _project_corners(mesh: Mesh, points: Vertices, K: Matrix) -> _Corners:
    z = points[:, 2]
    near = np.float32(_NEAR * np.abs(np.median(z)))
    triangles = mesh.triangles[(z[mesh.triangles] > near).all(axis=1)].T
    inverse = 1 / np.maximum(z, near)
    x = np.float32(K[0, 0]) * points[:, 0] * inverse + np.float32(K[0, 2])
    y = np.float32(K[1, 1]) * points[:, 1] * inverse + np.float32(K[1, 2])
    corners = _sort_corners_by_y(triangles, y)
    values = np.stack([x, inverse, mesh.pixels[:, 0] * inverse, mesh.pixels[:, 1] * inverse])
    return _Corners(y=y[corners], values=values[:, corners])


def _sort_corners_by_y(triangles: Int32[np.ndarray, "3 m"], y: Field) -> Int32[np.ndarray, "3 m"]:
    rows, corners = [*y[triangles]], [*triangles]
    for upper, lower in ((0, 1), (1, 2), (0, 1)):
        swaps = rows[lower] < rows[upper]
        for line in (rows, corners):
            line[upper], line[lower] = (
                np.where(swaps, line[lower], line[upper]),
                np.where(swaps, line[upper], line[lower]),
            )
    return np.stack(corners)


def _triangle_batches(corners: _Corners, shape: tuple[int, int]) -> Iterator[slice]:
    """Slices of the triangles, in order, whose boxes have about ``_AREA`` pixels."""
    height, width = shape
    x, y = corners.values[0].clip(0, width), corners.y.clip(0, height)
    area = np.cumsum((y[2] - y[0] + 1) * (x.max(axis=0) - x.min(axis=0) + 1), dtype=np.float64)
    if not len(area):
        return
    cuts = np.searchsorted(area, np.arange(_AREA, area[-1], _AREA))
    cuts = np.unique([0, *cuts, len(area)])
    for first, last in pairwise(cuts):
        yield slice(first, last)


def _row_spans(corners: _Corners, height: int) -> _Spans:
    top, bottom = (np.ceil(corners.y[i]).clip(0, height).astype(np.int32) for i in (0, 2))
    count, row = _expand_ranges(top, bottom)
    line = row.astype(np.float32)
    y, values = corners.y, corners.values
    triangle = np.repeat(np.arange(len(count), dtype=np.intp), count)
    # Edges in one table, upper short ones first, then lower ones.
    lower = triangle + len(count) * (line >= np.repeat(y[1], count))
    long = _interpolate_on_edges(y[:1], y[2:], values[:, :1], values[:, 2:], triangle, line)
    short = _interpolate_on_edges(y[:-1], y[1:], values[:, :-1], values[:, 1:], lower, line)
    is_left = long[0] <= short[0]
    return _Spans(
        row=row, left=np.where(is_left, long, short), right=np.where(is_left, short, long)
    )


def _span_pixels(
    spans: _Spans, width: int
) -> tuple[Int[np.ndarray, "k"], Float32[np.ndarray, "3 k"]]:
    """Flat pixels of spans, and 1/z, u/z, v/z of each."""
    left, right = spans.left, spans.right
    first, last = (np.ceil(edge[0]).clip(0, width).astype(np.int32) for edge in (left, right))
    count, column = _expand_ranges(first, last)
    slope = (right[1:] - left[1:]) / _at_least_tiny(right[0] - left[0])
    values = np.repeat(slope, count, axis=1)
    values *= column.astype(np.float32) - np.repeat(left[0], count)
    values += np.repeat(left[1:], count, axis=1)
    place = np.repeat(spans.row.astype(np.intp) * width, count)
    place += column
    return place, values


def _interpolate_on_edges(
    top: Float32[np.ndarray, "k m"],
    bottom: Float32[np.ndarray, "k m"],
    begin: Float32[np.ndarray, "4 k m"],
    end: Float32[np.ndarray, "4 k m"],
    which: Int[np.ndarray, "n"],
    line: Float32[np.ndarray, "n"],
) -> Float32[np.ndarray, "4 n"]:
    share = line - top.reshape(-1).take(which)
    share /= _at_least_tiny(bottom - top).reshape(-1).take(which)
    values = (end - begin).reshape(4, -1).take(which, axis=1)
    values *= share
    values += begin.reshape(4, -1).take(which, axis=1)
    return values


def _at_least_tiny(length: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    return np.maximum(length, _LEAST_LENGTH)


def _expand_ranges(
    first: Numbers, last: Numbers
) -> tuple[Int[np.ndarray, "n"], Int32[np.ndarray, "k"]]:
    """Lengths of ranges, and all their integers."""
    count = np.maximum(last - first, 0)
    before = np.cumsum(count) - count
    number = np.repeat((first - before).astype(np.int32), count)
    number += np.arange(len(number), dtype=np.int32)
    return count, number
