"""One measured quantity, its expected range, and how both are formatted."""

import math

from rilievo.foreign_names import ForeignNames
from rilievo.frozen import frozen

_UNITS = {
    "distance": "m",
    "relative distance": "× the median distance",
    "length": "m",
    "height": "m",
    "area": "m²",
    "angle": "°",
}


@frozen
class Measurement(ForeignNames):
    """A quantity measured on a surface.

    Attributes:
        what: "distance", "relative distance", "length", "height", "area" or "angle".
        value: Measured value, in ``unit``.
        low: Lower end of the range that contains eight in ten such measurements.
        high: Upper end of that range.
        remarks: Remarks on the measurement, a sentence each.
    """

    what: str
    value: float
    low: float
    high: float
    remarks: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Unit of the value: metres, square metres or degrees."""
        return _UNITS[self.what]

    def __str__(self) -> str:
        """Name, value and range, such as length: 0.82 m (0.71 to 0.95)."""
        return f"{'height above the floor' if self.what == 'height' else self.what}: {self.text}"

    @property
    def text(self) -> str:
        """Value and range with their significant digits, such as 0.82 m (0.71 to 0.95)."""
        return self.text_in(self.unit)

    def text_in(self, unit: str) -> str:
        """Value and range with the name of a unit, such as that of an unknown scale."""
        digits = _digits(self.high - self.low)
        value, low, high = (f"{number:.{digits}f}" for number in (self.value, self.low, self.high))
        space = "" if self.what == "angle" else " "
        return f"{value}{space}{unit} ({low} to {high})"


def _digits(width: float) -> int:
    """Decimal places at which the ends of a range differ by at least five units: 0.71 to 0.95."""
    if not (width > 0 and math.isfinite(width)):
        return 3
    return min(6, max(0, math.ceil(-math.log10(width / 5))))
