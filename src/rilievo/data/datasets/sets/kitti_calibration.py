"""Calibration of KITTI's cameras and laser (Geiger et al., IJRR 2013)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rilievo.data.datasets.files import numbers_of, text_lines
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.geometry.transforms import rigid
from rilievo.io.lens_files import camera_of, pinhole_K
from rilievo.shapes import Float64, Matrix, Transform
from rilievo.types import Camera

CAMERA_FILE, LASER_FILE = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
_LARGEST = 1e9


@frozen
class KittiCamera:
    """Rectified camera of one date (``S_rect``, ``P_rect``, ``R_rect_00``), from camera 0 [m]."""

    shape: tuple[int, int]
    P: Float64[np.ndarray, "3 4"]
    R: Matrix

    @property
    def camera(self) -> Camera:
        """Intrinsics of rectified pictures."""
        return Camera(K=self.P[:, :3])


# Height, width, focal length (fx and fy), cx and cy [px] of the colour cameras of each date, from
# its files (P_rect_02, S_rect_02), for downloads without those files.
_DATES: Mapping[str, tuple[int, int, float, float, float]] = {
    "2011_09_26": (375, 1242, 721.5377, 609.5593, 172.854),
    "2011_09_28": (370, 1224, 707.0493, 604.0814, 180.5066),
    "2011_09_29": (374, 1238, 718.3351, 600.3891, 181.5122),
    "2011_09_30": (370, 1226, 707.0912, 601.8873, 183.1104),
    "2011_10_03": (376, 1241, 718.856, 607.1928, 185.2157),
}


def camera_of_shape(shape: tuple[int, int]) -> Camera | None:
    """Intrinsics by size, unique to each of five dates; None for other sizes."""
    for height, width, focal, cx, cy in _DATES.values():
        if shape == (height, width):
            return Camera(K=pinhole_K(focal, focal, cx, cy))
    return None


def read_camera(day: Path, camera: str) -> KittiCamera:
    """Read ``calib_cam_to_cam.txt``."""
    path = day / CAMERA_FILE
    entries = _entries(path)
    number = camera[-2:]
    width, height = _array(entries, f"S_rect_{number}", (2,), path).tolist()
    P = _array(entries, f"P_rect_{number}", (3, 4), path)
    camera_of(P[:, :3], path)
    return KittiCamera(
        shape=(int(height), int(width)),
        P=P,
        R=_array(entries, "R_rect_00", (3, 3), path),
    )


def read_laser(day: Path) -> Transform:
    """Read ``cam_T_laser`` to unrectified camera 0."""
    path = day / LASER_FILE
    entries = _entries(path)
    return rigid(_array(entries, "R", (3, 3), path), _array(entries, "T", (3,), path))


def image_from_laser(day: Path, camera: KittiCamera) -> Float64[np.ndarray, "3 4"]:
    """Projection of homogeneous laser points [m] to (u z, v z, z)."""
    rectified = rigid(camera.R, np.zeros(3))
    return camera.P @ rectified @ read_laser(day)


def _entries(path: Path) -> dict[str, tuple[float, ...]]:
    entries: dict[str, tuple[float, ...]] = {}
    for line in text_lines(path):
        name, colon, rest = line.text.partition(":")
        numbers = numbers_of(rest) if colon else None
        if numbers:
            entries[name.strip()] = numbers
    return entries


def _array(
    entries: Mapping[str, tuple[float, ...]], name: str, shape: tuple[int, ...], path: Path
) -> Float64[np.ndarray, "..."]:
    size = int(np.prod(shape))
    numbers = entries.get(name)
    if numbers is None or len(numbers) != size or not (np.abs(numbers) < _LARGEST).all():
        problem = "has no such entry" if numbers is None else f"has {len(numbers)} for it"
        raise InputError(
            f"{path}: {problem}, but '{name}: ' with {size} finite numbers is expected; fetch the "
            "calibration of this date again"
        )
    return np.array(numbers, np.float64).reshape(shape)
