"""Names and units of fields of view, focal lengths in millimetres, and sensor sizes.

Names are compared as lower-case letters and digits only, so that ``Fov_X`` is ``fovx``.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.values import normalize_name
from rilievo.io.files.names import printable

_HORIZONTAL_ANGLES = (
    *("hfov", "fovh", "fovx", "xfov", "horizontalfov", "fovhorizontal", "horizontalfieldofview"),
    *("anglex", "cameraanglex", "hfieldofview"),
)
_VERTICAL_ANGLES = (
    *("vfov", "fovv", "fovy", "yfov", "verticalfov", "fovvertical", "verticalfieldofview"),
    *("angley", "cameraangley", "vfieldofview"),
)
_DIAGONAL_ANGLES = ("dfov", "fovd", "diagonalfov", "fovdiagonal", "diagonalfieldofview")
_UNDIRECTED_ANGLES = ("fov", "fieldofview", "camerafov", "viewangle", "cameraviewangle")
"""Names of fields of view that do not state their direction."""
_NERF_ANGLES = ("anglex", "angley", "cameraanglex", "cameraangley")
"""Names of Blender and of NeRF's programs: radians, unless the name says degrees."""
_SENSOR_ANGLES = ("angle", "cameraangle", "lensangle")
"""Names of Blender's field of view along the sensor; in other files they may be any angle."""

FOCAL_LENGTHS = (
    *("focallength", "focallengthmm", "focalmm", "focal", "lens", "lensmm", "f"),
    *("camerafocallength", "cameralens"),
)
FILM_FOCAL_LENGTHS = (
    *("focallength35mm", "focallengthin35mmfilm", "focallengthin35mmformat", "focal35mm"),
)
"""Names of focal lengths that are equivalents for 35 mm film."""
SENSOR_WIDTHS = (
    *("sensorwidth", "sensorwidthmm", "camerasensorwidth", "sensorw"),
    *("horizontalaperture", "aperturewidth", "cameraaperture", "sensorsize", "sensorsizemm"),
)
SENSOR_HEIGHTS = ("sensorheight", "sensorheightmm", "camerasensorheight", "sensorh")
MAX_SENSOR_WIDTH = 100.0
"""Widest sensor [mm]. Beyond it begins large format, and larger numbers are hardly millimetres."""

_MIN_ANGLE = 1e-6  # [rad], so that the focal length is finite


@dataclass(frozen=True, slots=True)
class NamedNumber:
    """A number, with its name in the file."""

    name: str
    value: float


class Direction(Enum):
    """Direction in the picture along which a field of view is measured."""

    HORIZONTAL = "horizontal"
    VERTICAL = "vertical"
    DIAGONAL = "diagonal"
    NOT_STATED = "not stated"


_DIRECTIONS: Mapping[str, Direction] = {
    **dict.fromkeys(_HORIZONTAL_ANGLES, Direction.HORIZONTAL),
    **dict.fromkeys(_VERTICAL_ANGLES, Direction.VERTICAL),
    **dict.fromkeys(_DIAGONAL_ANGLES, Direction.DIAGONAL),
    **dict.fromkeys(_UNDIRECTED_ANGLES, Direction.NOT_STATED),
}
"""Direction of each name of a field of view."""


class AngleUnit(Enum):
    """Unit of an angle."""

    DEGREES = "degrees"
    RADIANS = "radians"


@dataclass(frozen=True, slots=True)
class AngleName:
    """Name of an entry that may be an angle, split from the unit at its end.

    Attributes:
        stated_unit: Unit that the name states or implies; None if it does neither.
    """

    name_without_unit: str
    stated_unit: AngleUnit | None

    @property
    def direction(self) -> Direction | None:
        """Direction of the field of view; None if it is not the name of a field of view."""
        return _DIRECTIONS.get(self.name_without_unit)

    @property
    def is_of_nerf(self) -> bool:
        """Whether it is a name of Blender or of NeRF's programs."""
        return self.name_without_unit in _NERF_ANGLES

    @property
    def is_angle_of_sensor(self) -> bool:
        """Whether it may be Blender's field of view along the sensor."""
        return self.name_without_unit in _SENSOR_ANGLES

    def to_radians(self, number: NamedNumber, location: str) -> float:
        """Convert a number to radians, by the unit of the name or else by a guess.

        Raises:
            InputError: If no picture has this field of view.
        """
        unit = self.stated_unit or _guess_angle_unit(number.value)
        angle = number.value if unit is AngleUnit.RADIANS else math.radians(number.value)
        if not _MIN_ANGLE < angle < math.pi:
            raise InputError(
                f"'{printable(number.name[:40])}' is {number.value:g}; expected an angle between "
                "0 and 180 degrees, or between 0 and 3.14 radians",
                path=location,
            )
        return angle


def _guess_angle_unit(angle: float) -> AngleUnit:
    """Guess the unit of a field of view by its size.

    It is hardly as small as 3 degrees, and never as large as pi radians.
    """
    return AngleUnit.RADIANS if angle < math.pi else AngleUnit.DEGREES


def parse_angle_name(normalized_name: str) -> AngleName:
    """Split the normalized name of an entry into the name of an angle and its unit."""
    match = re.fullmatch(
        r"(?P<name>.*?)"
        r"(?:(?P<degrees>degrees|degree|degs|deg)|(?P<radians>radians|radian|rads|rad))?",
        normalized_name,
    )
    assert match is not None, "any text matches"
    name = match["name"]
    if match["degrees"]:
        return AngleName(name, AngleUnit.DEGREES)
    if match["radians"] or name in _NERF_ANGLES:
        return AngleName(name, AngleUnit.RADIANS)
    return AngleName(name, None)


def named_numbers(entries: Mapping[str, Any]) -> dict[str, NamedNumber]:
    """Collect the numbers among entries, by normalized name; of a list, take the first number."""
    numbers: dict[str, NamedNumber] = {}
    for name, value in entries.items():
        if isinstance(value, list) and value and not isinstance(value[0], list | Mapping):
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        numbers.setdefault(normalize_name(str(name)), NamedNumber(str(name), number))
    return numbers


def first_number(numbers: Mapping[str, NamedNumber], names: Iterable[str]) -> NamedNumber | None:
    """Return the number of the first of these normalized names that has one."""
    return next((numbers[name] for name in names if name in numbers), None)


def sensor_fit(entries: Mapping[str, Any]) -> str:
    """Return Blender's ``sensor_fit``, the picture side that its sensor is fitted to, or ""."""
    return str(entries.get("sensor_fit") or "").upper()
