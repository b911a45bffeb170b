"""Known sizes in a photograph, and their text form."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from rilievo.errors import OptionError, suggest
from rilievo.schema.typed_values import LEAST_METRES, MOST_METRES, UNITS, metres_of

RECTANGLES: Mapping[str, tuple[float, float]] = {
    "a3": (0.420, 0.297),
    "a4": (0.297, 0.210),
    "a5": (0.210, 0.148),
    "letter": (0.2794, 0.2159),
    "card": (0.0856, 0.05398),
    "euro-pallet": (1.2, 0.8),
}
"""Long and short side [m]: sheets by ISO 216 and ANSI, cards by ISO 7810, pallets by EN 13698."""
CORNER_ERROR = 1.0

# Servers take no more, as they are fitted together.
MOST_RECTANGLES = 8
_LEAST_SIDE = 2.0

# Below it three corners are in line.
_LEAST_SINE = 0.02
Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRectangle:
    """Rectangle in the photograph whose sides are known.

    Examples:
        >>> sheet = KnownRectangle(corners=((10, 9), (60, 9), (60, 80), (10, 80)), sides="a4")
        >>> str(sheet), sheet.lengths
        ('10,9,60,9,60,80,10,80,a4', (0.297, 0.21))

    Attributes:
        corners: Column and row of four corners in order [px].
        sides: First to second corner, second to third [m]; or a name, either way round.
        error: Deviation of a corner [px].

    Raises:
        OptionError: If a number is not finite, a side not positive, or the outline not convex.
    """

    corners: Corners
    sides: tuple[float, float] | str
    error: float = CORNER_ERROR

    noun: ClassVar[str] = "rectangle"

    def __post_init__(self) -> None:
        try:
            corners = tuple((float(u), float(v)) for u, v in self.corners)
        except (TypeError, ValueError):
            raise OptionError(
                f"known rectangle: '{str(self.corners)[:40]}' are no four corners (u, v) in pixels"
            ) from None
        object.__setattr__(self, "corners", corners)
        object.__setattr__(self, "sides", _two_sides_or_name(self.sides))
        if len(corners) != 4 or not all(math.isfinite(number) for at in corners for number in at):
            raise OptionError(
                f"known rectangle {self}: expected four corners, columns and rows in pixels"
            )
        if not all(LEAST_METRES <= metres <= MOST_METRES for metres in self.lengths):
            raise OptionError(
                f"known rectangle {self}: its sides are positive numbers of metres, between "
                f"{LEAST_METRES:g} and {MOST_METRES:g}"
            )
        if not 0 < self.error < math.inf:
            raise OptionError(
                f"known rectangle {self}: the error of a corner is a positive number of pixels"
            )
        if fault := _outline_fault(corners):
            raise OptionError(f"known rectangle {self}: {fault}")

    @property
    def places(self) -> Corners:
        """Column and row of corners [px]."""
        return self.corners

    @property
    def lengths(self) -> tuple[float, float]:
        """Both sides [m]; of a name, the long first."""
        return RECTANGLES[self.sides] if isinstance(self.sides, str) else self.sides

    @property
    def middle(self) -> tuple[float, float]:
        """Crossing of the diagonals [px]."""
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = self.corners
        across = (cx - ax) * (dy - by) - (cy - ay) * (dx - bx)
        share = ((bx - ax) * (dy - by) - (by - ay) * (dx - bx)) / across
        return ax + share * (cx - ax), ay + share * (cy - ay)

    @property
    def shortest(self) -> float:
        """Shortest side in the photograph [px]."""
        return min(math.dist(self.corners[at], self.corners[at - 1]) for at in range(4))

    def __str__(self) -> str:
        sides = self.sides
        what = sides if isinstance(sides, str) else f"{sides[0]:.10g}x{sides[1]:.10g}"
        numbers = [f"{number:.10g}" for at in self.corners for number in at]
        error = [] if self.error == CORNER_ERROR else [f"{self.error:.10g}px"]
        return ",".join([*numbers, what, *error])


def _outline_fault(corners: Corners) -> str | None:
    if min(math.dist(corners[at], corners[at - 1]) for at in range(4)) < _LEAST_SIDE:
        return (
            "it has no size in the photograph, as two corners lie on one place; columns and rows "
            "are in pixels, not in shares of the width and the height"
        )
    sines = []
    for at in range(4):
        (ax, ay), (bx, by), (cx, cy) = (corners[(at + step) % 4] for step in range(3))
        cross = (bx - ax) * (cy - by) - (by - ay) * (cx - bx)
        sines.append(cross / math.dist((ax, ay), (bx, by)) / math.dist((bx, by), (cx, cy)))
    for at, sine in enumerate(sines):
        if abs(sine) < _LEAST_SINE:
            numbers = sorted((at + step) % 4 + 1 for step in range(3))
            return f"corners {numbers[0]}, {numbers[1]} and {numbers[2]} lie on a line"
    turns = sum(sine > 0 for sine in sines)
    if turns == 2:
        return "its sides cross: name the corners in order around it"
    if turns in (1, 3):
        odd = next(at for at, sine in enumerate(sines) if (sine > 0) == (turns == 1))
        return f"corner {(odd + 1) % 4 + 1} lies within the other three"
    return None


def parse_rectangle(text: str) -> KnownRectangle:
    """Read ``u1,v1,u2,v2,u3,v3,u4,v4,what``: a name, or ``90cm x 2.1m``; ``0.5px`` may follow.

    Raises:
        OptionError: If the text is anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    expected = (
        f"known rectangle '{text[:120]}': expected u1,v1,u2,v2,u3,v3,u4,v4 (column and row of the "
        "corners, in order around it) and a4, letter, card, ... or its sides, such as 90cm x 2.1m"
    )
    if len(parts) not in (9, 10):
        raise OptionError(f"{expected}; found {len(parts)} parts")
    try:
        *numbers, error = (
            float(part.removesuffix("px"))
            for part in (*parts[:8], *parts[9:], f"{CORNER_ERROR}")[:9]
        )
    except ValueError:
        raise OptionError(
            f"{expected}; the first eight are numbers, a tenth the error of a corner, as 0.5px"
        ) from None
    corners = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return KnownRectangle(corners=corners, sides=parse_sides(parts[8]), error=error)


def _two_sides_or_name(sides: object) -> tuple[float, float] | str:
    read = parse_sides(sides) if isinstance(sides, str) else sides
    if isinstance(read, str):
        if read.lower() not in RECTANGLES:
            raise OptionError(
                f"known rectangle: '{read[:40]}' is neither its two sides, such as 90cm x 2.1m, "
                f"nor a common thing; {suggest(read, RECTANGLES)}"
            )
        return read.lower()
    try:
        first, second = read  # pyright: ignore[reportGeneralTypeIssues]
        return metres_of(str(first)), metres_of(str(second))
    except (TypeError, ValueError):
        raise OptionError(
            f"known rectangle: sides '{str(read)[:40]}' are no two lengths, such as 90cm x 2.1m; "
            f"units are {UNITS}"
        ) from None


def parse_sides(text: str) -> tuple[float, float] | str:
    """Read two sides [m], or a name.

    Examples:
        >>> parse_sides("90 x 210cm")
        (0.9, 2.1)
    """
    sides = [side.strip() for side in re.split("[x×*]", text.lower())]
    if len(sides) != 2 or not all(side[:1].isdigit() or side[:1] in "-+." for side in sides):
        return text.strip()
    first, second = sides
    if unit := re.search(r"\d\s*([a-z]+)$", second):
        first += unit[1] if first[-1:].isdigit() else ""
    try:
        return metres_of(first), metres_of(second)
    except ValueError:
        raise OptionError(
            f"known rectangle: sides '{text[:40]}' are no two lengths, such as 90cm x 2.1m; units "
            f"are {UNITS}"
        ) from None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLength:
    """Straight line of known length between (u1, v1) and (u2, v2) [px].

    Examples:
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
    return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=_metres_of_number_or_name(parts[4]))


def _metres_of_number_or_name(text: str) -> float:
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
    """Direction of a distance: the optical axis, or the ray, as of a laser or tape."""

    AXIS = "axis"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPoint:
    """Point (u, v) [px] at a known distance [m].

    Examples:
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
