"""Whether an object with three sides fits through an opening whose sides are measured.

The object passes along its longest side, so that the rectangle of its two shorter sides has to fit
into the opening. It may be turned in the plane of the opening.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rilievo.errors import OptionError
from rilievo.measure.measurements import Measurement, MeasurementOrigin, Point, Quantity
from rilievo.measure.polygons import require_simple_outline
from rilievo.measure.quantities import length
from rilievo.records.prediction_record import PredictionRecord

_MAX_OBJECT_SIDE = 30.0  # [m]; the sides of a larger object are probably in another unit


class FitAnswer(StrEnum):
    """Whether an object fits through an opening."""

    YES = "yes"
    NO = "no"
    NOT_SURE = "not sure"
    """It fits through some of the openings in the range, and not through others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningFit(Measurement):
    """Answer whether an object fits through an opening.

    ``value`` is the factor by which the largest object of this shape that fits differs from the
    object: 1.1 if it could be a tenth larger.

    Attributes:
        answer: Yes if the object fits even through the smallest opening in the range, no if it does
            not fit through the largest one, and not sure otherwise.
        object_sides: Sides of the object, the shortest first [m].
        opening_width: Mean of the sides between the first two and the last two corners [m].
        opening_height: Mean of the other two sides [m].
    """

    answer: FitAnswer
    object_sides: tuple[float, float, float]
    opening_width: Measurement
    opening_height: Measurement

    def text_in(self, unit: str) -> str:
        """Answer and range, such as ``yes; an object 1.08 times as large fits (1.05 to 1.11)``."""
        factors = super(OpeningFit, self).text_in("times as large fits")
        return f"{self.answer}; an object {factors}"


def fits_through(
    prediction: PredictionRecord,
    object_sides: Sequence[float],
    corners: Sequence[Point],
    *,
    in_plane: bool = False,
) -> OpeningFit:
    """Tell whether an object fits through a rectangular opening, such as a door.

    The object passes straight through the opening, along its longest side. What lies behind the
    opening, such as a narrow corridor, is not checked.

    Args:
        prediction: Prediction in metres.
        object_sides: Three sides of the object, in any order [m].
        corners: Four corners of the opening in order around it, (column, row) [px].
        in_plane: Whether they lie in the plane of the nearest known rectangle.

    Raises:
        OptionError: If there are not three positive sides, or not four corners around the opening.
        CalibrationError: If depth is not in metres, or a corner has none.
    """
    sides = _sorted_sides(object_sides)
    if len(corners) != 4:
        raise OptionError(
            f"an opening needs its four corners in order around it, got {len(corners)}"
        )
    require_simple_outline(corners)
    measured_sides = [
        length(prediction, corners[index], corners[(index + 1) % 4], in_plane=in_plane)
        for index in range(4)
    ]
    diagonals = [
        length(prediction, corners[index], corners[index + 2], in_plane=in_plane)
        for index in range(2)
    ]
    width = _mean_of(measured_sides[0], measured_sides[2])
    height = _mean_of(measured_sides[1], measured_sides[3])

    section = sides[0], sides[1]
    low = largest_fitting_factor(section, (width.low, height.low))
    high = largest_fitting_factor(section, (width.high, height.high))
    opening = width.value, height.value
    value = largest_fitting_factor(section, opening)
    answer = FitAnswer.NOT_SURE
    if low >= 1:
        answer = FitAnswer.YES
    if high < 1:
        answer = FitAnswer.NO
    return OpeningFit(
        what=Quantity.FIT,
        value=value,
        low=low,
        high=high,
        origin=_origin_of(measured_sides),
        remarks=(
            *_unit_remarks(object_sides),
            f"the opening has the sides {width.text} and {height.text}",
            *_turn_remarks(section, opening, answer),
            *_shape_remarks((*measured_sides, *diagonals)),
            *_remarks_of(measured_sides),
        ),
        answer=answer,
        object_sides=sides,
        opening_width=width,
        opening_height=height,
    )


def _sorted_sides(object_sides: Sequence[float]) -> tuple[float, float, float]:
    sides = sorted(float(side) for side in object_sides)
    if len(sides) != 3 or not all(0 < side < math.inf for side in sides):
        texts = ", ".join(f"{side:g}" for side in sides)
        raise OptionError(f"an object needs three positive sides in metres, got {texts or 'none'}")
    return sides[0], sides[1], sides[2]


def _unit_remarks(object_sides: Sequence[float]) -> tuple[str, ...]:
    """Remark if the sides of an object are hardly in metres."""
    longest = max(object_sides)
    if longest <= _MAX_OBJECT_SIDE:
        return ()
    unit, per_metre = ("millimetres", 1000) if longest >= 1000 else ("centimetres", 100)
    in_unit = "x".join(f"{side / per_metre:g}" for side in object_sides)
    return (
        f"the object is read as {' x '.join(f'{side:g}' for side in object_sides)} metres; if the "
        f"numbers are in {unit}, write {in_unit}",
    )


def _mean_of(first: Measurement, second: Measurement) -> Measurement:
    """Mean of two opposite sides, whose errors have the same causes."""
    return Measurement(
        what=Quantity.LENGTH,
        value=(first.value + second.value) / 2,
        low=(first.low + second.low) / 2,
        high=(first.high + second.high) / 2,
        origin=_origin_of((first, second)),
    )


def _origin_of(sides: Sequence[Measurement]) -> MeasurementOrigin:
    """Origin of the side with the widest range."""
    return max(sides, key=lambda side: (side.high - side.low) / side.value).origin


@dataclass(frozen=True, slots=True, kw_only=True)
class _TurnedSection:
    """Section of an object that passes through an opening, turned by an angle.

    Attributes:
        angle: Angle between the shorter side of the section and the width of the opening [rad].
        factor: Factor of the largest section of this shape that fits at this angle.
    """

    angle: float
    factor: float


def largest_fitting_factor(section: tuple[float, float], opening: tuple[float, float]) -> float:
    """Factor of the largest rectangle of a shape that fits into another one at any angle.

    A factor of 1 or more is the criterion of Carver, "Solution to problem E 1225", American
    Mathematical Monthly 64 (1957).

    Examples:
        >>> round(largest_fitting_factor((0.6, 0.8), (0.9, 2.0)), 3)
        1.5
    """
    straight, turned = _best_straight(section, opening), _best_turned(section, opening)
    return straight.factor if turned is None else max(straight.factor, turned.factor)


def _turn_section(
    angle: float, section: tuple[float, float], opening: tuple[float, float]
) -> _TurnedSection:
    (first, second), (opening_width, opening_height) = section, opening
    cosine, sine = math.cos(angle), math.sin(angle)
    turned_width = first * cosine + second * sine
    turned_height = first * sine + second * cosine
    factor = min(opening_width / turned_width, opening_height / turned_height)
    return _TurnedSection(angle=angle, factor=factor)


def _best_straight(section: tuple[float, float], opening: tuple[float, float]) -> _TurnedSection:
    """The better of a section that stands upright and one that lies."""
    upright, lying = (_turn_section(angle, section, opening) for angle in (0.0, math.pi / 2))
    return upright if upright.factor >= lying.factor else lying


def _best_turned(
    section: tuple[float, float], opening: tuple[float, float]
) -> _TurnedSection | None:
    """Section at the angle between upright and lying that may be best; None if there is none.

    Each of the two limits, by the width and by the height of the opening, allows the largest factor
    at 0 or 90 degrees. In between, the best angle is therefore that at which both limits are the
    same. A section p x q in an opening of w x h then has
    w (p sin(angle) + q cos(angle)) = h (p cos(angle) + q sin(angle)).
    """
    (p, q), (width, height) = section, opening
    # Solved for the tangent, which is sine / cosine with a factor in common.
    sine, cosine = height * p - width * q, width * p - height * q
    if cosine < 0:
        sine, cosine = -sine, -cosine
    angle = math.atan2(sine, cosine)
    return _turn_section(angle, section, opening) if 0 < angle < math.pi / 2 else None


def _turn_remarks(
    section: tuple[float, float], opening: tuple[float, float], answer: FitAnswer
) -> tuple[str, ...]:
    """Remark on the angle, if an object that may fit does so only at an angle."""
    straight, turned = _best_straight(section, opening), _best_turned(section, opening)
    may_fit_straight = straight.factor >= 1
    if answer is FitAnswer.NO or may_fit_straight or turned is None:
        return ()
    if turned.factor <= straight.factor:
        return ()
    return (
        "the object only fits if its shortest side is turned by "
        f"{math.degrees(turned.angle):.0f}° in the opening, and not straight",
    )


def _remarks_of(sides: Sequence[Measurement]) -> tuple[str, ...]:
    """Remarks on the sides, once each, without those that a side is known."""
    remarks = [
        remark
        for side in sides
        if side.origin is not MeasurementOrigin.KNOWN
        for remark in side.remarks
    ]
    return tuple(dict.fromkeys(remarks))


def _shape_remarks(sides_and_diagonals: Sequence[Measurement]) -> tuple[str, ...]:
    """Remark if opposite sides, or the diagonals, are surely not equally long."""
    first, second, third, fourth, *diagonals = sides_and_diagonals
    pairs = (first, third), (second, fourth), tuple(diagonals)
    if all(_may_be_equal(*pair) for pair in pairs):
        return ()
    return (
        "the four corners are not those of a rectangle: opposite sides or the diagonals have "
        "different lengths, and the means of opposite sides were used",
    )


def _may_be_equal(first: Measurement, second: Measurement) -> bool:
    """Whether the ranges of two measurements overlap."""
    return first.low <= second.high and second.low <= first.high
