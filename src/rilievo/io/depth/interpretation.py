"""How the numbers of a depth file were interpreted, in words for the user.

What the file does not state and the user does not give is guessed, so each property says where it
comes from.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.io.depth.statements import DISPARITY, DepthStatement
from rilievo.records.depth_map import DepthKind

NOT_STATED = "nothing says otherwise"
"""Source of a property that neither the file nor the user states."""

_MAX_INDOOR_MEDIAN = 100.0  # [m]; larger medians of floats may be a room in centimetres
_UNIT_NAMES = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres"}


class PropertyOrigin(StrEnum):
    """Who says what the numbers mean: the file, the user, or nobody."""

    STATED = "stated"
    GIVEN = "given"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthProperty:
    """One property of the numbers in a depth file, and where it comes from.

    Attributes:
        name: "scale" (the unit), "kind", "invalid", "size" or "camera".
        value: The property in words, such as "millimetres".
        origin: Who says so.
        place: Where it is said, such as "its text" or the name of an option. The records of
            evaluations have this name.
    """

    name: str
    value: str
    origin: PropertyOrigin
    place: str

    def __str__(self) -> str:
        return f"{self.value} ({self.place})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthInterpretation:
    """What the numbers of one or several depth files were taken for.

    Attributes:
        warnings: Sentences on what may be wrong about it.
        nearest: Least depth [m], or in the numbers' own unit if they have no scale.
        farthest: Largest depth, in the same unit.
        median: Median of one image [m].
        is_unit_declared: Whether the user declares the unit or the farthest depth, so that unusual
            depth is no reason for a warning.
    """

    properties: tuple[DepthProperty, ...] = ()
    warnings: tuple[str, ...] = ()
    nearest: float | None = None
    farthest: float | None = None
    median: float | None = None
    is_unit_declared: bool = False

    @property
    def unit_properties(self) -> tuple[DepthProperty, ...]:
        """The units of the files, one for each that occurs."""
        return tuple(each for each in self.properties if each.name == "scale")

    @property
    def unit_and_range(self) -> str:
        """Unit and range in words, such as "read as millimetres: 0.5 to 4.2 m"."""
        units = [unit.value for unit in self.unit_properties]
        text = f"read as {'; '.join(dict.fromkeys(units))}"
        if self.nearest is None:
            return text

        has_metres = not any("up to scale" in unit or "of kind" in unit for unit in units)
        return f"{text}: {self.nearest:.3g} to {self.farthest:.3g}{' m' if has_metres else ''}"

    @property
    def summary_line(self) -> str | None:
        """Unit, range and their source in words; None without a unit."""
        if not self.unit_properties:
            return None
        return f"{self.unit_and_range} ({self.unit_properties[0].place})"


def unit_property(
    stored: Shaped[np.ndarray, "h w"],
    statement: DepthStatement,
    *,
    unit: float | None,
    source: str,
    guess: float,
    is_disparity: bool = False,
) -> DepthProperty:
    """Describe the unit of a file's numbers: the stated one, else the given one, else the guess.

    Args:
        stored: Numbers of the file.
        statement: What the file states.
        unit: Metres of one number that the user gives, pixels for disparity; None if not given.
        source: Where ``unit`` is given, such as the name of an option.
        guess: Unit if nobody says one.
        is_disparity: Whether the user says that the numbers are disparity.
    """
    describe = unit_words
    if is_disparity or statement.kind == DISPARITY:
        describe = disparity_unit_words
    if statement.is_decodable or statement.kind == DepthKind.UP_TO_SCALE:
        value = _stated_unit_words(statement)
        if value is None:
            value = "metres" if statement.scale is None else describe(statement.scale)
        return DepthProperty(
            name="scale", value=value, origin=PropertyOrigin.STATED, place=statement.source
        )
    if unit is not None:
        return DepthProperty(
            name="scale", value=describe(unit), origin=PropertyOrigin.GIVEN, place=source
        )
    return DepthProperty(
        name="scale",
        value=describe(guess),
        origin=PropertyOrigin.GUESSED,
        place=_guess_words(stored),
    )


def _stated_unit_words(statement: DepthStatement) -> str | None:
    """What the file says that its numbers are; None if they are counts of a unit."""
    if statement.kind == DepthKind.UP_TO_SCALE:
        return "numbers up to scale"
    if statement.kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        return f"numbers of kind '{statement.kind}'"
    if statement.logarithmic_range is not None:
        return "logarithms of metres"
    if statement.inverse_range is not None:
        return "inverse depth"
    return None


def _guess_words(stored: Shaped[np.ndarray, "h w"]) -> str:
    """Say that the unit is a guess, and what floats are if they are centimetres."""
    if stored.dtype.kind in "ui":
        return "a guess: whole numbers of no stated unit"

    words = "a guess: floating-point numbers of no stated unit"
    numbers = stored[np.isfinite(stored) & (stored > 0)]
    if numbers.size and np.median(numbers) > _MAX_INDOOR_MEDIAN:
        words += f"; if they are centimetres, they go to {numbers.max() / 100:.3g} m"
    return words


def disparity_unit_words(scale: float) -> str:
    """Unit of disparity in words, where one number is ``scale`` pixels."""
    return "disparity in pixels" if scale == 1 else f"disparity in counts of {scale:.6g} px"


def unit_words(scale: float) -> str:
    """Unit of depth in words, where one number is ``scale`` metres."""
    return _UNIT_NAMES.get(scale, f"counts of {scale:.6g} m")
