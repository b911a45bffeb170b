"""Tags of EXIF that contradict each other, or that name a lens with strong distortion.

EXIF may state the focal length twice: for 35 mm film, and as the true one with the number of pixels
per millimetre of the sensor. Programs that resize or crop a picture keep both. The first is then
right for the whole picture, and the second for the pixels before the resizing. If they disagree,
nothing says whether the picture was resized or cropped, so neither is believed.
"""

import math
import re

from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.files.names import printable
from rilievo.io.photographs.exif import ExifMetadata, exif_focals

_MAX_FILM_ERROR = 0.03
"""Relative error of a focal length for 35 mm film, besides its rounding to whole millimetres."""
_MIN_FOCAL_35MM = 9.0
"""Shortest focal length [mm] of a lens without distortion, on film of 36 x 24 mm."""
_MIN_CROP_FACTOR = 0.6
"""Smallest ratio of the focal length for 35 mm film to the true one.

The largest sensors, of 54 x 40 mm, have this ratio, with some rounding.
"""
_MIN_SENSOR_WIDTH, _MAX_SENSOR_WIDTH = 3.0, 55.0  # [mm], the longer side
_COMMON_SENSORS = (
    *((36.0, 24.0), (28.1, 18.7), (23.6, 15.7), (22.3, 14.9), (17.3, 13.0), (13.2, 8.8)),
    *((43.8, 32.9), (53.7, 40.3)),
)
"""Sides [mm] of the sensors in cameras with interchangeable lenses."""
_MAX_SENSOR_ERROR = 0.035
"""Relative error of a sensor's side according to EXIF; a Canon EOS 5D Mark II states 37.1 mm."""
_COMMON_SENSOR_MODELS = re.compile(
    r"\bEOS\b|NIKON [DZ]|\bIL(CE|CA|ME)-|\bSLT-|\bDSLR-|\bNEX-|\bPENTAX K|"
    r"\bX-(T|E|H|S|Pro)\d|\bX100|\bGFX|\bD[CM]C-G|\bE-M\d|\bLEICA (M|Q|SL)",
    re.IGNORECASE,
)
"""Models whose sensor is one of ``_COMMON_SENSORS``."""
_EDITORS = re.compile(
    r"photoshop|lightroom|camera raw|gimp|darktable|rawtherapee|capture one|affinity|imagemagick|"
    r"snapseed|picasa|luminar|dxo|acdsee|digikam|^photos|pixelmator|xnview|irfanview|faststone|"
    r"paint|topaz|aperture|photo professional|viewnx|nx studio|photofiltre|photoscape|polarr",
    re.IGNORECASE,
)
"""Programs that resize and crop pictures, and write their size into EXIF."""
_FISHEYE = re.compile(r"fish[\s_-]?eye|fischauge", re.IGNORECASE)
_ACTION_CAMERA = re.compile(r"gopro|insta360|osmo\s*action|\btheta\b", re.IGNORECASE)
_FISHEYE_IN_XMP = re.compile(
    rb"Lens(?:Model)?\s*(?:=\s*[\"']|>)([^\"'<]{0,60}fish[\s_-]?eye[^\"'<]{0,60})", re.IGNORECASE
)


def describe_contradiction(
    exif: ExifMetadata, size: tuple[int, int], *, is_uncropped: bool
) -> str | None:
    """Say why the focal length in EXIF cannot be trusted; None if nothing contradicts it.

    ``is_uncropped`` says that a program states that the upright picture was not cropped.
    """
    focals = exif_focals(exif, size)
    film_focal = focals.get(CameraSource.EXIF_35MM)
    sensor_focal = focals.get(CameraSource.EXIF_SENSOR)
    if film_focal is not None:
        implausible = _implausible_focal_35mm(exif)
        if implausible is not None:
            return implausible
        return _disagreement(exif, film_focal, sensor_focal, is_uncropped=is_uncropped)
    if sensor_focal is not None:
        return _implausible_sensor(exif, size)
    return None


def _implausible_focal_35mm(exif: ExifMetadata) -> str | None:
    """Say why no camera has the focal length in EXIF for 35 mm film; None if one may have it."""
    focal_35mm, focal = exif.focal_35mm, exif.focal_mm
    assert focal_35mm is not None, "a focal length was computed from it"
    if focal_35mm < _MIN_FOCAL_35MM:
        return (
            f"EXIF gives a 35 mm equivalent of {focal_35mm:g} mm, which is shorter than any usual "
            "lens"
        )
    if focal is not None and focal_35mm < _MIN_CROP_FACTOR * focal:
        return (
            f"EXIF gives a focal length of {focal:g} mm and a 35 mm equivalent of {focal_35mm:g} "
            "mm, which contradict each other, because no sensor is that large"
        )
    return None


def _disagreement(
    exif: ExifMetadata, film_focal: float, sensor_focal: float | None, *, is_uncropped: bool
) -> str | None:
    """Say that two focal lengths [px] contradict each other; None if they agree within rounding."""
    if sensor_focal is None or exif.focal_35mm is None:
        return None
    rounding = 0.5 / exif.focal_35mm  # of whole millimetres, relative
    if abs(math.log(film_focal / sensor_focal)) <= _MAX_FILM_ERROR + rounding:
        return None
    if is_uncropped and sensor_focal > film_focal:
        # The pixels of the sensor are those before the picture was made smaller.
        return None
    return (
        f"EXIF gives two focal lengths that contradict each other, {film_focal:.4g} px from "
        f"the 35 mm equivalent and {sensor_focal:.4g} px from the sensor resolution, so the image "
        "may have been resized or cropped"
    )


def _implausible_sensor(exif: ExifMetadata, size: tuple[int, int]) -> str | None:
    """Say why the sensor's pixels in EXIF cannot be those of this picture; None if they can."""
    if exif.pixels_per_mm is None:
        return None
    sides = exif.original_size or size
    longer = max(sides) / exif.pixels_per_mm  # [mm]
    shorter = min(sides) / exif.pixels_per_mm  # [mm]
    has_plausible_width = _MIN_SENSOR_WIDTH <= longer <= _MAX_SENSOR_WIDTH
    has_common_sensor = _COMMON_SENSOR_MODELS.search(exif.camera_name) is not None
    # Cameras write their name into a file, so a file without one comes from another program.
    is_edited = not exif.camera_name or _EDITORS.search(exif.software) is not None
    must_be_common = has_common_sensor or is_edited
    if has_plausible_width and (_is_common_sensor(longer, shorter) or not must_be_common):
        return None
    name = f" ({printable(exif.camera_name[:40])})" if exif.camera_name else ""
    return (
        f"the sensor resolution in EXIF says that {max(sides):.0f} pixels span {longer:.3g} mm, "
        f"which is unlikely for the sensor of this camera{name}, so the image may have been resized"
    )


def _is_common_sensor(longer: float, shorter: float) -> bool:
    """Whether one of the sides [mm] is that of a common sensor; the other may be cropped."""
    return any(
        abs(longer / width - 1) <= _MAX_SENSOR_ERROR
        or abs(shorter / height - 1) <= _MAX_SENSOR_ERROR
        for width, height in _COMMON_SENSORS
    )


def fisheye_name(exif: ExifMetadata, xmp: bytes) -> str | None:
    """Find the name of a fisheye lens or an action camera; None if neither is named."""
    for name in (exif.lens_name, exif.camera_name):
        if _FISHEYE.search(name):
            return printable(name[:60])
    if _ACTION_CAMERA.search(exif.camera_name):
        return printable(exif.camera_name[:60])
    lens_in_xmp = _FISHEYE_IN_XMP.search(xmp)
    if lens_in_xmp is None:
        return None
    return printable(lens_in_xmp[1].decode("utf-8", "replace"))
