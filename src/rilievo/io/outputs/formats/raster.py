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
    """Draw a mesh as another camera sees it, with a z-buffer.

    ``points`` are those of the mesh in the frame of that camera, and ``K`` its intrinsics [px].
    """
    height, width = shape
    z_buffer = np.zeros(height * width, np.float32)  # The largest 1/z of each pixel.
    # A complex number holds (u, v), so that each pixel is written at once.
    photo_pixels = np.zeros(height * width, np.complex64)
    corners = _project_corners(mesh, points, K)
    for batch in _triangle_batches(corners, shape):
        spans = _row_spans(corners.select_triangles(batch), height)
        pixel, values = _span_pixels(spans, width)
        inverse_depth, u_over_z, v_over_z = values
        is_nearest = _update_z_buffer(z_buffer, pixel, inverse_depth)
        # Division by 1/z makes the interpolation of (u, v) correct in perspective.
        uv = np.empty((len(pixel), 2), np.float32)
        np.divide(u_over_z, inverse_depth, out=uv[:, 0])
        np.divide(v_over_z, inverse_depth, out=uv[:, 1])
        complex_uv = uv.view(np.complex64)[:, 0]
        if not is_nearest.all():
            drawn = np.flatnonzero(is_nearest)
            pixel, complex_uv = pixel.take(drawn), complex_uv.take(drawn)
        photo_pixels[pixel] = complex_uv
    uv_picture = photo_pixels.view(np.float32).reshape(*shape, 2)
    return Raster(inverse_depth=z_buffer.reshape(shape), pixels=np.moveaxis(uv_picture, 2, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Corners:
    """Projected corners of triangles, each triangle's from top to bottom.

    Attributes:
        y: Rows of the corners [px].
        values: x [px], 1/z, u/z and v/z of the corners, which are linear in the picture.
    """

    y: Float32[np.ndarray, "3 m"]
    values: Float32[np.ndarray, "4 3 m"]

    @property
    def x(self) -> Float32[np.ndarray, "3 m"]:
        """Columns of the corners [px]."""
        return self.values[0]

    def select_triangles(self, which: slice) -> "_Corners":
        return _Corners(y=self.y[:, which], values=self.values[..., which])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spans:
    """Parts of triangles in one row of pixels each.

    Attributes:
        row: Row of each span [px].
        left: x [px], 1/z, u/z and v/z at its left end.
    """

    row: Int32[np.ndarray, "n"]
    left: Float32[np.ndarray, "4 n"]
    right: Float32[np.ndarray, "4 n"]


def _update_z_buffer(
    z_buffer: Float32[np.ndarray, "n"],
    pixel: Int[np.ndarray, "k"],
    inverse_depth: Float32[np.ndarray, "k"],
) -> Bool[np.ndarray, "k"]:
    """Raise the 1/z of pixels to that of samples, in place.

    Returns:
        Mask of the samples that are the nearest of their pixel.
    """
    z_buffer[pixel] = np.maximum(z_buffer.take(pixel), inverse_depth)
    stored = z_buffer.take(pixel)
    # Of several samples of one pixel the last was stored, which need not be the nearest. Only these
    # few need ``maximum.at``, which is slow.
    overwritten = np.flatnonzero(stored < inverse_depth)
    if overwritten.size:
        np.maximum.at(z_buffer, pixel.take(overwritten), inverse_depth.take(overwritten))
        stored = z_buffer.take(pixel)
    return inverse_depth >= stored


def _project_corners(mesh: Mesh, points: Vertices, K: Matrix) -> _Corners:
    """Project the corners of the triangles that lie in front of the camera."""
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
    corner_y, corners = [*y[triangles]], [*triangles]
    for upper, lower in ((0, 1), (1, 2), (0, 1)):
        is_swapped = corner_y[lower] < corner_y[upper]
        for values in (corner_y, corners):
            new_upper = np.where(is_swapped, values[lower], values[upper])
            new_lower = np.where(is_swapped, values[upper], values[lower])
            values[upper], values[lower] = new_upper, new_lower
    return np.stack(corners)


def _triangle_batches(corners: _Corners, shape: tuple[int, int]) -> Iterator[slice]:
    """Split the triangles, in order, into batches whose boxes have about the same area in total."""
    height, width = shape
    x = corners.x.clip(0, width)
    top_y, _, bottom_y = corners.y.clip(0, height)
    box_height = bottom_y - top_y + 1
    box_width = x.max(axis=0) - x.min(axis=0) + 1
    total_area = np.cumsum(box_height * box_width, dtype=np.float64)
    if not len(total_area):
        return
    batch_ends = np.arange(_PIXELS_PER_BATCH, total_area[-1], _PIXELS_PER_BATCH)
    splits = np.searchsorted(total_area, batch_ends)
    for start, end in pairwise(np.unique([0, *splits, len(total_area)])):
        yield slice(start, end)


def _row_spans(corners: _Corners, height: int) -> _Spans:
    """Cut triangles, whose corners go from top to bottom, into one span for each row."""
    y, values = corners.y, corners.values
    top_y, middle_y, bottom_y = y
    first_row = np.ceil(top_y).clip(0, height).astype(np.int32)
    end_row = np.ceil(bottom_y).clip(0, height).astype(np.int32)
    span_count, row = _expand_ranges(first_row, end_row)
    row_y = row.astype(np.float32)
    triangle = np.repeat(np.arange(len(span_count), dtype=np.intp), span_count)

    # Each span goes from the long edge, between the top and the bottom corner, to one of the short
    # edges. These are those to the middle corner first, then those from it.
    is_below_middle = row_y >= np.repeat(middle_y, span_count)
    short_edge = triangle + len(span_count) * is_below_middle
    at_long_edge = _interpolate_on_edges(
        y[:1], y[2:], values[:, :1], values[:, 2:], triangle, row_y
    )
    at_short_edge = _interpolate_on_edges(
        y[:-1], y[1:], values[:, :-1], values[:, 1:], short_edge, row_y
    )
    x_at_long_edge, x_at_short_edge = at_long_edge[0], at_short_edge[0]
    is_long_edge_left = x_at_long_edge <= x_at_short_edge
    return _Spans(
        row=row,
        left=np.where(is_long_edge_left, at_long_edge, at_short_edge),
        right=np.where(is_long_edge_left, at_short_edge, at_long_edge),
    )


def _interpolate_on_edges(
    top_y: Float32[np.ndarray, "k m"],
    bottom_y: Float32[np.ndarray, "k m"],
    values_at_top: Float32[np.ndarray, "4 k m"],
    values_at_bottom: Float32[np.ndarray, "4 k m"],
    edge_index: Int[np.ndarray, "n"],
    row_y: Float32[np.ndarray, "n"],
) -> Float32[np.ndarray, "4 n"]:
    """Interpolate x, 1/z, u/z and v/z on edges of triangles at rows.

    The first four arrays hold y and these values at both ends of k edges of m triangles.
    ``edge_index`` has flat indices of these edges, and ``row_y`` the row for each index.
    """
    # ``take`` is faster than indexing.
    fraction = row_y - top_y.reshape(-1).take(edge_index)
    fraction /= _avoid_zero(bottom_y - top_y).reshape(-1).take(edge_index)
    values = (values_at_bottom - values_at_top).reshape(4, -1).take(edge_index, axis=1)
    values *= fraction
    values += values_at_top.reshape(4, -1).take(edge_index, axis=1)
    return values


def _span_pixels(
    spans: _Spans, width: int
) -> tuple[Int[np.ndarray, "k"], Float32[np.ndarray, "3 k"]]:
    """Flat index of each pixel of the spans, and its 1/z, u/z and v/z."""
    left_x, *_ = spans.left
    right_x, *_ = spans.right
    left_values, right_values = spans.left[1:], spans.right[1:]
    first_column = np.ceil(left_x).clip(0, width).astype(np.int32)
    end_column = np.ceil(right_x).clip(0, width).astype(np.int32)
    count, column = _expand_ranges(first_column, end_column)

    slope = (right_values - left_values) / _avoid_zero(right_x - left_x)
    values = np.repeat(slope, count, axis=1)
    values *= column.astype(np.float32) - np.repeat(left_x, count)
    values += np.repeat(left_values, count, axis=1)
    pixel = np.repeat(spans.row.astype(np.intp) * width, count)
    pixel += column
    return pixel, values


def _avoid_zero(length: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    return np.maximum(length, _MIN_LENGTH)


def _expand_ranges(
    first: Int[np.ndarray, "n"], end: Int[np.ndarray, "n"]
) -> tuple[Int[np.ndarray, "n"], Int32[np.ndarray, "k"]]:
    """Lengths of ranges, and all their integers one after the other."""
    count = np.maximum(end - first, 0)
    integers_before = np.cumsum(count) - count
    integers = np.repeat((first - integers_before).astype(np.int32), count)
    integers += np.arange(len(integers), dtype=np.int32)
    return count, integers
