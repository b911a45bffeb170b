"""Reads COLMAP's text files (COLMAP documentation, "Output Format")."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.data.datasets.files import Line, text_lines
from rilievo.errors import InputError, suggest
from rilievo.geometry.transforms import invert, rigid, rotation_of
from rilievo.io.files.limits import printable
from rilievo.io.lens_files import camera_of, pinhole_K
from rilievo.shapes import Matrix, Transform

# Number of focal lengths at the start of each model's parameters; the principal point follows,
# then distortion.
_FOCALS: Mapping[str, int] = {
    "SIMPLE_PINHOLE": 1,
    "PINHOLE": 2,
    "SIMPLE_RADIAL": 1,
    "RADIAL": 1,
    "OPENCV": 2,
    "OPENCV_FISHEYE": 2,
    "FULL_OPENCV": 2,
    "FOV": 2,
    "SIMPLE_RADIAL_FISHEYE": 1,
    "RADIAL_FISHEYE": 1,
    "THIN_PRISM_FISHEYE": 2,
}

_FARTHEST = 1e9
"""Larger than any camera position, in any unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapCamera:
    """One camera.

    Attributes:
        model: COLMAP's name of the model; all but the pinholes are distorted.
        width: Width of the image [px].
        height: Height of the image [px].
        K: Intrinsics [px] without distortion. The origin is the centre of the first pixel;
            COLMAP's own is its corner.
    """

    model: str
    width: int
    height: int
    K: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class ColmapImage:
    """One image.

    Attributes:
        camera_id: Id of the camera in ``cameras.txt``.
        world_T_cam: Pose: transforms points from the camera frame to the world.
    """

    name: str
    camera_id: int
    world_T_cam: Transform


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """Read the cameras of ``cameras.txt``, by id."""
    cameras = {}
    for line in text_lines(path):
        words = line.text.split()
        try:
            id, model, width, height = int(words[0]), words[1], int(words[2]), int(words[3])
            numbers = [float(word) for word in words[4:]]
            focals = _FOCALS[model]
            fx, fy, (cx, cy) = numbers[0], numbers[focals - 1], numbers[focals : focals + 2]
        except KeyError as error:
            raise _wrong(path, line, f"no model {error}; {suggest(words[1], _FOCALS)}") from error
        except (ValueError, IndexError) as error:
            raise _wrong(path, line, "expected CAMERA_ID MODEL WIDTH HEIGHT PARAMS") from error
        K = camera_of(pinhole_K(fx, fy, cx - 0.5, cy - 0.5), path).K
        cameras[id] = ColmapCamera(model=model, width=width, height=height, K=K)
    return cameras


def read_images(path: Path) -> Iterator[ColmapImage]:
    """Read the images of ``images.txt``; their points are skipped."""
    for line in text_lines(path):
        words = line.text.split()
        # Lines of points hold triples of numbers; lines of images have ten words and end in a name.
        if len(words) % 3 == 0 and _is_number(words[-1]):
            continue
        try:
            q = np.array([float(word) for word in words[1:5]])
            t = np.array([float(word) for word in words[5:8]])
            camera_id, name = int(words[8]), words[9]
            if not (abs(t).max() < _FARTHEST and 0.5 < np.linalg.norm(q) < 2):
                raise ValueError("no rotation and place")
        except (ValueError, IndexError) as error:
            expected = "expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"
            raise _wrong(path, line, expected) from error
        yield ColmapImage(
            name=name, camera_id=camera_id, world_T_cam=invert(rigid(rotation_of(q), t))
        )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _wrong(path: Path, line: Line, what: str) -> InputError:
    shown = printable(line.text[:60])
    return InputError(f"{path}, line {line.number}: '{shown}': {what}")
