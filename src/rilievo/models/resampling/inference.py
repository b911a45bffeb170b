"""Answer of a network, and the rule of resizing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Field, Float32, Mask, Pixels, Shaped
from rilievo.errors import ModelError
from rilievo.geometry.cameras.camera import Camera

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

_BLENDED = "blended"


class Space(StrEnum):
    """Space in which depth is resized."""

    VALUES = "values"
    INVERSE = "inverse"
    LOG = "log"


class Filter(StrEnum):
    """Filter of an answer; pixel centres are at halves."""

    ANTIALIASED = "antialiased"
    """Linear; a triangle where it shrinks."""
    LINEAR = "linear"
    CUBIC = "cubic"
    """Cubic (a = -0.75); linear where depth would not be positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resizing:
    """Rule by which depth and normals are resized.

    Attributes:
        blended: Whether pixels without depth are left out afterwards.
        nearest: Lower limit [m]; 0 for none.
        farthest: Upper limit [m]; 0 for none.
    """

    space: Space = Space.VALUES
    filter: Filter = Filter.ANTIALIASED
    blended: bool = False
    nearest: float = 0.0
    farthest: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.nearest <= self.farthest < float("inf"):
            raise ModelError(f"limits are 0 <= nearest <= farthest, got {self}")

    def __str__(self) -> str:
        words = [self.space.value]
        if self.filter is not Filter.ANTIALIASED:
            words.append(self.filter.value)
        if self.blended:
            words.append(_BLENDED)
        if self.farthest:
            words += [f"{self.nearest!r}", f"{self.farthest!r}"]
        return " ".join(words)

    @property
    def described(self) -> str:
        """The rule in words."""
        parts = [f"{_SPACES[self.space]}, {_FILTERS[self.filter]}"]
        if self.blended:
            parts.append("pixels without depth are left out afterwards")
        if self.farthest:
            parts.append(f"then limited to {self.nearest:g} to {self.farthest:g} m")
        return "; ".join(parts)


def read_resizing(text: str) -> Resizing:
    """Parse ``str`` of a rule.

    Raises:
        ValueError: If it is no rule.
    """
    space, *words = text.split(" ")
    filter = Filter(words.pop(0)) if words and words[0] in tuple(Filter) else Filter.ANTIALIASED
    blended = words[:1] == [_BLENDED]
    nearest, farthest = map(float, words[blended:] or (0.0, 0.0))
    return Resizing(
        space=Space(space), filter=filter, blended=blended, nearest=nearest, farthest=farthest
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Output for one photograph, at the network's resolution.

    Attributes:
        valid: Pixels that have depth; None for all.
        normals: Vectors in the camera frame, towards the camera, of any length.
        confidence: Values in [0, 1].
        sky: Chance of no surface, [0, 1].
        shift: Constant added to the exponential of log depth.
        shown: Photograph as the network saw it, if shrunk as a whole.
    """

    depth: Field | None = None
    valid: Mask | None = None
    normals: Float32[np.ndarray, "3 h2 w2"] | None = None
    confidence: Float32[np.ndarray, "h2 w2"] | None = None
    sky: Float32[np.ndarray, "h2 w2"] | None = None
    camera: Camera | None = None
    shift: float = 0.0
    shown: Pixels | None = None

    __eq__ = same_record
    __hash__ = no_hash


# Rule where authors name none.
PLAIN = Resizing()
_SPACES = {
    Space.VALUES: "its values",
    Space.INVERSE: "inverse depth",
    Space.LOG: "the logarithm of depth",
}
_FILTERS = {
    Filter.ANTIALIASED: "linear between pixel centres, antialiased where it shrinks",
    Filter.LINEAR: "linear between pixel centres, never antialiased",
    Filter.CUBIC: "cubic between pixel centres, never antialiased",
}
