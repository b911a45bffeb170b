"""Tags of EXIF that contradict each other, or that name a lens which bends its pictures.

EXIF may state the focal length twice: for 35 mm film, and as the true one with the pixels of the
sensor in a millimetre. Programs that resize or crop a picture keep both. The first then holds for
the whole picture, and the second for the pixels before they were resized. Where they disagree,
nothing says which of the two happened, so neither is believed.
"""

import math
import re

from rilievo.geometry.cameras.camera import CameraSource
from rilievo.io.files.names import printable
from rilievo.io.photographs.exif import ExifFacts, exif_focals

_FILM_ERROR = 0.03
"""Relative error of a focal length for 35 mm film beside its rounding to whole millimetres."""
_SHORTEST_FILM = 9.0
"""Shortest focal length of a lens without distortion, on film of 36 x 24 mm [mm]."""
_LEAST_CROP_FACTOR = 0.6
"""Focal length for 35 mm film over the true one, for a sensor of 54 x 40 mm and some rounding."""
_NARROWEST_SENSOR, _WIDEST_SENSOR = 3.0, 55.0  # [mm], the longer side
_USUAL_SENSORS = (
    *((36.0, 24.0), (28.1, 18.7), (23.6, 15.7), (22.3, 14.9), (17.3, 13.0), (13.2, 8.8)),
    *((43.8, 32.9), (53.7, 40.3)),
)
"""Sides of the sensors of cameras with interchangeable lenses [mm]."""
_SENSOR_ERROR = 0.035
"""Relative error of the sides of a sensor by EXIF; a Canon EOS 5D Mark II states 37.1 mm."""
_INTERCHANGEABLE = re.compile(
    r"\bEOS\b|NIKON [DZ]|\bIL(CE|CA|ME)-|\bSLT-|\bDSLR-|\bNEX-|\bPENTAX K|"
    r"\bX-(T|E|H|S|Pro)\d|\bX100|\bGFX|\bD[CM]C-G|\bE-M\d|\bLEICA (M|Q|SL)",
    re.IGNORECASE,
)
"""Models whose sensor is one of the usual ones."""
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


def contradiction(facts: ExifFacts, size: tuple[int, int], *, is_uncropped: bool) -> str | None:
    """Why the focal length of EXIF cannot be believed; None if nothing speaks against it.

    Args:
        facts: Tags of a picture that may have been resized.
        size: Height and width of the picture once upright.
        is_uncropped: Whether a program states that it shows the whole picture of the camera.
    """
    focals = exif_focals(facts, size)
    film, sensor = (
        focals.get(source) for source in (CameraSource.EXIF_35MM, CameraSource.EXIF_SENSOR)
    )
    if film is not None:
        return _doubt_about_film(facts) or _difference(facts, film, sensor, is_uncropped)
    return None if sensor is None else _doubt_about_sensor(facts, size)


def _doubt_about_film(facts: ExifFacts) -> str | None:
    film, focal = facts.focal_35mm, facts.focal
    assert film is not None, "a focal length was computed from it"
    if film < _SHORTEST_FILM:
        return f"EXIF states {film:g} mm for 35 mm film, on which no usual lens is so short"
    if focal is not None and film < _LEAST_CROP_FACTOR * focal:
        return (
            f"EXIF states a focal length of {focal:g} mm and one of {film:g} mm for 35 mm film, "
            "which contradict each other, because no sensor is so large"
        )
    return None


def _difference(
    facts: ExifFacts, film: float, sensor: float | None, is_uncropped: bool
) -> str | None:
    """Contradiction between the two focal lengths [px]; None if they agree within rounding."""
    if sensor is None or facts.focal_35mm is None:
        return None
    rounding = 0.5 / facts.focal_35mm
    if abs(math.log(film / sensor)) <= _FILM_ERROR + rounding:
        return None
    if is_uncropped and sensor > film:
        # The pixels of the sensor are those before the picture was made smaller.
        return None
    return (
        f"EXIF states two that contradict each other, {film:.4g} px for 35 mm film and "
        f"{sensor:.4g} px by the pixels of the sensor, so the picture may have been resized or "
        "cropped"
    )


def _doubt_about_sensor(facts: ExifFacts, size: tuple[int, int]) -> str | None:
    """Why the pixels of the sensor in EXIF cannot be those of this picture."""
    if facts.plane_x is None or facts.plane_y is None or facts.plane_unit is None:
        return None
    sides = facts.original_size or size
    pixels_per_mm = math.sqrt(facts.plane_x * facts.plane_y) / facts.plane_unit
    longer, shorter = max(sides) / pixels_per_mm, min(sides) / pixels_per_mm
    is_possible = _NARROWEST_SENSOR <= longer <= _WIDEST_SENSOR
    is_usual = any(
        abs(longer / width - 1) <= _SENSOR_ERROR or abs(shorter / height - 1) <= _SENSOR_ERROR
        for width, height in _USUAL_SENSORS
    )
    has_usual_sensor = _INTERCHANGEABLE.search(facts.camera_name) is not None
    # A file of a camera names it; one without a name was written by another program.
    is_edited = not facts.camera_name or _EDITORS.search(facts.software) is not None
    if is_possible and (is_usual or not (has_usual_sensor or is_edited)):
        return None
    name = f" ({printable(facts.camera_name[:40])})" if facts.camera_name else ""
    return (
        f"by the pixels of the sensor in EXIF, {max(sides):.0f} pixels are {longer:.3g} mm, which "
        f"is hardly the sensor of this camera{name}, so the picture may have been resized"
    )


def fisheye_name(facts: ExifFacts, xmp: bytes) -> str | None:
    """Name of a lens or camera that is no pinhole, as a fisheye; None without one."""
    for name in (facts.lens_name, facts.camera_name):
        if _FISHEYE.search(name):
            return printable(name[:60])
    if _ACTION_CAMERA.search(facts.camera_name):
        return printable(facts.camera_name[:60])
    found = _FISHEYE_IN_XMP.search(xmp)
    return None if found is None else printable(found[1].decode("utf-8", "replace"))
