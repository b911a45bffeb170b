"""Known points and lengths of a photograph, and their text form."""

import math
from dataclasses import dataclass
from enum import StrEnum

from rilievo.calibration.lengths import MOST_METRES, KnownLength, parse_length
from rilievo.errors import OptionError


class Along(StrEnum):
    """Direction in which the distance to a point was measured."""

    AXIS = "axis"
    """Depth along the optical axis, such as from the camera's plane to a wall seen head-on."""
    RAY = "ray"
    """Straight line from the camera to the point, as a laser or a tape measures it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPoint:
    """A point of the photograph whose distance is known.

    Attributes:
        u: Column [px]; the centre of the top-left pixel is (0, 0).
        v: Row [px].
        metres: Distance to the surface seen there [m].
        along: Direction of the measurement. At 30 degrees off the axis the two distances differ
            by 15 %.

    Raises:
        OptionError: If a number is not finite or the distance not positive.
    """

    u: float | int
    v: float | int
    metres: float | int
    along: Along = Along.AXIS

    def __post_init__(self) -> None:
        if not (math.isfinite(self.u) and math.isfinite(self.v)):
            raise OptionError(f"known point {self}: column and row are finite numbers of pixels")
        if not 0 < self.metres <= MOST_METRES:
            raise OptionError(
                f"known point {self}: the distance is a positive number of metres, at most "
                f"{MOST_METRES:g}"
            )

    def __str__(self) -> str:
        """The text form that the command line takes."""
        text = f"{self.u:.10g},{self.v:.10g},{self.metres:.10g}"
        return text if self.along is Along.AXIS else f"{text},{self.along}"


Known = KnownPoint | KnownLength


def parse_known(text: str) -> Known:
    """Read a point ``u,v,metres`` or ``u,v,metres,ray``, or a length ``u1,v1,u2,v2,metres``.

    Raises:
        OptionError: If the text is anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    expected = (
        f"known point '{text}': expected u,v,metres (column, row, depth), u,v,metres,ray, or "
        "u1,v1,u2,v2,metres for a length"
    )
    if len(parts) == 5:
        return parse_length(text)
    if len(parts) not in (3, 4):
        raise OptionError(f"{expected}; found {len(parts)} parts")
    try:
        u, v, metres = (float(part) for part in parts[:3])
    except ValueError:
        raise OptionError(f"{expected}; the first three are numbers") from None
    along = parts[3] if len(parts) == 4 else Along.AXIS
    if along not in list(Along):
        raise OptionError(f"{expected}; '{along}' is neither axis nor ray")
    return KnownPoint(u=u, v=v, metres=metres, along=Along(along))
