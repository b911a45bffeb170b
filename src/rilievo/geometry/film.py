"""Focal lengths in millimetres."""

import math
from dataclasses import dataclass

from rilievo.errors import OptionError
from rilievo.geometry.intrinsics import focal_from_film


@dataclass(frozen=True, slots=True)
class Millimetres:
    """A focal length in millimetres, of a picture that is not cropped.

    Attributes:
        focal: Focal length [mm]: that of the 35 mm camera with the same diagonal field of view, as
            EXIF has it, or the true one if the sensor is known.
        sensor: Width of the sensor, its longer side [mm].

    Raises:
        OptionError: If one is not a positive number.
    """

    focal: float
    sensor: float | None = None

    def __post_init__(self) -> None:
        sensor = 1.0 if self.sensor is None else self.sensor
        if not (0 < self.focal < math.inf and 0 < sensor < math.inf):
            raise OptionError(f"its millimetres are positive numbers, got {self}")

    def __str__(self) -> str:
        """The text that ``parse_camera`` reads."""
        return f"{self.focal:.10g}mm" + ("" if self.sensor is None else f"/{self.sensor:.10g}mm")

    def pixels(self, size: tuple[int, int]) -> float:
        """Focal length [px] of a picture (height, width), which may be upright."""
        if self.sensor is None:
            return focal_from_film(self.focal, size)
        return self.focal / self.sensor * max(size)
