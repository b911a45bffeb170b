"""What a visitor asks of a photograph, checked where it comes in."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.calibration import Known
from rilievo.errors import OptionError
from rilievo.geometry.intrinsics import K_from_focal, K_from_fov
from rilievo.io.exif import FULL_FRAME_DIAGONAL
from rilievo.types import Camera, CameraSource

_LONGEST_NAME = 60


class CameraFrom(StrEnum):
    """How a visitor says what the camera was."""

    PHOTOGRAPH = "photograph"
    """Its EXIF block, else assumed."""
    FOV = "fov"
    """Horizontal field of view [degrees]."""
    FOCAL = "focal"
    """Focal length [px]."""
    FOCAL_35MM = "focal_35mm"
    """Focal length [mm] of the 35 mm camera that sees as much along the diagonal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A photograph and what is asked of it.

    Attributes:
        photo: The uploaded file.
        name: What results are called, without suffix.
        model: That answers.
        flip: Whether to average with the mirror image.
        camera_from: What ``number`` is.
        number: Field of view or focal length; None where the photograph is to tell.
        known: Points whose distance is known, and lengths.

    Raises:
        OptionError: If the number is missing or out of range.
    """

    photo: Path
    name: str
    model: str
    flip: bool = False
    camera_from: CameraFrom = CameraFrom.PHOTOGRAPH
    number: float | int | None = None
    known: tuple[Known, ...] = ()

    def __post_init__(self) -> None:
        if self.camera_from is CameraFrom.PHOTOGRAPH:
            return
        most = 180.0 if self.camera_from is CameraFrom.FOV else math.inf
        if self.number is None or not 0 < self.number < most:
            found = "nothing" if self.number is None else f"{self.number:g}"
            what, unit = _ASKED[self.camera_from]
            raise OptionError(f"{what} is {unit}, found {found}")

    def camera(self, shape: tuple[int, int]) -> Camera | None:
        """The camera that the visitor described; None where the photograph is to tell.

        Args:
            shape: (height, width) of the upright photograph.
        """
        if self.number is None or self.camera_from is CameraFrom.PHOTOGRAPH:
            return None
        number = float(self.number)
        if self.camera_from is CameraFrom.FOV:
            return Camera(K=K_from_fov(number, shape), source=CameraSource.FOV)
        if self.camera_from is CameraFrom.FOCAL_35MM:
            number *= float(np.hypot(*shape)) / FULL_FRAME_DIAGONAL
        return Camera(K=K_from_focal(number, number, shape), source=CameraSource.GIVEN)


_ASKED = {
    CameraFrom.FOV: ("the field of view", "a number of degrees between 0 and 180"),
    CameraFrom.FOCAL: ("the focal length", "a positive number of pixels"),
    CameraFrom.FOCAL_35MM: ("the focal length", "a positive number of millimetres"),
}


def safe_stem(name: str | None) -> str:
    """What files made of an upload are called: letters, digits, '-', '_' and '.', never hidden."""
    stem = Path((name or "").replace("\\", "/")).stem
    kept = "".join(each if each.isalnum() or each in "-_." else "-" for each in stem)
    return kept.strip("-.")[:_LONGEST_NAME] or "photo"


def read_point(text: str) -> tuple[float, float] | None:
    """(u, v) [px] from 'column, row'; None of an empty text.

    Raises:
        OptionError: If the text is anything else.
    """
    if not text.strip():
        return None
    parts = text.replace(";", ",").split(",")
    try:
        u, v = (float(part) for part in parts)
    except ValueError:
        raise OptionError(f"a point is 'column, row' in pixels, found '{text[:40]}'") from None
    if not (math.isfinite(u) and math.isfinite(v)):
        raise OptionError(f"a point is two finite numbers, found '{text[:40]}'")
    return u, v


def read_number(text: str | None, what: str) -> float | None:
    """A number as people type it, with a point or a comma; None of an empty text.

    Args:
        text: As typed.
        what: It is, for the message.

    Raises:
        OptionError: If the text is anything else.
    """
    if text is None or not text.strip():
        return None
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"{what} is a number such as 1.5, found '{text[:40]}'")
    return number
