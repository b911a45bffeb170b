"""Options of the camera."""

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
from rilievo.geometry.cameras.spelling import LENSES, SpelledLens, read_spelling, spelling_of
from rilievo.geometry.intrinsics import K_from_focal, Millimetres
from rilievo.io.files.names import printable
from rilievo.schema.fields import Record, option

FORMS = Text(
    "a focal length in pixels or in millimetres (24mm: 35 mm "
    "equivalent; 18mm/23.5mm: over the sensor's width), "
    "FX,FY,CX,CY, the nine numbers of K row by row, a lens as ",
    OptionName("projection"),
    " has it, or a file that holds them; in Python also a rilievo.Camera or a 3x3 matrix",
)
_MILLIMETRES = r"\s*([\d.]+(?:e[+-]?\d+)?)\s*(mm)?\s*(?:/\s*([\d.]+(?:e[+-]?\d+)?)\s*(mm)?\s*)?"

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

Named = Camera | SpelledLens | Millimetres | float


def read_camera(camera: CameraLike | None) -> Named | None:
    """Read a camera in any form.

    Raises:
        OptionError: If it has none of them.
        InputError: If a file holds no camera.
    """
    if camera is None or isinstance(camera, Camera | SpelledLens | Millimetres):
        return camera
    if isinstance(camera, Path):
        return _read_camera_file(camera)
    if isinstance(camera, str):
        return parse_camera(camera)
    try:
        return _camera_of_numbers(np.asarray(camera, float))
    except (TypeError, ValueError, OverflowError) as error:
        raise _camera_refusal(Text(error)) from error


def parse_camera(text: str) -> Named:
    """Parse the text of ``--camera``, also a file's name."""
    is_text = is_lens(text) or _begins_with_number(text) or _millimetres_or_none(text) is not None
    return parse_fileless_camera(text) if is_text else _read_camera_file(Path(text))


def is_lens(text: str) -> bool:
    """Whether a text is a lens and no file."""
    return text.partition(":")[0] in LENSES and not os.path.exists(text)


def parse_fileless_camera(text: str) -> Named:
    """Parse a camera's text, never a file's name."""
    if is_lens(text):
        return read_spelling(text, "camera")
    try:
        if (named := _millimetres_or_none(text)) is not None:
            return named
        return _camera_of_numbers(np.array([float(word) for word in _words(text)]))
    except ValueError as error:
        why = Text(" (", error, ")") if isinstance(error, RilievoError) else ""
        raise _camera_refusal(Text(f"got '{text}'", why)) from error


def _millimetres_or_none(text: str) -> Millimetres | None:
    match = re.fullmatch(_MILLIMETRES, text, re.IGNORECASE)
    if match is None or not (match[2] or match[4]):
        return None
    try:
        return Millimetres(float(match[1]), None if match[3] is None else float(match[3]))
    except ValueError as error:
        raise _camera_refusal(Text(f"got '{text}' (", error, ")")) from error


def _camera_refusal(why: str | Text) -> OptionError:
    return OptionError(option="camera", expected=FORMS, problem=Text("; ", why))


def camera_of_size(camera: Named, size: tuple[int, int]) -> Camera:
    """Make the camera of a photograph of a size (height, width)."""
    if isinstance(camera, Camera):
        return camera
    if isinstance(camera, SpelledLens):
        return Camera(lens=camera.lens(size))
    if isinstance(camera, Millimetres):
        focal = camera.pixels(size)
        return Camera(K=K_from_focal(focal, focal, size), source=CameraSource.MILLIMETRES)
    return Camera(K=K_from_focal(camera, camera, size))


def camera_text(camera: Named) -> str:
    """Text of a camera, as ``--camera`` reads it."""
    if isinstance(camera, SpelledLens | Millimetres):
        return str(camera)
    if not isinstance(camera, Camera):
        return repr(float(camera))
    if not isinstance(camera.lens, Pinhole):
        return str(spelling_of(camera.lens))
    K = camera.K
    return ",".join(repr(float(number)) for number in (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))


def _begins_with_number(text: str) -> bool:
    try:
        float(_words(text)[0])
    except ValueError:
        return not text.strip() or ("," in text and not os.path.exists(text))
    # A file may be named "2 cameras.json".
    return not (re.search(r"\s", text) and os.path.exists(text))


def _words(text: str) -> list[str]:
    """Words between commas or spaces."""
    return re.split(r"\s*,\s*|\s+", text.strip())


def _camera_of_numbers(numbers: np.ndarray) -> Named:
    numbers = numbers.ravel() if numbers.shape in ((1,), (9,), (3, 3)) else numbers
    if not np.isfinite(numbers).all():
        raise OptionError("its numbers are not finite")
    if numbers.size == 1 and numbers.ndim <= 1:
        focal = float(numbers.reshape(-1)[0])
        if not 0 < focal < math.inf:
            raise OptionError(f"focal lengths are positive, got {focal:g}")
        return focal
    if numbers.shape == (4,):
        fx, fy, cx, cy = map(float, numbers)
        return Camera(K=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))
    if numbers.shape == (9,):
        return Camera(K=numbers.reshape(3, 3))
    raise ValueError(f"its shape is {numbers.shape}")


def _read_camera_file(path: Path) -> Named:
    # Imported on demand: readers of YAML and XML.
    from rilievo.io.lens_files import read_lens

    name = printable(path)
    if not os.path.exists(path):
        raise _camera_refusal(f"there is no file '{name}'")
    spelling = read_lens(path)
    # One or two numbers are angles, of a picture; more for any size are an ordinary camera.
    is_of_picture = spelling.size or len(spelling.numbers) < 3
    return spelling if is_of_picture or spelling.note else Camera(lens=spelling.lens((2, 2)))


@dataclass(frozen=True, kw_only=True)
class CameraOptions(Record):
    """Camera that the user names, or way to find one."""

    GROUP: ClassVar[str] = "Camera and metres"
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (
        ("camera", "fov"),
        ("camera", "projection"),
        ("fov", "projection"),
    )

    camera: Annotated[
        str | None,
        option(
            first=True,
            metavar="F|24mm|FX,FY,CX,CY|FILE",
            recorded="always",
            python=CameraLike | None,
            request="Intrinsics in pixels of the upright photograph: a focal length, FX,FY,CX,CY "
            "or the nine numbers of K; or 24mm (35 mm equivalent), 18mm/23.5mm (focal length over "
            "the sensor's width), or a lens as in projection. Otherwise from EXIF, else assumed.",
        ),
    ] = None
    """Intrinsics in pixels of the upright photograph, whose top-left pixel's centre is (0, 0): a
    focal
    length, FX,FY,CX,CY, the nine numbers of K, a lens as in --projection, or a file of these (also
    of
    COLMAP, Kalibr, KITTI, TUM, ROS). Or millimetres: 24mm (35 mm equivalent) or 18mm/23.5mm (over
    the
    sensor's width). By default from EXIF, else assumed; the JSON file says which.
    """
    fov: Annotated[
        float | None,
        option(
            first=True,
            metavar="DEGREES",
            above=0,
            below=180,
            unit="degrees",
            recorded="always",
        ),
    ] = None
    """Horizontal field of view in degrees, instead of intrinsics."""
    projection: Annotated[str | None, option(first=True, metavar="LENS", names=lambda: LENSES)] = (
        None
    )
    """Lens of the photograph: equirect (a whole panorama), equirect:HxV (a part, in degrees),
    fisheye:DEGREES (between left and right edge), pinhole, or in numbers, such as
    opencv:FX,FY,CX,CY,K1,K2,P1,P2. By default a panorama if the file says so (GPano), else pinhole.
    """
    vanishing_points: bool = False
    """Estimate an unknown focal length from straight edges at right angles (rooms, buildings), if
    they are clear. Photographs only.
    """

    def __post_init__(self) -> None:
        if self.camera is not None and not _is_text_of_numbers(self.camera):
            # In numbers, so that results record them and not the name of a file.
            named = read_camera(self.camera)
            assert named is not None, "it is given"
            object.__setattr__(self, "camera", camera_text(named))
            self.__dict__["named_camera"] = named
        super().__post_init__()

    @cached_property
    def named_camera(self) -> Named | None:
        """Camera of ``camera`` or ``projection``."""
        return (
            read_camera(self.camera) if self.projection is None else read_spelling(self.projection)
        )


def _is_text_of_numbers(camera: object) -> bool:
    return isinstance(camera, str) and (
        is_lens(camera) or bool(re.match(r"[\s\d.,eE+-]+$", camera))
    )
