"""Read COLMAP's camera models and binary files (its documentation, "Output Format")."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.geometry.cameras.spelling import SpelledLens
from rilievo.io.cameras.lens_checks import check_picture_size, checked_lens
from rilievo.io.files.limits import check_regular, unreadable
from rilievo.io.files.names import printable


@dataclass(frozen=True, slots=True)
class _CameraModel:
    """A camera model of COLMAP, which has parameters in the order f or fx fy, cx cy, distortion.

    Attributes:
        lens: rilievo's name of the lens; empty if the model is not supported.
        focal_count: Number of focal lengths: 1 for square pixels, or 2 for fx and fy.
        coefficient_count: Number of distortion coefficients.
    """

    lens: str
    focal_count: int
    coefficient_count: int

    @property
    def parameter_count(self) -> int:
        """Number of all parameters; the principal point has 2."""
        return self.focal_count + 2 + self.coefficient_count


MODELS: Mapping[str, _CameraModel] = {
    "SIMPLE_PINHOLE": _CameraModel("pinhole", focal_count=1, coefficient_count=0),
    "PINHOLE": _CameraModel("pinhole", focal_count=2, coefficient_count=0),
    "SIMPLE_RADIAL": _CameraModel("opencv", focal_count=1, coefficient_count=1),
    "RADIAL": _CameraModel("opencv", focal_count=1, coefficient_count=2),
    "OPENCV": _CameraModel("opencv", focal_count=2, coefficient_count=4),
    "OPENCV_FISHEYE": _CameraModel("fisheye", focal_count=2, coefficient_count=4),
    "FULL_OPENCV": _CameraModel("opencv", focal_count=2, coefficient_count=8),
    "FOV": _CameraModel("fov", focal_count=2, coefficient_count=1),
    "SIMPLE_RADIAL_FISHEYE": _CameraModel("fisheye", focal_count=1, coefficient_count=1),
    "RADIAL_FISHEYE": _CameraModel("fisheye", focal_count=1, coefficient_count=2),
    "THIN_PRISM_FISHEYE": _CameraModel("", focal_count=2, coefficient_count=8),
}
"""Camera models in the order of their numbers in binary files."""

_MAX_NAME_BYTES = 4096
_POINT_BYTES = 24  # x, y and the ID of a 3-D point, 8 bytes each


@dataclass(frozen=True, slots=True)
class CameraRow:
    """Camera of a reconstruction, as COLMAP stores it.

    Attributes:
        parameters: Focal lengths, principal point and coefficients. The principal point counts from
            the corner of the first pixel.
        location: File and camera, for messages.
    """

    camera_id: int
    model: str
    width: int
    height: int
    parameters: tuple[float, ...]
    location: str


@dataclass(frozen=True, slots=True)
class ImageRow:
    """Image of a reconstruction.

    Attributes:
        pose: ``cam_T_world``: quaternion w x y z, then translation.
        location: File and image, for messages.
    """

    pose: tuple[float, ...]
    camera_id: int
    name: str
    location: str


def colmap_lens(
    model: str, width: int, height: int, parameters: Sequence[float], location: str
) -> SpelledLens:
    """Convert a camera of COLMAP to a lens.

    ``parameters`` are COLMAP's, whose principal point counts from the first pixel's corner.

    Raises:
        InputError: If the model is not supported, or its parameters are invalid.
    """
    supported = [name for name, camera_model in MODELS.items() if camera_model.lens]
    if model not in supported:
        raise InputError(
            f"COLMAP's camera model '{model}' is not supported; supported models are "
            f"{', '.join(supported)}: undistort the images with 'colmap image_undistorter'",
            path=location,
        )
    camera_model = MODELS[model]
    if len(parameters) != camera_model.parameter_count:
        raise InputError(
            f"COLMAP's camera model {model} has {camera_model.parameter_count} parameters, but "
            f"this camera has {len(parameters)}",
            path=location,
        )

    # With a single focal length, fx and fy are the same parameter.
    fx, fy = parameters[0], parameters[camera_model.focal_count - 1]
    cx, cy, *coefficients = parameters[camera_model.focal_count :]
    if camera_model.lens in ("opencv", "fisheye"):
        coefficients += [0.0] * (4 - len(coefficients))
    # COLMAP's origin is the corner of the first pixel, and ours is its centre.
    lens_numbers = [fx, fy, cx - 0.5, cy - 0.5, *coefficients]
    return checked_lens(
        camera_model.lens, lens_numbers, check_picture_size(width, height, location), location
    )


def read_cameras_bin(path: Path) -> Iterator[CameraRow]:
    """Yield the cameras of COLMAP's ``cameras.bin``.

    Raises:
        InputError: If the file is truncated, or was not written by COLMAP.
    """
    model_names = [*MODELS]
    with _open_reader(path) as reader:
        for _ in range(reader.read_count("cameras", _struct_size("IiQQ3d"))):
            camera_id, model_id, width, height = reader.read_struct("IiQQ", "a camera")
            location = f"{reader.name}, camera {camera_id}"
            if not 0 <= model_id < len(model_names):
                raise InputError(
                    f"the camera model with the number {model_id} is unknown; known models are 0 "
                    f"({model_names[0]}) to {len(model_names) - 1} ({model_names[-1]}): undistort "
                    "the images with 'colmap image_undistorter'",
                    path=location,
                )
            model = model_names[model_id]
            parameters = reader.read_struct(f"{MODELS[model].parameter_count}d", "parameters")
            yield CameraRow(camera_id, model, width, height, parameters, location)
        reader.check_no_trailing_bytes()


def read_images_bin(path: Path) -> Iterator[ImageRow]:
    """Yield the images of COLMAP's ``images.bin``, without their 2-D points.

    Raises:
        InputError: If the file is truncated, or was not written by COLMAP.
    """
    with _open_reader(path) as reader:
        for _ in range(reader.read_count("images", _struct_size("I7dIcQ"))):
            image_id, *pose, camera_id = reader.read_struct("I7dI", "an image")
            location = f"{reader.name}, image {image_id}"
            name = reader.read_name(location)
            reader.skip_bytes(_POINT_BYTES * reader.read_count("points", _POINT_BYTES))
            yield ImageRow(tuple(pose), camera_id, name, location)
        reader.check_no_trailing_bytes()


class _ByteReader:
    """Reader of little-endian values, which raises an error if the file is shorter than it says."""

    def __init__(self, file: BinaryIO, name: str, size: int) -> None:
        self.name = name
        self._file = file
        self._size = size  # [bytes]

    def read_struct(self, format: str, label: str) -> tuple[Any, ...]:
        """Read values in a format of the module ``struct``; ``label`` names them in errors."""
        position = self._file.tell()
        size = _struct_size(format)
        content = self._file.read(size)
        if len(content) < size:
            raise InputError(
                f"the file ends at byte {position + len(content)}, inside {label}: it is "
                "truncated or not a COLMAP file; copy it again",
                path=self.name,
            )
        return struct.unpack(f"<{format}", content)

    def read_count(self, label: str, min_bytes: int) -> int:
        """Read how many entries follow, and check that so many fit into the rest of the file.

        ``label`` names the entries in errors, and each has at least ``min_bytes``.
        """
        [count] = self.read_struct("Q", f"the number of {label}")
        bytes_left = self._size - self._file.tell()
        if count * min_bytes > bytes_left:
            raise InputError(
                f"the file announces {count} {label} at byte {self._size - bytes_left - 8}, each "
                f"of at least {min_bytes} bytes, but only {count_text(bytes_left, 'byte')} "
                f"{'follows' if bytes_left == 1 else 'follow'}: it is truncated or not a COLMAP "
                "file; copy it again",
                path=self.name,
            )
        return count

    def read_name(self, location: str) -> str:
        """Read a text that ends with a zero byte."""
        position = self._file.tell()
        name, terminator, _ = self._file.read(_MAX_NAME_BYTES + 1).partition(b"\0")
        if not terminator and len(name) > _MAX_NAME_BYTES:
            raise InputError(
                f"the image name is longer than {_MAX_NAME_BYTES} bytes, so the file is damaged; "
                "copy it again",
                path=location,
            )
        # The reader is now beyond the name, so go back to its end.
        self._file.seek(position + len(name))
        self.read_struct("c", "a name")  # the zero byte; raises if the file ends before it
        try:
            return name.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"the image name is not valid UTF-8 (byte {error.start}), so the file may be "
                "damaged; copy it again",
                path=location,
            ) from error

    def skip_bytes(self, count: int) -> None:
        self._file.seek(count, 1)

    def check_no_trailing_bytes(self) -> None:
        """Check that the file ends here, after all entries whose number it states."""
        position = self._file.tell()
        if position < self._size:
            raise InputError(
                f"the file has {count_text(self._size - position, 'more byte')} after its last "
                "entry, so it is damaged; export it again",
                path=self.name,
            )


@contextmanager
def _open_reader(path: Path) -> Iterator[_ByteReader]:
    """Open a binary file; errors in reading it become ``InputError``."""
    size = check_regular(path)
    try:
        with path.open("rb") as file:
            yield _ByteReader(file, printable(path), size)
    except OSError as error:
        raise unreadable(error, path) from error


def _struct_size(format: str) -> int:
    return struct.calcsize(f"<{format}")
