"""Measured quantity with its range."""

import math

from rilievo.frozen import frozen
from rilievo.other_libraries import HintedAttributes

_UNITS = {
    "distance": "m",
    "relative distance": "× the median distance",
    "length": "m",
    "height": "m",
    "area": "m²",
    "angle": "°",
}


@frozen
class Measurement(HintedAttributes):
    """Quantity measured on a surface.

    Attributes:
        what: "distance", "relative distance", "length", "height", "area" or "angle".
        value: Value, in ``unit``.
        low: Lower end of the range of eight in ten such measurements.
        remarks: Remarks, a sentence each.
    """

    what: str
    value: float
    low: float
    high: float
    remarks: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Metres, square metres or degrees."""
        return _UNITS[self.what]

    def __str__(self) -> str:
        return f"{'height above the floor' if self.what == 'height' else self.what}: {self.text}"

    @property
    def text(self) -> str:
        """Value and range."""
        return self.text_in(self.unit)

    def text_in(self, unit: str) -> str:
        """Value and range in another unit."""
        digits = _decimal_places(self.high - self.low)
        value, low, high = (f"{number:.{digits}f}" for number in (self.value, self.low, self.high))
        space = "" if self.what == "angle" else " "
        return f"{value}{space}{unit} ({low} to {high})"


def _decimal_places(width: float) -> int:
    if not (width > 0 and math.isfinite(width)):
        return 3
    return min(6, max(0, math.ceil(-math.log10(width / 5))))
