"""Known rectangles in a photograph and their text form."""

import math
import re
from collections.abc import Mapping
from typing import ClassVar

from rilievo.errors import OptionError, suggest
from rilievo.frozen import frozen
from rilievo.geometry.units import LEAST_METRES, MOST_METRES, UNITS, metres_of

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
"""Usual deviation of a corner [px]."""
MOST_RECTANGLES = 8
"""Most rectangles that servers take, fitted together."""
_LEAST_SIDE = 2.0
_LEAST_SINE = 0.02
"""Sine below which three corners are in line."""

Corners = tuple[tuple[float, float], ...]


@frozen
class KnownRectangle:
    """Rectangle in the photograph whose sides are known.

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
        object.__setattr__(self, "sides", _sides_of(self.sides))
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
        if fault := _fault(corners):
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


def _fault(corners: Corners) -> str | None:
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


def _sides_of(sides: object) -> tuple[float, float] | str:
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
    """Read two sides [m], or a name; the unit of the second is the first's too.

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
