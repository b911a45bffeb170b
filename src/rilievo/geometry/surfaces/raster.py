"""Pictures of triangles as a pinhole camera sees them, drawn row by row.

Each triangle is cut into spans, one for each row of pixels. Edges are computed from their upper
end, so that two triangles give a pixel on their common edge to one of them only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Int32, Matrix
from rilievo.geometry.surfaces.lattice import Vertices
from rilievo.geometry.surfaces.meshes import Mesh
from rilievo.geometry.surfaces.ramps import Numbers

_MIN_DEPTH = 1e-3
"""Depth below which triangles are not drawn [fraction of the median]."""
_PIXELS_PER_BATCH = 1 << 17
"""Area of the bounding boxes of triangles that are drawn at once [px], which bounds the memory."""
_MIN_LENGTH = np.float32(1e-6)
"""Length that replaces shorter ones in divisors [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Mesh as a camera sees it.

    Attributes:
        inverse_depth: 1/depth, 0 without a triangle.
        pixels: Pixel (u, v) of the photograph.
    """

    inverse_depth: Field
    pixels: Float32[np.ndarray, "2 h w"]


def rasterise(
    mesh: Mesh,
    points: Vertices,
    K: Matrix,
    shape: tuple[int, int],
) -> Raster:
    """Draw a mesh as another camera sees it.

    Args:
        mesh: The mesh.
        points: Its points in the frame of that camera.
        K: Intrinsics of that camera [px].
        shape: (height, width) of the picture.
    """
    height, width = shape
    nearest = np.zeros(height * width, np.float32)
    # A complex number holds (u, v), so that a pixel is one place in memory.
    photo_pixels = np.zeros(height * width, np.complex64)
    corners = _project_corners(mesh, points, K)
    for batch in _triangle_batches(corners, shape):
        spans = _row_spans(corners.select_triangles(batch), height)
        pixel, values = _span_pixels(spans, width)
        inverse_depth, u_over_z, v_over_z = values
        is_nearest = _put_nearest(nearest, pixel, inverse_depth)
        uv = np.empty((len(pixel), 2), np.float32)
        np.divide(u_over_z, inverse_depth, out=uv[:, 0])
        np.divide(v_over_z, inverse_depth, out=uv[:, 1])
        uv = uv.view(np.complex64)[:, 0]
        if not is_nearest.all():
            drawn = np.flatnonzero(is_nearest)
            pixel, uv = pixel.take(drawn), uv.take(drawn)
        photo_pixels[pixel] = uv
    uv_picture = photo_pixels.view(np.float32).reshape(*shape, 2)
    return Raster(inverse_depth=nearest.reshape(shape), pixels=np.moveaxis(uv_picture, 2, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Corners:
    """Projected corners of triangles, each triangle's from top to bottom.

    Attributes:
        y: Rows of the corners [px].
        values: x [px], 1/z, u/z and v/z of the corners, which are linear in the picture.
    """

    y: Float32[np.ndarray, "3 m"]
    values: Float32[np.ndarray, "4 3 m"]

    def select_triangles(self, which: slice) -> "_Corners":
        return _Corners(y=self.y[:, which], values=self.values[..., which])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spans:
    """Parts of triangles in one row of pixels each.

    Attributes:
        row: Row of each span [px].
        left: x [px], 1/z, u/z and v/z at its left end.
        right: The same at its right end.
    """

    row: Int32[np.ndarray, "n"]
    left: Float32[np.ndarray, "4 n"]
    right: Float32[np.ndarray, "4 n"]


def _put_nearest(
    nearest: Float32[np.ndarray, "n"],
    pixel: Int[np.ndarray, "k"],
    inverse_depth: Float32[np.ndarray, "k"],
) -> Bool[np.ndarray, "k"]:
    """Raise the 1/z of pixels to that of samples, in place.

    Returns:
        Mask of the samples that are the nearest of their pixel.
    """
    nearest[pixel] = np.maximum(nearest.take(pixel), inverse_depth)
    stored = nearest.take(pixel)
    # Of several samples of one pixel the last was stored, which need not be the nearest.
    lost = np.flatnonzero(stored < inverse_depth)
    if lost.size:
        np.maximum.at(nearest, pixel.take(lost), inverse_depth.take(lost))
        stored = nearest.take(pixel)
    return inverse_depth >= stored


def _project_corners(mesh: Mesh, points: Vertices, K: Matrix) -> _Corners:
    z = points[:, 2]
    min_depth = np.float32(_MIN_DEPTH * np.abs(np.median(z)))
    triangles = mesh.triangles[(z[mesh.triangles] > min_depth).all(axis=1)].T
    inverse_depth = 1 / np.maximum(z, min_depth)
    x = np.float32(K[0, 0]) * points[:, 0] * inverse_depth + np.float32(K[0, 2])
    y = np.float32(K[1, 1]) * points[:, 1] * inverse_depth + np.float32(K[1, 2])
    u, v = mesh.pixels.T
    values = np.stack([x, inverse_depth, u * inverse_depth, v * inverse_depth])
    corners = _sort_corners_by_y(triangles, y)
    return _Corners(y=y[corners], values=values[:, corners])


def _sort_corners_by_y(triangles: Int32[np.ndarray, "3 m"], y: Field) -> Int32[np.ndarray, "3 m"]:
    """Sort the three corners of each triangle from top to bottom, by a sorting network."""
    rows, corners = [*y[triangles]], [*triangles]
    for upper, lower in ((0, 1), (1, 2), (0, 1)):
        is_swapped = rows[lower] < rows[upper]
        for values in (rows, corners):
            values[upper], values[lower] = (
                np.where(is_swapped, values[lower], values[upper]),
                np.where(is_swapped, values[upper], values[lower]),
            )
    return np.stack(corners)


def _triangle_batches(corners: _Corners, shape: tuple[int, int]) -> Iterator[slice]:
    """Split the triangles, in order, into batches whose boxes have about as many pixels."""
    height, width = shape
    x, y = corners.values[0].clip(0, width), corners.y.clip(0, height)
    box_height = y[2] - y[0] + 1
    box_width = x.max(axis=0) - x.min(axis=0) + 1
    area = np.cumsum(box_height * box_width, dtype=np.float64)
    if not len(area):
        return
    cuts = np.searchsorted(area, np.arange(_PIXELS_PER_BATCH, area[-1], _PIXELS_PER_BATCH))
    for start, end in pairwise(np.unique([0, *cuts, len(area)])):
        yield slice(start, end)


def _row_spans(corners: _Corners, height: int) -> _Spans:
    """Cut triangles, whose corners go from top to bottom, into one span for each row."""
    y, values = corners.y, corners.values
    first_row, end_row = (np.ceil(y[k]).clip(0, height).astype(np.int32) for k in (0, 2))
    count, row = _expand_ranges(first_row, end_row)
    row_y = row.astype(np.float32)
    triangle = np.repeat(np.arange(len(count), dtype=np.intp), count)

    # The long edge goes from the top to the bottom corner. On the other side a span lies at the
    # short edge above or below the middle corner: the upper ones are first in a table of both.
    is_below_middle = row_y >= np.repeat(y[1], count)
    short_edge = triangle + len(count) * is_below_middle
    at_long_edge = _interpolate_on_edges(
        y[:1], y[2:], values[:, :1], values[:, 2:], triangle, row_y
    )
    at_short_edge = _interpolate_on_edges(
        y[:-1], y[1:], values[:, :-1], values[:, 1:], short_edge, row_y
    )
    x_of_long, x_of_short = at_long_edge[0], at_short_edge[0]
    is_long_left = x_of_long <= x_of_short
    return _Spans(
        row=row,
        left=np.where(is_long_left, at_long_edge, at_short_edge),
        right=np.where(is_long_left, at_short_edge, at_long_edge),
    )


def _interpolate_on_edges(
    top: Float32[np.ndarray, "k m"],
    bottom: Float32[np.ndarray, "k m"],
    values_at_top: Float32[np.ndarray, "4 k m"],
    values_at_bottom: Float32[np.ndarray, "4 k m"],
    edge: Int[np.ndarray, "n"],
    row_y: Float32[np.ndarray, "n"],
) -> Float32[np.ndarray, "4 n"]:
    """Values at rows of edges, which are given by their flat index in the first four arrays."""
    fraction = row_y - top.reshape(-1).take(edge)
    fraction /= _at_least_tiny(bottom - top).reshape(-1).take(edge)
    values = (values_at_bottom - values_at_top).reshape(4, -1).take(edge, axis=1)
    values *= fraction
    values += values_at_top.reshape(4, -1).take(edge, axis=1)
    return values


def _span_pixels(
    spans: _Spans, width: int
) -> tuple[Int[np.ndarray, "k"], Float32[np.ndarray, "3 k"]]:
    """Flat index of each pixel of the spans, and its 1/z, u/z and v/z."""
    left_x, right_x = spans.left[0], spans.right[0]
    left_values, right_values = spans.left[1:], spans.right[1:]
    first_column = np.ceil(left_x).clip(0, width).astype(np.int32)
    end_column = np.ceil(right_x).clip(0, width).astype(np.int32)
    count, column = _expand_ranges(first_column, end_column)

    slope = (right_values - left_values) / _at_least_tiny(right_x - left_x)
    values = np.repeat(slope, count, axis=1)
    values *= column.astype(np.float32) - np.repeat(left_x, count)
    values += np.repeat(left_values, count, axis=1)
    pixel = np.repeat(spans.row.astype(np.intp) * width, count)
    pixel += column
    return pixel, values


def _at_least_tiny(length: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    return np.maximum(length, _MIN_LENGTH)


def _expand_ranges(
    first: Numbers, end: Numbers
) -> tuple[Int[np.ndarray, "n"], Int32[np.ndarray, "k"]]:
    """Lengths of ranges, and all their integers one after the other."""
    count = np.maximum(end - first, 0)
    integers_before = np.cumsum(count) - count
    integers = np.repeat((first - integers_before).astype(np.int32), count)
    integers += np.arange(len(integers), dtype=np.int32)
    return count, integers
