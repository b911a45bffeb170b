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
    mesh: TriangleMesh, K: Matrix, world_T_cam: Transform, shape: tuple[int, int]
) -> Field:
    """Depth z of the nearest triangle at each pixel; 0 where there is none.

    Triangles that reach behind the camera are left out.
    """
    x, y, z = transform_points(invert(world_T_cam), mesh.points.astype(np.float64).T)
    triangles = mesh.triangles[(z[mesh.triangles] > 0).all(axis=1)]
    safe_z = np.where(z > 0, z, 1.0)  # points behind the camera belong to no triangle now
    u = K[0, 0] * x / safe_z + K[0, 2]
    v = K[1, 1] * y / safe_z + K[1, 2]
    corners = np.stack([u, v, 1 / safe_z], axis=1)[triangles]

    height, width = shape
    first_pixel = np.ceil(corners[..., :2].min(axis=1)).clip(0)
    last_pixel = np.floor(corners[..., :2].max(axis=1)).clip(max=(width - 1, height - 1))
    box_sizes = np.maximum(last_pixel - first_pixel + 1, 0).astype(np.int64)
    box_areas = box_sizes.prod(axis=1)

    inverse_depth = np.zeros(height * width)
    visible_triangles = np.flatnonzero(box_areas)
    for batch in _split_by_pixels(visible_triangles, box_areas[visible_triangles]):
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
    triangles: Int64[np.ndarray, "n"], pixel_counts: Int64[np.ndarray, "n"]
) -> Iterator[Int64[np.ndarray, "m"]]:
    """Split triangles into batches of about the same number of pixels."""
    batch_index = np.cumsum(pixel_counts) // _PIXELS_PER_BATCH
    batch_starts = np.flatnonzero(np.diff(batch_index)) + 1
    for batch in np.split(triangles, batch_starts):
        if len(batch):
            yield batch


def _draw_inverse_depth(
    inverse_depth: Float64[np.ndarray, "p"],
    corners: Float64[np.ndarray, "n 3 3"],
    first_pixel: Int64[np.ndarray, "n 2"],
    box_sizes: Int64[np.ndarray, "n 2"],
    width: int,
) -> None:
    """Draw triangles with a z-buffer: a triangle appears where it is nearer than what is drawn.

    Args:
        inverse_depth: The picture in row-major order, 0 where it is empty; changed in place.
        corners: u, v [px] and inverse depth of the three corners of each triangle.
        first_pixel: Column and row of the first pixel of each triangle's bounding box.
        box_sizes: Width and height of the bounding boxes [px].
        width: Width of the picture.
    """
    # These arrays have one entry for each pixel of each bounding box.
    areas = box_sizes.prod(axis=1)
    triangle = np.repeat(np.arange(len(areas)), areas)
    first_entry_of_box = np.cumsum(areas) - areas
    index_in_box = np.arange(len(triangle)) - np.repeat(first_entry_of_box, areas)
    box_width = box_sizes[triangle, 0]
    u = first_pixel[triangle, 0] + index_in_box % box_width
    v = first_pixel[triangle, 1] + index_in_box // box_width

    # Barycentric coordinates of the pixel P in the triangle with the corners A, B and C: the signed
    # areas of the triangles APC (for B) and ABP (for C), relative to that of ABC.
    (a_u, a_v, a_inverse), (b_u, b_v, b_inverse), (c_u, c_v, c_inverse) = (
        corners[:, corner].T for corner in range(3)
    )
    ab_u, ab_v = b_u - a_u, b_v - a_v
    ac_u, ac_v = c_u - a_u, c_v - a_v
    double_area = ab_u * ac_v - ab_v * ac_u
    from_a_u, from_a_v = u - a_u[triangle], v - a_v[triangle]
    with np.errstate(divide="ignore", invalid="ignore"):
        b_double_area = from_a_u * ac_v[triangle] - from_a_v * ac_u[triangle]
        c_double_area = from_a_v * ab_u[triangle] - from_a_u * ab_v[triangle]
        b_weight = b_double_area / double_area[triangle]
        c_weight = c_double_area / double_area[triangle]
    a_weight = 1 - b_weight - c_weight
    # Triangles that are seen edge on have no area and weights of NaN, for which this is False.
    is_inside = np.minimum(np.minimum(a_weight, b_weight), c_weight) >= -_EDGE_TOLERANCE

    triangle = triangle[is_inside]
    pixel = (v * width + u)[is_inside]
    pixel_inverse_depth = (
        a_weight[is_inside] * a_inverse[triangle]
        + b_weight[is_inside] * b_inverse[triangle]
        + c_weight[is_inside] * c_inverse[triangle]
    )
    np.maximum.at(inverse_depth, pixel, pixel_inverse_depth)
