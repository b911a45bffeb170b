"""A measured quantity with its unit, its range and its origin."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

Point = tuple[float, float]
"""Column and row [px]."""


class MeasurementOrigin(StrEnum):
    """Where the number of a measurement comes from, which decides its range."""

    NETWORK = "network"
    """Depth that a network predicted."""
    DEPTH_MAP = "depth map"
    """A depth map that the user gave."""
    SENSOR = "sensor"
    """Pixels that a sensor measured."""
    SENSOR_GAP = "sensor gap"
    """Depth that was filled between the pixels of a sensor, at one point or more."""
    RECTANGLE = "rectangle"
    """The corners of a known rectangle, without depth."""
    KNOWN = "known"
    """A size that the user gave."""


class Quantity(StrEnum):
    """Quantity that is measured."""

    DISTANCE = "distance"
    RELATIVE_DISTANCE = "relative distance"
    """Distance over the median distance of the photograph, if no size is known."""
    LENGTH = "length"
    HEIGHT = "height"
    """Height above the visible floor."""
    HEIGHT_ABOVE_PLANE = "height above the plane"
    """Height above the plane of a known rectangle."""
    AREA = "area"
    VOLUME = "volume"
    """Volume above a plane, or below it."""
    ANGLE = "angle"
    FIT = "fit"
    """Largest object of a shape that fits through an opening, over the size of the object."""


UNITS = {
    Quantity.DISTANCE: "m",
    Quantity.RELATIVE_DISTANCE: "× the median distance",
    Quantity.LENGTH: "m",
    Quantity.HEIGHT: "m",
    Quantity.HEIGHT_ABOVE_PLANE: "m",
    Quantity.AREA: "m²",
    Quantity.VOLUME: "m³",
    Quantity.ANGLE: "°",
    Quantity.FIT: "× the object",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Quantity measured on a surface.

    Attributes:
        what: The quantity, which is also a text, such as "length".
        value: Value, in ``unit``.
        low: Lower end of the range in which eight in ten such measurements lie.
        high: Upper end.
        origin: Where the number comes from.
        remarks: Remarks, a sentence each.
    """

    what: Quantity
    value: float
    low: float
    high: float
    origin: MeasurementOrigin = MeasurementOrigin.NETWORK
    remarks: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Unit of ``value``: metres, square or cubic metres, degrees, or a ratio."""
        return UNITS[self.what]

    def __str__(self) -> str:
        name = "height above the floor" if self.what == Quantity.HEIGHT else self.what
        return f"{name}: {self.text}"

    @property
    def text(self) -> str:
        """Value and range, such as ``0.82 m (0.71 to 0.95)``."""
        return self.text_in(self.unit)

    def text_in(self, unit: str) -> str:
        """Value and range with another name of the unit; numbers are not converted."""
        digits = _decimal_places(self.high - self.low)
        # "z" writes what rounds to zero without a minus.
        value, low, high = (f"{number:z.{digits}f}" for number in (self.value, self.low, self.high))
        space = "" if self.what == Quantity.ANGLE else " "
        return f"{value}{space}{unit} ({low} to {high})"


def _decimal_places(range_width: float) -> int:
    """Decimal places that show a fifth of a range, at most 6; 3 for a range of no width."""
    if not (range_width > 0 and math.isfinite(range_width)):
        return 3
    return min(6, max(0, math.ceil(-math.log10(range_width / 5))))


def measurement_with_range(
    quantity: Quantity, value: float, log_error: float, remarks: tuple[str, ...] = ()
) -> Measurement:
    """Measurement of a positive value, whose range is a factor exp(``log_error``) to each side."""
    factor = math.exp(log_error)
    return Measurement(
        what=quantity, value=value, low=value / factor, high=value * factor, remarks=remarks
    )


def add_remark(measurement: Measurement, remark: str) -> Measurement:
    """Measurement with a further remark."""
    return replace(measurement, remarks=(*measurement.remarks, remark))
