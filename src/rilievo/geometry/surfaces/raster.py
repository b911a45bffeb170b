"""Pictures of triangles: what place of which one a pinhole camera sees at each pixel.

Rows are filled from one edge of a triangle to another, edges always computed from their upper end,
so that neighbouring triangles share every pixel of their common edge exactly once.
"""

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.surfaces.lattice import Numbers, Vertices
from rilievo.geometry.surfaces.meshes import Mesh
from rilievo.shapes import Field, Float32, Int, Int32, Matrix

_NEAR = 1e-3
"""Least depth of a triangle that is drawn, as a share of the median depth of all vertices."""


@frozen
class Raster:
    """A mesh as a camera sees it.

    Attributes:
        inverse_depth: 1/depth of the nearest triangle at each pixel, 0 where there is none.
        pixels: Pixel (u, v) of the photograph that is seen there (``Mesh.pixels``).
    """

    inverse_depth: Field
    pixels: Float32[np.ndarray, "2 h w"]


@frozen
class _Corners:
    """Corners of triangles on the picture, from top to bottom.

    Attributes:
        x: Columns.
        y: Rows.
        values: 1/depth, u/depth and v/depth, which are linear in the picture.
    """

    x: Float32[np.ndarray, "3 m"]
    y: Float32[np.ndarray, "3 m"]
    values: Float32[np.ndarray, "3 3 m"]


def rastered(
    mesh: Mesh,
    points: Vertices,
    K: Matrix,
    shape: tuple[int, int],
) -> Raster:
    """Draw a mesh.

    Args:
        mesh: Triangles, and the pixels that their vertices take their colours from.
        points: Vertices in the frame of the camera that looks.
        K: Intrinsics of that camera [px].
        shape: Height and width of the picture.
    """
    x, y, values = _spans(_corners(mesh, points, K), shape)
    height, width = shape
    nearest = np.zeros(height * width, np.float32)
    place = y * width + x
    np.maximum.at(nearest, place, values[0])
    is_seen = values[0] >= nearest[place]
    place = place[is_seen]
    found = np.zeros((2, height * width), np.float32)
    found[:, place] = values[1:, is_seen] / values[0, is_seen]
    return Raster(inverse_depth=nearest.reshape(shape), pixels=found.reshape(2, height, width))


def _corners(mesh: Mesh, points: Vertices, K: Matrix) -> _Corners:
    z = points[:, 2]
    near = np.float32(_NEAR * np.abs(np.median(z)))
    triangles = mesh.triangles[(z[mesh.triangles] > near).all(axis=1)].T
    inverse = 1 / np.maximum(z, near)
    x = np.float32(K[0, 0]) * points[:, 0] * inverse + np.float32(K[0, 2])
    y = np.float32(K[1, 1]) * points[:, 1] * inverse + np.float32(K[1, 2])
    order = np.argsort(y[triangles], axis=0, kind="stable")
    corners = np.take_along_axis(triangles, order, axis=0)
    values = np.stack([inverse, mesh.pixels[:, 0] * inverse, mesh.pixels[:, 1] * inverse])
    return _Corners(x=x[corners], y=y[corners], values=values[:, corners])


def _spans(
    corners: _Corners, shape: tuple[int, int]
) -> tuple[Int32[np.ndarray, "k"], Int32[np.ndarray, "k"], Float32[np.ndarray, "3 k"]]:
    """Columns, rows and values of all pixels in all triangles."""
    height, width = shape
    top, bottom = (
        np.ceil(each).clip(0, height).astype(np.int32) for each in (corners.y[0], corners.y[2])
    )
    owner, row = _repeated(top, bottom)
    x, y, values = corners.x[:, owner], corners.y[:, owner], corners.values[:, :, owner]
    line = row.astype(np.float32)
    is_lower = line >= y[1]
    ends = [_on_edge(x, y, values, line, 0, 2)]
    upper, lower = (_on_edge(x, y, values, line, a, b) for a, b in ((0, 1), (1, 2)))
    ends.append(np.where(is_lower, lower, upper))
    left, right = np.where(ends[0][0] <= ends[1][0], ends, ends[::-1])
    first, last = (np.ceil(each[0]).clip(0, width).astype(np.int32) for each in (left, right))
    slope = (right[1:] - left[1:]) / np.maximum(right[0] - left[0], np.float32(1e-6))
    span, column = _repeated(first, last)
    values = left[1:, span] + slope[:, span] * (column.astype(np.float32) - left[0, span])
    return column, row[span], values


def _on_edge(
    x: Float32[np.ndarray, "3 n"],
    y: Float32[np.ndarray, "3 n"],
    values: Float32[np.ndarray, "3 3 n"],
    line: Float32[np.ndarray, "n"],
    a: int,
    b: int,
) -> Float32[np.ndarray, "4 n"]:
    """Column and values where a row crosses the edge from corner a to b."""
    share = (line - y[a]) / np.maximum(y[b] - y[a], np.float32(1e-6))
    begin = np.concatenate([x[a][None], values[:, a]])
    end = np.concatenate([x[b][None], values[:, b]])
    return begin + (end - begin) * share


def _repeated(first: Numbers, last: Numbers) -> tuple[Int[np.ndarray, "k"], Int32[np.ndarray, "k"]]:
    """Every number from ``first`` up to ``last`` without it, with the index of its pair."""
    count = np.maximum(last - first, 0)
    owner = np.repeat(np.arange(len(count)), count)
    start = np.cumsum(count) - count
    number = np.arange(len(owner)) - start[owner] + first[owner]
    return owner, number.astype(np.int32)
