"""The stated error of an instrument, as users write it, the one that is assumed, and rounding."""

import math
import re

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Shaped, Values
from rilievo.errors import OptionError
from rilievo.errors.messages import Text
from rilievo.records.instruments import NO_ERROR, DepthError, DepthSource, Instrument
from rilievo.schema.typed_values import UNITS, metres_of

ASSUMED_ERROR = DepthError(relative=0.02)
"""Error of eight in ten depths that is assumed where nobody states one.

Makers of depth cameras promise 2 % within 2 m (RealSense D435), and Khoshelham and Elberink
("Accuracy and Resolution of Kinect Depth Data", Sensors 2012) found 1 % at 3 m for the first
Kinect, without an error of the whole scale."""

_ROUNDING_SHARE = 0.5
"""Largest error of a rounded number, as a share of the step."""
_MOST_ROUNDED_PIXELS = 200_000
"""Most pixels in which steps of numbers are sought, for speed."""
_MIN_LEVELS = 8
"""Fewest different numbers whose common divisor counts as their step."""
_SAME_CODE = 1e-3
"""Largest difference from a line by which counts encode depth, as a share of its span."""
_MOST_RELATIVE = 1.0
_EXPECTED = Text(
    "the error that 8 in 10 depths stay below, as a share of depth (1%), a length (10mm), a share "
    "for each metre of depth (0.3%/m, as of stereo cameras), or a sum of these (5mm+0.5%)"
)


def parse_depth_error(text: object) -> DepthError:
    """Read the error of an instrument.

    Examples:
        >>> parse_depth_error("5mm+0.5%")
        DepthError(relative=0.005, absolute=0.005, growth=0.0)

    Args:
        text: ``1%``, ``10mm``, ``0.3%/m``, a sum of these, or a ``DepthError``.

    Raises:
        OptionError: If it is anything else, not positive, or 100 % or more.
    """
    if isinstance(text, DepthError):
        return text
    if not isinstance(text, str):
        raise OptionError(option="depth_error", expected=_EXPECTED, value=text)
    parts = {"relative": 0.0, "absolute": 0.0, "growth": 0.0}
    for term in text.split("+"):
        name, number = _parse_term(term.strip(), text)
        parts[name] += number
    error = DepthError(**parts)
    if not 0 < error.relative + error.absolute + error.growth < math.inf:
        raise OptionError(option="depth_error", expected=_EXPECTED, value=text)
    if max(error.relative, error.growth) >= _MOST_RELATIVE:
        raise OptionError(option="depth_error", expected="less than 100 % of depth", value=text)
    return error


def _parse_term(term: str, text: str) -> tuple[str, float]:
    share = re.fullmatch(r"(.+?)\s*%\s*(/\s*m)?", term)
    try:
        if share is not None:
            number = float(share[1]) / 100
            name = "relative" if share[2] is None else "growth"
        else:
            if not term[-1:].isalpha():
                raise ValueError("a number without a unit may be a share or a length")
            name, number = "absolute", metres_of(term)
        if not 0 <= number < math.inf:
            raise ValueError("an error is not negative")
    except ValueError:
        raise OptionError(
            option="depth_error",
            expected=Text(_EXPECTED, f"; units of lengths are {UNITS}"),
            value=text,
        ) from None
    return name, number


def make_instrument(source: DepthSource, stated: object = None) -> Instrument:
    """Make the record of an instrument, with the error that is ``stated`` or assumed.

    Raises:
        OptionError: If the stated error cannot be read.
    """
    if stated is None:
        return Instrument(source=source, error=ASSUMED_ERROR, is_assumed=True)
    return Instrument(source=source, error=parse_depth_error(stated), is_assumed=False)


def rounding_of(stored: Shaped[np.ndarray, "h w"], depth: AnyPlane) -> DepthError:
    """Error by which the numbers of a depth map are rounded.

    It is that of whole numbers which encode depth or its inverse, and none for all others. Numbers
    that are all multiples of a count, such as those of 8 bits which were stretched to 16, have that
    step.

    Args:
        stored: Numbers of the file.
        depth: Depth that they mean, NaN where there is none.
    """
    if stored.dtype.kind not in "ui" or stored.shape != depth.shape:
        return NO_ERROR
    stride = max(1, math.isqrt(stored.size // _MOST_ROUNDED_PIXELS))
    counts, values = stored[::stride, ::stride], depth[::stride, ::stride]
    is_known = np.isfinite(values) & (values != 0) & (counts != 0)
    levels, places = np.unique(counts[is_known], return_index=True)
    if not len(levels):
        return NO_ERROR
    step = 1
    if len(levels) >= _MIN_LEVELS:
        step = int(np.gcd.reduce(np.diff(levels.astype(np.int64))))

    share, known = _ROUNDING_SHARE * step, values[is_known][places].astype(np.float64)
    levels = levels.astype(np.float64)
    if len(levels) == 1:
        # Depth that is not coded is 0 where its number is.
        return DepthError(absolute=share * abs(float(known[0] / levels[0])))
    slope = _slope_of_line(levels, known)
    if slope is not None:
        return DepthError(absolute=share * abs(slope))
    slope = _slope_of_line(levels, 1 / known)
    if slope is not None:
        return DepthError(growth=share * abs(slope))
    return NO_ERROR


def _slope_of_line(x: Values, y: Values) -> float | None:
    """Slope of y over x; None if they are not on a line."""
    slope = float((y[-1] - y[0]) / (x[-1] - x[0]))
    misses = np.abs(y - y[0] - slope * (x - x[0]))
    return slope if misses.max() <= _SAME_CODE * abs(float(y[-1] - y[0])) else None
