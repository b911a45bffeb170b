"""Cameras and images of COLMAP (documentation, "Output Format")."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Matrix, Transform
from rilievo.data.datasets.text_files import Line, parse_numbers, text_lines
from rilievo.errors import InputError, suggest
from rilievo.geometry.cameras.spelling import MOST_SIDE
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import invert, rigid, rotation_from_quaternion
from rilievo.io.cameras.colmap import MODELS, CameraRow, ImageRow, read_cameras_bin, read_images_bin
from rilievo.io.cameras.lens_checks import camera_from_K
from rilievo.io.files.names import printable

_FARTHEST = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapCamera:
    """One camera, with K [px] from the centre of the first pixel; COLMAP counts from its corner."""

    model: str
    width: int
    height: int
    K: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapImage:
    """One image with pose ``world_T_cam``."""

    name: str
    camera_id: int
    world_T_cam: Transform


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """Read cameras by id."""
    rows = read_cameras_bin(path) if path.suffix == ".bin" else _read_text_cameras(path)
    return {row.id: _camera_of_row(row, path) for row in rows}


def read_images(path: Path) -> Iterator[ColmapImage]:
    """Read images without points."""
    rows = read_images_bin(path) if path.suffix == ".bin" else _read_text_images(path)
    for row in rows:
        q, t = np.array(row.pose[:4]), np.array(row.pose[4:])
        if not (abs(t).max() < _FARTHEST and 0.5 < math.hypot(*q) < 2):
            pose = " ".join(f"{number:.4g}" for number in row.pose)
            raise InputError(
                f"{row.location}: the pose {pose} is no rotation and place; expected QW QX QY QZ "
                "TX TY TZ with a quaternion of length 1"
            )
        yield ColmapImage(
            name=row.name,
            camera_id=row.camera_id,
            world_T_cam=invert(rigid(rotation_from_quaternion(q), t)),
        )


def _camera_of_row(row: CameraRow, path: Path) -> ColmapCamera:
    if not (1 <= row.width <= MOST_SIDE and 1 <= row.height <= MOST_SIDE):
        raise InputError(
            f"{row.location}: its pictures are {row.width}x{row.height}, expected sides of 1 to "
            f"{MOST_SIDE} pixels"
        )
    focals = MODELS[row.model].focals
    fx, fy, cx, cy = row.numbers[0], *row.numbers[focals - 1 : focals + 2]
    K = camera_from_K(pinhole_K(fx, fy, cx - 0.5, cy - 0.5), path).K
    return ColmapCamera(model=row.model, width=row.width, height=row.height, K=K)


def _read_text_cameras(path: Path) -> Iterator[CameraRow]:
    for line in text_lines(path):
        words = line.text.split()
        try:
            id, model, width, height = int(words[0]), words[1], int(words[2]), int(words[3])
            numbers = tuple(float(word) for word in words[4:])
            if len(numbers) < MODELS[model].focals + 2:
                raise ValueError("too few parameters")
        except KeyError as error:
            raise _line_error(
                path, line, f"no model {error}; {suggest(words[1], MODELS)}"
            ) from error
        except (ValueError, IndexError) as error:
            raise _line_error(path, line, "expected CAMERA_ID MODEL WIDTH HEIGHT PARAMS") from error
        yield CameraRow(id, model, width, height, numbers, f"{path}, line {line.number}")


def _read_text_images(path: Path) -> Iterator[ImageRow]:
    for line in text_lines(path):
        words = line.text.split()
        # Lines of points hold triples of numbers; lines of images have nine words and a name.
        if len(words) % 3 == 0 and parse_numbers(" ".join([words[-1], *words[9:10]])):
            continue
        try:
            pose = tuple(float(word) for word in words[1:8])
            camera_id, name = int(words[8]), line.text.split(maxsplit=9)[9]
        except (ValueError, IndexError) as error:
            expected = "expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"
            raise _line_error(path, line, expected) from error
        yield ImageRow(pose, camera_id, name, f"{path}, line {line.number}")


def _line_error(path: Path, line: Line, what: str) -> InputError:
    shown = printable(line.text[:60])
    return InputError(f"{path}, line {line.number}: '{shown}': {what}")
