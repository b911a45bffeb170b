"""Cameras and images of a COLMAP reconstruction, from its text or binary files.

Format: COLMAP's documentation, "Output Format".
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Matrix, Transform
from rilievo.data.datasets.text_files import Line, parse_numbers, text_lines
from rilievo.errors import InputError, suggest
from rilievo.geometry.cameras.camera import camera_from_K
from rilievo.geometry.cameras.spelling import MAX_SIDE
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import invert, rigid, rotation_from_quaternion
from rilievo.io.cameras.colmap import MODELS, CameraRow, ImageRow, read_cameras_bin, read_images_bin
from rilievo.io.files.names import printable

_MAX_TRANSLATION = 1e9
"""Largest coordinate of a camera, in units of the reconstruction; larger ones are damage."""
_POSE_FIELDS = "QW QX QY QZ TX TY TZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapCamera:
    """Camera of a reconstruction, without its distortion.

    Attributes:
        model: COLMAP's name of the lens model, such as "PINHOLE".
        width: Width of its pictures [px]; ``height`` is their height.
        K: Intrinsics from the centre of the first pixel [px]; COLMAP counts from its corner.
    """

    model: str
    width: int
    height: int
    K: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapImage:
    """Image of a reconstruction, with its pose ``world_T_cam`` in the reconstruction's unit."""

    name: str
    camera_id: int
    world_T_cam: Transform


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """Read the cameras of ``cameras.txt`` or ``cameras.bin`` by their ids.

    Raises:
        InputError: If the file is broken, or a camera model is unknown.
    """
    rows = read_cameras_bin(path) if path.suffix == ".bin" else _read_text_cameras(path)
    return {row.camera_id: _parse_camera(row, path) for row in rows}


def read_images(path: Path) -> Iterator[ColmapImage]:
    """Read ``images.txt`` or ``images.bin``, without the points that the images see.

    Raises:
        InputError: If the file is broken, or a pose is impossible.
    """
    rows = read_images_bin(path) if path.suffix == ".bin" else _read_text_images(path)
    for row in rows:
        quaternion, translation = np.array(row.pose[:4]), np.array(row.pose[4:])
        has_plausible_translation = abs(translation).max() < _MAX_TRANSLATION
        has_plausible_length = 0.5 < math.hypot(*quaternion) < 2
        if not (has_plausible_translation and has_plausible_length):
            pose = " ".join(f"{number:.4g}" for number in row.pose)
            raise InputError(
                f"{row.location}: the pose {pose} is not a rotation and a translation; expected "
                f"{_POSE_FIELDS} with a unit quaternion"
            )
        cam_T_world = rigid(rotation_from_quaternion(quaternion), translation)
        yield ColmapImage(name=row.name, camera_id=row.camera_id, world_T_cam=invert(cam_T_world))


def _parse_camera(row: CameraRow, path: Path) -> ColmapCamera:
    """Check a camera, and drop the distortion that follows its focal lengths and centre."""
    if not (1 <= row.width <= MAX_SIDE and 1 <= row.height <= MAX_SIDE):
        raise InputError(
            f"{row.location}: its images are {row.width}x{row.height}, expected sides of 1 to "
            f"{MAX_SIDE} pixels"
        )
    # Models have one focal length or two, and the last of them is fy.
    num_focals = MODELS[row.model].focal_count
    fx = row.parameters[0]
    fy, cx, cy = row.parameters[num_focals - 1 : num_focals + 2]
    K = camera_from_K(pinhole_K(fx, fy, cx - 0.5, cy - 0.5), path).K
    return ColmapCamera(model=row.model, width=row.width, height=row.height, K=K)


def _read_text_cameras(path: Path) -> Iterator[CameraRow]:
    """Yield the cameras of ``cameras.txt``: CAMERA_ID MODEL WIDTH HEIGHT PARAMS."""
    for line in text_lines(path):
        words = line.text.split()
        try:
            camera_id, model = int(words[0]), words[1]
            width, height = int(words[2]), int(words[3])
            numbers = tuple(float(word) for word in words[4:])
            # The focal lengths, cx and cy; parameters of distortion may follow.
            if len(numbers) < MODELS[model].focal_count + 2:
                raise ValueError("too few parameters")
        except KeyError as error:  # from the look-up in MODELS
            known_models = suggest(words[1], MODELS)
            raise _line_error(
                path, line, (f"unknown camera model {error}; {known_models}")
            ) from error
        except (ValueError, IndexError) as error:
            raise _line_error(path, line, "expected CAMERA_ID MODEL WIDTH HEIGHT PARAMS") from error
        yield CameraRow(camera_id, model, width, height, numbers, f"{path}, line {line.number}")


def _read_text_images(path: Path) -> Iterator[ImageRow]:
    """Yield the images of ``images.txt``, in which a line of points follows each image."""
    for line in text_lines(path):
        words = line.text.split()
        if _is_line_of_points(words):
            continue
        try:
            pose = tuple(float(word) for word in words[1:8])
            camera_id, name = int(words[8]), line.text.split(maxsplit=9)[9]
        except (ValueError, IndexError) as error:
            expected = f"expected IMAGE_ID {_POSE_FIELDS} CAMERA_ID NAME"
            raise _line_error(path, line, expected) from error
        yield ImageRow(pose, camera_id, name, f"{path}, line {line.number}")


def _is_line_of_points(words: Sequence[str]) -> bool:
    """Whether a line has the points of an image, in triples of numbers: X Y POINT3D_ID.

    A line of an image has nine numbers and a name. Names may be numbers too, so the tenth word is
    tested if there is one, besides the last.
    """
    first_word_of_name = words[9:10]
    return len(words) % 3 == 0 and bool(parse_numbers(" ".join([words[-1], *first_word_of_name])))


def _line_error(path: Path, line: Line, problem: str) -> InputError:
    line_start = printable(line.text[:60])
    return InputError(f"{path}, line {line.number}: '{line_start}': {problem}")
