"""Parse the lens of one camera from the entries of a JSON, YAML, XML or npz file."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rilievo.errors import InputError
from rilievo.errors.messages import join_notes
from rilievo.geometry.cameras.spelling import SpelledLens, read_spelling
from rilievo.io.cameras.distortions import NOT_NAMED
from rilievo.io.cameras.focal_agreement import (
    check_focal_lengths_agree,
    check_focal_mm_agrees_with_fov,
)
from rilievo.io.cameras.fov_cameras import find_non_pinhole_entry
from rilievo.io.cameras.kalibr import convert_to_kalibr
from rilievo.io.cameras.lens_checks import (
    SUPPORTED_MODELS,
    check_picture_size,
    checked_lens,
    intrinsics_from_matrix,
    no_camera_error,
    require_finite,
)
from rilievo.io.cameras.names import MATRICES
from rilievo.io.cameras.picture_changes import unapplied_orientation_note
from rilievo.io.cameras.picture_sizes import stated_size
from rilievo.io.cameras.rectified_matrices import rectified_note
from rilievo.io.cameras.values import flatten_rows, number_or_nan
from rilievo.io.files.names import printable

_PERSPECTIVE_MODELS = (
    *("radtan", "plumb_bob", "rational_polynomial", "brown", "opencv", "none", "pinhole"),
    *("radial-tangential", "radial_tangential", "brown_conrady", NOT_NAMED),
)
_FOV_MODELS = ("fov", "atan")
_FISHEYE_MODELS = ("equidistant", "fisheye", "kannala_brandt", "kannala_brandt4")
_UNDISTORTED_MODELS = ("perspective", "simple_pinhole", "rectified", "linear", "distortion.none")

UNNAMED_FOUR_NOTE = (
    "its camera file names no lens model, so its 4 coefficients are read as k1, k2, p1 and p2: if "
    "they belong to a fisheye, add 'distortion_model: equidistant' to the file, or pass "
    "fisheye:FX,FY,CX,CY,K1,K2,K3,K4"
)
_UNNAMED_THREE_NOTE = (
    "its camera file names no lens model, so its k1, k2 and k3 are read as those of OpenCV's "
    "perspective model: if they belong to a fisheye, add 'camera_model: OPENCV_FISHEYE' to the "
    "file, or pass fisheye:FX,FY,CX,CY,K1,K2,K3,K4"
)

_LENGTH_UNIT = re.compile(r"mm|milli\w*|cm|m|metres?|meters?|in|inch(es)?")
_UNIT_ENTRY = re.compile(r"units?$", re.IGNORECASE)
_OTHER_QUANTITY = re.compile(r"world|translation|baseline|depth|pose|length", re.IGNORECASE)
"""Words in the names of units that are not those of the intrinsics."""

_MAX_FOCAL_DIFFERENCE = 0.05
"""Relative difference of fx and fy up to which pixels are taken for square."""
_MAX_RELATIVE_FOCAL = 10.0
"""Focal lengths below it may be fractions of the picture's width, and not pixels."""
_MAX_OFF_CENTRE = 0.25
"""Largest plausible distance of the principal point from the middle, relative to the side."""


def parse_lens_entries(entries: Mapping[str, Any], location: str, label: str = "") -> SpelledLens:
    """Parse the lens of one camera, with a note on what was assumed.

    ``label`` are the keys that lead to the camera in its file, which may say that it is a fisheye.

    Raises:
        InputError: If the lens is not supported, or if entries contradict each other.
    """
    _check_unit_is_pixels(entries, location)
    converted = convert_to_kalibr(entries, location, label)
    lens = converted.get("lens")
    has_intrinsics = any(converted.get(name) is not None for name in MATRICES)
    if isinstance(lens, str) and (":" in lens or not has_intrinsics):
        aspect = converted.get("picture_aspect")
        spelled = read_spelling(lens, option="its lens")
        _check_other_fov_agrees(entries, aspect, location)
        return replace(spelled, aspect=aspect)
    return _build_lens(entries, converted, location)


def _build_lens(
    entries: Mapping[str, Any], converted: Mapping[str, Any], location: str
) -> SpelledLens:
    """Build the lens from intrinsics, coefficients and size, and check them against each other.

    ``converted`` are the entries in Kalibr's names.
    """
    stated_intrinsics, coefficients = _parse_intrinsics_and_coefficients(converted, location)
    in_pixels = _convert_to_pixels(stated_intrinsics, _read_nonzero_sides(converted))
    intrinsics, sides = in_pixels.intrinsics, in_pixels.sides

    model = str(converted.get("distortion_model") or "none").lower()
    lens = _lens_from_model(
        model,
        str(converted.get("stated_model") or model),
        intrinsics,
        coefficients,
        check_picture_size(sides[0], sides[1], location) if sides else None,
        location,
    )
    # The conversion to Kalibr's names may drop a size under an unusual name.
    any_sides = sides or _read_positive_sides(entries)
    check_focal_lengths_agree(
        entries, intrinsics, any_sides, location, has_distortion=any(coefficients)
    )
    possible_notes = [
        in_pixels.note,
        _unnamed_model_note(coefficients) if model == NOT_NAMED else None,
        rectified_note(entries, intrinsics, sides or None),
        unapplied_orientation_note(entries),
        _unusual_lens_note(entries, lens),
    ]
    notes = [note for note in possible_notes if note is not None]
    return replace(lens, note=join_notes(notes)) if notes else lens


def _read_nonzero_sides(converted: Mapping[str, Any]) -> list[float]:
    """Read width and height from entries in Kalibr's names; empty if they are not stated.

    Programs that do not know the size of the pictures write 0, which counts as not stated.
    """
    sides = [number_or_nan(side) for side in stated_size(converted)]
    return sides if len(sides) == 2 and all(sides) else []


def _parse_intrinsics_and_coefficients(
    converted: Mapping[str, Any], location: str
) -> tuple[list[float], list[float]]:
    """Parse (fx, fy, cx, cy) and the distortion coefficients from entries in Kalibr's names."""
    numbers = _read_entry_numbers(converted, MATRICES, location)
    if not numbers:
        # Entries in an unknown form are not converted, and may have the four by their names.
        for name in ("fx", "fy", "cx", "cy"):
            numbers += _read_entry_numbers(converted, (name,), location)

    list_name = converted.get("distortion_name", "distortion_coeffs")
    coefficients = require_finite(
        [number_or_nan(number) for number in converted.get("distortion_coeffs") or []],
        f"{location}: {list_name}",
    )
    if _is_waymo_list(numbers) and not coefficients:
        return numbers[:4], numbers[4:]
    # OpenCV writes up to 14 coefficients, of which those after the eighth are mostly 0.
    has_only_eight = not any(coefficients[8:])
    used_coefficients = coefficients[:8] if has_only_eight else coefficients

    intrinsics = intrinsics_from_matrix(numbers, location)
    if not intrinsics:
        raise no_camera_error(location, converted)
    if len(intrinsics) != 4:
        raise InputError(
            "expected fx, fy, cx and cy, or the 9 numbers of K, but the number of intrinsics in "
            f"the file is {len(intrinsics)}",
            path=location,
        )
    return intrinsics, used_coefficients


def _read_entry_numbers(
    entries: Mapping[str, Any], names: Sequence[str], location: str
) -> list[float]:
    """Read the numbers of the first of these entries that exists; empty if none does."""
    name = next((name for name in names if entries.get(name) is not None), None)
    if name is None:
        return []
    numbers = [number_or_nan(number) for number in flatten_rows(entries[name])]
    return require_finite(numbers, f"{location}: {name}")


def _is_waymo_list(numbers: Sequence[float]) -> bool:
    """Whether nine numbers are Waymo's fx, fy, cx, cy, k1, k2, p1, p2, k3, and not a 3x3 K."""
    if len(numbers) != 9 or min(numbers[:4]) <= 1:
        return False
    _, skew, _, below_fx, *_, last = numbers  # as the rows of K: 0, 0 and 1
    is_matrix = last == 1 or skew == 0 or below_fx == 0
    return not is_matrix


@dataclass(frozen=True, slots=True)
class _PixelIntrinsics:
    """Intrinsics [px], width and height (empty if not stated), and a note on the conversion."""

    intrinsics: list[float]
    sides: list[float]
    note: str | None = None


def _convert_to_pixels(intrinsics: list[float], sides: list[float]) -> _PixelIntrinsics:
    """Convert intrinsics that are fractions of the picture, and swap sides in the wrong order."""
    if not sides:
        return _PixelIntrinsics(intrinsics, sides)
    fx, fy, cx, cy = intrinsics
    width, height = sides
    if 0 < cx < 1 and 0 < cy < 1 and max(fx, fy) < _MAX_RELATIVE_FOCAL and min(sides) > 1:
        return _scale_fractions(intrinsics, width, height)
    if not is_central(cx, cy, width, height) and is_central(cx, cy, height, width):
        note = (
            f"the image size [{width:.10g}, {height:.10g}] in its camera file is read as height "
            f"and width, because the principal point is {cx:g},{cy:g}"
        )
        return _PixelIntrinsics(intrinsics, [height, width], note)
    return _PixelIntrinsics(intrinsics, sides)


def is_central(cx: float, cy: float, width: float, height: float) -> bool:
    """Whether a principal point lies near the middle of a picture of these sides [px]."""
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        return False
    off_centre = max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))
    return off_centre < _MAX_OFF_CENTRE


def _scale_fractions(intrinsics: Sequence[float], width: float, height: float) -> _PixelIntrinsics:
    """Convert intrinsics that are fractions of width and height, or of the longer side, to pixels.

    Which of the two they are shows in the pixels, which have to become square.
    """
    fx, fy, cx, cy = intrinsics
    has_square_pixels = abs(fx * width / (fy * height) - 1) <= _MAX_FOCAL_DIFFERENCE
    if has_square_pixels or abs(fx / fy - 1) > _MAX_FOCAL_DIFFERENCE:
        unit_name, x_unit, y_unit = "the width and the height", width, height
    else:
        longer_side = max(width, height)
        unit_name, x_unit, y_unit = "the longer side", longer_side, longer_side

    # A centre near (0.5, 0.5) is a fraction of each side, whatever the unit of the focal length.
    is_middle = abs(cx - 0.5) < _MAX_OFF_CENTRE / 2 and abs(cy - 0.5) < _MAX_OFF_CENTRE / 2
    cx_unit, cy_unit = (width, height) if is_middle else (x_unit, y_unit)
    note = (
        f"the intrinsics in its camera file are read as fractions of {unit_name} of the image "
        f"({width:.10g}x{height:.10g}) and were converted to pixels"
    )
    # Fractions count from the corner of the first pixel, and pixels from its centre.
    in_pixels = [fx * x_unit, fy * y_unit, cx * cx_unit - 0.5, cy * cy_unit - 0.5]
    return _PixelIntrinsics(in_pixels, [width, height], note)


def _lens_from_model(
    model: str,
    name_in_file: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[int, int] | None,
    location: str,
) -> SpelledLens:
    """Make the lens for a distortion model.

    ``model`` is Kalibr's name of the model, and ``name_in_file`` its name in messages.
    """
    if not any(coefficients):
        return _lens_without_distortion(model, name_in_file, intrinsics, size, location)

    if model in _FISHEYE_MODELS and not any(coefficients[4:]):
        # RealSense always writes five coefficients, of which a fisheye uses four.
        coefficients = coefficients[:4]
    coefficient_count = len(coefficients)
    numbers = [*intrinsics, *coefficients]
    if model in _FISHEYE_MODELS and coefficient_count == 4:
        return checked_lens("fisheye", numbers, size, location)
    if model in _FOV_MODELS and coefficient_count == 1:
        return checked_lens("fov", numbers, size, location)
    if model in _PERSPECTIVE_MODELS and coefficient_count in (4, 5, 8):
        return checked_lens("opencv", numbers, size, location)
    raise InputError(
        f"the lens model '{printable(name_in_file[:60])}' is not supported with "
        f"{coefficient_count} coefficient{'s' if coefficient_count > 1 else ''}; "
        f"{SUPPORTED_MODELS}",
        path=location,
    )


def _lens_without_distortion(
    model: str,
    name_in_file: str,
    intrinsics: Sequence[float],
    size: tuple[int, int] | None,
    location: str,
) -> SpelledLens:
    """Make the lens for a model without coefficients, or with zeros alone.

    A perspective model is then a pinhole, but a fisheye remains one.
    """
    if model in _FISHEYE_MODELS:
        return checked_lens("fisheye", intrinsics, size, location)
    if model in (*_PERSPECTIVE_MODELS, *_FOV_MODELS, *_UNDISTORTED_MODELS):
        return checked_lens("pinhole", intrinsics, size, location)
    raise InputError(
        f"the lens model '{printable(name_in_file[:60])}' is not supported; {SUPPORTED_MODELS}",
        path=location,
    )


def _check_unit_is_pixels(entries: Mapping[str, Any], location: str) -> None:
    """Check that no entry says that the intrinsics are in millimetres or another length."""
    for key, value in entries.items():
        name, unit = str(key), str(value).lower()
        is_unit = _UNIT_ENTRY.search(name) is not None and _OTHER_QUANTITY.search(name) is None
        if is_unit and _LENGTH_UNIT.fullmatch(unit):
            raise InputError(
                f"'{printable(name[:30])}: {printable(unit[:20])}' is not supported, because "
                "intrinsics must be in pixels: multiply them by the image width, divide them by "
                "the sensor width and remove this entry, or pass Fmm/WIDTHmm",
                path=location,
            )


def _check_other_fov_agrees(
    entries: Mapping[str, Any], aspect: float | None, location: str
) -> None:
    """Check that nothing contradicts the angle of a ``transforms.json`` without a focal length."""
    angle = entries.get("camera_angle_x")
    if not isinstance(angle, int | float):
        return
    sides = _read_positive_sides(entries)
    if not sides:
        check_focal_mm_agrees_with_fov(entries, math.degrees(angle), aspect, location)
        return
    width, height = sides
    fx = 0.5 * width / math.tan(0.5 * angle)
    intrinsics = [fx, fx, (width - 1) / 2, (height - 1) / 2]
    check_focal_lengths_agree(entries, intrinsics, sides, location, has_distortion=False)


def _read_positive_sides(entries: Mapping[str, Any]) -> list[float]:
    """Read width and height under any names; empty if they are not stated, or not positive."""
    sides = [number_or_nan(side) for side in stated_size(entries)]
    return sides if len(sides) == 2 and all(side > 0 for side in sides) else []


def _unnamed_model_note(coefficients: Sequence[float]) -> str | None:
    """Return a note on a model that was guessed from the coefficients; None if all are 0."""
    if not any(coefficients):
        return None
    return UNNAMED_FOUR_NOTE if len(coefficients) == 4 else _UNNAMED_THREE_NOTE


def _unusual_lens_note(entries: Mapping[str, Any], lens: SpelledLens) -> str | None:
    """Return a note on a lens that is called a fisheye or the like, but has no distortion."""
    entry = find_non_pinhole_entry(entries)
    if entry is None or lens.name != "pinhole":
        return None
    return (
        f"its camera file has '{entry}' but no distortion, so rilievo reads it as a pinhole: if "
        "it is a fisheye, pass fisheye:FX,FY,CX,CY,K1,K2,K3,K4"
    )
