"""One measured number, the range that it should lie in, and how both are written."""

import math
from dataclasses import dataclass

_UNITS = {"length": "m", "height": "m", "area": "m²", "angle": "°"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number read off a surface.

    Attributes:
        what: "length", "height", "area" or "angle".
        value: In ``unit``.
        low: Lower end of the range that eight in ten such measurements lie in.
        high: Its upper end.
        remarks: What deserves a look, a sentence each.
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
        """Value and range with as many digits as mean something, such as 0.82 m (0.71 to 0.95)."""
        digits = _digits(self.high - self.low)
        value, low, high = (f"{each:.{digits}f}" for each in (self.value, self.low, self.high))
        space = "" if self.what == "angle" else " "
        return f"{value}{space}{self.unit} ({low} to {high})"


def _digits(width: float) -> int:
    """Decimal places in which the ends of a range differ by five units or more: 0.71 to 0.95."""
    if not (width > 0 and math.isfinite(width)):
        return 3
    return min(6, max(0, math.ceil(-math.log10(width / 5))))
