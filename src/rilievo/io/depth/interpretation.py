"""How the numbers of depth files were read: facts with their origin, doubts and range, in words."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.io.depth.statements import DISPARITY, DepthStatement
from rilievo.records.depth_map import DepthKind

# Median from which on numbers may be centimetres of a room [m].
_FAR_MEDIAN = 100.0


class FactOrigin(StrEnum):
    """Origin of a fact."""

    STATED = "stated"
    GIVEN = "given"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFact:
    """Fact about numbers: scale, kind, invalid, size or camera."""

    name: str
    value: str
    origin: FactOrigin
    place: str

    def __str__(self) -> str:
        return f"{self.value} ({self.place})"


NOTHING_SAYS = "nothing says otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReading:
    """Meaning of a file's numbers: facts, doubts, and range [m].

    Attributes:
        middle: Median of one image [m].
        is_unit_declared: Whether the user declares the unit or the farthest depth, which may then
            be far beyond what is usual.
    """

    facts: tuple[NumberFact, ...] = ()
    doubts: tuple[str, ...] = ()
    near: float | None = None
    far: float | None = None
    middle: float | None = None
    is_unit_declared: bool = False

    @property
    def scales(self) -> tuple[NumberFact, ...]:
        """Facts about the unit of the numbers."""
        return tuple(fact for fact in self.facts if fact.name == "scale")

    @property
    def unit_and_range(self) -> str:
        """Unit and range in words."""
        words = "; ".join(dict.fromkeys(fact.value for fact in self.scales))
        without_metres = ("up to scale", "of kind")
        values = [fact.value for fact in self.scales]
        unit = " m"
        if any(words in value for value in values for words in without_metres):
            unit = ""
        span = "" if self.near is None else f": {self.near:.3g} to {self.far:.3g}{unit}"
        return f"read as {words}{span}"

    @property
    def summary_line(self) -> str | None:
        """Unit, range and source in words; None without a unit."""
        if not self.scales:
            return None
        return f"{self.unit_and_range} ({self.scales[0].place})"


def scale_fact(
    stored: Shaped[np.ndarray, "h w"],
    statement: DepthStatement,
    *,
    unit: float | None,
    place: str,
    guess: float,
    is_disparity: bool = False,
) -> NumberFact:
    """Unit of the numbers [m]: stated, given at a ``place`` (file or option) or guessed.

    The unit of disparity is the pixel.
    """
    words = unit_words
    if is_disparity or statement.kind == DISPARITY:
        words = disparity_words
    if statement.is_coded or statement.kind == DepthKind.UP_TO_SCALE:
        value = "metres"
        if statement.kind == DepthKind.UP_TO_SCALE:
            value = "numbers up to scale"
        elif statement.kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
            value = f"numbers of kind '{statement.kind}'"
        elif statement.logarithm is not None:
            value = "logarithms of metres"
        elif statement.reciprocal is not None:
            value = "inverse depth"
        elif statement.scale is not None:
            value = words(statement.scale)
        return NumberFact(
            name="scale", value=value, origin=FactOrigin.STATED, place=statement.place
        )
    if unit is not None:
        return NumberFact(name="scale", value=words(unit), origin=FactOrigin.GIVEN, place=place)
    whole = "whole" if stored.dtype.kind in "ui" else "floating-point"
    numbers = stored[np.isfinite(stored) & (stored > 0)]
    far = ""
    if whole != "whole" and numbers.size and np.median(numbers) > _FAR_MEDIAN:
        far = f"; if they are centimetres, they go to {numbers.max() / 100:.3g} m"
    return NumberFact(
        name="scale",
        value=words(guess),
        origin=FactOrigin.GUESSED,
        place=f"a guess: {whole} numbers of no stated unit{far}",
    )


def disparity_words(scale: float) -> str:
    """Unit of disparity of ``scale`` pixels in words."""
    return "disparity in pixels" if scale == 1 else f"disparity in counts of {scale:.6g} px"


def unit_words(scale: float) -> str:
    """Unit of ``scale`` metres in words."""
    names = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres"}
    return names.get(scale, f"counts of {scale:.6g} m")
