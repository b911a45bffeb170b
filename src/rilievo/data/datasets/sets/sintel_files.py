"""Files of Sintel's ground truth (Butler et al., ECCV 2012)."""

from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Transform
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera, camera_from_K
from rilievo.geometry.transforms import invert, is_rigid_motion, rigid
from rilievo.io.files.limits import check_regular, check_size, reason
from rilievo.io.files.names import printable

_TAG = np.float32(202021.25).astype("<f4").tobytes()  # the first four bytes of each file
_DEPTH_HEADER_BYTES = 12  # tag, width and height
_CAMERA_BYTES = 4 + 8 * (9 + 12)  # tag, K and cam_T_world, in 64 bits


def read_dpt(path: Path) -> Field:
    """Read depth [m] from a ``.dpt`` file."""
    content = _read_tagged_file(path, "depth (.dpt)")
    width, height = (
        int(number) for number in np.frombuffer(content[4:_DEPTH_HEADER_BYTES], "<i4", 2)
    )
    check_size(printable(path), (height, width))
    depth_bytes = len(content) - _DEPTH_HEADER_BYTES
    if depth_bytes != 4 * width * height:
        raise InputError(
            f"{printable(path)}: has {depth_bytes} bytes of depth, but {width} x {height} pixels "
            f"need {4 * width * height}; download the original file again"
        )
    numbers = np.frombuffer(content, "<f4", offset=_DEPTH_HEADER_BYTES).astype(np.float32)
    return numbers.reshape(height, width)


def read_cam(path: Path) -> tuple[Camera, Transform]:
    """Read a camera and its pose ``world_T_cam`` [m] from a ``.cam`` file."""
    content = _read_tagged_file(path, "camera (.cam)")
    if len(content) != _CAMERA_BYTES:
        raise InputError(
            f"{printable(path)}: has {len(content)} bytes, but a Sintel camera file has "
            f"{_CAMERA_BYTES}; download the original file again"
        )
    numbers = np.frombuffer(content, "<f8", offset=4).astype(np.float64)
    K, cam_T_world = numbers[:9].reshape(3, 3), numbers[9:].reshape(3, 4)
    if not is_rigid_motion(cam_T_world):
        raise InputError(
            f"{printable(path)}: its camera pose is not a rotation and a translation; download the "
            "original file again"
        )
    return camera_from_K(K, path), invert(rigid(cam_T_world[:, :3], cam_T_world[:, 3]))


def _read_tagged_file(path: Path, description: str) -> bytes:
    """Read a file that must begin with Sintel's tag; messages describe what was expected."""
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({reason(error)})") from error
    if not content.startswith(_TAG) or len(content) < _DEPTH_HEADER_BYTES:
        raise InputError(f"{printable(path)}: is not a Sintel {description} file")
    return content
