"""Ranges of depth that a file divides into integer codes, and how codes become depth."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from rilievo.arrays.shapes import Float64, StoredMap

LOGARITHM_STEPS = 65533  # between the first and the last code of MoGe's 16-bit depth
UNKNOWN_CODE = 0
INFINITE_CODE = 65535
"""MoGe's codes for pixels of unknown depth, and for pixels without a surface, such as the sky."""


class Spacing(Enum):
    """Quantity in which the codes of a range are evenly spaced, in words for the user."""

    LOGARITHMIC = "the logarithm"
    LINEAR = "depth"
    INVERSE = "inverse depth"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRange:
    """Range of depth that integer codes divide evenly in depth, in its inverse or its logarithm.

    Attributes:
        first: Depth at the lowest code, in metres or in the unit that the file states.
        last: Depth at the highest code, in the same unit.
        spacing: Quantity in which the codes are evenly spaced.
        rounding: Half a unit in the last digit of both ends, as the file writes them.
    """

    first: float
    last: float
    spacing: Spacing
    rounding: tuple[float, float] = (0.0, 0.0)

    def decode(self, codes: StoredMap, unit: float = 1.0) -> Float64[np.ndarray, "h w"]:
        """Convert codes to depth [m]; ``unit`` are the metres per unit of both ends."""
        numbers = codes.astype(np.float64)
        if self.spacing is Spacing.LOGARITHMIC:
            # MoGe: code 1 is the first depth, and log(depth) rises linearly to the last code.
            fraction = (numbers - 1) / LOGARITHM_STEPS
            depth = unit * self.first ** (1 - fraction) * self.last**fraction
            return np.where(codes == INFINITE_CODE, np.inf, depth)
        max_code = np.iinfo(codes.dtype).max
        if self.spacing is Spacing.INVERSE:
            fraction = numbers / max_code
            return unit / ((1 - fraction) / self.first + fraction / self.last)
        return unit * (self.first + numbers * ((self.last - self.first) / max_code))
