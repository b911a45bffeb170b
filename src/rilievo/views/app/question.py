"""Questions of visitors about a photograph, validated on arrival."""

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
    """Source of the camera's focal length."""

    PHOTOGRAPH = "photograph"
    """EXIF block of the photograph, or else an assumed field of view."""
    FOV = "fov"
    """Horizontal field of view [degrees]."""
    FOCAL = "focal"
    """Focal length [px]."""
    FOCAL_35MM = "focal_35mm"
    """Focal length [mm] of the 35 mm camera with the same diagonal field of view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A photograph and the options of its prediction.

    Attributes:
        photo: Path of the uploaded file.
        name: Name of the results, without suffix.
        model: Name of the model.
        flip: Whether to average with the mirror image.
        camera_from: Meaning of ``number``.
        number: Field of view or focal length; None to read it from the photograph.
        known: Known points and lengths.

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
        """Camera that the visitor described; None to read it from the photograph.

        Args:
            shape: Size (height, width) of the upright photograph.
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
    """Safe file name for results of an upload: letters, digits, '-', '_' and '.', never hidden."""
    stem = Path((name or "").replace("\\", "/")).stem
    kept = "".join(each if each.isalnum() or each in "-_." else "-" for each in stem)
    return kept.strip("-.")[:_LONGEST_NAME] or "photo"


def read_point(text: str) -> tuple[float, float] | None:
    """Parse 'column, row' as (u, v) [px]; None for an empty text.

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
    """Parse a number with a decimal point or comma; None for an empty text.

    Args:
        text: The typed text.
        what: Name of the quantity, for the message.

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
