"""The instrument whose depth stands in a prediction, and the error of its numbers.

The error is the one that users state, one that is assumed, or that of numbers which a file rounds.
"""

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Shaped, Values
from rilievo.errors import OptionError
from rilievo.errors.messages import Text
from rilievo.schema.typed_values import UNITS, parse_metres

_MAX_ROUNDING_STEPS = 0.5
"""Largest error of a rounded number, in steps between successive numbers."""
_MAX_EXAMINED_PIXELS = 200_000
"""Most pixels in which the step of the numbers is sought, for speed."""
_MIN_LEVELS_FOR_STEP = 8
"""Fewest different numbers whose common divisor counts as their step."""
_MAX_LINE_DEVIATION = 1e-3
"""Largest deviation from a line of numbers that encode depth, as a fraction of their range."""
_MAX_RELATIVE_ERROR = 1.0
"""Fraction of depth that a stated error stays below."""
_EXPECTED = Text(
    "the error that 8 in 10 depths stay below, as a percentage of depth (1%), a length "
    "(10mm), a percentage per metre of depth (0.3%/m, for stereo cameras), or a sum of "
    "these (5mm+0.5%)"
)


class DepthSource(StrEnum):
    """Kind of instrument from which depth came."""

    DEPTH_MAP = "depth map"
    """A map that the user gave for the whole photograph."""
    SENSOR = "sensor"
    """A sensor's pixels, between which the network fills the gaps."""
    NETWORK = "network"
    """A network's prediction, whose error the user states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthError:
    """Error of an instrument's depth that eight in ten pixels stay below.

    The three parts add up. At depth z, the error is ``relative * z + absolute + growth * z**2``
    metres.

    Examples:
        >>> DepthError(relative=0.01, absolute=0.005).relative_at(2.0)
        0.0125

    Attributes:
        relative: Part that is a fraction of the depth.
        absolute: Part that is constant [m].
        growth: Fraction of the depth for each metre of depth [1/m], as of stereo cameras.
    """

    relative: float = 0.0
    absolute: float = 0.0
    growth: float = 0.0

    def relative_at(self, depth: float) -> float:
        """Error at a depth [m], as a fraction of that depth."""
        return self.relative + self.absolute / depth + self.growth * depth

    def __str__(self) -> str:
        """Error as ``--depth-error`` reads it, such as "1%+5mm"; "0%" if it is 0."""
        parts = []
        is_relative_only = not (self.absolute or self.growth)
        if self.relative or is_relative_only:
            parts.append(f"{100 * self.relative:.4g}%")
        if self.absolute:
            parts.append(f"{1000 * self.absolute:.4g}mm")
        if self.growth:
            parts.append(f"{100 * self.growth:.4g}%/m")
        return "+".join(parts)


NO_ERROR = DepthError()
ASSUMED_ERROR = DepthError(relative=0.02)
"""Error of eight in ten depths that is assumed where nobody states one.

Makers of depth cameras promise 2% within 2 m (RealSense D435), and Khoshelham and Elberink
("Accuracy and Resolution of Kinect Depth Data", Sensors 2012) found 1% at 3 m for the first
Kinect, without an error of the whole scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Instrument from which the depth of a prediction came, with the error of its numbers.

    Attributes:
        source: Kind of instrument.
        error: Error that eight in ten of its pixels stay below.
        is_assumed: Whether ``error`` is a guess, because nobody stated it.
        rounding: Error from rounding its numbers, for example to whole counts.
        scale_errors: Errors of the scale and the shift that known sizes gave to depth without
            metres. Each of them moves all depths together, farther or nearer by its signs.
        doubts: Sentences on what would make all its depth wrong, such as a unit that was guessed.
        pixel: Side of its pixels in pixels of the photograph, to whose size its map was resized.
    """

    source: DepthSource
    error: DepthError
    is_assumed: bool
    rounding: DepthError = NO_ERROR
    scale_errors: tuple[DepthError, ...] = ()
    doubts: tuple[str, ...] = ()
    pixel: float = 1.0

    def relative_error_at(self, depth: float) -> float:
        """Error at a depth [m] that eight in ten pixels stay below, as a fraction of that depth.

        Independent errors add in quadrature.
        """
        scale_errors = [error.relative_at(depth) for error in self.scale_errors]
        return math.hypot(self.pixel_error_at(depth), *scale_errors)

    def with_rounding(self, rounding: DepthError) -> "Instrument":
        """Copy with the rounding of a file; unchanged if the file does not round."""
        return self if rounding == NO_ERROR else replace(self, rounding=rounding)

    def pixel_error_at(self, depth: float) -> float:
        """Relative error at a depth [m] without the scale errors, which all pixels share."""
        return math.hypot(self.error.relative_at(depth), self.rounding.relative_at(depth))


def parse_depth_error(text: object) -> DepthError:
    """Read the error of an instrument.

    Examples:
        >>> parse_depth_error("5mm+0.5%")
        DepthError(relative=0.005, absolute=0.005, growth=0.0)

    Args:
        text: ``1%``, ``10mm``, ``0.3%/m``, a sum of these, or a ``DepthError``.

    Raises:
        OptionError: If it is anything else, not positive, or 100% or more.
    """
    if isinstance(text, DepthError):
        return text
    if not isinstance(text, str):
        raise OptionError(option="depth_error", expected=_EXPECTED, value=text)
    terms = [_parse_term(term.strip(), text) for term in text.split("+")]
    error = DepthError(
        relative=sum(term.relative for term in terms),
        absolute=sum(term.absolute for term in terms),
        growth=sum(term.growth for term in terms),
    )
    if not 0 < error.relative + error.absolute + error.growth < math.inf:
        raise OptionError(option="depth_error", expected=_EXPECTED, value=text)
    if max(error.relative, error.growth) >= _MAX_RELATIVE_ERROR:
        raise OptionError(option="depth_error", expected="less than 100% of depth", value=text)
    return error


def _parse_term(term: str, text: str) -> DepthError:
    """Read one summand of an error; the whole ``text`` stands in messages."""
    percentage = re.fullmatch(r"([^%]+)%\s*(/\s*m)?", term)
    try:
        if percentage is None:
            return DepthError(absolute=_require_not_negative(_length_with_unit(term)))
        fraction = _require_not_negative(float(percentage[1]) / 100)
    except ValueError:
        raise OptionError(
            option="depth_error",
            expected=Text(_EXPECTED, f"; lengths may be in {UNITS}"),
            value=text,
        ) from None
    is_per_metre = percentage[2] is not None
    return DepthError(growth=fraction) if is_per_metre else DepthError(relative=fraction)


def _length_with_unit(text: str) -> float:
    if not text[-1:].isalpha():
        raise ValueError("a number without a unit may be a fraction or a length")
    return parse_metres(text)


def _require_not_negative(number: float) -> float:
    if not 0 <= number < math.inf:
        raise ValueError("an error must not be negative")
    return number


def make_instrument(source: DepthSource, stated: object = None) -> Instrument:
    """Make the record of an instrument, with its ``stated`` error; None to assume one.

    Raises:
        OptionError: If the stated error cannot be read.
    """
    if stated is None:
        return Instrument(source=source, error=ASSUMED_ERROR, is_assumed=True)
    return Instrument(source=source, error=parse_depth_error(stated), is_assumed=False)


def rounding_error(stored: Shaped[np.ndarray, "h w"], depth: AnyPlane) -> DepthError:
    """Error of depth because a file stores it as integers.

    A rounded integer is wrong by at most half a step. The error of depth is that of the integer
    times the slope of depth over the integers, so the integers have to be linear in depth (a
    constant error) or in inverse depth (an error that grows with the square of depth). Otherwise
    the error is taken as zero.

    Args:
        stored: Numbers of the file. If all of them are multiples of one number, that number is
            their step, for example where 8 bits were stretched to 16.
        depth: Depth that they stand for; NaN or 0 for pixels without depth.
    """
    if stored.dtype.kind not in "ui" or stored.shape != depth.shape:
        return NO_ERROR
    stride = max(1, math.isqrt(stored.size // _MAX_EXAMINED_PIXELS))
    sampled_numbers = stored[::stride, ::stride]
    sampled_depth = depth[::stride, ::stride]
    has_depth = np.isfinite(sampled_depth) & (sampled_depth != 0) & (sampled_numbers != 0)
    levels, first_indices = np.unique(sampled_numbers[has_depth], return_index=True)
    if not len(levels):
        return NO_ERROR

    max_rounding = _MAX_ROUNDING_STEPS * _level_step(levels)
    level_depths = sampled_depth[has_depth][first_indices].astype(np.float64)
    return _error_of_levels(levels.astype(np.float64), level_depths, max_rounding)


def _level_step(levels: Shaped[np.ndarray, "n"]) -> int:
    """Greatest number of which all differences of the sorted levels are multiples.

    It is 1 if there are too few levels to tell.
    """
    if len(levels) < _MIN_LEVELS_FOR_STEP:
        return 1
    return int(np.gcd.reduce(np.diff(levels.astype(np.int64))))


def _error_of_levels(levels: Values, level_depths: Values, max_rounding: float) -> DepthError:
    """Error of depth if levels, to which depths belong, are wrong by at most ``max_rounding``."""
    if len(levels) == 1:
        # A single level shows no line, so depth is taken as proportional to it.
        return DepthError(absolute=max_rounding * abs(float(level_depths[0] / levels[0])))
    depth_slope = _line_slope(levels, level_depths)
    if depth_slope is not None:
        return DepthError(absolute=max_rounding * abs(depth_slope))
    # An error e of inverse depth is an error e z² of depth z, which ``growth`` describes.
    inverse_depth_slope = _line_slope(levels, 1 / level_depths)
    if inverse_depth_slope is not None:
        return DepthError(growth=max_rounding * abs(inverse_depth_slope))
    return NO_ERROR


def _line_slope(x: Values, y: Values) -> float | None:
    """Slope of y over x between the first and the last value; None if others are off that line."""
    y_range = float(y[-1] - y[0])
    slope = float((y[-1] - y[0]) / (x[-1] - x[0]))
    deviations = np.abs(y - y[0] - slope * (x - x[0]))
    return slope if deviations.max() <= _MAX_LINE_DEVIATION * abs(y_range) else None
