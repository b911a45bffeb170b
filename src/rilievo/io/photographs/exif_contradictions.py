"""Tags of EXIF that contradict each other, or that name a lens which bends its pictures.

EXIF may state the focal length twice: for 35 mm film, and as the true one with the number of pixels
in a millimetre of the sensor. Programs that resize or crop a picture keep both. The first then
holds for the whole picture, and the second for the pixels before they were resized. Where they
disagree, nothing says which of the two happened, so neither is believed.
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
"""Least ratio of the focal length for 35 mm film to the true one.

A sensor of 54 x 40 mm has this ratio, with some rounding.
"""
_MIN_SENSOR_WIDTH, _MAX_SENSOR_WIDTH = 3.0, 55.0  # [mm], the longer side
_COMMON_SENSORS = (
    *((36.0, 24.0), (28.1, 18.7), (23.6, 15.7), (22.3, 14.9), (17.3, 13.0), (13.2, 8.8)),
    *((43.8, 32.9), (53.7, 40.3)),
)
"""Sides [mm] of the sensors in cameras with interchangeable lenses."""
_MAX_SENSOR_ERROR = 0.035
"""Relative error of a sensor's side by EXIF; a Canon EOS 5D Mark II states 37.1 mm."""
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


def contradiction(exif: ExifMetadata, size: tuple[int, int], *, is_uncropped: bool) -> str | None:
    """Say why the focal length in EXIF cannot be believed; None if nothing speaks against it.

    Args:
        exif: Tags of a picture that may have been resized.
        size: Height and width of the picture once upright.
        is_uncropped: Whether a program states that it shows the whole picture of the camera.
    """
    focals = exif_focals(exif, size)
    by_film = focals.get(CameraSource.EXIF_35MM)
    by_sensor = focals.get(CameraSource.EXIF_SENSOR)
    if by_film is not None:
        return _implausible_focal_35mm(exif) or _disagreement(
            exif, by_film, by_sensor, is_uncropped=is_uncropped
        )
    if by_sensor is not None:
        return _implausible_sensor(exif, size)
    return None


def _implausible_focal_35mm(exif: ExifMetadata) -> str | None:
    focal_35mm, focal = exif.focal_35mm, exif.focal_mm
    assert focal_35mm is not None, "a focal length was computed from it"
    if focal_35mm < _MIN_FOCAL_35MM:
        return f"EXIF states {focal_35mm:g} mm for 35 mm film, on which no usual lens is so short"
    if focal is not None and focal_35mm < _MIN_CROP_FACTOR * focal:
        return (
            f"EXIF states a focal length of {focal:g} mm and one of {focal_35mm:g} mm for 35 mm "
            "film, which contradict each other, because no sensor is so large"
        )
    return None


def _disagreement(
    exif: ExifMetadata, by_film: float, by_sensor: float | None, *, is_uncropped: bool
) -> str | None:
    """Say that two focal lengths [px] contradict each other; None if they agree within rounding."""
    if by_sensor is None or exif.focal_35mm is None:
        return None
    rounding = 0.5 / exif.focal_35mm
    if abs(math.log(by_film / by_sensor)) <= _MAX_FILM_ERROR + rounding:
        return None
    if is_uncropped and by_sensor > by_film:
        # The pixels of the sensor are those before the picture was made smaller.
        return None
    return (
        f"EXIF states two that contradict each other, {by_film:.4g} px for 35 mm film and "
        f"{by_sensor:.4g} px by the pixels of the sensor, so the picture may have been resized or "
        "cropped"
    )


def _implausible_sensor(exif: ExifMetadata, size: tuple[int, int]) -> str | None:
    """Say why the sensor's pixels in EXIF cannot be those of this picture; None if they can."""
    if exif.pixels_per_mm is None:
        return None
    sides = exif.original_size or size
    longer, shorter = max(sides) / exif.pixels_per_mm, min(sides) / exif.pixels_per_mm
    if _MIN_SENSOR_WIDTH <= longer <= _MAX_SENSOR_WIDTH:
        needs_common_sensor = _COMMON_SENSOR_MODELS.search(exif.camera_name) is not None
        # A file of a camera names it; one without a name was written by another program.
        is_edited = not exif.camera_name or _EDITORS.search(exif.software) is not None
        if _is_common_sensor(longer, shorter) or not (needs_common_sensor or is_edited):
            return None
    name = f" ({printable(exif.camera_name[:40])})" if exif.camera_name else ""
    return (
        f"by the pixels of the sensor in EXIF, {max(sides):.0f} pixels are {longer:.3g} mm, which "
        f"is hardly the sensor of this camera{name}, so the picture may have been resized"
    )


def _is_common_sensor(longer: float, shorter: float) -> bool:
    """Whether a side [mm] is that of a common sensor; one is enough, as either may be cropped."""
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
