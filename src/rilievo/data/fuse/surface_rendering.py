"""Depth of a triangle mesh as a camera sees it.

Triangles are drawn into inverse depth, which is linear over a plane.
"""

from collections.abc import Iterator

import numpy as np

from rilievo.arrays.shapes import Field, Float64, Int64, Matrix, Transform
from rilievo.geometry.transforms import invert, transform_points
from rilievo.io.outputs.formats.gltf import TriangleMesh

_PIXELS_PER_BATCH = 1 << 20
"""Pixels of the bounding boxes of triangles that are drawn at once, which bound the memory."""
_EDGE_TOLERANCE = 1e-6
"""Barycentric coordinate below zero up to which a pixel counts as inside, so that gaps close."""


def surface_depth(
    mesh: TriangleMesh,
    K: Matrix,
    world_T_cam: Transform,
    shape: tuple[int, int],
) -> Field:
    """Depth z of the nearest triangle at each pixel; 0 where there is none.

    Triangles that reach behind the camera are left out.
    """
    x, y, z = transform_points(invert(world_T_cam), mesh.points.astype(np.float64).T)
    triangles = mesh.triangles[(z[mesh.triangles] > 0).all(axis=1)]
    depth = np.where(z > 0, z, 1.0)
    u = K[0, 0] * x / depth + K[0, 2]
    v = K[1, 1] * y / depth + K[1, 2]
    corners = np.stack([u, v, 1 / depth], axis=1)[triangles]

    height, width = shape
    first_pixel = np.ceil(corners[..., :2].min(axis=1)).clip(0)
    last_pixel = np.floor(corners[..., :2].max(axis=1)).clip(max=(width - 1, height - 1))
    box_sizes = np.maximum(last_pixel - first_pixel + 1, 0).astype(np.int64)
    box_areas = box_sizes.prod(axis=1)

    inverse_depth = np.zeros(height * width)
    drawn = np.flatnonzero(box_areas)
    for batch in _split_by_pixels(drawn, box_areas[drawn]):
        _draw_inverse_depth(
            inverse_depth,
            corners[batch],
            first_pixel[batch].astype(np.int64),
            box_sizes[batch],
            width,
        )
    is_drawn = inverse_depth > 0
    depths = np.where(is_drawn, 1 / np.where(is_drawn, inverse_depth, 1), 0)
    return depths.reshape(shape).astype(np.float32)


def _split_by_pixels(
    triangles: Int64[np.ndarray, "n"], pixels: Int64[np.ndarray, "n"]
) -> Iterator[Int64[np.ndarray, "m"]]:
    """Split triangles, which cover so many pixels each, into batches."""
    batch = np.cumsum(pixels) // _PIXELS_PER_BATCH
    cuts = np.flatnonzero(np.diff(batch)) + 1
    for part in np.split(triangles, cuts):
        if len(part):
            yield part


def _draw_inverse_depth(
    inverse_depth: Float64[np.ndarray, "p"],
    corners: Float64[np.ndarray, "n 3 3"],
    first_pixel: Int64[np.ndarray, "n 2"],
    box_sizes: Int64[np.ndarray, "n 2"],
    width: int,
) -> None:
    """Draw triangles into a picture, where they are nearer than what it shows.

    Args:
        inverse_depth: The picture in row-major order, 0 where it is empty; changed in place.
        corners: u, v [px] and inverse depth of the three corners of each triangle.
        first_pixel: Column and row of the first pixel of each triangle's bounding box.
        box_sizes: Width and height of the bounding boxes [px].
        width: Width of the picture.
    """
    # One entry for each pixel of each bounding box.
    areas = box_sizes.prod(axis=1)
    triangle = np.repeat(np.arange(len(areas)), areas)
    place_in_box = np.arange(len(triangle)) - np.repeat(np.cumsum(areas) - areas, areas)
    box_width = box_sizes[triangle, 0]
    u = first_pixel[triangle, 0] + place_in_box % box_width
    v = first_pixel[triangle, 1] + place_in_box // box_width

    (au, av, a_inverse), (bu, bv, b_inverse), (cu, cv, c_inverse) = (
        corners[:, corner].T for corner in range(3)
    )
    double_area = (bu - au) * (cv - av) - (bv - av) * (cu - au)
    from_a_u, from_a_v = u - au[triangle], v - av[triangle]
    with np.errstate(divide="ignore", invalid="ignore"):
        b = (from_a_u * (cv - av)[triangle] - from_a_v * (cu - au)[triangle]) / double_area[
            triangle
        ]
        c = (from_a_v * (bu - au)[triangle] - from_a_u * (bv - av)[triangle]) / double_area[
            triangle
        ]
    a = 1 - b - c
    # False for NaN, which triangles seen edge on have.
    is_inside = np.minimum(np.minimum(a, b), c) >= -_EDGE_TOLERANCE

    triangle = triangle[is_inside]
    pixel = (v * width + u)[is_inside]
    inverse = (
        a[is_inside] * a_inverse[triangle]
        + b[is_inside] * b_inverse[triangle]
        + c[is_inside] * c_inverse[triangle]
    )
    np.maximum.at(inverse_depth, pixel, inverse)
