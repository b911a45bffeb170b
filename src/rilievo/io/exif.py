"""What a photograph's EXIF block says of its orientation and its camera.

Whatever is odd, broken or missing there counts as not said: EXIF never makes a photograph
unreadable.
"""

import math
from dataclasses import dataclass

from PIL import Image

from rilievo.geometry.intrinsics import K_from_focal, K_from_fov
from rilievo.io.decode import PILLOW_ERRORS
from rilievo.types import Camera, CameraSource

FULL_FRAME_DIAGONAL = math.hypot(36.0, 24.0)
"""Of 35 mm film [mm]: 43.2666."""

ASSUMED_FOV = 55.0
"""Field of view along the longer side [degrees] of a photograph that says nothing of its camera.

A focal length of 35 mm on film, which halves the range in use: telephones have 24 to 28 mm (74 to
65 degrees), ordinary lenses 50 mm (40 degrees). The focal length that we assume is wrong by a
factor of at most 1.45 for all of these; another value would do better for some and worse for
others.
"""

_LEAST_FOV, _GREATEST_FOV = 1.0, 170.0
"""Along the longer side [degrees]; a focal length that gives another one is a slip of the pen."""

_SAME_ASPECT = 0.02
"""Relative difference of two aspect ratios up to which an image counts as resized, not cropped."""

_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""FocalPlaneResolutionUnit: inch and centimetre by the standard, the others by habit."""

_ORIENTATION, _EXIF_BLOCK = 0x0112, 0x8769
_FOCAL_LENGTH, _FOCAL_LENGTH_35MM = 0x920A, 0xA405
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifFacts:
    """The tags that matter here, each None where it is missing or is no positive number.

    Attributes:
        orientation: 1 to 8, how the stored rows and columns lie; 1 is upright.
        focal_35mm: Focal length of the 35 mm camera that sees as much along the diagonal [mm].
        focal: True focal length [mm].
        plane_x: Pixels of the original along a row, per unit of the sensor.
        plane_y: Pixels of the original along a column, per unit of the sensor.
        plane_unit: That unit [mm].
        width: Of the image that the camera wrote [px].
        height: Of the image that the camera wrote [px].
    """

    orientation: int = 1
    focal_35mm: float | None = None
    focal: float | None = None
    plane_x: float | None = None
    plane_y: float | None = None
    plane_unit: float | None = None
    width: float | None = None
    height: float | None = None


def exif_facts(image: Image.Image) -> ExifFacts:
    """Read the tags of an image that Pillow has loaded; what cannot be read counts as missing."""
    try:
        tags = image.getexif()
        block = tags.get_ifd(_EXIF_BLOCK)
        turned: object = tags.get(_ORIENTATION)
    except PILLOW_ERRORS:
        return ExifFacts()
    unit = block.get(_PLANE_UNIT, 2)
    return ExifFacts(
        orientation=turned if isinstance(turned, int) and 1 <= turned <= 8 else 1,
        focal_35mm=_positive(block.get(_FOCAL_LENGTH_35MM)),
        focal=_positive(block.get(_FOCAL_LENGTH)),
        plane_x=_positive(block.get(_PLANE_X)),
        plane_y=_positive(block.get(_PLANE_Y)),
        plane_unit=_MILLIMETRES.get(unit) if isinstance(unit, int) else None,
        width=_positive(block.get(_PIXEL_WIDTH)),
        height=_positive(block.get(_PIXEL_HEIGHT)),
    )


def camera_from_exif(facts: ExifFacts, size: tuple[int, int]) -> Camera | None:
    """The camera of an upright photograph, as far as its tags tell it.

    Pixels are taken as square and the principal point as the centre of the image, which holds for
    every camera but for a few pixels, and not for crops. A photograph whose shape differs from
    that of the image the camera wrote is a crop, of which the tags no longer say what it sees.

    Args:
        facts: Of the file.
        size: (height, width) of the upright pixels, resized or not.

    Returns:
        None where the tags say nothing, or nothing that can be true.
    """
    if _is_cropped(facts, size):
        return None
    for focal, source in (
        (_focal_by_diagonal(facts, size), CameraSource.EXIF_35MM),
        (_focal_by_sensor(facts, size), CameraSource.EXIF_SENSOR),
    ):
        if focal is not None and _is_plausible(focal, size):
            return Camera(K=K_from_focal(focal, focal, size), source=source)
    return None


def assumed_camera(size: tuple[int, int]) -> Camera:
    """The camera of a photograph that says nothing of it: ``ASSUMED_FOV`` along its longer side."""
    height, width = size
    longer = max(height, width)
    focal = float(K_from_fov(ASSUMED_FOV, (longer, longer))[0, 0])
    return Camera(K=K_from_focal(focal, focal, size), source=CameraSource.ASSUMED)


def _focal_by_diagonal(facts: ExifFacts, size: tuple[int, int]) -> float | None:
    """Focal length [px] of the 35 mm equivalent, which CIPA DCG-001 defines by the diagonal.

    By the width, a 4:3 sensor would come out 4 % too long, as film is 3:2.
    """
    if facts.focal_35mm is None:
        return None
    return facts.focal_35mm * math.hypot(*size) / FULL_FRAME_DIAGONAL


def _focal_by_sensor(facts: ExifFacts, size: tuple[int, int]) -> float | None:
    """Focal length [px] from the pitch of the pixels, which is that of the original image."""
    if facts.focal is None or facts.plane_unit is None:
        return None
    if (
        facts.plane_x is None
        or facts.plane_y is None
        or not 0.9 < facts.plane_x / facts.plane_y < 1.1
    ):
        return None
    per_mm = math.sqrt(facts.plane_x * facts.plane_y) / facts.plane_unit
    original = _original_size(facts)
    resized = 1.0 if original is None else max(size) / max(original)
    return facts.focal * per_mm * resized


def _original_size(facts: ExifFacts) -> tuple[float, float] | None:
    if facts.width is None or facts.height is None:
        return None
    return facts.height, facts.width


def _is_cropped(facts: ExifFacts, size: tuple[int, int]) -> bool:
    original = _original_size(facts)
    if original is None:
        return False
    # Sides are compared by length: programs that turn a picture often leave these tags as they are.
    aspect = max(size) / min(size)
    return abs(aspect / (max(original) / min(original)) - 1) > _SAME_ASPECT


def _is_plausible(focal: float, size: tuple[int, int]) -> bool:
    fov = math.degrees(2 * math.atan2(max(size) / 2, focal))
    return _LEAST_FOV <= fov <= _GREATEST_FOV


def _positive(value: object) -> float | None:
    """The number if it is one and positive; rationals over zero are NaN in Pillow."""
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if 0 < number < math.inf else None
