"""COLMAP's camera models and binary files (its documentation, "Output Format")."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rilievo.errors import InputError
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.io.cameras.lens_checks import checked_lens, picture_size
from rilievo.io.files.limits import check_regular, unreadable
from rilievo.io.files.names import printable


@dataclass(frozen=True, slots=True)
class _CameraModel:
    """A camera model of COLMAP.

    Attributes:
        lens: Name of a lens of ours; empty if it is not read.
        focals: Number of focal lengths: 1 for square pixels, or 2.
        coefficients: Number of coefficients of its distortion.
    """

    lens: str
    focals: int
    coefficients: int

    @property
    def parameter_count(self) -> int:
        """Focal lengths, the principal point's two numbers, and coefficients."""
        return self.focals + 2 + self.coefficients


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
"""Camera models in the order of their numbers in binary files."""

_MAX_NAME_BYTES = 4096
_POINT_BYTES = 24  # x, y and the number of its point in space


@dataclass(frozen=True, slots=True)
class CameraRow:
    """Camera whose principal point counts from the first pixel's corner.

    Attributes:
        id: Its number in the reconstruction.
        model: Key in ``MODELS``.
        width: Of its pictures [px].
        height: Of its pictures [px].
        numbers: Focal lengths, principal point and coefficients.
        location: File and camera, as messages name them.
    """

    id: int
    model: str
    width: int
    height: int
    numbers: tuple[float, ...]
    location: str


@dataclass(frozen=True, slots=True)
class ImageRow:
    """Image of a reconstruction.

    Attributes:
        pose: ``cam_T_world``: quaternion w x y z, then translation.
        camera_id: Number of its camera.
        name: Its file.
        location: File and image, as messages name them.
    """

    pose: tuple[float, ...]
    camera_id: int
    name: str
    location: str


def colmap_lens(
    model: str, width: int, height: int, numbers: Sequence[float], location: str
) -> SpelledLens:
    """Make the lens of a COLMAP camera.

    Args:
        model: COLMAP's name of the camera model.
        width: Of its pictures [px].
        height: Of its pictures [px].
        numbers: COLMAP's parameters, whose principal point counts from the first pixel's corner.
        location: File, and the camera in it, for messages.

    Raises:
        InputError: If there is no such lens; it names ``location``.
    """
    readable = [name for name, entry in MODELS.items() if entry.lens]
    if model not in readable:
        raise InputError(
            f"has COLMAP's model '{model}'; read are {', '.join(readable)}", path=location
        )
    camera_model = MODELS[model]
    if len(numbers) != camera_model.parameter_count:
        raise InputError(
            f"{model} has {camera_model.parameter_count} parameters, got {len(numbers)}",
            path=location,
        )

    fx, fy = numbers[0], numbers[camera_model.focals - 1]
    cx, cy, *coefficients = numbers[camera_model.focals :]
    if camera_model.lens in ("opencv", "fisheye"):
        coefficients += [0.0] * (4 - len(coefficients))
    # COLMAP's origin is the corner of the first pixel.
    lens_numbers = [fx, fy, cx - 0.5, cy - 0.5, *coefficients]
    return checked_lens(
        camera_model.lens, lens_numbers, picture_size(width, height, location), location
    )


def read_cameras_bin(path: Path) -> Iterator[CameraRow]:
    """Yield COLMAP's cameras.

    Raises:
        InputError: If the file is cut off, or no file of COLMAP.
    """
    names = [*MODELS]
    with _open_reader(path) as content:
        for _ in range(content.read_count("cameras", _struct_size("IiQQ3d"))):
            id, number, width, height = content.read_struct("IiQQ", "a camera")
            location = f"{content.name}, camera {id}"
            if not 0 <= number < len(names):
                raise InputError(
                    f"has the camera model number {number}; read are 0 "
                    f"({names[0]}) to {len(names) - 1} ({names[-1]}): run 'colmap "
                    "image_undistorter'",
                    path=location,
                )
            model = names[number]
            numbers = content.read_struct(f"{MODELS[model].parameter_count}d", "parameters")
            yield CameraRow(id, model, width, height, numbers, location)
        content.refuse_trailing_bytes()


def read_images_bin(path: Path) -> Iterator[ImageRow]:
    """Yield COLMAP's images without their points.

    Raises:
        InputError: If the file is cut off, or no file of COLMAP.
    """
    with _open_reader(path) as content:
        for _ in range(content.read_count("images", _struct_size("I7dIcQ"))):
            id, *pose, camera_id = content.read_struct("I7dI", "an image")
            location = f"{content.name}, image {id}"
            name = content.read_name(location)
            content.skip_bytes(_POINT_BYTES * content.read_count("points", _POINT_BYTES))
            yield ImageRow(tuple(pose), camera_id, name, location)
        content.refuse_trailing_bytes()


class _ByteReader:
    """Reads little-endian values of a file, and refuses one that ends early or states too much."""

    def __init__(self, file: BinaryIO, name: str, size: int) -> None:
        self._file, self.name, self._size = file, name, size

    def read_struct(self, format: str, label: str) -> tuple[Any, ...]:
        """Read the values of a format of ``struct``; ``label`` names them in errors."""
        position, size = self._file.tell(), _struct_size(format)
        content = self._file.read(size)
        if len(content) < size:
            raise InputError(
                f"ends at byte {position + len(content)}, inside {label}: it is "
                "cut off or no file of COLMAP; copy it again",
                path=self.name,
            )
        return struct.unpack(f"<{format}", content)

    def read_count(self, label: str, min_bytes: int) -> int:
        """Read how many entries follow, each of at least so many bytes."""
        [count] = self.read_struct("Q", f"the number of {label}")
        bytes_left = self._size - self._file.tell()
        if count * min_bytes > bytes_left:
            raise InputError(
                f"states {count} {label} at byte {self._size - bytes_left - 8}, and "
                f"{bytes_left} bytes follow, but each takes {min_bytes} or more: it "
                "is cut off or no file of COLMAP; copy it again",
                path=self.name,
            )
        return count

    def read_name(self, location: str) -> str:
        """Read text that ends with a zero byte."""
        position = self._file.tell()
        name, zero, _ = self._file.read(_MAX_NAME_BYTES + 1).partition(b"\0")
        if not zero and len(name) > _MAX_NAME_BYTES:
            raise InputError(
                f"has a name of over {_MAX_NAME_BYTES} bytes; copy it again", path=location
            )
        self._file.seek(position + len(name))
        self.read_struct("c", "a name")
        try:
            return name.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"has a name that is no text in UTF-8 (byte {error.start})", path=location
            ) from error

    def skip_bytes(self, count: int) -> None:
        self._file.seek(count, 1)

    def refuse_trailing_bytes(self) -> None:
        position = self._file.tell()
        if position < self._size:
            raise InputError(
                f"has {self._size - position} bytes after the last entry that it "
                "states; export it again",
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


def _struct_size(format: str) -> int:
    return struct.calcsize(f"<{format}")
