"""Orientation and camera of a photograph by its EXIF block or HEIC file."""

import math
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from rilievo.arrays.shapes import Matrix
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal, focal_from_film, pinhole_K
from rilievo.io.files.tiff_directories import check_tiff_tags
from rilievo.io.photographs.decode import PILLOW_ERRORS

ASSUMED_FOV = 55.0
"""Assumed field of view along the longer side [degrees], of a 35 mm lens: within a factor of 1.45
of telephones and 50 mm lenses."""

# Plausible fields of view [degrees].
_LEAST_FOV, _GREATEST_FOV = 1.0, 170.0

# Relative difference up to which an image is resized, not cropped.
_SAME_ASPECT = 0.02

# Largest distance of a principal point from the middle, in longer sides.
_CENTRAL = 0.1
_LEAST_ZOOM = 1.01
"""Least digital zoom that changes the field of view."""
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_ORIENTATION, _EXIF_BLOCK = 0x0112, 0x8769
_FOCAL_LENGTH, _FOCAL_LENGTH_35MM = 0x920A, 0xA405
_DIGITAL_ZOOM = 0xA404
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_MAKE, _MODEL, _SOFTWARE, _LENS_MODEL = 0x010F, 0x0110, 0x0131, 0xA434


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifFacts:
    """Tags of the camera; numbers are positive.

    Attributes:
        heif: Camera that a HEIC file states beside them.
        orientation: 1 to 8; 1 is upright.
        focal_35mm: Focal length of a 35 mm camera with this diagonal field of view [mm].
        focal: True focal length [mm].
        plane_x: Pixels of the original along a row, per ``plane_unit`` [mm].
        width: Width of the original [px].
        digital_zoom: Factor by which the camera enlarged a part of its picture.
        camera_name: Make and model; empty if not stated.
        lens_name: Model of the lens.
        software: Program that wrote the file, or the camera's firmware.
    """

    heif: Camera | None = None
    orientation: int = 1
    focal_35mm: float | None = None
    focal: float | None = None
    plane_x: float | None = None
    plane_y: float | None = None
    plane_unit: float | None = None
    width: float | None = None
    height: float | None = None
    digital_zoom: float | None = None
    camera_name: str = ""
    lens_name: str = ""
    software: str = ""

    @property
    def original_size(self) -> tuple[float, float] | None:
        """Height and width of the original [px], if both are stated."""
        if self.height is None or self.width is None:
            return None
        return self.height, self.width


def exif_facts(image: Image.Image) -> ExifFacts:
    """Read a loaded image's tags, and HEIC's camera."""
    K = heif_K(image)
    heif = None if K is None else Camera(K=K, source=CameraSource.HEIF)
    try:
        tags = image.getexif()
        if not tags:
            return ExifFacts(heif=heif)
        check_tiff_tags(getattr(tags, "fp", BytesIO()), "EXIF")
        # TIFF/EP has these tags in its first directory, and so have pictures of some programs.
        block = {**tags, **tags.get_ifd(_EXIF_BLOCK)}
        turned: object = tags.get(_ORIENTATION)
    except PILLOW_ERRORS:
        return ExifFacts(heif=heif)
    unit = block.get(_PLANE_UNIT, 2)
    return ExifFacts(
        heif=heif,
        orientation=turned if isinstance(turned, int) and 1 <= turned <= 8 else 1,
        focal_35mm=_positive_or_none(block.get(_FOCAL_LENGTH_35MM)),
        focal=_positive_or_none(block.get(_FOCAL_LENGTH)),
        plane_x=_positive_or_none(block.get(_PLANE_X)),
        plane_y=_positive_or_none(block.get(_PLANE_Y)),
        plane_unit=_MILLIMETRES.get(unit) if isinstance(unit, int) else None,
        width=_positive_or_none(block.get(_PIXEL_WIDTH)),
        height=_positive_or_none(block.get(_PIXEL_HEIGHT)),
        digital_zoom=_positive_or_none(block.get(_DIGITAL_ZOOM)),
        camera_name=_camera_name(_text(block.get(_MAKE)), _text(block.get(_MODEL))),
        lens_name=_text(block.get(_LENS_MODEL)),
        software=_text(block.get(_SOFTWARE)),
    )


def camera_from_exif(facts: ExifFacts, size: tuple[int, int]) -> Camera | None:
    """Camera of an upright photograph, if its focal length is plausible.

    Pixels are square and the principal point is central. The focal length for 35 mm film goes
    before that by the pixels of the sensor.
    """
    for source, focal in exif_focals(facts, size).items():
        return Camera(K=K_from_focal(focal, focal, size), source=source)
    return None


def exif_focals(facts: ExifFacts, size: tuple[int, int]) -> dict[CameraSource, float]:
    """Plausible focal lengths [px] by what states them; {} if the aspect ratio has changed."""
    resized = 1.0
    if facts.width is not None and facts.height is not None:
        # Sides are compared by length, as programs that rotate a picture often leave these tags.
        longer, shorter = max(facts.width, facts.height), min(facts.width, facts.height)
        if abs(max(size) / min(size) / (longer / shorter) - 1) > _SAME_ASPECT:
            return {}
        resized = max(size) / longer
    diagonal = None if facts.focal_35mm is None else focal_from_film(facts.focal_35mm, size)
    stated = {
        CameraSource.EXIF_35MM: diagonal,
        CameraSource.EXIF_SENSOR: _focal_pixels_by_sensor(facts, resized),
    }
    return {
        source: focal
        for source, focal in stated.items()
        if focal is not None and _is_plausible_focal(focal, size)
    }


def heif_K(image: Image.Image) -> Matrix | None:
    """Intrinsics [px] of a HEIC file; None if none hold for its pixels."""
    stated = image.info.get("heif", {}).get("camera_intrinsic_matrix")
    if stated is None:
        return None
    fx, fy = stated["focal_length_x"], stated["focal_length_y"]
    # Counted from the corner of the picture.
    centre = stated["principal_point_x"] - 0.5, stated["principal_point_y"] - 0.5
    width, height = image.size
    off = math.dist(centre, ((width - 1) / 2, (height - 1) / 2))
    is_usual = min(fx, fy) > 0 and off <= _CENTRAL * max(width, height)
    return pinhole_K(fx, fy, *centre) if is_usual and _is_plausible_focal(fx, image.size) else None


def assumed_camera(size: tuple[int, int]) -> Camera:
    """Camera with ``ASSUMED_FOV``."""
    focal = max(size) / 2 / math.tan(math.radians(ASSUMED_FOV) / 2)
    return Camera(K=K_from_focal(focal, focal, size), source=CameraSource.ASSUMED)


def _focal_pixels_by_sensor(facts: ExifFacts, resized: float) -> float | None:
    x, y = facts.plane_x, facts.plane_y
    # Whether the sensor's pixels are those before or after digital zoom is not stated.
    if facts.digital_zoom is not None and facts.digital_zoom > _LEAST_ZOOM:
        return None
    if facts.focal is None or facts.plane_unit is None or x is None or y is None:
        return None
    if not 0.9 < x / y < 1.1:
        return None
    return facts.focal * (math.sqrt(x * y) / facts.plane_unit) * resized


def _is_plausible_focal(focal: float, size: tuple[int, int]) -> bool:
    fov = math.degrees(2 * math.atan2(max(size) / 2, focal))
    return _LEAST_FOV <= fov <= _GREATEST_FOV


def _camera_name(make: str, model: str) -> str:
    """Make and model; most models begin with their make."""
    has_make = model.lower().startswith(make.lower()[:5])
    return model if has_make else f"{make} {model}".strip()


def _text(value: object) -> str:
    return value.strip("\0 ") if isinstance(value, str) else ""


def _positive_or_none(value: object) -> float | None:
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if 0 < number < math.inf else None
