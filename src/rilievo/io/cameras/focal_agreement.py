"""Check that fields of view and millimetres state the same focal length as the intrinsics."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.fov_entries import (
    FOCAL_LENGTHS,
    MAX_SENSOR_WIDTH,
    SENSOR_HEIGHTS,
    SENSOR_WIDTHS,
    Direction,
    NamedNumber,
    first_number,
    named_numbers,
    parse_angle_name,
    sensor_fit,
)
from rilievo.io.cameras.values import is_number, normalize_name
from rilievo.io.files.names import printable

MAX_ROUNDING = 0.03
"""Largest relative difference of two focal lengths that rounding explains."""
MAX_MILLIMETRE_ROUNDING = 0.1
"""The same for a focal length in millimetres, which makers round, and that of a calibration."""
_MAX_DIFFERENCE_WITHOUT_SIZE = 0.25
"""The same if the size of the pictures is guessed from the principal point."""


def check_focal_lengths_agree(
    entries: Mapping[str, Any],
    intrinsics: Sequence[float],
    sides: Sequence[float],
    location: str,
    *,
    has_distortion: bool,
) -> None:
    """Check that fields of view and millimetres beside intrinsics state the same focal length.

    ``sides`` are width and height of the pictures, or empty if not stated. If the lens has
    distortion, only angles that are certainly those of a pinhole are compared.

    Raises:
        InputError: If they state another focal length.
    """
    fx, _, cx, cy = intrinsics
    if len(sides) != 2:
        # Assume that the principal point is the middle of the picture.
        guessed_size = (2 * cx + 1, 2 * cy + 1)
        _check_fields_of_view_agree(
            entries,
            intrinsics,
            guessed_size,
            _MAX_DIFFERENCE_WITHOUT_SIZE,
            location,
            has_distortion=has_distortion,
        )
        return

    size = (sides[0], sides[1])
    _check_fields_of_view_agree(
        entries, intrinsics, size, MAX_ROUNDING, location, has_distortion=has_distortion
    )
    check_focal_mm_agrees(entries, fx, size, location)
    has_sensor = first_number(named_numbers(entries), SENSOR_WIDTHS) is not None
    if has_sensor and not has_distortion:
        check_sensor_fov_agrees(entries, fx, size, MAX_ROUNDING, location)


def _check_fields_of_view_agree(
    entries: Mapping[str, Any],
    intrinsics: Sequence[float],
    size: tuple[float, float],
    tolerance: float,
    location: str,
    *,
    has_distortion: bool,
) -> None:
    """Check that each field of view beside intrinsics implies the same focal length.

    ``size`` is (width, height) of the pictures, and ``tolerance`` the largest relative difference
    of two focal lengths.
    """
    fx, fy, *_ = intrinsics
    for normalized_name, number in named_numbers(entries).items():
        angle_name = parse_angle_name(normalized_name)
        direction = angle_name.direction
        # NeRF's programs compute the angle as that of a pinhole, even if there is distortion.
        if direction is None or (has_distortion and not angle_name.is_of_nerf):
            continue
        focal = fy if direction is Direction.VERTICAL else fx
        focal_over_side = _focal_over_side(angle_name.to_radians(number, location))
        implied_focals = [focal_over_side * side for side in _sides_along(direction, size)]
        if focal > 0 and not _is_close_to_any(focal, implied_focals, tolerance):
            raise conflicting_focal_lengths_error(focal, implied_focals[0], number, location)


def _focal_over_side(angle: float) -> float:
    """Focal length of a pinhole, relative to the side that a field of view [rad] spans."""
    return 0.5 / math.tan(angle / 2)


def _sides_along(direction: Direction, size: tuple[float, float]) -> list[float]:
    """List the lengths in a picture [px] that a field of view in this direction may span."""
    width, height = size
    diagonal = math.hypot(width, height)
    match direction:
        case Direction.HORIZONTAL:
            return [width]
        case Direction.VERTICAL:
            return [height]
        case Direction.DIAGONAL:
            return [diagonal]
        case Direction.NOT_STATED:
            return [width, height, diagonal]


def _is_close_to_any(focal: float, candidates: Sequence[float], tolerance: float) -> bool:
    """Whether a candidate differs from a focal length by at most ``tolerance``, relative to it.

    NaN counts as close, because an unknown value contradicts nothing.
    """
    differences = [abs(candidate / focal - 1) for candidate in candidates]
    return any(math.isnan(difference) or difference <= tolerance for difference in differences)


def check_focal_mm_agrees_with_fov(
    entries: Mapping[str, Any], degrees: float, aspect: float | None, location: str
) -> None:
    """Check that millimetres agree with a field of view, if the size of the pictures is unknown.

    ``degrees`` is the horizontal field of view, and ``aspect`` width over height, if stated.
    """
    # Only ratios matter, so the height of the pictures is the unit.
    width = 1.0 if aspect is None else aspect
    fx = 0.5 * width / math.tan(math.radians(degrees) / 2)
    check_focal_mm_agrees(entries, fx, (width, 1.0), location, is_in_pixels=False)


def check_focal_mm_agrees(
    entries: Mapping[str, Any],
    fx: float,
    size: tuple[float, float],
    location: str,
    *,
    is_in_pixels: bool = True,
) -> None:
    """Check that a focal length in millimetres, divided by the sensor size, agrees with ``fx``.

    ``fx`` and ``size`` (width, height) have the same unit. If that is not pixels, the message is in
    millimetres.
    """
    numbers = named_numbers(entries)
    focal = _find_focal_length_mm(numbers, fx)
    sensor_side = _find_sensor_side(entries, numbers)
    if focal is None or sensor_side is None:
        return
    focal_over_side = focal.value / sensor_side
    # The sensor's side may lie along either side of an upright picture.
    implied_focals = [focal_over_side * side for side in _sides_along_sensor(entries, size)]
    if any(abs(implied / fx - 1) <= MAX_MILLIMETRE_ROUNDING for implied in implied_focals):
        return
    if is_in_pixels:
        raise conflicting_focal_lengths_error(fx, implied_focals[0], focal, location)
    # fx has a unit that no file states, so the message compares both in millimetres.
    fx_mm = fx * focal.value / implied_focals[0]
    raise conflicting_focal_lengths_error(fx_mm, focal.value, focal, location, unit="mm")


def _find_focal_length_mm(numbers: Mapping[str, NamedNumber], fx: float) -> NamedNumber | None:
    """Find a focal length that is in millimetres, and not the same as ``fx`` [px] in pixels."""
    candidates = [
        numbers[name] for name in FOCAL_LENGTHS if name in numbers and numbers[name].value > 0
    ]
    if candidates and abs(candidates[0].value / fx - 1) <= MAX_MILLIMETRE_ROUNDING:
        # It repeats fx, so names without a unit mean pixels here.
        candidates = [number for number in candidates if normalize_name(number.name).endswith("mm")]
    return candidates[0] if candidates else None


def _find_sensor_side(
    entries: Mapping[str, Any], numbers: Mapping[str, NamedNumber]
) -> float | None:
    """Find the side of the sensor [mm] that is fitted to the pictures; None if it is not stated."""
    width = first_number(numbers, SENSOR_WIDTHS)
    if width is None or not 0 < width.value <= MAX_SENSOR_WIDTH:
        return None
    height = first_number(numbers, SENSOR_HEIGHTS)
    has_height = height is not None and 0 < height.value <= MAX_SENSOR_WIDTH
    if height is not None and has_height and sensor_fit(entries) == "VERTICAL":
        # With this setting, Blender fits the height of the sensor to that of the picture.
        return height.value
    return width.value


def _sides_along_sensor(entries: Mapping[str, Any], size: tuple[float, float]) -> list[float]:
    """List the picture sides that the stated side of the sensor may correspond to."""
    width, height = size
    side_by_fit = {"HORIZONTAL": width, "VERTICAL": height, "AUTO": max(width, height)}
    side = side_by_fit.get(sensor_fit(entries))
    if side is not None:
        return [side]
    # In a portrait picture, the width of the sensor may run along the height of the picture.
    return [width] if width >= height else [width, height]


def check_sensor_fov_agrees(
    entries: Mapping[str, Any],
    fx: float,
    size: tuple[float, float],
    tolerance: float,
    location: str,
) -> None:
    """Check that Blender's ``angle`` agrees with ``fx`` [px].

    This field of view spans the side of the picture to which the sensor is fitted.
    """
    for name, value in entries.items():
        angle_name = parse_angle_name(normalize_name(str(name)))
        if not angle_name.is_angle_of_sensor or not is_number(value):
            continue
        # An "angle" of 0 or 90 degrees is more likely a rotation than a field of view.
        may_be_fov = 0 < value < 180 and value != 90
        if not may_be_fov:
            continue
        number = NamedNumber(str(name), value)
        focal_over_side = _focal_over_side(angle_name.to_radians(number, location))
        implied_focals = [focal_over_side * side for side in _sides_along_sensor(entries, size)]
        if not _is_close_to_any(fx, implied_focals, tolerance):
            raise conflicting_focal_lengths_error(fx, implied_focals[0], number, location)


def conflicting_focal_lengths_error(
    focal: float, stated: float, number: NamedNumber, location: str, *, unit: str = "px"
) -> InputError:
    """Return the error for a focal length that contradicts an entry.

    ``stated`` is the focal length that follows from the entry ``number``.
    """
    return InputError(
        f"the focal length is given twice, as {focal:.5g} {unit} and as {stated:.5g} {unit} (from "
        f"'{printable(number.name[:40])}: {number.value:g}'): keep only the correct one",
        path=location,
    )
