"""Fields of view and millimetres beside intrinsics, which have to state the same focal length."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.values import is_number, simplified_name
from rilievo.io.cameras.view_entries import (
    FOCAL_LENGTHS,
    MAX_SENSOR_WIDTH,
    SENSOR_HEIGHTS,
    SENSOR_WIDTHS,
    Direction,
    NamedNumber,
    angle_name,
    first_number,
    named_numbers,
    sensor_fit,
)
from rilievo.io.files.names import printable

MAX_ROUNDING = 0.03
"""Relative difference up to which two statements of a focal length are one, by their rounding."""
MAX_MILLIMETRE_ROUNDING = 0.1
"""The same of a focal length in millimetres, which makers round, and that of a calibration."""
_MAX_DIFFERENCE_WITHOUT_SIZE = 0.25
"""The same where the size of the pictures is guessed from the principal point."""


def check_focal_lengths_agree(
    entries: Mapping[str, Any],
    intrinsics: Sequence[float],
    sides: Sequence[float],
    location: str,
    *,
    has_distortion: bool,
) -> None:
    """Check that fields of view and millimetres beside intrinsics state the same focal length.

    Args:
        entries: Entries of the camera, with the intrinsics among them.
        intrinsics: fx, fy, cx and cy [px].
        sides: Width and height of their pictures; empty if not stated.
        location: File, and the camera in it, for messages.
        has_distortion: Whether the lens has distortion, which a field of view may or may not
            include.

    Raises:
        InputError: If they state another focal length.
    """
    fx, fy, cx, cy = intrinsics
    has_size = len(sides) == 2
    size = (sides[0], sides[1]) if has_size else (2 * cx + 1, 2 * cy + 1)
    tolerance = MAX_ROUNDING if has_size else _MAX_DIFFERENCE_WITHOUT_SIZE
    numbers = named_numbers(entries)
    for simplified, number in numbers.items():
        name = angle_name(simplified)
        # The angles of NeRF's programs are those of a pinhole, whatever the lens.
        if name.direction is None or (has_distortion and not name.is_in_radians):
            continue
        focal = fy if name.direction is Direction.VERTICAL else fx
        focal_over_side = 0.5 / math.tan(name.to_radians(number, location) / 2)
        implied_focals = [focal_over_side * side for side in _sides_along(name.direction, size)]
        if focal > 0 and not _is_close_to_any(focal, implied_focals, tolerance):
            raise two_focal_lengths_error(focal, implied_focals[0], number, location)
    if not has_size:
        return
    check_millimetres_agree(entries, fx, size, location)
    if not has_distortion and first_number(numbers, SENSOR_WIDTHS) is not None:
        check_sensor_fov_agrees(entries, fx, size, tolerance, location)


def _sides_along(direction: Direction, size: tuple[float, float]) -> list[float]:
    """Sides of a picture [px] that an angle in this direction may span."""
    width, height = size
    diagonal = math.hypot(width, height)
    match direction:
        case Direction.HORIZONTAL:
            return [width]
        case Direction.VERTICAL:
            return [height]
        case Direction.DIAGONAL:
            return [diagonal]
        case Direction.UNKNOWN:
            return [width, height, diagonal]


def _is_close_to_any(focal: float, candidates: Sequence[float], tolerance: float) -> bool:
    # Written so that NaN, which is close to nothing, counts as close: nothing contradicts it.
    return not all(abs(candidate / focal - 1) > tolerance for candidate in candidates)


def check_millimetres_agree_with_fov(
    entries: Mapping[str, Any], degrees: float, aspect: float | None, location: str
) -> None:
    """Check that millimetres agree with a field of view, if the size of the pictures is unknown.

    Args:
        entries: Entries of the camera.
        degrees: Field of view from the left to the right edge.
        aspect: Width over height; None if it is not stated.
        location: File, and the camera in it, for messages.
    """
    width, height = (1.0 if aspect is None else aspect, 1.0)
    fx = 0.5 * width / math.tan(math.radians(degrees) / 2)
    check_millimetres_agree(entries, fx, (width, height), location, is_in_pixels=False)


def check_millimetres_agree(
    entries: Mapping[str, Any],
    fx: float,
    size: tuple[float, float],
    location: str,
    *,
    is_in_pixels: bool = True,
) -> None:
    """Check that a focal length in millimetres over the sensor agrees with ``fx``.

    Args:
        entries: Entries of the camera.
        fx: Its focal length, in the unit of ``size``.
        size: Width and height of its pictures.
        location: File, and the camera in it, for messages.
        is_in_pixels: Whether that unit is pixels. If not, the message is in millimetres.
    """
    numbers = named_numbers(entries)
    focal = _stated_millimetres(numbers, fx)
    side_of_sensor = _millimetres_of_sensor(entries, numbers)
    if focal is None or side_of_sensor is None:
        return
    focal_over_side = focal.value / side_of_sensor
    implied_focals = [focal_over_side * side for side in _sides_along_sensor(entries, size)]
    if any(abs(implied / fx - 1) <= MAX_MILLIMETRE_ROUNDING for implied in implied_focals):
        return
    if is_in_pixels:
        raise two_focal_lengths_error(fx, implied_focals[0], focal, location)
    millimetres = focal.value * fx / implied_focals[0]
    raise two_focal_lengths_error(millimetres, focal.value, focal, location, unit="mm")


def _stated_millimetres(numbers: Mapping[str, NamedNumber], fx: float) -> NamedNumber | None:
    """Focal length [mm] that is stated beside ``fx`` [px]; None without one."""
    stated = [
        numbers[name] for name in FOCAL_LENGTHS if name in numbers and numbers[name].value > 0
    ]
    if stated and abs(stated[0].value / fx - 1) <= MAX_MILLIMETRE_ROUNDING:
        # Names without a unit may mean pixels.
        stated = [number for number in stated if simplified_name(number.name).endswith("mm")]
    return stated[0] if stated else None


def _millimetres_of_sensor(
    entries: Mapping[str, Any], numbers: Mapping[str, NamedNumber]
) -> float | None:
    """Side of the sensor that is fitted to the pictures [mm]; None if it is not stated."""
    width = first_number(numbers, SENSOR_WIDTHS)
    if width is None or not 0 < width.value <= MAX_SENSOR_WIDTH:
        return None
    height = first_number(numbers, SENSOR_HEIGHTS)
    has_height = height is not None and 0 < height.value <= MAX_SENSOR_WIDTH
    if height is not None and has_height and sensor_fit(entries) == "VERTICAL":
        # Blender takes the height of the sensor for that of the picture.
        return height.value
    return width.value


def _sides_along_sensor(entries: Mapping[str, Any], size: tuple[float, float]) -> list[float]:
    """Sides of a picture that the side of its sensor may belong to."""
    width, height = size
    by_fit = {"HORIZONTAL": width, "VERTICAL": height, "AUTO": max(width, height)}
    side = by_fit.get(sensor_fit(entries))
    if side is not None:
        return [side]
    # A camera that is held upright keeps the width of its sensor.
    return [width] if width >= height else [width, height]


def check_sensor_fov_agrees(
    entries: Mapping[str, Any],
    fx: float,
    size: tuple[float, float],
    tolerance: float,
    location: str,
) -> None:
    """Check that a field of view along the sensor, as Blender writes it, agrees with ``fx`` [px].

    Blender's ``angle`` spans the side of the picture to which the sensor is fitted.
    """
    for entry, value in entries.items():
        name = angle_name(simplified_name(str(entry)))
        if not name.is_angle_of_sensor or not is_number(value):
            continue
        # An entry "angle" of 0 or 90 degrees is mostly a rotation and no field of view.
        if not 0 < value < 180 or value == 90:
            continue
        number = NamedNumber(str(entry), value)
        focal_over_side = 0.5 / math.tan(name.to_radians(number, location) / 2)
        implied_focals = [focal_over_side * side for side in _sides_along_sensor(entries, size)]
        if not _is_close_to_any(fx, implied_focals, tolerance):
            raise two_focal_lengths_error(fx, implied_focals[0], number, location)


def two_focal_lengths_error(
    focal: float, stated: float, number: NamedNumber, location: str, *, unit: str = "px"
) -> InputError:
    """Error for a focal length that contradicts the one that an entry states."""
    return InputError(
        f"states two focal lengths, {focal:.5g} {unit} and {stated:.5g} {unit} by "
        f"'{printable(number.name[:40])}: {number.value:g}': keep the one that holds",
        path=location,
    )
