"""Orientation and camera of a photograph, from its EXIF block or its HEIC file."""

import math
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from rilievo.arrays.shapes import Matrix
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal, focal_from_film, pinhole_K
from rilievo.io.files.archives import PILLOW_ERRORS
from rilievo.io.files.tiff_directories import check_tiff_tags

_MIN_FOV, _MAX_FOV = 1.0, 170.0  # [degrees], plausible along the longer side
MAX_ASPECT_CHANGE = 0.02
"""Relative difference of aspect ratios up to which an image was resized and not cropped."""
_MAX_OFF_CENTRE = 0.1
"""Largest plausible distance of a principal point from the middle, in longer sides."""
MIN_ZOOM = 1.01
"""Smallest digital zoom that counts as one."""
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Length of EXIF's units of resolution [mm]: inch, centimetre, millimetre, micrometre."""
_ORIENTATION, _EXIF_BLOCK = 0x0112, 0x8769
_FOCAL_LENGTH, _FOCAL_LENGTH_35MM = 0x920A, 0xA405
_DIGITAL_ZOOM = 0xA404
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_MAKE, _MODEL, _SOFTWARE, _LENS_MODEL = 0x010F, 0x0110, 0x0131, 0xA434


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifMetadata:
    """What a photograph's tags state about its camera; numbers that are not positive are None.

    Attributes:
        heif_camera: Camera that a HEIC file states besides its EXIF.
        orientation: 1 to 8; 1 is upright.
        focal_35mm: Focal length [mm] that has the same diagonal field of view on 35 mm film.
        sensor_pixels_x: Pixels of the original along a row of the sensor, per ``sensor_unit_mm``.
        original_width: Width of the picture when the tags were written [px].
        digital_zoom: Factor by which the camera enlarged a part of its picture.
        camera_name: Make and model; empty if not stated.
        software: Program that wrote the file, or the camera's firmware.
    """

    heif_camera: Camera | None = None
    orientation: int = 1
    focal_35mm: float | None = None
    focal_mm: float | None = None
    sensor_pixels_x: float | None = None
    sensor_pixels_y: float | None = None
    sensor_unit_mm: float | None = None
    original_width: float | None = None
    original_height: float | None = None
    digital_zoom: float | None = None
    camera_name: str = ""
    lens_name: str = ""
    software: str = ""

    @property
    def original_size(self) -> tuple[float, float] | None:
        """Height and width of the original [px]; None unless both are stated."""
        if self.original_height is None or self.original_width is None:
            return None
        return self.original_height, self.original_width

    @property
    def pixels_per_mm(self) -> float | None:
        """Pixels of the original per millimetre of the sensor; None unless stated and square."""
        x, y, unit = self.sensor_pixels_x, self.sensor_pixels_y, self.sensor_unit_mm
        if x is None or y is None or unit is None:
            return None
        is_square = 0.9 < x / y < 1.1
        return math.sqrt(x * y) / unit if is_square else None


def read_exif_metadata(image: Image.Image) -> ExifMetadata:
    """Read the EXIF tags of a loaded image, and the camera of a HEIC file."""
    K = heif_K(image)
    heif_camera = None if K is None else Camera(K=K, source=CameraSource.HEIF)
    try:
        tags = image.getexif()
        if not tags:
            return ExifMetadata(heif_camera=heif_camera)
        # Pillow keeps the raw EXIF in ``fp``.
        check_tiff_tags(getattr(tags, "fp", BytesIO()), "EXIF")
        # TIFF/EP and some programs put these tags into the first directory.
        block = {**tags, **tags.get_ifd(_EXIF_BLOCK)}
        orientation: object = tags.get(_ORIENTATION)
    except PILLOW_ERRORS:
        return ExifMetadata(heif_camera=heif_camera)
    unit = block.get(_PLANE_UNIT, 2)  # 2 is inch.
    return ExifMetadata(
        heif_camera=heif_camera,
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        focal_35mm=_positive_or_none(block.get(_FOCAL_LENGTH_35MM)),
        focal_mm=_positive_or_none(block.get(_FOCAL_LENGTH)),
        sensor_pixels_x=_positive_or_none(block.get(_PLANE_X)),
        sensor_pixels_y=_positive_or_none(block.get(_PLANE_Y)),
        sensor_unit_mm=_MM_PER_UNIT.get(unit) if isinstance(unit, int) else None,
        original_width=_positive_or_none(block.get(_PIXEL_WIDTH)),
        original_height=_positive_or_none(block.get(_PIXEL_HEIGHT)),
        digital_zoom=_positive_or_none(block.get(_DIGITAL_ZOOM)),
        camera_name=_camera_name(_text(block.get(_MAKE)), _text(block.get(_MODEL))),
        lens_name=_text(block.get(_LENS_MODEL)),
        software=_text(block.get(_SOFTWARE)),
    )


def camera_from_exif(exif: ExifMetadata, size: tuple[int, int]) -> Camera | None:
    """Make the camera of an upright photograph; None if EXIF states no plausible focal length.

    Pixels are square and the principal point is central. The focal length for 35 mm film is
    preferred to the one from the pixels of the sensor.
    """
    for source, focal in exif_focals(exif, size).items():
        return Camera(K=K_from_focal(focal, focal, size), source=source)
    return None


def exif_focals(exif: ExifMetadata, size: tuple[int, int]) -> dict[CameraSource, float]:
    """Compute the plausible focal lengths [px] that EXIF states, by their source.

    There are none if the aspect ratio differs from that of the original, because the photograph was
    cropped then.
    """
    resize_factor = _resize_factor(exif, size)
    if resize_factor is None:
        return {}
    focals: dict[CameraSource, float] = {}
    if exif.focal_35mm is not None:
        focals[CameraSource.EXIF_35MM] = focal_from_film(exif.focal_35mm, size)
    original_focal = _focal_by_sensor(exif)
    if original_focal is not None:
        focals[CameraSource.EXIF_SENSOR] = original_focal * resize_factor
    return {source: focal for source, focal in focals.items() if _is_plausible_focal(focal, size)}


def _resize_factor(exif: ExifMetadata, size: tuple[int, int]) -> float | None:
    """Return the factor by which the original was resized; None if it was cropped.

    It is 1 if the size of the original is not stated. Longer sides are compared with longer ones,
    because programs that rotate a picture often keep its tags.
    """
    if exif.original_size is None:
        return 1.0
    longer, shorter = max(exif.original_size), min(exif.original_size)
    aspect_change = abs(max(size) / min(size) / (longer / shorter) - 1)
    return None if aspect_change > MAX_ASPECT_CHANGE else max(size) / longer


def _focal_by_sensor(exif: ExifMetadata) -> float | None:
    """Focal length in pixels of the original, from millimetres and the sensor's pixels per mm."""
    # EXIF does not state whether these pixels are those before or after a digital zoom.
    if exif.digital_zoom is not None and exif.digital_zoom > MIN_ZOOM:
        return None
    if exif.focal_mm is None or exif.pixels_per_mm is None:
        return None
    return exif.focal_mm * exif.pixels_per_mm


def heif_K(image: Image.Image) -> Matrix | None:
    """Read the intrinsics [px] in a HEIC file; None if it states none, or implausible ones."""
    intrinsics = image.info.get("heif", {}).get("camera_intrinsic_matrix")
    if intrinsics is None:
        return None
    fx, fy = intrinsics["focal_length_x"], intrinsics["focal_length_y"]
    # In HEIC, the corner of the picture is (0, 0), not the centre of the first pixel.
    cx, cy = intrinsics["principal_point_x"] - 0.5, intrinsics["principal_point_y"] - 0.5
    width, height = image.size
    off_centre = math.dist((cx, cy), ((width - 1) / 2, (height - 1) / 2))
    is_central = off_centre <= _MAX_OFF_CENTRE * max(width, height)
    if min(fx, fy) > 0 and is_central and _is_plausible_focal(fx, image.size):
        return pinhole_K(fx, fy, cx, cy)
    return None


def _is_plausible_focal(focal: float, size: tuple[int, int]) -> bool:
    fov = math.degrees(2 * math.atan2(max(size) / 2, focal))
    return _MIN_FOV <= fov <= _MAX_FOV


def _camera_name(make: str, model: str) -> str:
    """Join make and model, unless the model begins with the make, as most do."""
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
