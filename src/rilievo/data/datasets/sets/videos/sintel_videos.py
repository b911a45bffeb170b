"""Videos of MPI Sintel (Butler et al., ECCV 2012), with .dpt and .cam files."""

from functools import partial
from pathlib import Path

import numpy as np

from rilievo.data.datasets.files import names_in
from rilievo.data.datasets.photo_files import DepthFiles, MaskedValues, of_metres, where_present
from rilievo.data.datasets.sets.videos.downloads import (
    Download,
    Frames,
    Videos,
    folder_below,
    stems,
)
from rilievo.errors import InputError
from rilievo.geometry.transforms import invert, rigid
from rilievo.io.files.limits import check_regular, check_size, printable, reason
from rilievo.io.lens_files import camera_of
from rilievo.shapes import Field, Transform
from rilievo.types import Camera

_TAG = np.float32(202021.25).astype("<f4").tobytes()
_CAMERA_BYTES = 4 + 8 * (9 + 12)
_HEAD_BYTES = 12
FINAL = "final"
"""Variant of the final pass: blur and haze."""
_NAMES = (
    "alley_1",
    "alley_2",
    "ambush_2",
    "ambush_4",
    "ambush_5",
    "ambush_6",
    "ambush_7",
    "bamboo_1",
    "bamboo_2",
    "bandage_1",
    "bandage_2",
    "cave_2",
    "cave_4",
    "market_2",
    "market_5",
    "market_6",
    "mountain_1",
    "shaman_2",
    "shaman_3",
    "sleeping_1",
    "sleeping_2",
    "temple_2",
    "temple_3",
)


def _open(root: Path, variant: str) -> Videos:
    # Pictures and depth are two downloads, which may lie beside each other.
    name = FINAL if variant == FINAL else "clean"
    pictures, depths = _part(root, name), _part(root, "depth")
    cameras = depths.with_name("camdata_left")

    def frames(video: str, taken: slice) -> Frames:
        for stem in stems(pictures / video, ".png")[taken]:
            camera = cameras / video / f"{stem}.cam"
            frame = DepthFiles(
                image=pictures / video / f"{stem}.png",
                depth=depths / video / f"{stem}.dpt",
                scene=video,
                read=_depth,
                camera=partial(where_present, _camera, camera),
                pose=partial(where_present, _pose, camera),
            )
            yield f"{name}/{video}/{stem}", frame

    return frames


def _part(root: Path, name: str) -> Path:
    expected = f"Sintel's training/{name}"

    def has_videos(folder: Path) -> bool:
        return not names_in(folder / name).isdisjoint(_NAMES)

    return folder_below(root, expected, has_videos) / name


def _depth(path: Path) -> MaskedValues:
    return of_metres(read_dpt(path))


def _camera(path: Path) -> Camera:
    return read_cam(path)[0]


def _pose(path: Path) -> Transform:
    return read_cam(path)[1]


def read_dpt(path: Path) -> Field:
    """Read depth [m]."""
    content = _content(path, "depth (.dpt)")
    width, height = (int(number) for number in np.frombuffer(content[4:_HEAD_BYTES], "<i4", 2))
    check_size(printable(path), (height, width))
    values = len(content) - _HEAD_BYTES
    if values != 4 * width * height:
        raise InputError(
            f"{printable(path)}: has {values} bytes of depth, and {width} x {height} pixels have "
            f"{4 * width * height}; fetch the original file again"
        )
    numbers = np.frombuffer(content, "<f4", offset=_HEAD_BYTES).astype(np.float32)
    return numbers.reshape(height, width)


def read_cam(path: Path) -> tuple[Camera, Transform]:
    """Read intrinsics and ``world_T_cam``."""
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


SINTEL = Download(
    videos=_NAMES,
    open=_open,
    variants=(FINAL,),
)
