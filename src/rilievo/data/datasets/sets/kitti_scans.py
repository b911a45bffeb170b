"""Laser scans of KITTI raw, and the rules by which papers make depth maps of them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Float64, Int64
from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.io.files.limits import check_regular, reason

_POINT_BYTES = 16  # x, y, z and reflectance, in 32 bits each


def read_velodyne(path: Path) -> Float32[np.ndarray, "n 3"]:
    """Read the points of a scan [m]: x forward, y left, z up.

    Raises:
        InputError: If the file is cut short, or holds points that are not finite.
    """
    size = check_regular(path)
    if size % _POINT_BYTES:
        raise InputError(
            f"{path}: has {size} bytes, which is not a multiple of {_POINT_BYTES} (the size of one "
            "point), so it is cut short; download it again"
        )
    try:
        points = np.fromfile(path, "<f4").reshape(-1, 4)[:, :3]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    broken_count = int((~np.isfinite(points)).any(axis=1).sum())
    if broken_count:
        raise InputError(
            f"{path}: contains NaN or infinite coordinates in {broken_count} of "
            f"{count_text(len(points), 'point')}, so the file is damaged; download it again"
        )
    return points


def project_monodepth2(
    points: Float32[np.ndarray, "n 3"],
    image_from_laser: Float64[np.ndarray, "3 4"],
    shape: tuple[int, int],
    *,
    forward: bool = False,
) -> Float64[np.ndarray, "h w"]:
    """Project a scan to a depth map [m] by the rule of papers since SfMLearner (2017).

    The rule leaves out points behind the laser, and subtracts 1 from the pixel coordinates, a relic
    of MATLAB. With ``forward``, the laser's x is stored instead of z, as in Monodepth2's ground
    truth (``vel_depth``).

    Returns:
        Depth of the nearest point of each pixel, or 0 if there is no point.
    """
    height, width = shape
    points = points[points[:, 0] >= 0]
    uz, vz, z = _project(points, image_from_laser)
    # Points in the camera's own plane project to infinity, outside the picture.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        u, v = np.round(uz / z) - 1, np.round(vz / z) - 1
    is_inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    u, v = u[is_inside].astype(np.int64), v[is_inside].astype(np.int64)
    point_depth = (points[:, 0].astype(np.float64) if forward else z)[is_inside]
    depth = np.zeros(shape)
    depth[v, u] = point_depth  # the last point of each pixel, for now
    _keep_nearest_monodepth2(depth, u, v, point_depth)
    return np.maximum(depth, 0)


def _keep_nearest_monodepth2(
    depth: Float64[np.ndarray, "h w"],
    u: Int64[np.ndarray, "n"],
    v: Int64[np.ndarray, "n"],
    point_depth: Float64[np.ndarray, "n"],
) -> None:
    """Write the least depth of points in the same pixel into the map, with Monodepth2's oddity.

    Those programs number the pixels such that the last pixel of a row and the first of the next
    share a number. Among points with the same number, the pixel of the first point gets the least
    depth, and another pixel keeps the depth that it has.
    """
    width = depth.shape[1]
    pixel_number = v * (width - 1) + u - 1
    _, first_point, group = np.unique(pixel_number, return_index=True, return_inverse=True)
    least_depth = np.full(len(first_point), np.inf)
    np.minimum.at(least_depth, group, point_depth)
    depth[v[first_point], u[first_point]] = least_depth


def project_nearest(
    points: Float32[np.ndarray, "n 3"],
    image_from_laser: Float64[np.ndarray, "3 4"],
    shape: tuple[int, int],
) -> Float64[np.ndarray, "h w"]:
    """Project a scan to the depth z [m] of the nearest point of each pixel; 0 without a point.

    Pixels extend half a pixel from their centres.
    """
    height, width = shape
    projected = _project(points, image_from_laser)
    uz, vz, z = projected[:, projected[2] > 0]  # points in front of the camera
    with np.errstate(over="ignore"):
        u, v = np.floor(uz / z + 0.5), np.floor(vz / z + 0.5)
    is_inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    pixels = (v[is_inside].astype(np.int64), u[is_inside].astype(np.int64))
    depth = np.full(shape, np.inf)
    np.minimum.at(depth, pixels, z[is_inside])
    return np.where(np.isinf(depth), 0, depth)


def _project(
    points: Float32[np.ndarray, "n 3"], image_from_laser: Float64[np.ndarray, "3 4"]
) -> Float64[np.ndarray, "3 n"]:
    """Homogeneous pixel coordinates (u z, v z, z) of points."""
    homogeneous = np.c_[points, np.ones(len(points), points.dtype)]
    return image_from_laser @ homogeneous.T


Projection = Callable[
    [Float32[np.ndarray, "n 3"], Float64[np.ndarray, "3 4"], tuple[int, int]],
    Float64[np.ndarray, "h w"],
]

# A new rule needs a function above and a row here; its name is a variant of kitti-raw.
PROJECTIONS: Mapping[str, Projection] = {
    "monodepth2": project_monodepth2,
    "monodepth2_vel_depth": partial(project_monodepth2, forward=True),
    "nearest": project_nearest,
}
