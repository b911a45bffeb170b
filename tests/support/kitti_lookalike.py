"""A small KITTI raw download, written as its readme describes the files."""

import struct
from pathlib import Path

import numpy as np

from support.png_bytes import write_rgb8

DATE = "2011_09_26"
DRIVE = "2011_09_26_drive_0002_sync"
SHAPE = (40, 60)
FOCAL, CENTRE = 50.0, (29.0, 21.0)
BASELINE = 0.5

CAMERA_TEXT = f"""\
calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_00: 1.392000e+03 5.120000e+02
R_rect_00: 1 0 0 0 1 0 0 0 1
S_rect_02: 6.000000e+01 4.000000e+01
P_rect_02: 5.0e+01 0 2.9e+01 0 0 5.0e+01 2.1e+01 0 0 0 1 0
S_rect_03: 6.000000e+01 4.000000e+01
P_rect_03: 5.0e+01 0 2.9e+01 {-FOCAL * BASELINE:e} 0 5.0e+01 2.1e+01 0 0 0 1 0
"""

# Laser x forward, y left, z up; camera x right, y down, z forward, 0.25 m ahead of the laser.
LASER_TEXT = """\
calib_time: 15-Mar-2012 11:37:16
R: 0 -1 0 0 0 -1 1 0 0
T: 0 0 -2.5e-01
delta_f: 0.000000e+00 0.000000e+00
"""


def write_calibration(root: Path, *, camera: str = CAMERA_TEXT, laser: str = LASER_TEXT) -> None:
    day = root / DATE
    day.mkdir(parents=True, exist_ok=True)
    (day / "calib_cam_to_cam.txt").write_text(camera)
    (day / "calib_velo_to_cam.txt").write_text(laser)


def laser_point(u: float, v: float, z: float) -> tuple[float, float, float]:
    """The point that the left camera sees at (u, v) [px] and depth z [m], in the laser's frame."""
    right, down = (u - CENTRE[0]) * z / FOCAL, (v - CENTRE[1]) * z / FOCAL
    return z + 0.25, -right, -down


def write_scan(
    root: Path, index: int, points: list[tuple[float, float, float]], *, drive: str = DRIVE
) -> Path:
    path = root / drive[:10] / drive / "velodyne_points" / "data" / f"{index:010d}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(struct.pack("<4f", *point, 0.3) for point in points))
    return path


def write_picture(root: Path, index: int, *, camera: str = "image_02", drive: str = DRIVE) -> Path:
    path = root / drive[:10] / drive / camera / "data" / f"{index:010d}.png"
    level = 100 if camera == "image_02" else 200
    write_rgb8(path, np.full((*SHAPE, 3), (level, index, 7)))
    return path
