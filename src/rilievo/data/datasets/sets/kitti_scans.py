"""Laser scans of KITTI raw, and the rules by which papers make depth maps of them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float32, Float64
from rilievo.errors import InputError
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
            f"{path}: has {size} bytes, which is no multiple of {_POINT_BYTES} (a point); it is "
            "cut short: fetch it again"
        )
    try:
        points = np.fromfile(path, "<f4").reshape(-1, 4)[:, :3]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    broken = int((~np.isfinite(points)).any(axis=1).sum())
    if broken:
        raise InputError(
            f"{path}: {broken} of {len(points)} points are NaN or infinite, but a scan has none; "
            "fetch it again"
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

    The rule leaves out points behind the laser, and takes 1 off the coordinates, a relic of MATLAB.

    Args:
        points: Points of the laser [m].
        image_from_laser: Their projection.
        shape: Size of the map.
        forward: Whether to store the laser's x instead of z, as Monodepth2's ground truth does
            (``vel_depth``).

    Returns:
        Depth of the nearest point of each pixel, 0 for none.
    """
    height, width = shape
    points = points[points[:, 0] >= 0]
    x, y, z = _project(points, image_from_laser)
    # Points in the camera's own plane project to infinity, outside the picture.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        u, v = np.round(x / z) - 1, np.round(y / z) - 1
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    u, v = u[inside].astype(np.int64), v[inside].astype(np.int64)
    stored = (points[:, 0].astype(np.float64) if forward else z)[inside]
    depth = np.zeros(shape)
    depth[v, u] = stored

    # Those programs number the pixels such that the last pixel of a row and the first of the next
    # share a number. The pixel of the earlier point then gets the least depth of both, and the
    # other one keeps that of its latest point.
    pixel_number = v * (width - 1) + u - 1
    _, first, group = np.unique(pixel_number, return_index=True, return_inverse=True)
    least = np.full(len(first), np.inf)
    np.minimum.at(least, group, stored)
    depth[v[first], u[first]] = least
    return np.maximum(depth, 0)


def project_nearest(
    points: Float32[np.ndarray, "n 3"],
    image_from_laser: Float64[np.ndarray, "3 4"],
    shape: tuple[int, int],
) -> Float64[np.ndarray, "h w"]:
    """Project a scan to the depth z [m] of the nearest point of each pixel, 0 for none.

    Pixels extend half a pixel from their centres.
    """
    height, width = shape
    x, y, z = _project(points, image_from_laser)
    is_in_front = z > 0
    x, y, z = x[is_in_front], y[is_in_front], z[is_in_front]
    with np.errstate(over="ignore"):
        u, v = np.floor(x / z + 0.5), np.floor(y / z + 0.5)
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    pixels = (v[inside].astype(np.int64), u[inside].astype(np.int64))
    depth = np.full(shape, np.inf)
    np.minimum.at(depth, pixels, z[inside])
    return np.where(np.isinf(depth), 0, depth)


def _project(
    points: Float32[np.ndarray, "n 3"], image_from_laser: Float64[np.ndarray, "3 4"]
) -> Float64[np.ndarray, "3 n"]:
    """Homogeneous pixels (u z, v z, z) of points."""
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
