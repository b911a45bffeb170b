"""The lens of one camera whose entries a JSON, YAML, XML or npz states under any of their names."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rilievo.errors import InputError
from rilievo.errors.messages import join_notes
from rilievo.geometry.cameras.spelling import SpelledLens, read_spelling
from rilievo.io.cameras.distortions import NOT_NAMED
from rilievo.io.cameras.kalibr import to_kalibr_entries
from rilievo.io.cameras.lens_checks import (
    READABLE_MODELS,
    checked_lens,
    finite_numbers,
    intrinsics_of_matrix,
    no_camera_error,
    picture_size,
)
from rilievo.io.cameras.names import MATRICES
from rilievo.io.cameras.picture_changes import turn_note
from rilievo.io.cameras.picture_sizes import stated_size
from rilievo.io.cameras.rectified_matrices import rectified_note
from rilievo.io.cameras.stated_views import unusual_lens
from rilievo.io.cameras.values import flat_list, number_or_nan
from rilievo.io.cameras.view_agreement import (
    check_focal_lengths_agree,
    check_millimetres_agree_with_fov,
)
from rilievo.io.files.names import printable

_PERSPECTIVE_MODELS = (
    *("radtan", "plumb_bob", "rational_polynomial", "brown", "opencv", "none", "pinhole"),
    *("radial-tangential", "radial_tangential", "brown_conrady", NOT_NAMED),
)
_FOV_MODELS = ("fov", "atan")
_FISHEYE_MODELS = ("equidistant", "fisheye", "kannala_brandt", "kannala_brandt4")
_UNDISTORTED_MODELS = ("perspective", "simple_pinhole", "rectified", "linear", "distortion.none")

UNNAMED_FOUR_NOTE = (
    "its camera file names no lens model, and its 4 coefficients are read as k1, k2, p1 and p2: if "
    "they are of a fisheye, name 'distortion_model: equidistant', or write fisheye:FX,FY,CX,CY,K1,"
    "K2,K3,K4"
)
_UNNAMED_THREE_NOTE = (
    "its camera file names no lens model, and its k1, k2 and k3 are read as those of OpenCV's "
    "perspective lens: if they are of a fisheye, name 'camera_model: OPENCV_FISHEYE', or write "
    "fisheye:FX,FY,CX,CY,K1,K2,K3,K4"
)

_MAX_ASPECT_OF_PIXELS = 0.05
"""Relative difference of focal lengths up to which pixels are taken for square."""
_MAX_RELATIVE_FOCAL = 10.0
"""Focal lengths below it may be fractions of the picture's width, and not pixels."""
_MAX_OFF_CENTRE = 0.25
"""Distance of a principal point from the middle, relative to the side, that is still plausible."""


def lens_of_entries(entries: Mapping[str, Any], location: str, label: str = "") -> SpelledLens:
    """Read the lens of one camera, with a note on what was assumed.

    Args:
        entries: Entries of the camera, under any program's names.
        location: File, and the camera in it, for messages.
        label: Keys that lead to the camera in its file, which may say that it is a fisheye.

    Raises:
        InputError: If the lens is not read, or if entries contradict each other.
    """
    _refuse_other_units(entries, location)
    converted = to_kalibr_entries(entries, location, label)
    lens = converted.get("lens")
    has_intrinsics = any(converted.get(name) is not None for name in MATRICES)
    if isinstance(lens, str) and (":" in lens or not has_intrinsics):
        aspect = converted.get("picture_aspect")
        spelled = read_spelling(lens, option="its lens")
        _refuse_other_views(entries, aspect, location)
        return replace(spelled, aspect=aspect)
    return _lens_of_numbers(entries, converted, location)


def _lens_of_numbers(
    entries: Mapping[str, Any], converted: Mapping[str, Any], location: str
) -> SpelledLens:
    """Lens of intrinsics, coefficients and size; ``converted`` has Kalibr's names."""
    intrinsics, coefficients = _intrinsics_and_coefficients(converted, location)
    sides = [number_or_nan(side) for side in stated_size(converted)]
    # Calibrations that do not know the size state 0.
    if len(sides) != 2 or not all(sides):
        sides = []
    in_pixels = _in_pixels(intrinsics, sides)
    sides = in_pixels.sides

    model = str(converted.get("distortion_model") or "none").lower()
    lens = _lens_of_model(
        model,
        str(converted.get("stated_model") or model),
        in_pixels.intrinsics,
        coefficients,
        picture_size(sides[0], sides[1], location) if sides else None,
        location,
    )
    check_focal_lengths_agree(
        entries,
        in_pixels.intrinsics,
        # NeRF's forms have w and h, and other programs add the size by other names.
        sides or _positive_sides(entries),
        location,
        has_distortion=any(coefficients),
    )
    notes = [
        in_pixels.note,
        _unnamed_model_note(coefficients) if model == NOT_NAMED else None,
        rectified_note(entries, in_pixels.intrinsics, sides or None),
        turn_note(entries),
        _unusual_lens_note(entries, lens),
    ]
    texts = [note for note in notes if note is not None]
    return replace(lens, note=join_notes(texts)) if texts else lens


def _intrinsics_and_coefficients(
    converted: Mapping[str, Any], location: str
) -> tuple[list[float], list[float]]:
    """fx, fy, cx and cy, and the coefficients of the distortion, as they are stated."""
    numbers = _numbers_of_entry(converted, MATRICES, location)
    if not numbers:
        for name in ("fx", "fy", "cx", "cy"):
            numbers += _numbers_of_entry(converted, (name,), location)

    list_name = converted.get("distortion_name", "distortion_coeffs")
    coefficients = [number_or_nan(number) for number in converted.get("distortion_coeffs") or []]
    coefficients = finite_numbers(coefficients, f"{location}: {list_name}")
    if not any(coefficients[8:]):
        coefficients = coefficients[:8]
    if _are_waymo_numbers(numbers) and not coefficients:
        numbers, coefficients = numbers[:4], numbers[4:]

    intrinsics = intrinsics_of_matrix(numbers, location)
    if not intrinsics:
        raise no_camera_error(location, converted)
    if len(intrinsics) != 4:
        raise InputError(
            f"has {len(intrinsics)} numbers as its intrinsics, expected fx, fy, cx, cy, or the 9 "
            "of K",
            path=location,
        )
    return intrinsics, coefficients


def _numbers_of_entry(
    entries: Mapping[str, Any], names: Sequence[str], location: str
) -> list[float]:
    """Numbers of the first of these entries; [] without one."""
    name = next((name for name in names if entries.get(name) is not None), None)
    if name is None:
        return []
    numbers = [number_or_nan(number) for number in flat_list(entries[name])]
    return finite_numbers(numbers, f"{location}: {name}")


def _are_waymo_numbers(numbers: Sequence[float]) -> bool:
    """Whether nine numbers are fx, fy, cx, cy, k1, k2, p1, p2 and k3, as of Waymo, and not K."""
    if len(numbers) != 9 or min(numbers[:4]) <= 1:
        return False
    is_matrix = numbers[8] == 1 or numbers[1] == 0 or numbers[3] == 0
    return not is_matrix


@dataclass(frozen=True, slots=True)
class _PixelIntrinsics:
    """fx, fy, cx, cy [px], width and height (empty if not stated), and a note on what changed."""

    intrinsics: list[float]
    sides: list[float]
    note: str | None = None


def _in_pixels(intrinsics: list[float], sides: list[float]) -> _PixelIntrinsics:
    """Convert intrinsics that are fractions of the picture, and sides in the wrong order."""
    if not sides:
        return _PixelIntrinsics(intrinsics, sides)
    fx, fy, cx, cy = intrinsics
    width, height = sides
    if 0 < cx < 1 and 0 < cy < 1 and max(fx, fy) < _MAX_RELATIVE_FOCAL and min(sides) > 1:
        return _pixels_of_fractions(intrinsics, width, height)
    if not is_central(cx, cy, width, height) and is_central(cx, cy, height, width):
        note = (
            f"the size [{width:.10g}, {height:.10g}] of its camera file is taken for height and "
            f"width, because its centre is {cx:g},{cy:g}"
        )
        return _PixelIntrinsics(intrinsics, [height, width], note)
    return _PixelIntrinsics(intrinsics, sides)


def is_central(cx: float, cy: float, width: float, height: float) -> bool:
    """Whether a principal point lies near the middle of a picture of these sides [px]."""
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        return False
    off_centre = max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))
    return off_centre < _MAX_OFF_CENTRE


def _pixels_of_fractions(
    intrinsics: Sequence[float], width: float, height: float
) -> _PixelIntrinsics:
    """Multiply intrinsics by the sides of which they are fractions, or by the longer one."""
    fx, fy, cx, cy = intrinsics
    has_square_pixels = abs(fx * width / (fy * height) - 1) <= _MAX_ASPECT_OF_PIXELS
    if has_square_pixels or abs(fx / fy - 1) > _MAX_ASPECT_OF_PIXELS:
        unit, x_unit, y_unit = "the width and the height", width, height
    else:
        longer = max(width, height)
        unit, x_unit, y_unit = "the longer side", longer, longer

    # A centre in the middle is a half of each side, whatever the focal length is a fraction of.
    is_middle = abs(cx - 0.5) < _MAX_OFF_CENTRE / 2 and abs(cy - 0.5) < _MAX_OFF_CENTRE / 2
    cx_unit, cy_unit = (width, height) if is_middle else (x_unit, y_unit)
    note = (
        f"the numbers of its camera file are taken for shares of {unit} of the picture, "
        f"{width:.10g}x{height:.10g}, and were multiplied by it"
    )
    pixels = [fx * x_unit, fy * y_unit, cx * cx_unit - 0.5, cy * cy_unit - 0.5]
    return _PixelIntrinsics(pixels, [width, height], note)


def _lens_of_model(
    model: str,
    shown: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[int, int] | None,
    location: str,
) -> SpelledLens:
    """Lens of a model in Kalibr's names; ``shown`` is the model's name in the file."""
    if not any(coefficients):
        if model in _FISHEYE_MODELS:
            return checked_lens("fisheye", intrinsics, size, location)
        if model in (*_PERSPECTIVE_MODELS, *_FOV_MODELS, *_UNDISTORTED_MODELS):
            return checked_lens("pinhole", intrinsics, size, location)
        raise InputError(
            f"has the lens model '{printable(shown[:60])}'; {READABLE_MODELS}", path=location
        )

    if model in _FISHEYE_MODELS and not any(coefficients[4:]):
        # RealSense has five places for coefficients, whatever the model.
        coefficients = coefficients[:4]
    count = len(coefficients)
    numbers = [*intrinsics, *coefficients]
    if model in _FISHEYE_MODELS and count == 4:
        return checked_lens("fisheye", numbers, size, location)
    if model in _FOV_MODELS and count == 1:
        return checked_lens("fov", numbers, size, location)
    if model in _PERSPECTIVE_MODELS and count in (4, 5, 8):
        return checked_lens("opencv", numbers, size, location)
    raise InputError(
        f"has the lens model '{printable(shown[:60])}' with {count} coefficients; "
        f"{READABLE_MODELS}",
        path=location,
    )


def _refuse_other_units(entries: Mapping[str, Any], location: str) -> None:
    """Refuse intrinsics that are stated to be in millimetres or the like."""
    unit = re.compile(r"mm|milli\w*|cm|m|metres?|meters?|in|inch(es)?")
    other_quantity = re.compile(r"world|translation|baseline|depth|pose|length", re.IGNORECASE)
    for name, value in entries.items():
        name, word = str(name), str(value).lower()
        if not re.search(r"units?$", name, re.IGNORECASE) or other_quantity.search(name):
            continue
        if unit.fullmatch(word):
            raise InputError(
                f"states '{printable(name[:30])}: {printable(word[:20])}': intrinsics are "
                "read in pixels; multiply them by the width of the pictures over that of the "
                "sensor, or write Fmm/WIDTHmm",
                path=location,
            )


def _refuse_other_views(entries: Mapping[str, Any], aspect: float | None, location: str) -> None:
    """Refuse what contradicts the only angle of a ``transforms.json``."""
    angle = entries.get("camera_angle_x")
    if not isinstance(angle, int | float):
        return
    sides = _positive_sides(entries)
    if not sides:
        check_millimetres_agree_with_fov(entries, math.degrees(angle), aspect, location)
        return
    width, height = sides
    fx = 0.5 * width / math.tan(0.5 * angle)
    intrinsics = [fx, fx, (width - 1) / 2, (height - 1) / 2]
    check_focal_lengths_agree(entries, intrinsics, sides, location, has_distortion=False)


def _positive_sides(entries: Mapping[str, Any]) -> list[float]:
    """Width and height by any of their names; [] if they are not stated, or not positive."""
    sides = [number_or_nan(side) for side in stated_size(entries)]
    return sides if len(sides) == 2 and all(side > 0 for side in sides) else []


def _unnamed_model_note(coefficients: Sequence[float]) -> str | None:
    """Note on a model that is guessed from the number of coefficients; None if all are 0."""
    if not any(coefficients):
        return None
    return UNNAMED_FOUR_NOTE if len(coefficients) == 4 else _UNNAMED_THREE_NOTE


def _unusual_lens_note(entries: Mapping[str, Any], lens: SpelledLens) -> str | None:
    """Note on a lens that is named a fisheye or the like, and has the numbers of a pinhole."""
    unusual = unusual_lens(entries)
    if unusual is None or lens.name != "pinhole":
        return None
    return (
        f"its camera file states '{unusual}' and no distortion, so it is taken for a pinhole: if "
        "it is a fisheye, give fisheye:FX,FY,CX,CY,K1,K2,K3,K4"
    )
