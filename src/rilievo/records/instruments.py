"""The instrument whose depth stands in a prediction, and the error of its numbers."""

import math
from dataclasses import dataclass
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
    """Error that eight in ten depths of an instrument stay below.

    The three parts add up: at depth z it is ``relative * z + absolute + growth * z**2`` metres.

    Examples:
        >>> DepthError(relative=0.01, absolute=0.005).relative_at(2.0)
        0.0125

    Attributes:
        relative: Share of depth.
        absolute: Metres.
        growth: Share of depth for each metre of depth, as of stereo cameras.
    """

    relative: float = 0.0
    absolute: float = 0.0
    growth: float = 0.0

    def relative_at(self, depth: float) -> float:
        """Error as a share of a depth [m]."""
        return self.relative + self.absolute / depth + self.growth * depth

    def __str__(self) -> str:
        parts = []
        if self.relative or not (self.absolute or self.growth):
            parts.append(f"{100 * self.relative:.4g}%")
        if self.absolute:
            parts.append(f"{1000 * self.absolute:.4g}mm")
        if self.growth:
            parts.append(f"{100 * self.growth:.4g}%/m")
        return "+".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Instrument whose depth a prediction has.

    Attributes:
        source: Whether it is a whole map, a sensor with gaps, or a network's prediction with an
            error that the user states.
        error: Error of its depth, of eight in ten pixels.
        is_assumed: Whether that error is a guess, because nobody stated it.
        scale_errors: Errors of the scale and the shift that known sizes gave to depth without
            metres. Each of them moves all depths together, farther or nearer by its signs.
        doubts: What would make all its depth wrong, such as a unit that was guessed.
        pixel: Side of its pixels in those of the photograph, to whose size its map was resized.
    """

    source: DepthSource
    error: DepthError
    is_assumed: bool
    scale_errors: tuple[DepthError, ...] = ()
    doubts: tuple[str, ...] = ()
    pixel: float = 1.0

    def relative_error_at(self, depth: float) -> float:
        """Error of eight in ten depths, as a share of a depth [m]."""
        scale_errors = [part.relative_at(depth) for part in self.scale_errors]
        return math.hypot(self.error.relative_at(depth), *scale_errors)
