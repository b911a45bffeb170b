"""COLMAP's camera models and binary files (its documentation, "Output Format")."""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rilievo.errors import InputError
from rilievo.io.files.limits import check_regular, unreadable
from rilievo.io.files.names import printable


class _CameraModel(NamedTuple):
    """Camera model; an empty ``lens`` has no name of ours."""

    lens: str
    focals: int
    coefficients: int

    @property
    def parameter_count(self) -> int:
        return self.focals + 2 + self.coefficients


# Models in the order of their numbers.
MODELS: Mapping[str, _CameraModel] = {
    "SIMPLE_PINHOLE": _CameraModel("pinhole", 1, 0),
    "PINHOLE": _CameraModel("pinhole", 2, 0),
    "SIMPLE_RADIAL": _CameraModel("opencv", 1, 1),
    "RADIAL": _CameraModel("opencv", 1, 2),
    "OPENCV": _CameraModel("opencv", 2, 4),
    "OPENCV_FISHEYE": _CameraModel("fisheye", 2, 4),
    "FULL_OPENCV": _CameraModel("opencv", 2, 8),
    "FOV": _CameraModel("fov", 2, 1),
    "SIMPLE_RADIAL_FISHEYE": _CameraModel("fisheye", 1, 1),
    "RADIAL_FISHEYE": _CameraModel("fisheye", 1, 2),
    "THIN_PRISM_FISHEYE": _CameraModel("", 2, 8),
}
_LONGEST_NAME = 4096
_POINT = 24


class CameraRow(NamedTuple):
    """Camera whose principal point counts from the first pixel's corner."""

    id: int
    model: str
    width: int
    height: int
    numbers: tuple[float, ...]
    place: str


class ImageRow(NamedTuple):
    """Image with ``cam_T_world``: quaternion w x y z, then translation."""

    pose: tuple[float, ...]
    camera_id: int
    name: str
    place: str


def read_cameras_bin(path: Path) -> Iterator[CameraRow]:
    """Yield COLMAP's cameras."""
    names = [*MODELS]
    with _open_reader(path) as content:
        for _ in range(content.read_count("cameras", _struct_size("IiQQ3d"))):
            id, number, width, height = content.read_struct("IiQQ", "a camera")
            place = f"{content.name}, camera {id}"
            if not 0 <= number < len(names):
                raise InputError(
                    (
                        f"has the camera model number {number}; read are 0 "
                        f"({names[0]}) to {len(names) - 1} ({names[-1]}): run 'colmap "
                        "image_undistorter'"
                    ),
                    path=place,
                )
            model = names[number]
            numbers = content.read_struct(f"{MODELS[model].parameter_count}d", "parameters")
            yield CameraRow(id, model, width, height, numbers, place)
        content.refuse_trailing_bytes()


def read_images_bin(path: Path) -> Iterator[ImageRow]:
    """Yield COLMAP's images without their points."""
    with _open_reader(path) as content:
        for _ in range(content.read_count("images", _struct_size("I7dIcQ"))):
            id, *pose, camera_id = content.read_struct("I7dI", "an image")
            place = f"{content.name}, image {id}"
            name = content.read_name(place)
            content.skip_bytes(_POINT * content.read_count("points", _POINT))
            yield ImageRow(tuple(pose), camera_id, name, place)
        content.refuse_trailing_bytes()


class _ByteReader:
    def __init__(self, file: BinaryIO, name: str, size: int) -> None:
        self._file, self.name, self._size = file, name, size

    def read_struct(self, form: str, label: str) -> tuple[Any, ...]:
        at, size = self._file.tell(), _struct_size(form)
        content = self._file.read(size)
        if len(content) < size:
            raise InputError(
                (
                    f"ends at byte {at + len(content)}, inside {label}: it is "
                    "cut off or no file of COLMAP; copy it again"
                ),
                path=self.name,
            )
        return struct.unpack(f"<{form}", content)

    def read_count(self, label: str, least: int) -> int:
        [count] = self.read_struct("Q", f"the number of {label}")
        left = self._size - self._file.tell()
        if count * least > left:
            raise InputError(
                (
                    f"states {count} {label} at byte {self._size - left - 8}, and "
                    f"{left} bytes follow, but each takes {least} or more: it "
                    "is cut off or no file of COLMAP; copy it again"
                ),
                path=self.name,
            )
        return count

    def read_name(self, place: str) -> str:
        at = self._file.tell()
        name, zero, _ = self._file.read(_LONGEST_NAME + 1).partition(b"\0")
        if not zero and len(name) > _LONGEST_NAME:
            raise InputError(f"has a name of over {_LONGEST_NAME} bytes; copy it again", path=place)
        self._file.seek(at + len(name))
        self.read_struct("c", "a name")
        try:
            return name.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                (f"has a name that is no text in UTF-8 (byte {error.start})"), path=place
            ) from error

    def skip_bytes(self, count: int) -> None:
        self._file.seek(count, 1)

    def refuse_trailing_bytes(self) -> None:
        at = self._file.tell()
        if at < self._size:
            raise InputError(
                (
                    f"has {self._size - at} bytes after the last entry that it "
                    "states; export it again"
                ),
                path=self.name,
            )


@contextmanager
def _open_reader(path: Path) -> Iterator[_ByteReader]:
    size = check_regular(path)
    try:
        with path.open("rb") as file:
            yield _ByteReader(file, printable(path), size)
    except OSError as error:
        raise unreadable(error, path) from error


def _struct_size(form: str) -> int:
    return struct.calcsize(f"<{form}")
