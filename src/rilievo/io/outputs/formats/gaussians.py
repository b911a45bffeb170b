"""Gaussian splats of a surface: one for each point, as large as its pixel.

A splat is as wide as the steps to the next column and row along the surface, and as thick as its
neighbours lie off its plane.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float32, Float64, Int, Values
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.lattice import Vertices, sample_range
from rilievo.geometry.surfaces.meshes import PointCloud
from rilievo.geometry.transforms import quaternion_from_rotation

_DEVIATION = 0.55
"""Standard deviation of a splat [steps of the lattice]. A larger one blurs, a smaller one leaves
gaps."""
_MIN_COSINE_TO_RAY = 0.2
"""Least cosine between normal and ray for the size of a splat, so that none is drawn out more than
five times."""
_MIN_THICKNESS_FRACTION = 0.05
_MAX_THICKNESS_FRACTION = 0.5
"""Limits of the thickness of a splat [fraction of its smaller width]."""
_POINTS_PER_BATCH = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Splats:
    """Gaussians in the camera frame.

    Attributes:
        scales: Standard deviations along the three axes; the third is the thickness.
        rotations: Unit quaternions (w, x, y, z) of the rotations to the axes.
        rows: Slice of the cloud that these are.
    """

    centres: Vertices
    normals: Vertices
    scales: Vertices
    rotations: Float32[np.ndarray, "n 4"]
    rows: slice


def splats(
    cloud: PointCloud, camera: Camera, *, shape: tuple[int, int], step: int = 1
) -> Iterator[Splats]:
    """Make a splat of every point, in batches.

    ``step`` is the step between the pixels that became points.
    """
    cells = _nearest_cells(cloud, camera, shape, step)
    point_of_cell = _first_point_of_cells(cells, shape, step)
    for rows in _batches(len(cloud.points)):
        points, normals = (_as_columns(vectors[rows]) for vectors in (cloud.points, cloud.normals))
        across, down = _pixel_sides(points, normals, camera, step)
        off_plane = _distance_off_plane(cloud, rows, point_of_cell, cells[:, rows], normals)
        axes, widths = _principal_axes(across, down, normals)
        smaller_width = widths[1]
        thickness = np.clip(
            _DEVIATION * off_plane,
            _MIN_THICKNESS_FRACTION * smaller_width,
            _MAX_THICKNESS_FRACTION * smaller_width,
        )
        yield Splats(
            centres=cloud.points[rows],
            normals=cloud.normals[rows],
            scales=np.stack([*widths, thickness], axis=1).astype(np.float32),
            rotations=quaternion_from_rotation(np.moveaxis(axes, 2, 0)).astype(np.float32),
            rows=rows,
        )


def _first_point_of_cells(
    cells: Int[np.ndarray, "2 n"], shape: tuple[int, int], step: int
) -> Int[np.ndarray, "a b"]:
    """First point in each cell of the lattice, with a border of one cell; -1 for empty cells.

    The first one is that of the surface, and later ones are of its backing. ``cells`` are the row
    and column of each point.
    """
    size = (len(sample_range(shape[0], step)), len(sample_range(shape[1], step)))
    point_of_cell = np.full(size, -1, np.int32)
    # In an assignment with repeated indices the last value stays, so the points are reversed.
    last_to_first = np.arange(cells.shape[1], dtype=np.int32)[::-1]
    point_of_cell[cells[0, ::-1], cells[1, ::-1]] = last_to_first
    return np.pad(point_of_cell, 1, constant_values=-1)


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, _POINTS_PER_BATCH):
        yield slice(start, min(start + _POINTS_PER_BATCH, count))


def _as_columns(rows: Vertices) -> Float64[np.ndarray, "3 n"]:
    """Transpose vectors, because NumPy adds along rows faster."""
    return np.ascontiguousarray(rows.T, np.float64)


def _nearest_cells(
    cloud: PointCloud, camera: Camera, shape: tuple[int, int], step: int
) -> Int[np.ndarray, "2 n"]:
    """Row and column of each point in the lattice."""
    cells = np.empty((2, len(cloud.points)), np.intp)
    rows, columns = (sample_range(length, step) for length in shape)
    for batch in _batches(len(cloud.points)):
        u, v = camera.project(_as_columns(cloud.points[batch]))
        cells[0, batch] = _nearest_sample(v, rows)
        cells[1, batch] = _nearest_sample(u, columns)
    return cells


def _nearest_sample(pixel: Values, samples: range) -> Values:
    """Index of the sample that is nearest to each pixel coordinate; 0 for NaN."""
    index = (np.nan_to_num(pixel) - samples.start) / samples.step
    return np.rint(index).clip(0, len(samples) - 1)


def _pixel_sides(
    points: Float64[np.ndarray, "3 n"],
    normals: Float64[np.ndarray, "3 n"],
    camera: Camera,
    step: int,
) -> tuple[Float64[np.ndarray, "3 n"], Float64[np.ndarray, "3 n"]]:
    """Steps along the surface from each point to that of the next column, and of the next row.

    With depth d, ray r, its change r' and the normal n, a step is d (r' - r (n·r') / (n·r)).
    """
    depth, pixels = camera.depth_of(points), camera.project(points)
    ray = points / depth
    ray_length = np.linalg.norm(ray, axis=0)
    normal_dot_ray = np.minimum((normals * ray).sum(axis=0), -_MIN_COSINE_TO_RAY * ray_length)
    sides = []
    for axis in (0, 1):
        half_pixel = np.zeros((2, 1))
        half_pixel[axis] = 0.5
        change = step * (camera.rays(pixels + half_pixel) - camera.rays(pixels - half_pixel))
        # At the edge of a fisheye's image one of the rays may not exist.
        pinhole_change = np.eye(3)[axis][:, None] * ray_length * step / camera.focal
        change = np.where(np.isfinite(change).all(axis=0), change, pinhole_change)
        normal_dot_change = (normals * change).sum(axis=0)
        sides.append(depth * (change - ray * normal_dot_change / normal_dot_ray))
    across, down = sides
    return across, down


def _distance_off_plane(
    cloud: PointCloud,
    rows: slice,
    point_of_cell: Int[np.ndarray, "a b"],
    cells: Int[np.ndarray, "2 n"],
    normals: Float64[np.ndarray, "3 n"],
) -> Values:
    """Mean distance of the neighbours of points from their planes; 0 without a neighbour.

    Points of the backing, which are not the first ones of their cell, have no neighbours.

    Args:
        cloud: All points.
        rows: Slice of the points in this batch.
        point_of_cell: First point of each cell, with a border of one cell; -1 for empty cells.
        cells: Row and column of the cell of each point in the batch.
        normals: Normals of these points.
    """
    points = cloud.points[rows]
    row, column = cells + 1  # The border moves all cells by one.
    is_first_of_cell = point_of_cell[row, column] == np.arange(rows.start, rows.stop)
    total, count = np.zeros(len(points)), np.zeros(len(points))
    for row_step, column_step in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        neighbour = point_of_cell[row + row_step, column + column_step]
        to_neighbour = _as_columns(cloud.points[neighbour] - points)
        off_plane = np.abs((to_neighbour * normals).sum(axis=0))
        # A neighbour more than 45 degrees off the plane belongs to another surface.
        is_same_surface = 2 * off_plane * off_plane < (to_neighbour * to_neighbour).sum(axis=0)
        is_counted = is_first_of_cell & (neighbour >= 0) & is_same_surface
        total += np.where(is_counted, off_plane, 0)
        count += is_counted
    return total / np.maximum(count, 1)


def _principal_axes(
    across: Float64[np.ndarray, "3 n"],
    down: Float64[np.ndarray, "3 n"],
    normals: Float64[np.ndarray, "3 n"],
) -> tuple[Float64[np.ndarray, "3 3 n"], Float64[np.ndarray, "2 n"]]:
    """Principal axes of Gaussians whose covariance is that of the two sides of a pixel.

    Returns:
        Unit axes, the longer first and the normal last, and the standard deviations along the first
        two.
    """
    # Both sides, projected on the surface, in coordinates x along ``across`` and y at right angles.
    across = across - normals * (normals * across).sum(axis=0)
    down = down - normals * (normals * down).sum(axis=0)
    across_x = np.linalg.norm(across, axis=0)
    x_axis = across / across_x
    y_axis = np.cross(normals, x_axis, axis=0)
    down_x, down_y = (x_axis * down).sum(axis=0), (y_axis * down).sum(axis=0)

    # Eigenvalues and eigenvectors of the covariance [[xx, xy], [xy, yy]]. The smaller eigenvalue is
    # the determinant over the larger one, which loses no digits.
    xx, yy, xy = across_x**2 + down_x**2, down_y**2, down_x * down_y
    mean, half_difference = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    larger = mean + half_difference
    smaller = (across_x * down_y) ** 2 / larger
    widths = _DEVIATION * np.sqrt(np.stack([larger, smaller]))
    angle = np.arctan2(2 * xy, xx - yy) / 2
    longer_axis = np.cos(angle) * x_axis + np.sin(angle) * y_axis
    shorter_axis = np.cross(normals, longer_axis, axis=0)
    return np.stack([longer_axis, shorter_axis, normals], axis=1), widths
