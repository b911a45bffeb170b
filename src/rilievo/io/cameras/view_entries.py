"""Entries of fields of view, focal lengths in millimetres and sensors, under any of their names.

Names are compared in small letters and digits alone, so that ``Fov_X`` is ``fovx``.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rilievo.errors import InputError
from rilievo.io.cameras.values import simplified_name
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
"""Names of angles that do not say their direction."""
_IN_RADIANS = ("anglex", "angley", "cameraanglex", "cameraangley")
"""Names of angles that are radians, as in Blender and NeRF's programs."""
_SENSOR_ANGLES = ("angle", "cameraangle", "lensangle")
"""Names of Blender's angle along the sensor's width; without a sensor they may be anything."""

FOCAL_LENGTHS = (
    *("focallength", "focallengthmm", "focalmm", "focal", "lens", "lensmm", "f"),
    *("camerafocallength", "cameralens"),
)
FILM_FOCAL_LENGTHS = (
    *("focallength35mm", "focallengthin35mmfilm", "focallengthin35mmformat", "focal35mm"),
)
"""Names of focal lengths for the size of 35 mm film."""
SENSOR_WIDTHS = (
    *("sensorwidth", "sensorwidthmm", "camerasensorwidth", "sensorw"),
    *("horizontalaperture", "aperturewidth", "cameraaperture", "sensorsize", "sensorsizemm"),
)
SENSOR_HEIGHTS = ("sensorheight", "sensorheightmm", "camerasensorheight", "sensorh")
MAX_SENSOR_WIDTH = 100.0
"""Widest sensor [mm]: large format begins there, and other numbers are no millimetres."""

_MIN_ANGLE = 1e-6  # [rad], so that its focal length is finite


@dataclass(frozen=True, slots=True)
class NamedNumber:
    """A number, and the name that it has in the file."""

    name: str
    value: float


class Direction(Enum):
    """Direction of a picture along which a field of view is measured."""

    HORIZONTAL = "horizontal"
    VERTICAL = "vertical"
    DIAGONAL = "diagonal"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AngleName:
    """Name of an entry that may be an angle, without its unit, and the unit at its end, if any."""

    core: str
    unit: str

    @property
    def direction(self) -> Direction | None:
        """Direction that the name says; None if it is the name of no field of view."""
        if self.core in _HORIZONTAL:
            return Direction.HORIZONTAL
        if self.core in _VERTICAL:
            return Direction.VERTICAL
        if self.core in _DIAGONAL:
            return Direction.DIAGONAL
        return Direction.UNKNOWN if self.core in _UNDIRECTED else None

    @property
    def is_in_radians(self) -> bool:
        """Whether the name is one of Blender's or NeRF's, whose angles are radians."""
        return self.core in _IN_RADIANS

    @property
    def is_angle_of_sensor(self) -> bool:
        """Whether it is Blender's angle along the width of the sensor."""
        return self.core in _SENSOR_ANGLES

    def to_radians(self, number: NamedNumber, location: str) -> float:
        """Angle of a number whose unit is that of the name, or else that of any photograph.

        Raises:
            InputError: If no picture has this field of view.
        """
        is_radians = self.unit.startswith("rad") or self.is_in_radians
        if not is_radians and not self.unit.startswith("deg"):
            # No photograph sees 3 degrees or less, and none 180 or more.
            is_radians = number.value < math.pi
        angle = number.value if is_radians else math.radians(number.value)
        if not _MIN_ANGLE < angle < math.pi:
            raise InputError(
                f"has '{printable(number.name[:40])}: {number.value:g}', expected an angle "
                "between 0 and 180 degrees, or between 0 and 3.14 radians",
                path=location,
            )
        return angle


def angle_name(simplified: str) -> AngleName:
    """Split the simplified name of an entry into an angle's name and its unit."""
    match = re.fullmatch(r"(.*?)(degrees|degree|degs|deg|radians|radian|rads|rad)?", simplified)
    assert match is not None, "any text matches"
    return AngleName(match[1], match[2] or "")


def named_numbers(entries: Mapping[str, Any]) -> dict[str, NamedNumber]:
    """Numbers of entries by their simplified names; of a list, its first number."""
    found: dict[str, NamedNumber] = {}
    for name, value in entries.items():
        if isinstance(value, list) and value and not isinstance(value[0], list | Mapping):
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        found.setdefault(simplified_name(str(name)), NamedNumber(str(name), number))
    return found


def first_number(numbers: Mapping[str, NamedNumber], names: Iterable[str]) -> NamedNumber | None:
    """First of these simplified names that has a number; None without one."""
    return next((numbers[name] for name in names if name in numbers), None)


def sensor_fit(entries: Mapping[str, Any]) -> str:
    """Side of the pictures that Blender fits its sensor to; empty if it is not stated."""
    return str(entries.get("sensor_fit") or "").upper()
