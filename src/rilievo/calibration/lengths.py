"""Known sizes in a photograph and their text form."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from rilievo.calibration.rectangles import RECTANGLES, KnownRectangle, parse_rectangle
from rilievo.errors import OptionError, suggest
from rilievo.frozen import frozen
from rilievo.geometry.units import LEAST_METRES, MOST_METRES, UNITS, metres_of

USUAL_LENGTHS: Mapping[str, float] = {
    **{name: long for name, (long, _) in RECTANGLES.items()},
    **{f"{name}-short": short for name, (_, short) in RECTANGLES.items()},
    "brick": 0.215,
    "door": 2.0,
    "floor-tile": 0.3,
    "skateboard": 0.8,
}
"""Lengths of common things [m]. Doors (1.98 to 2.11 m), bricks (0.19 to 0.24 m), tiles and boards
vary.
"""


@frozen
class KnownLength:
    """Straight line of known length between (u1, v1) and (u2, v2) [px].

    >>> str(rilievo.KnownLength(u1=100, v1=240, u2=180, v2=240, metres=0.8))
    '100,240,180,240,0.8'

    Raises:
        OptionError: If a number is not finite, the length [m] not positive, or the ends share a
            pixel.
    """

    u1: float
    v1: float
    u2: float
    v2: float
    metres: float

    noun: ClassVar[str] = "length"

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.u1, self.v1, self.u2, self.v2))):
            raise OptionError(f"known length {self}: columns and rows are finite numbers of pixels")
        if not LEAST_METRES <= self.metres <= MOST_METRES:
            raise OptionError(
                f"known length {self}: the length is a positive number of metres, between "
                f"{LEAST_METRES:g} and {MOST_METRES:g}"
            )
        if math.hypot(self.u2 - self.u1, self.v2 - self.v1) < 1:
            raise OptionError(
                f"known length {self}: its two ends lie on the same pixel; columns and rows are "
                "in pixels, not in shares of the width and the height"
            )

    @property
    def places(self) -> tuple[tuple[float, float], ...]:
        """Column and row of both ends [px]."""
        return (self.u1, self.v1), (self.u2, self.v2)

    def __str__(self) -> str:
        return ",".join(
            f"{number:.10g}" for number in (self.u1, self.v1, self.u2, self.v2, self.metres)
        )


def parse_length(text: str) -> KnownLength:
    """Read ``u1,v1,u2,v2,length``: metres, with a unit, or a name in ``USUAL_LENGTHS``.

    Raises:
        OptionError: If the text is anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    expected = (
        f"known length '{text}': expected u1,v1,u2,v2,metres (column and row of both ends), or the "
        "name of a usual thing for the metres, such as a4"
    )
    if len(parts) != 5:
        raise OptionError(f"{expected}; found {len(parts)} parts")
    try:
        u1, v1, u2, v2 = (float(part) for part in parts[:4])
    except ValueError:
        raise OptionError(f"{expected}; the first four are numbers") from None
    return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=_metres(parts[4]))


def _metres(text: str) -> float:
    if text.lower() in USUAL_LENGTHS:
        return USUAL_LENGTHS[text.lower()]
    try:
        return metres_of(text)
    except ValueError:
        hint = suggest(text, USUAL_LENGTHS)
        raise OptionError(
            f"known length: '{text}' is no number of metres, and none with a unit ({UNITS}); {hint}"
        ) from None


class Along(StrEnum):
    """Direction of a measured distance."""

    AXIS = "axis"
    """Depth along the optical axis."""
    RAY = "ray"
    """Line from the camera, as of a laser or tape."""


@frozen
class KnownPoint:
    """Point (u, v) [px] at a known distance [m].

    >>> str(rilievo.KnownPoint(u=320, v=240, metres=2.35))
    '320,240,2.35'

    Attributes:
        along: Direction of the measurement; at 30 degrees off the axis they differ by 15 %.

    Raises:
        OptionError: If a number is not finite or the distance not positive.
    """

    u: float
    v: float
    metres: float
    along: Along = Along.AXIS

    noun: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.u) and math.isfinite(self.v)):
            raise OptionError(f"known point {self}: column and row are finite numbers of pixels")
        if self.along not in list(Along):
            raise OptionError(f"known point {self}: along is 'axis' or 'ray'")
        object.__setattr__(self, "along", Along(self.along))
        if not LEAST_METRES <= self.metres <= MOST_METRES:
            raise OptionError(
                f"known point {self}: the distance is a positive number of metres, between "
                f"{LEAST_METRES:g} and {MOST_METRES:g}"
            )

    @property
    def places(self) -> tuple[tuple[float, float], ...]:
        """Column and row [px]."""
        return ((self.u, self.v),)

    def __str__(self) -> str:
        text = f"{self.u:.10g},{self.v:.10g},{self.metres:.10g}"
        return text if self.along is Along.AXIS else f"{text},{self.along}"


Known = KnownPoint | KnownLength | KnownRectangle


def parse_known(text: str) -> Known:
    """Read ``u,v,metres``, ``u,v,metres,ray``, a length or a rectangle.

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
    if len(parts) in (9, 10):
        return parse_rectangle(text)
    if len(parts) not in (3, 4):
        raise OptionError(f"{expected}; found {len(parts)} parts")
    try:
        u, v, metres = float(parts[0]), float(parts[1]), metres_of(parts[2])
    except ValueError:
        raise OptionError(f"{expected}; the first three are numbers") from None
    along = parts[3] if len(parts) == 4 else Along.AXIS
    if along not in list(Along):
        raise OptionError(f"{expected}; '{along}' is neither axis nor ray")
    return KnownPoint(u=u, v=v, metres=metres, along=Along(along))
