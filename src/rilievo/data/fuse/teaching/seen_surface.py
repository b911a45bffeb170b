"""Depth of a mesh as a camera sees it.

Triangles are drawn into a buffer of inverse depth, which is linear over the picture of a plane, so
that a pixel's depth is exact on its triangle; the nearest triangle of a pixel is seen.
"""

from collections.abc import Iterator

import numpy as np

from rilievo.geometry.transforms import invert, transform_points
from rilievo.io.outputs.formats.gltf import TriangleMesh
from rilievo.shapes import Field, Float64, Int64, Matrix, Transform

_AT_ONCE = 1 << 20
"""Pixels that are tried at once against triangles; bounds memory to about 100 MB."""
_EDGE = 1e-6
"""Share of a triangle by which its edges are widened, so that neighbours leave no gap."""


def seen_depth(
    mesh: TriangleMesh,
    K: Matrix,
    world_T_cam: Transform,
    shape: tuple[int, int],
) -> Field:
    """Depth z of the nearest triangle at each pixel's centre; 0 where there is none.

    Triangles that reach behind the camera are left out.
    """
    x, y, z = transform_points(invert(world_T_cam), mesh.points.astype(np.float64).T)
    triangles = mesh.triangles[(z[mesh.triangles] > 0).all(axis=1)]
    depth = np.where(z > 0, z, 1.0)
    u, v = K[0, 0] * x / depth + K[0, 2], K[1, 1] * y / depth + K[1, 2]
    height, width = shape
    nearest = np.zeros(height * width)
    corners = np.stack([u, v, 1 / depth], axis=1)[triangles]
    low = np.ceil(corners[..., :2].min(axis=1)).clip(0)
    high = np.floor(corners[..., :2].max(axis=1)).clip(max=(width - 1, height - 1))
    sides = np.maximum(high - low + 1, 0).astype(np.int64)
    drawn = np.flatnonzero(sides.prod(axis=1))
    for chosen in _parts(drawn, sides[drawn].prod(axis=1)):
        _draw(nearest, corners[chosen], low[chosen].astype(np.int64), sides[chosen], width)
    depths = np.where(nearest > 0, 1 / np.where(nearest > 0, nearest, 1), 0)
    return depths.reshape(shape).astype(np.float32)


def _parts(
    chosen: Int64[np.ndarray, "n"], pixels: Int64[np.ndarray, "n"]
) -> Iterator[Int64[np.ndarray, "m"]]:
    """Split triangles so that those of a part have few pixels together."""
    part = np.cumsum(pixels) // _AT_ONCE
    cuts = np.flatnonzero(np.diff(part)) + 1
    yield from (triangles for triangles in np.split(chosen, cuts) if len(triangles))


def _draw(
    nearest: Float64[np.ndarray, "p"],
    corners: Float64[np.ndarray, "n 3 3"],
    low: Int64[np.ndarray, "n 2"],
    sides: Int64[np.ndarray, "n 2"],
    width: int,
) -> None:
    """Draw triangles, whose pixels lie in boxes, into the buffer of inverse depth."""
    counts = sides.prod(axis=1)
    which = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    across = sides[which, 0]
    u, v = low[which, 0] + place % across, low[which, 1] + place // across
    (ax, ay, aw), (bx, by, bw), (cx, cy, cw) = (corners[:, k].T for k in range(3))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    with np.errstate(divide="ignore", invalid="ignore"):
        b = ((u - ax[which]) * (cy - ay)[which] - (v - ay[which]) * (cx - ax)[which]) / area[which]
        c = ((v - ay[which]) * (bx - ax)[which] - (u - ax[which]) * (by - ay)[which]) / area[which]
    a = 1 - b - c
    inside = np.minimum(np.minimum(a, b), c) >= -_EDGE  # False for NaN, of triangles seen edge on
    which, pixel = which[inside], (v * width + u)[inside]
    inverse = a[inside] * aw[which] + b[inside] * bw[which] + c[inside] * cw[which]
    np.maximum.at(nearest, pixel, inverse)
