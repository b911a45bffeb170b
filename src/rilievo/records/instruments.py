"""The instrument whose depth stands in a prediction, and the error of its numbers."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


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
