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

_HORIZONTAL = (
    *("hfov", "fovh", "fovx", "xfov", "horizontalfov", "fovhorizontal", "horizontalfieldofview"),
    *("anglex", "cameraanglex", "hfieldofview"),
)
_VERTICAL = (
    *("vfov", "fovv", "fovy", "yfov", "verticalfov", "fovvertical", "verticalfieldofview"),
    *("angley", "cameraangley", "vfieldofview"),
)
_DIAGONAL = ("dfov", "fovd", "diagonalfov", "fovdiagonal", "diagonalfieldofview")
_UNDIRECTED = ("fov", "fieldofview", "camerafov", "viewangle", "cameraviewangle")
"""Names of angles that do not state their direction."""
_IN_RADIANS = ("anglex", "angley", "cameraanglex", "cameraangley")
"""Names of angles that are always radians, as in Blender and NeRF's programs."""
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
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AngleName:
    """Name of an entry that may be an angle, split from the unit at its end (empty if none)."""

    name_without_unit: str
    unit: str

    @property
    def direction(self) -> Direction | None:
        """Direction that the name states; None if it is not the name of a field of view."""
        if self.name_without_unit in _HORIZONTAL:
            return Direction.HORIZONTAL
        if self.name_without_unit in _VERTICAL:
            return Direction.VERTICAL
        if self.name_without_unit in _DIAGONAL:
            return Direction.DIAGONAL
        return Direction.UNKNOWN if self.name_without_unit in _UNDIRECTED else None

    @property
    def is_in_radians(self) -> bool:
        """Whether it is a name of Blender or NeRF, whose angles are radians."""
        return self.name_without_unit in _IN_RADIANS

    @property
    def is_angle_of_sensor(self) -> bool:
        """Whether it may be Blender's field of view along the sensor."""
        return self.name_without_unit in _SENSOR_ANGLES

    def to_radians(self, number: NamedNumber, location: str) -> float:
        """Convert a number to radians, by the unit in the name or else by its size.

        Raises:
            InputError: If no picture has this field of view.
        """
        is_radians = self.unit.startswith("rad") or self.is_in_radians
        if not is_radians and not self.unit.startswith("deg"):
            # A field of view is hardly as small as 3 degrees, and never as large as pi radians.
            is_radians = number.value < math.pi
        angle = number.value if is_radians else math.radians(number.value)
        if not _MIN_ANGLE < angle < math.pi:
            raise InputError(
                f"'{printable(number.name[:40])}' is {number.value:g}; expected an angle between "
                "0 and 180 degrees, or between 0 and 3.14 radians",
                path=location,
            )
        return angle


def parse_angle_name(simplified: str) -> AngleName:
    """Split the normalized name of an entry into the name of an angle and its unit."""
    match = re.fullmatch(r"(.*?)(degrees|degree|degs|deg|radians|radian|rads|rad)?", simplified)
    assert match is not None, "any text matches"
    return AngleName(match[1], match[2] or "")


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
