"""Sizes that a user knows in a photograph, and the texts that state them, such as ``320,240,2.35``.

Columns and rows are in pixels of the upright photograph.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from rilievo.calibration.ellipses import Ellipse, ellipse_through, ordered_ellipse
from rilievo.errors import OptionError, suggest
from rilievo.schema.typed_values import MAX_METRES, MIN_METRES, UNITS, parse_metres

NAMED_RECTANGLES: Mapping[str, tuple[float, float]] = {
    "a3": (0.420, 0.297),
    "a4": (0.297, 0.210),
    "a5": (0.210, 0.148),
    "letter": (0.2794, 0.2159),
    "card": (0.0856, 0.05398),
    "euro-pallet": (1.2, 0.8),
}
"""Long and short side [m]: sheets by ISO 216 and ANSI, cards by ISO 7810, pallets by EN 13698."""

NAMED_LENGTHS: Mapping[str, float] = {
    **{name: long for name, (long, _) in NAMED_RECTANGLES.items()},
    **{f"{name}-short": short for name, (_, short) in NAMED_RECTANGLES.items()},
    "brick": 0.215,
    "door": 2.0,
    "floor-tile": 0.3,
    "skateboard": 0.8,
}
"""Lengths of common objects [m]. Doors (1.98 to 2.11 m), bricks (0.19 to 0.24 m), tiles and boards
vary.
"""

NAMED_DIAMETERS: Mapping[str, float] = {
    "cd": 0.120,
    "1-euro": 0.02325,
    "2-euro": 0.02575,
    "us-quarter": 0.02426,
}
"""Diameters [m]: discs by ISO/IEC 10149, coins by the European Central Bank and the US Mint."""

CORNER_ERROR = 1.0
"""Standard deviation of a rectangle's corner that is assumed where none is stated [px]."""

_MIN_SIDE = 2.0
"""Length of the shortest side of a rectangle in the photograph [px]."""
_MIN_LONG_AXIS, _MIN_SHORT_AXIS = 4.0, 1.0
"""Lengths of the smallest ellipse that is taken for a circle [px]."""
_MAX_RIM_ERROR = 0.05
"""Largest distance of a circle's points from their ellipse, over its long axis, if it exceeds
``_MAX_RIM_PIXELS``."""
_MAX_RIM_PIXELS = 2.0  # [px]
_MIN_RIM_POINTS = 5
_LENGTH_PARTS, _ELLIPSE_PARTS = 5, 6
"""Numbers of values in the text of a length, and of a circle by its ellipse."""
_RECTANGLE_PARTS = (9, 10)
"""Numbers of values in the text of a rectangle, without and with the error of its corners."""
_MIN_AXIS_RATIO = 0.08
"""Least short axis over the long one: a circle that leans away by 85 degrees."""
_MIN_CORNER_SINE = 0.02
"""Sine of the angle at a corner below which three corners lie on a line."""

ImagePoint = tuple[float, float]
"""Column and row [px]."""


class Along(StrEnum):
    """Direction of a known distance: along the optical axis, or along the ray, like a laser."""

    AXIS = "axis"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPoint:
    """Point (u, v) [px] at a known distance [m].

    Examples:
        >>> str(rilievo.KnownPoint(u=320, v=240, metres=2.35))
        '320,240,2.35'

    Attributes:
        along: Direction of the distance; at 30 degrees off the axis the two differ by 15%.

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
            raise OptionError(f"known point {self}: column and row must be finite numbers")
        if self.along not in list(Along):
            raise OptionError(f"known point {self}: along must be 'axis' or 'ray'")
        object.__setattr__(self, "along", Along(self.along))
        if not MIN_METRES <= self.metres <= MAX_METRES:
            raise OptionError(
                f"known point {self}: the distance must be between {MIN_METRES:g} and "
                f"{MAX_METRES:g} metres"
            )

    @property
    def image_points(self) -> tuple[ImagePoint, ...]:
        """The point alone, as (column, row) [px]."""
        return ((self.u, self.v),)

    def __str__(self) -> str:
        text = f"{self.u:.10g},{self.v:.10g},{self.metres:.10g}"
        return text if self.along is Along.AXIS else f"{text},{self.along}"


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
            raise OptionError(f"known length {self}: columns and rows must be finite numbers")
        if not MIN_METRES <= self.metres <= MAX_METRES:
            raise OptionError(
                f"known length {self}: the length must be between {MIN_METRES:g} and "
                f"{MAX_METRES:g} metres"
            )
        if math.hypot(self.u2 - self.u1, self.v2 - self.v1) < 1:
            raise OptionError(
                f"known length {self}: its two ends lie on the same pixel; columns and "
                "rows are in pixels, not in fractions of the width and the height"
            )

    @property
    def image_points(self) -> tuple[ImagePoint, ...]:
        """Both ends, as (column, row) [px]."""
        return (self.u1, self.v1), (self.u2, self.v2)

    def __str__(self) -> str:
        numbers = (self.u1, self.v1, self.u2, self.v2, self.metres)
        return ",".join(f"{number:.10g}" for number in numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRectangle:
    """Rectangle in the photograph whose sides are known.

    Examples:
        >>> sheet = KnownRectangle(corners=((10, 9), (60, 9), (60, 80), (10, 80)), sides="a4")
        >>> str(sheet), sheet.lengths
        ('10,9,60,9,60,80,10,80,a4', (0.297, 0.21))

    Attributes:
        corners: Column and row of the four corners, in order around the rectangle [px].
        sides: Length from the first to the second corner, and from the second to the third [m]. Or
            a name in ``NAMED_RECTANGLES``, of which either side may be the first.
        error: Standard deviation of a corner [px].

    Raises:
        OptionError: If a number is not finite, a side not positive, or the outline not convex.
    """

    corners: tuple[ImagePoint, ...]
    sides: tuple[float, float] | str
    error: float = CORNER_ERROR

    noun: ClassVar[str] = "rectangle"

    def __post_init__(self) -> None:
        try:
            corners = tuple((float(u), float(v)) for u, v in self.corners)
        except (TypeError, ValueError):
            raise OptionError(
                f"known rectangle: '{str(self.corners)[:40]}' is not a list of four "
                "corners (u, v) in pixels"
            ) from None
        object.__setattr__(self, "corners", corners)
        object.__setattr__(self, "sides", _checked_sides(self.sides))
        coordinates = [coordinate for corner in corners for coordinate in corner]
        if len(corners) != 4 or not all(map(math.isfinite, coordinates)):
            raise OptionError(
                f"known rectangle {self}: expected four corners with finite columns and rows, in "
                "pixels"
            )
        if not all(MIN_METRES <= metres <= MAX_METRES for metres in self.lengths):
            raise OptionError(
                f"known rectangle {self}: its sides must be between {MIN_METRES:g} and "
                f"{MAX_METRES:g} metres"
            )
        if not 0 < self.error < math.inf:
            raise OptionError(
                f"known rectangle {self}: the error of a corner must be a positive number of pixels"
            )
        fault = self._outline_fault()
        if fault is not None:
            raise OptionError(f"known rectangle {self}: {fault}")

    def _outline_fault(self) -> str | None:
        """Reason why the corners are not those of a convex outline; None if they are."""
        if self.shortest_side < _MIN_SIDE:
            return (
                "two of its corners coincide; columns and rows are in pixels, not in fractions "
                "of the width and the height"
            )

        # The turns after all sides have the same sign around a convex outline. Sides and corners
        # are counted from 0 here, and from 1 in messages.
        turn_sines = [self._turn_sine(side) for side in range(4)]
        for side, sine in enumerate(turn_sines):
            if abs(sine) < _MIN_CORNER_SINE:
                first, second, third = sorted((side + step) % 4 + 1 for step in range(3))
                return f"corners {first}, {second} and {third} lie on one line: check the corners"

        turns_right = [sine > 0 for sine in turn_sines]
        right_turn_count = sum(turns_right)
        if right_turn_count == 2:
            return "its sides cross: give the corners in order around the rectangle"
        if right_turn_count in (1, 3):
            # The turn that differs is at the end of its side, the next corner.
            differing_turn = right_turn_count == 1
            inner_corner = (turns_right.index(differing_turn) + 1) % 4
            return (
                f"corner {inner_corner + 1} lies inside the triangle of the other three, which "
                "is impossible for a rectangle: check the corners"
            )
        return None

    def _turn_sine(self, side: int) -> float:
        """Sine of the turn from a side of the outline to the next one; positive to the right."""
        (ax, ay), (bx, by), (cx, cy) = (self.corners[(side + step) % 4] for step in range(3))
        cross_product = (bx - ax) * (cy - by) - (by - ay) * (cx - bx)
        return cross_product / math.dist((ax, ay), (bx, by)) / math.dist((bx, by), (cx, cy))

    @property
    def image_points(self) -> tuple[ImagePoint, ...]:
        """The four corners, as (column, row) [px]."""
        return self.corners

    @property
    def lengths(self) -> tuple[float, float]:
        """Both sides [m]; the long one first if they are given by a name."""
        return NAMED_RECTANGLES[self.sides] if isinstance(self.sides, str) else self.sides

    @property
    def middle(self) -> ImagePoint:
        """Crossing of the diagonals, as (column, row) [px]: the rectangle's middle in space."""
        # They cross at a + s (c - a), with s = ((b - a) × (d - b)) / ((c - a) × (d - b)).
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = self.corners
        divisor = (cx - ax) * (dy - by) - (cy - ay) * (dx - bx)
        fraction = ((bx - ax) * (dy - by) - (by - ay) * (dx - bx)) / divisor
        return ax + fraction * (cx - ax), ay + fraction * (cy - ay)

    @property
    def shortest_side(self) -> float:
        """Length of the shortest side in the photograph [px]."""
        corners = self.corners
        return min(math.dist(corners[index], corners[index - 1]) for index in range(4))

    def __str__(self) -> str:
        if isinstance(self.sides, str):
            sides = self.sides
        else:
            sides = f"{self.sides[0]:.10g}x{self.sides[1]:.10g}"
        coordinates = [f"{coordinate:.10g}" for corner in self.corners for coordinate in corner]
        error = [] if self.error == CORNER_ERROR else [f"{self.error:.10g}px"]
        return ",".join([*coordinates, sides, *error])


def _checked_sides(sides: object) -> tuple[float, float] | str:
    """Check two sides [m], or the name of a rectangle, which is returned in lower case.

    ``sides`` is what a user passes: two numbers or lengths, or a text with either of these.

    Raises:
        OptionError: If it is none of these.
    """
    two_sides_or_name = parse_sides(sides) if isinstance(sides, str) else sides
    if isinstance(two_sides_or_name, str):
        return _checked_name(two_sides_or_name)
    try:
        first, second = two_sides_or_name  # pyright: ignore[reportGeneralTypeIssues]
        return parse_metres(str(first)), parse_metres(str(second))
    except (TypeError, ValueError):
        raise _sides_error(str(two_sides_or_name)) from None


def _checked_name(name: str) -> str:
    """Name of a rectangle in lower case; raise ``OptionError`` if there is none of this name."""
    if name.lower() not in NAMED_RECTANGLES:
        raise OptionError(
            f"known rectangle: '{name[:40]}' is neither two sides, such as 90cm x 2.1m, nor the "
            f"name of a common object; {suggest(name, NAMED_RECTANGLES)}"
        )
    return name.lower()


def parse_sides(text: str) -> tuple[float, float] | str:
    """Read two sides [m]; a text that does not look like two lengths is returned as a name.

    Examples:
        >>> parse_sides("90 x 210cm")
        (0.9, 2.1)
    """
    sides = [side.strip() for side in re.split("[x×*]", text.lower())]
    # An empty side counts as a length, too, so that "0.9x" is refused as one.
    look_like_lengths = all(side[:1].isdigit() or side[:1] in "-+." for side in sides)
    if len(sides) != 2 or not look_like_lengths:
        return text.strip()

    first, second = sides
    unit_of_second = re.search(r"\d\s*([a-z]+)$", second)
    # In "90 x 210cm", the unit holds for both.
    if unit_of_second is not None and first[-1:].isdigit():
        first += unit_of_second[1]
    try:
        return parse_metres(first), parse_metres(second)
    except ValueError:
        raise _sides_error(text) from None


def parse_object_sides(text: str) -> tuple[float, float, float]:
    """Read the three sides of an object [m]; the last unit holds for sides without one.

    Examples:
        >>> parse_object_sides("80x60x200 cm"), parse_object_sides("0.8 x 60cm x 2 m")
        ((0.8, 0.6, 2.0), (0.8, 0.6, 2.0))

    Raises:
        OptionError: If there are not three lengths, or one is too small or too large.
    """
    sides = [side.strip() for side in re.split("[x×*]", text.lower())]
    last_unit = re.search(r"\d\.?\s*([a-z]+)$", sides[-1])
    if last_unit is not None:
        sides = [side + last_unit[1] if side[-1:].isdigit() else side for side in sides]
    try:
        first, second, third = map(parse_metres, sides)
    except ValueError:
        raise OptionError(
            f"'{text[:40]}' are not three sides of an object, such as 0.8x0.6x2.0 or 80x60x200cm; "
            f"the units are {UNITS}"
        ) from None
    if not all(MIN_METRES <= side <= MAX_METRES for side in (first, second, third)):
        raise OptionError(
            f"'{text[:40]}': the sides of an object must be between {MIN_METRES:g} and "
            f"{MAX_METRES:g} metres"
        )
    return first, second, third


def _sides_error(sides: str) -> OptionError:
    return OptionError(
        f"known rectangle: sides '{sides[:40]}' are not two lengths, such as 90cm x 2.1m; "
        f"the units are {UNITS}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCircle:
    """Circle of known diameter, such as a coin or a plate, which a photograph shows as an ellipse.

    Examples:
        >>> coin = KnownCircle(u=320, v=240, width=60, height=41, angle=10, metres=0.02325)
        >>> str(coin)
        '320,240,60,41,10,0.02325'

    Attributes:
        u: Column of the ellipse's centre [px].
        v: Row of the ellipse's centre [px].
        width: One axis of the ellipse, from rim to rim [px].
        height: The other axis, from rim to rim [px].
        angle: Direction of ``width``, from the columns towards the rows [degrees], as OpenCV's
            ``fitEllipse`` has it.
        metres: Diameter [m].

    Raises:
        OptionError: If a number is not finite, or the ellipse or the diameter too small.
    """

    u: float
    v: float
    width: float
    height: float
    angle: float = 0.0
    metres: float

    noun: ClassVar[str] = "circle"

    def __post_init__(self) -> None:
        numbers = (self.u, self.v, self.width, self.height, self.angle)
        if not all(map(math.isfinite, numbers)):
            raise OptionError(f"known circle {self}: its ellipse must have finite numbers")
        if not MIN_METRES <= self.metres <= MAX_METRES:
            raise OptionError(
                f"known circle {self}: the diameter must be between {MIN_METRES:g} and "
                f"{MAX_METRES:g} metres"
            )
        short_axis, long_axis = sorted((self.width, self.height))
        if short_axis < _MIN_SHORT_AXIS or long_axis < _MIN_LONG_AXIS:
            raise OptionError(
                f"known circle {self}: its ellipse must be at least {_MIN_LONG_AXIS:g} pixels long "
                f"and {_MIN_SHORT_AXIS:g} pixel wide; columns and rows are in pixels, not in "
                "fractions of the width and the height"
            )
        if short_axis < _MIN_AXIS_RATIO * long_axis:
            raise OptionError(
                f"known circle {self}: its ellipse is {long_axis / short_axis:.0f} times as long "
                "as wide, so the circle is seen almost from its edge: check the points of its rim"
            )

    @property
    def ellipse(self) -> Ellipse:
        """Ellipse as which the photograph shows it."""
        return ordered_ellipse(self.u, self.v, self.width, self.height, self.angle)

    @property
    def image_points(self) -> tuple[ImagePoint, ...]:
        """Ends of both axes of the ellipse, as (column, row) [px]."""
        return tuple((u, v) for u, v in self.ellipse.rim(4).T.tolist())

    def __str__(self) -> str:
        numbers = (self.u, self.v, self.width, self.height, self.angle, self.metres)
        return ",".join(f"{number:.10g}" for number in numbers)


Known = KnownPoint | KnownLength | KnownRectangle | KnownCircle
"""Something that the user measured, with its position in the photograph."""


def parse_known(text: str) -> Known:
    """Read ``u,v,metres``, ``u,v,metres,ray``, a length, a rectangle or a circle.

    Raises:
        OptionError: If it is anything else.
    """
    # The number of values tells what it is, because each kind has another one.
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == _ELLIPSE_PARTS or len(parts) > 2 * _MIN_RIM_POINTS:
        return parse_circle(text)
    if len(parts) == _LENGTH_PARTS:
        return parse_length(text)
    if len(parts) in _RECTANGLE_PARTS:
        return parse_rectangle(text)
    return _parse_point(text, parts)


def _parse_point(text: str, parts: Sequence[str]) -> KnownPoint:
    """Read a known point; ``parts`` are the values in ``text``."""
    expected = (
        f"known point '{text}': expected u,v,metres (column, row, depth), u,v,metres,ray, or "
        "u1,v1,u2,v2,metres for a length"
    )
    if len(parts) not in (3, 4):
        raise OptionError(f"{expected}; found {_value_count(parts)}")
    try:
        u, v, metres = float(parts[0]), float(parts[1]), parse_metres(parts[2])
    except ValueError:
        raise OptionError(f"{expected}; the first three must be numbers") from None
    along = parts[3] if len(parts) == 4 else Along.AXIS
    if along not in list(Along):
        # A decimal comma, as in 2,35, makes one more value.
        hint = "; write decimals with a point, as in 2.35" if along.isdigit() else ""
        raise OptionError(f"{expected}; '{along}' is neither axis nor ray{hint}")
    return KnownPoint(u=u, v=v, metres=metres, along=Along(along))


def _value_count(parts: Sequence[str]) -> str:
    return "1 value" if len(parts) == 1 else f"{len(parts)} values"


def parse_length(text: str) -> KnownLength:
    """Read ``u1,v1,u2,v2,length``: metres, with a unit, or a name in ``NAMED_LENGTHS``."""
    parts = [part.strip() for part in text.split(",")]
    expected = (
        f"known length '{text}': expected u1,v1,u2,v2,metres (column and row of both "
        "ends), or the name of a common object in place of the metres, such as a4"
    )
    if len(parts) != _LENGTH_PARTS:
        raise OptionError(f"{expected}; found {_value_count(parts)}")
    *coordinate_texts, length_text = parts
    try:
        u1, v1, u2, v2 = map(float, coordinate_texts)
    except ValueError:
        raise OptionError(f"{expected}; the first four must be numbers") from None
    return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=_parse_length_or_name(length_text))


def _parse_length_or_name(text: str) -> float:
    """Read a length [m] with or without a unit, or a name in ``NAMED_LENGTHS``."""
    if text.lower() in NAMED_LENGTHS:
        return NAMED_LENGTHS[text.lower()]
    try:
        return parse_metres(text)
    except ValueError:
        hint = suggest(text, NAMED_LENGTHS)
        raise OptionError(
            f"known length: '{text}' is neither a number of metres nor a length with a "
            f"unit ({UNITS}); {hint}"
        ) from None


def parse_rectangle(text: str) -> KnownRectangle:
    """Read ``u1,v1,u2,v2,u3,v3,u4,v4,SIDES[,ERROR]``.

    SIDES is a name such as a4 or ``90cm x 2.1m``, and ERROR that of a corner, such as ``0.5px``.
    """
    parts = [part.strip() for part in text.split(",")]
    expected = (
        f"known rectangle '{text[:120]}': expected u1,v1,u2,v2,u3,v3,u4,v4 (column and row of the "
        "corners, in order around it), then the name of a common object (a4, letter, card, ...) "
        "or both sides, such as 90cm x 2.1m"
    )
    if len(parts) not in _RECTANGLE_PARTS:
        raise OptionError(f"{expected}; found {_value_count(parts)}")
    coordinate_texts, sides_text, error_texts = parts[:8], parts[8], parts[9:]
    try:
        coordinates = [float(text.removesuffix("px")) for text in coordinate_texts]
        error = float(error_texts[0].removesuffix("px")) if error_texts else CORNER_ERROR
    except ValueError:
        raise OptionError(
            f"{expected}; the first eight must be numbers, and a tenth is the error of a "
            "corner, such as 0.5px"
        ) from None
    corners = tuple(zip(coordinates[::2], coordinates[1::2], strict=True))
    return KnownRectangle(corners=corners, sides=parse_sides(sides_text), error=error)


def parse_circle(text: str) -> KnownCircle:
    """Read a circle: where it is, and its diameter in metres, with a unit, or by a name.

    It is at a box ``u1,v1,u2,v2``, at an ellipse ``u,v,width,height,angle``, or at five or more
    points of its rim ``u1,v1,u2,v2,...``.

    Examples:
        >>> str(parse_circle("290,220,350,261,23.25mm"))
        '320,240.5,60,41,0,0.02325'
    """
    parts = [part.strip() for part in text.split(",")]
    expected = (
        f"known circle '{text[:120]}': expected five or more points of its rim (u1,v1,...,u5,v5), "
        "its ellipse (u,v,width,height,angle) or its box (u1,v1,u2,v2), then the diameter, such as "
        "23mm"
    )
    *number_texts, diameter_text = parts
    try:
        numbers = [float(number_text) for number_text in number_texts]
    except ValueError:
        raise OptionError(f"{expected}; all but the last must be numbers") from None
    if not all(map(math.isfinite, numbers)):
        raise OptionError(f"{expected}; all numbers must be finite")
    metres = _parse_diameter(diameter_text)
    if len(numbers) == 4:  # a box
        u1, v1, u2, v2 = numbers
        return KnownCircle(
            u=(u1 + u2) / 2, v=(v1 + v2) / 2, width=abs(u2 - u1), height=abs(v2 - v1), metres=metres
        )
    if len(numbers) == 5:  # an ellipse
        u, v, width, height, angle = numbers
        return KnownCircle(u=u, v=v, width=width, height=height, angle=angle, metres=metres)
    are_pairs = len(numbers) % 2 == 0
    if not are_pairs or len(numbers) < 2 * _MIN_RIM_POINTS:
        raise OptionError(f"{expected}; found {_value_count(parts)}")
    return circle_through(tuple(zip(numbers[::2], numbers[1::2], strict=True)), metres)


def circle_through(points: Sequence[ImagePoint], metres: float) -> KnownCircle:
    """Make a circle of a diameter [m] by five or more points (u, v) of its rim [px].

    Raises:
        OptionError: If the points lie on no ellipse.
    """
    ellipse = ellipse_through(points)
    if ellipse is None or not _lie_on_rim(points, ellipse):
        raise OptionError(
            f"known circle: its {len(points)} points do not lie on an ellipse, as which a "
            "photograph shows a circle: spread them around the rim, each on its edge"
        )
    return KnownCircle(
        u=round(ellipse.u, 3),
        v=round(ellipse.v, 3),
        width=round(ellipse.long_axis, 3),
        height=round(ellipse.short_axis, 3),
        angle=round(ellipse.angle, 3),
        metres=metres,
    )


def _lie_on_rim(points: Sequence[ImagePoint], ellipse: Ellipse) -> bool:
    """Whether all points lie so near the rim of an ellipse that clicks explain the distance."""
    largest_distance = max(ellipse.rim_distances(points).tolist())
    return largest_distance <= max(_MAX_RIM_PIXELS, _MAX_RIM_ERROR * ellipse.long_axis)


def _parse_diameter(text: str) -> float:
    """Read a diameter [m] with or without a unit, or a name in ``NAMED_DIAMETERS``."""
    if text.lower() in NAMED_DIAMETERS:
        return NAMED_DIAMETERS[text.lower()]
    try:
        return parse_metres(text)
    except ValueError:
        raise OptionError(
            f"known circle: '{text[:40]}' is neither a number of metres nor a length with a unit "
            f"({UNITS}); {suggest(text, NAMED_DIAMETERS)}"
        ) from None
