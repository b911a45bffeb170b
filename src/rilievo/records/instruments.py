"""The instrument whose depth stands in a prediction, and the error of its numbers."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class DepthSource(StrEnum):
    """Where the depth of an instrument came from."""

    DEPTH_MAP = "depth map"
    """A map that the user gave for the whole photograph."""
    SENSOR = "sensor"
    """A sensor's pixels, between which the network fills the gaps."""
    NETWORK = "network"
    """A network's prediction, whose error the user states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthError:
    """Error of an instrument's depth that eight in ten pixels stay below.

    The three parts add up: at depth z it is ``relative * z + absolute + growth * z**2`` metres.

    Examples:
        >>> DepthError(relative=0.01, absolute=0.005).relative_at(2.0)
        0.0125

    Attributes:
        relative: Share of the depth.
        absolute: Length [m].
        growth: Share of the depth for each metre of depth [1/m], as stereo cameras have it.
    """

    relative: float = 0.0
    absolute: float = 0.0
    growth: float = 0.0

    def relative_at(self, depth: float) -> float:
        """Error at a depth [m], as a share of that depth."""
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
    """Instrument whose depth a prediction has, with the error of its numbers.

    Attributes:
        source: Whether it is a whole map, a sensor with gaps, or a network's prediction with an
            error that the user states.
        error: Error that eight in ten of its pixels stay below.
        is_assumed: Whether nobody stated that error, so that it is a guess.
        rounding: Error by which its numbers are rounded, as whole counts are.
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
        """Error at a depth [m] that eight in ten pixels stay below, as a share of that depth."""
        scale_errors = [part.relative_at(depth) for part in self.scale_errors]
        return math.hypot(self.pixel_error_at(depth), *scale_errors)

    def with_rounding(self, rounding: DepthError) -> "Instrument":
        """Instrument whose numbers a file rounds; without rounding, they stay as they are."""
        if rounding == NO_ERROR:
            return self
        return replace(self, rounding=rounding)

    def pixel_error_at(self, depth: float) -> float:
        """The same without the errors of a scale, which all pixels have in common."""
        return math.hypot(self.error.relative_at(depth), self.rounding.relative_at(depth))
