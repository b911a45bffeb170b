"""Gaussian splats of a surface: one a point, as large as its pixel.

Changes along rows and columns are the covariance; thickness is how far neighbours are off-plane.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float32, Float64, Int, Values
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.lattice import Vertices, sample_range
from rilievo.geometry.surfaces.meshes import PointCloud
from rilievo.geometry.transforms import quaternion_from_rotation

_SPREAD = 0.55
"""Standard deviation, in steps: larger blurs, smaller leaves gaps."""
_LEAST_COSINE = 0.2
"""Cosine at which splats stop growing (5 : 1)."""
_THICKNESS = (0.05, 0.5)
"""Least and largest thickness, as shares of the smaller width."""
_CHUNK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Splats:
    """Gaussians in the camera frame.

    Attributes:
        scales: Standard deviations, the third the thickness.
        rotations: Unit quaternions (w, x, y, z) to a splat's axes.
        rows: Slice of the cloud.
    """

    centres: Vertices
    normals: Vertices
    scales: Vertices
    rotations: Float32[np.ndarray, "n 4"]
    rows: slice


def splats(
    cloud: PointCloud, camera: Camera, *, shape: tuple[int, int], step: int = 1
) -> Iterator[Splats]:
    """Make a splat of every point, some ten thousand at a time."""
    cells = _nearest_cells(cloud, camera, shape, step)
    size = (len(sample_range(shape[0], step)), len(sample_range(shape[1], step)))
    number = np.full(size, -1, np.int32)
    # Of two points at one place it is the first: that of the surface, not of its backing.
    number[cells[0, ::-1], cells[1, ::-1]] = np.arange(len(cloud.points), dtype=np.int32)[::-1]
    number = np.pad(number, 1, constant_values=-1)
    for rows in _chunks(len(cloud.points)):
        points, normals = (_as_columns(vectors[rows]) for vectors in (cloud.points, cloud.normals))
        across, down = _pixel_sides(points, normals, camera, step)
        off = _distance_off_plane(cloud, rows, number, cells[:, rows], normals)
        axes, widths = _principal_axes(across, down, normals)
        least, most = (share * widths[1] for share in _THICKNESS)
        thickness = np.clip(_SPREAD * off, least, most)
        yield Splats(
            centres=cloud.points[rows],
            normals=cloud.normals[rows],
            scales=np.stack([*widths, thickness], axis=1).astype(np.float32),
            rotations=quaternion_from_rotation(np.moveaxis(axes, 2, 0)).astype(np.float32),
            rows=rows,
        )


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK):
        yield slice(start, min(start + _CHUNK, count))


def _as_columns(rows: Vertices) -> Float64[np.ndarray, "3 n"]:
    """Vectors side by side, which NumPy adds faster."""
    return np.ascontiguousarray(rows.T, np.float64)


def _nearest_cells(
    cloud: PointCloud, camera: Camera, shape: tuple[int, int], step: int
) -> Int[np.ndarray, "2 n"]:
    """Row and column of each point in the lattice."""
    cells = np.empty((2, len(cloud.points)), np.intp)
    rows, columns = (sample_range(length, step) for length in shape)
    for part in _chunks(len(cloud.points)):
        u, v = camera.project(_as_columns(cloud.points[part]))
        for cell, place, line in zip(cells[:, part], (v, u), (rows, columns), strict=True):
            cell[:] = np.rint((np.nan_to_num(place) - line.start) / step).clip(0, len(line) - 1)
    return cells


def _pixel_sides(
    points: Float64[np.ndarray, "3 n"],
    normals: Float64[np.ndarray, "3 n"],
    camera: Camera,
    step: int,
) -> tuple[Float64[np.ndarray, "3 n"], Float64[np.ndarray, "3 n"]]:
    """Changes of each point to the next column and row, d (r' - r (n r') / (n r))."""
    depth, pixels = camera.depth_of(points), camera.project(points)
    ray = points / depth
    length = np.linalg.norm(ray, axis=0)
    facing = np.minimum((normals * ray).sum(axis=0), -_LEAST_COSINE * length)
    sides = []
    for axis in (0, 1):
        half = np.zeros((2, 1))
        half[axis] = 0.5
        change = step * (camera.rays(pixels + half) - camera.rays(pixels - half))
        # At the edge of a fisheye's image one of the rays may not exist.
        other = np.eye(3)[axis][:, None] * length * step / camera.focal
        change = np.where(np.isfinite(change).all(axis=0), change, other)
        sides.append(depth * (change - ray * (normals * change).sum(axis=0) / facing))
    return sides[0], sides[1]


def _distance_off_plane(
    cloud: PointCloud,
    rows: slice,
    number: Int[np.ndarray, "a b"],
    cells: Int[np.ndarray, "2 n"],
    normals: Float64[np.ndarray, "3 n"],
) -> Values:
    """Mean distance of neighbours from a plane; beyond an edge they do not count."""
    points = cloud.points[rows]
    own = number[cells[0] + 1, cells[1] + 1] == np.arange(rows.start, rows.stop)
    total, count = np.zeros(len(points)), np.zeros(len(points))
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        beside = number[cells[0] + 1 + down, cells[1] + 1 + right]
        way = _as_columns(cloud.points[beside] - points)
        off = np.abs((way * normals).sum(axis=0))
        is_near = own & (beside >= 0) & (2 * off * off < (way * way).sum(axis=0))
        total += np.where(is_near, off, 0)
        count += is_near
    return total / np.maximum(count, 1)


def _principal_axes(
    across: Float64[np.ndarray, "3 n"],
    down: Float64[np.ndarray, "3 n"],
    normals: Float64[np.ndarray, "3 n"],
) -> tuple[Float64[np.ndarray, "3 3 n"], Float64[np.ndarray, "2 n"]]:
    """Unit axes, the longer first, then both widths."""
    across = across - normals * (normals * across).sum(axis=0)
    down = down - normals * (normals * down).sum(axis=0)
    length = np.linalg.norm(across, axis=0)
    first = across / length
    second = np.cross(normals, first, axis=0)
    along, beside = (first * down).sum(axis=0), (second * down).sum(axis=0)
    xx, yy, xy = length**2 + along**2, beside**2, along * beside
    mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    angle = np.arctan2(2 * xy, xx - yy) / 2
    large = mean + half
    widths = _SPREAD * np.sqrt(np.stack([large, (length * beside) ** 2 / large]))
    longer = np.cos(angle) * first + np.sin(angle) * second
    return np.stack([longer, np.cross(normals, longer, axis=0), normals], axis=1), widths
