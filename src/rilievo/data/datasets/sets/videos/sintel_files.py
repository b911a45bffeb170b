"""Files of MPI Sintel besides its pictures (Butler et al., ECCV 2012).

Both kinds of files begin with the float 202021.25 and are little-endian: depth (.dpt) goes on with
width and height and its rows, a camera (.cam) with the nine numbers of K and the twelve of the
transform from the world.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from rilievo.errors import InputError
from rilievo.geometry.transforms import invert, rigid
from rilievo.io.camera_file import camera_of
from rilievo.io.files.limits import check_regular, check_size, printable, reason
from rilievo.types import Camera

_TAG = np.float32(202021.25).astype("<f4").tobytes()
_CAMERA_BYTES = 4 + 8 * (9 + 12)
_HEAD_BYTES = 12


def read_dpt(path: Path) -> Float32[np.ndarray, "h w"]:
    """Read depth [m]."""
    content = _content(path, "depth (.dpt)")
    width, height = (int(each) for each in np.frombuffer(content[4:_HEAD_BYTES], "<i4", 2))
    check_size(printable(path), (height, width))
    values = len(content) - _HEAD_BYTES
    if values != 4 * width * height:
        raise InputError(
            f"{printable(path)}: has {values} bytes of depth, and {width} x {height} pixels have "
            f"{4 * width * height}; fetch the original file again"
        )
    numbers = np.frombuffer(content, "<f4", offset=_HEAD_BYTES).astype(np.float32)
    return numbers.reshape(height, width)


def read_cam(path: Path) -> tuple[Camera, Float64[np.ndarray, "4 4"]]:
    """Read the intrinsics, and the pose ``world_T_cam``."""
    content = _content(path, "a camera (.cam)")
    if len(content) != _CAMERA_BYTES:
        raise InputError(
            f"{printable(path)}: has {len(content)} bytes, and a camera of Sintel {_CAMERA_BYTES}"
        )
    numbers = np.frombuffer(content, "<f8", offset=4).astype(np.float64)
    K, cam_T_world = numbers[:9].reshape(3, 3), numbers[9:].reshape(3, 4)
    R = cam_T_world[:, :3]
    if not (np.isfinite(numbers).all() and np.allclose(R @ R.T, np.eye(3), atol=1e-3)):
        raise InputError(f"{printable(path)}: its transform is no rotation with a translation")
    return camera_of(K, path), invert(rigid(R, cam_T_world[:, 3]))


def _content(path: Path, what: str) -> bytes:
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({reason(error)})") from error
    if not content.startswith(_TAG) or len(content) < _HEAD_BYTES:
        raise InputError(f"{printable(path)}: is no {what.removeprefix('a ')} of Sintel")
    return content
