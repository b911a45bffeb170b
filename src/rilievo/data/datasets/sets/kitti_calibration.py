"""Cameras of KITTI raw: the calibration files of a date, and known intrinsics without them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Transform
from rilievo.data.datasets.text_files import parse_numbers, text_lines
from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.geometry.cameras.camera import Camera, camera_from_K
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import rigid

CAMERA_FILE = "calib_cam_to_cam.txt"
LASER_FILE = "calib_velo_to_cam.txt"

_MAX_NUMBER = 1e9  # of a calibration file; larger ones are damage

_COLOUR_CAMERAS: Mapping[str, tuple[int, int, float, float, float]] = {
    "2011_09_26": (375, 1242, 721.5377, 609.5593, 172.854),
    "2011_09_28": (370, 1224, 707.0493, 604.0814, 180.5066),
    "2011_09_29": (374, 1238, 718.3351, 600.3891, 181.5122),
    "2011_09_30": (370, 1226, 707.0912, 601.8873, 183.1104),
    "2011_10_03": (376, 1241, 718.856, 607.1928, 185.2157),
}
"""Height, width, focal length (fx and fy), cx and cy [px] of the rectified colour cameras of each
date, from its files (P_rect_02, S_rect_02), for downloads without those files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KittiCamera:
    """Rectified camera of one date.

    Attributes:
        shape: (height, width) of its rectified pictures.
        P: Projection from the rectified frame of camera 0 [m] to the picture [px].
        R: Rotation of camera 0 that rectifies it.
    """

    shape: tuple[int, int]
    P: Float64[np.ndarray, "3 4"]
    R: Matrix

    @property
    def camera(self) -> Camera:
        """Intrinsics of the rectified pictures."""
        return Camera(K=self.P[:, :3])


def camera_of_shape(shape: tuple[int, int]) -> Camera | None:
    """Known intrinsics of the date whose pictures have this size; None if there is no such date."""
    for height, width, focal, cx, cy in _COLOUR_CAMERAS.values():
        if shape == (height, width):
            return Camera(K=pinhole_K(focal, focal, cx, cy))
    return None


def read_camera(day: Path, camera: str) -> KittiCamera:
    """Read a rectified camera, such as "image_02", from the calibration in the folder of a date."""
    path = day / CAMERA_FILE
    entries = _read_number_entries(path)
    camera_number = camera[-2:]
    width, height = _entry_as_array(entries, f"S_rect_{camera_number}", (2,), path).tolist()
    P = _entry_as_array(entries, f"P_rect_{camera_number}", (3, 4), path)
    camera_from_K(P[:, :3], path)
    return KittiCamera(
        shape=(int(height), int(width)), P=P, R=_entry_as_array(entries, "R_rect_00", (3, 3), path)
    )


def read_laser(day: Path) -> Transform:
    """Read ``cam_T_laser``, from the laser to the unrectified camera 0 [m]."""
    path = day / LASER_FILE
    entries = _read_number_entries(path)
    R = _entry_as_array(entries, "R", (3, 3), path)
    return rigid(R, _entry_as_array(entries, "T", (3,), path))


def image_from_laser(day: Path, camera: KittiCamera) -> Float64[np.ndarray, "3 4"]:
    """Projection matrix from homogeneous laser points [m] to (u z, v z, z), u and v in pixels."""
    rectified = rigid(camera.R, np.zeros(3))
    return camera.P @ rectified @ read_laser(day)


def _read_number_entries(path: Path) -> dict[str, tuple[float, ...]]:
    """Read the lines "name: numbers" of a calibration file, and skip other lines."""
    entries: dict[str, tuple[float, ...]] = {}
    for line in text_lines(path):
        name, colon, value = line.text.partition(":")
        numbers = parse_numbers(value) if colon else None
        if numbers:
            entries[name.strip()] = numbers
    return entries


def _entry_as_array(
    entries: Mapping[str, tuple[float, ...]], name: str, shape: tuple[int, ...], path: Path
) -> Float64[np.ndarray, "..."]:
    """Check that an entry has the numbers of an array of this shape, and return the array."""
    size = int(np.prod(shape))
    numbers = entries.get(name)
    if numbers is None or len(numbers) != size or not (np.abs(numbers) < _MAX_NUMBER).all():
        problem = "is missing" if numbers is None else f"has {count_text(len(numbers), 'number')}"
        raise InputError(
            f"{path}: the entry '{name}:' {problem}, expected {size} finite numbers; download the "
            "calibration of this date again"
        )
    return np.array(numbers, np.float64).reshape(shape)
