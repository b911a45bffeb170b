"""Options of the camera, and the forms in which users name one."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from rilievo.arrays.shapes import Float
from rilievo.errors import OptionError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.cameras.spelling import (
    LENSES,
    SpelledLens,
    read_spelling,
    shortest_text,
    spell_lens,
)
from rilievo.geometry.intrinsics import K_from_focal, Millimetres
from rilievo.io.files.names import printable
from rilievo.schema.fields import Record, option

_EXPECTED = Text(
    "a focal length in pixels (500) or in millimetres (24mm is the 35 mm equivalent, and "
    "18mm/23.5mm states the sensor's width), FX,FY,CX,CY, the nine numbers of K row by row, a lens "
    "as in ",
    OptionName("projection"),
    ", or the name of a file with one of these",
)
_MILLIMETRES = r"\s*([\d.]+(?:e[+-]?\d+)?)\s*(mm)?\s*(?:/\s*([\d.]+(?:e[+-]?\d+)?)\s*(mm)?\s*)?"
"""Focal length, perhaps over the width of the sensor; "mm" may stand after either."""
_MIN_NUMBERS_IN_PIXELS = 3
"""A lens with fewer numbers states angles, and needs the size of the picture."""
_MAX_CHARACTERS = 10_000
"""Longest text that is parsed as a camera; no lens or path is nearly as long."""

CameraLike = (
    Camera
    | SpelledLens
    | Millimetres
    | Float[np.ndarray, "..."]
    | Sequence[Sequence[float]]
    | Sequence[float]
    | float
    | int
    | str
    | Path
)
"""What users may pass as a camera in Python."""

NamedCamera = Camera | SpelledLens | Millimetres | float
"""Camera that a user names: intrinsics, a lens, a focal length in millimetres or in pixels [px].

All but intrinsics depend on the size of the photograph; ``camera_for_size`` resolves them.
"""


def read_camera(camera: CameraLike | None) -> NamedCamera | None:
    """Read a camera in any form; None stays None.

    Raises:
        OptionError: If it has none of the forms.
        InputError: If a file holds no camera.
    """
    if camera is None or isinstance(camera, Camera | SpelledLens | Millimetres):
        return camera
    if isinstance(camera, Path):
        return _read_camera_file(camera)
    if isinstance(camera, str):
        return parse_camera(camera)
    try:
        return _camera_from_numbers(np.asarray(camera, float))
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid_camera_error(Text(error)) from error


def parse_camera(text: str) -> NamedCamera:
    """Parse the text of ``--camera``, which may be the name of a file.

    Raises:
        OptionError: If it has none of the forms.
        InputError: If a file holds no camera.
    """
    _require_short(text)
    if _is_lens(text) or _is_meant_as_numbers(text) or _parse_millimetres(text) is not None:
        return parse_camera_without_files(text)
    return _read_camera_file(Path(text))


def parse_camera_without_files(text: str) -> NamedCamera:
    """Parse a lens (``fisheye:180``), millimetres (``24mm``) or numbers (``FX,FY,CX,CY``).

    Never reads a file, because the text may come from a request to the server.

    Raises:
        OptionError: If the text is none of these.
    """
    _require_short(text)
    if _is_lens(text):
        return read_spelling(text, "camera")
    try:
        focal_in_millimetres = _parse_millimetres(text)
        if focal_in_millimetres is not None:
            return focal_in_millimetres
        return _camera_from_numbers(np.array([float(word) for word in _split_words(text)]))
    except ValueError as error:
        reason = Text(" (", error, ")") if isinstance(error, RilievoError) else ""
        raise _invalid_camera_error(Text(f"got '{text}'", reason)) from error


def _require_short(text: str) -> None:
    """Refuse a text that is too long to be a camera, before any work that grows with its length."""
    if len(text) > _MAX_CHARACTERS:
        raise _invalid_camera_error(f"got a text of {len(text):,} characters")


def _is_lens(text: str) -> bool:
    """Whether a text spells a lens, such as ``fisheye:180``, and is not the name of a file."""
    return text.partition(":")[0] in LENSES and not os.path.exists(text)


def _parse_millimetres(text: str) -> Millimetres | None:
    """Parse ``24mm`` or ``18mm/23.5mm``; None for any other text."""
    match = re.fullmatch(_MILLIMETRES, text, re.IGNORECASE)
    if match is None or not (match[2] or match[4]):
        return None
    focal, sensor_width = match[1], match[3]
    try:
        return Millimetres(float(focal), None if sensor_width is None else float(sensor_width))
    except ValueError as error:
        raise _invalid_camera_error(Text(f"got '{text}' (", error, ")")) from error


def _invalid_camera_error(reason: str | Text) -> OptionError:
    """Make an error that lists the forms of a camera, and says why this one is invalid."""
    return OptionError(option="camera", problem=Text(": ", reason, "; expected ", _EXPECTED))


def camera_for_size(camera: NamedCamera, size: tuple[int, int]) -> Camera:
    """Resolve a named camera for a photograph of a size (height, width) [px]."""
    if isinstance(camera, Camera):
        return camera
    if isinstance(camera, SpelledLens):
        return Camera(lens=camera.lens(size))
    if isinstance(camera, Millimetres):
        focal = camera.pixels(size)
        return Camera(K=K_from_focal(focal, focal, size), source=CameraSource.MILLIMETRES)
    return Camera(K=K_from_focal(camera, camera, size))


def camera_text(camera: NamedCamera) -> str:
    """Write a camera as ``--camera`` reads it, without rounding; 525.0 is written as 525."""
    if isinstance(camera, SpelledLens | Millimetres):
        return str(camera)
    if not isinstance(camera, Camera):
        return shortest_text(camera)
    if not isinstance(camera.lens, Pinhole):
        return str(spell_lens(camera.lens))
    K = camera.K
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    return ",".join(map(shortest_text, (fx, fy, cx, cy)))


def _is_meant_as_numbers(text: str) -> bool:
    """Whether a text is meant as numbers, even if some are wrong, and not as a file name.

    That is the case if it is empty, begins with a number, or has commas. But a file may be named
    "2 cameras.json" or "left,right.json", so it must not exist.
    """
    first_word, *_ = _split_words(text)
    try:
        float(first_word)
    except ValueError:
        is_empty = not text.strip()
        return is_empty or ("," in text and not os.path.exists(text))
    has_space = re.search(r"\s", text) is not None
    return not (has_space and os.path.exists(text))


def _split_words(text: str) -> list[str]:
    """Split a text at commas and spaces."""
    return re.split(r"\s*,\s*|\s+", text.strip())


def _camera_from_numbers(numbers: np.ndarray) -> NamedCamera:
    """Take one number as a focal length, and four, nine or a 3x3 matrix as intrinsics [px].

    Raises:
        OptionError: If a number is not finite, or the focal length is not positive.
        ValueError: If the array has another shape.
    """
    if not np.isfinite(numbers).all():
        raise OptionError("the numbers must be finite")
    if numbers.size == 1 and numbers.ndim <= 1:
        focal = float(numbers.reshape(-1)[0])
        if not 0 < focal < math.inf:
            raise OptionError(f"the focal length must be positive, got {focal:g}")
        return focal
    if numbers.shape == (4,):
        fx, fy, cx, cy = map(float, numbers)
        return Camera(K=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))
    if numbers.shape in ((9,), (3, 3)):
        return Camera(K=numbers.reshape(3, 3))
    raise ValueError(f"its shape is {numbers.shape}")


def _read_camera_file(path: Path) -> NamedCamera:
    """Read a camera file as intrinsics, or as a lens if those depend on the photograph's size."""
    # Imported on demand, because it imports readers of YAML and XML.
    from rilievo.io.cameras.lens_files import read_lens

    name = printable(path)
    if not os.path.exists(path):
        raise _invalid_camera_error(f"there is no file '{name}'")
    spelling = read_lens(path)
    states_angles = len(spelling.numbers) < _MIN_NUMBERS_IN_PIXELS
    if spelling.size or states_angles or spelling.note:
        return spelling
    # The lens is the same for every size of the photograph, so any size will do.
    return Camera(lens=spelling.lens((2, 2)))


@dataclass(frozen=True, kw_only=True)
class CameraOptions(Record):
    """Camera that the user names, or the way to find one."""

    HELP_TITLE: ClassVar[str] = "Camera and metres"
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (
        ("camera", "fov"),
        ("camera", "projection"),
        ("fov", "projection"),
    )

    camera: Annotated[
        str | None,
        option(
            in_short_help=True,
            metavar="F|24mm|FX,FY,CX,CY|FILE",
            recorded="always",
            python_type=CameraLike | None,
            request="Intrinsics in pixels of the upright photograph: a focal length, FX,FY,CX,CY "
            "or the nine numbers of K; or 24mm (35 mm equivalent), 18mm/23.5mm (focal length over "
            "the sensor's width), or a lens as in projection. By default, the intrinsics come from "
            "EXIF, or are assumed if EXIF does not state them.",
        ),
    ] = None
    """Camera intrinsics, in pixels of the upright photograph, with (0, 0) at the centre of the
    top-left pixel. Give a focal length, FX,FY,CX,CY, the nine numbers of K, a lens as in
    --projection, or a calibration file (also from COLMAP, Kalibr, KITTI, TUM or ROS). Or give the
    focal length in millimetres: 24mm (35 mm equivalent) or 18mm/23.5mm (with the sensor's width).
    By default, the camera comes from EXIF or is assumed; the JSON file says which.
    """
    fov: Annotated[
        float | None,
        option(
            in_short_help=True,
            metavar="DEGREES",
            above=0,
            below=180,
            unit="degrees",
            recorded="always",
        ),
    ] = None
    """Horizontal field of view in degrees, instead of intrinsics."""
    projection: Annotated[
        str | None, option(in_short_help=True, metavar="LENS", names=lambda: LENSES)
    ] = None
    """Lens of the photograph: pinhole, equirect (a whole panorama), equirect:HxV (a part of one, in
    degrees), fisheye:DEGREES (from the left to the right edge), or a lens with its numbers, such as
    opencv:FX,FY,CX,CY,K1,K2,P1,P2. By default equirect if the file says so (GPano), otherwise
    pinhole.
    """
    vanishing_points: bool = False
    """Estimate an unknown focal length from straight edges at right angles, as in rooms and on
    buildings, if they are clear enough. Only for photographs.
    """

    def __post_init__(self) -> None:
        if self.camera is not None:
            # Results record the numbers, and neither an object nor the name of a file. The same
            # camera is the same text, so that a repeated run does not take it for another option.
            named_camera = read_camera(self.camera)
            assert named_camera is not None, "self.camera is not None"
            object.__setattr__(self, "camera", camera_text(named_camera))
            # Fill the cached property below, so that the camera is not parsed again.
            self.__dict__["named_camera"] = named_camera
        super().__post_init__()

    @cached_property
    def named_camera(self) -> NamedCamera | None:
        """Camera of ``camera`` or ``projection``; None if the user names neither."""
        if self.projection is not None:
            return read_spelling(self.projection)
        return read_camera(self.camera)
