"""Cameras as users name them: a focal length, four numbers, the matrix K, or a file of these."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.io.camera_file import camera_of, pinhole_K, read_K
from rilievo.io.files.limits import printable, read_text
from rilievo.types import Camera

CameraLike = (
    Camera
    | Float[np.ndarray, "..."]
    | Sequence[Sequence[float]]
    | Sequence[float]
    | float
    | int
    | str
    | Path
)
"""Intrinsics; a focal length, (fx, fy, cx, cy) or a matrix K [px]; a text or a file of these."""

Named = Camera | float
"""Intrinsics, or a focal length [px] whose centre is the middle of the photograph."""

FORMS = (
    "a focal length in pixels, FX,FY,CX,CY, the nine numbers of K row by row, or a file that holds "
    "them; in Python also a rilievo.Camera or a 3x3 matrix"
)


def read_camera(camera: CameraLike | None) -> Named | None:
    """Read a camera in any form that ``rilievo.predict`` takes.

    Raises:
        OptionError: If it is in none of them.
        InputError: If it is a file that holds no camera.
    """
    if camera is None or isinstance(camera, Camera):
        return camera
    if isinstance(camera, Path):
        return _of_file(camera)
    if isinstance(camera, str):
        return parse_camera(camera)
    try:
        return _of_numbers(np.asarray(camera, float))
    except (TypeError, ValueError) as error:
        raise _refusal(str(error)) from error


def parse_camera(text: str) -> Named:
    """Read the camera of ``--camera``: numbers with commas, or a file."""
    return parse_numbers(text) if _is_numeric(text) else _of_file(Path(text))


def parse_numbers(text: str) -> Named:
    """Read a camera of numbers with commas alone, as requests name one."""
    try:
        return _of_numbers(np.array([float(word) for word in text.split(",")]))
    except ValueError as error:
        why = f" ({error})" if isinstance(error, RilievoError) else ""
        raise _refusal(f"got '{text}'{why}") from error


def _refusal(why: str) -> OptionError:
    return OptionError(f"--camera (camera=...) is {FORMS}; {why}")


def matrix_of(camera: Named, size: tuple[int, int]) -> Camera:
    """Make the camera of a photograph of a size (height, width)."""
    if isinstance(camera, Camera):
        return camera
    return Camera(K=K_from_focal(camera, camera, size))


def text_of(camera: Named) -> str:
    """Write a camera as ``--camera`` reads it."""
    if not isinstance(camera, Camera):
        return repr(float(camera))
    K = camera.needs_pinhole("--camera")
    return ",".join(repr(float(each)) for each in (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))


def _is_numeric(text: str) -> bool:
    """Whether a text is meant as numbers, well formed or not, and not as a file."""
    try:
        float(text.split(",")[0])
    except ValueError:
        return not text.strip() or ("," in text and not os.path.exists(text))
    return True


def _of_numbers(numbers: np.ndarray) -> Named:
    numbers = numbers.ravel() if numbers.shape in ((1,), (9,), (3, 3)) else numbers
    if not np.isfinite(numbers).all():
        raise OptionError("its numbers are not finite")
    if numbers.size == 1 and numbers.ndim <= 1:
        focal = float(numbers.reshape(-1)[0])
        if not 0 < focal < math.inf:
            raise OptionError(f"focal lengths are positive, got {focal:g}")
        return focal
    if numbers.shape == (4,):
        return Camera(K=pinhole_K(*map(float, numbers)))
    if numbers.shape == (9,):
        return Camera(K=numbers.reshape(3, 3))
    raise ValueError(f"its shape is {numbers.shape}")


def _of_file(path: Path) -> Named:
    name = printable(path)
    if not os.path.exists(path):
        raise _refusal(f"there is no file '{name}'")
    if path.suffix.lower() != ".json":
        return Camera(K=read_K(path))
    try:
        found: Any = json.loads(read_text(path))
        found = found.get("camera", found)
        return camera_of(np.asarray(found["K"], float), path)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        if isinstance(error, RilievoError):
            raise
        raise InputError(f"{name}: has no K, as the JSON of a result has in 'camera'") from error
