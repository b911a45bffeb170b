"""What a network answers for one photograph, and the rule by which that is resized."""

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
    """Filter by which an answer is resized; the centres of pixels are at halves."""

    ANTIALIASED = "antialiased"
    """Linear; a triangle filter where it shrinks."""
    LINEAR = "linear"
    """Linear, never antialiased."""
    CUBIC = "cubic"
    """Cubic (a = -0.75); linear where depth would not be positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resizing:
    """Rule by which depth and normals are resized, as the authors of a network do it.

    Attributes:
        space: Space in which depth is interpolated.
        filter: Filter.
        blended: Whether pixels without depth are interpolated like others and left out afterwards.
            Otherwise they do not count.
        nearest: Lower limit of depth [m].
        farthest: Upper limit of depth [m]; 0 for no limits.
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
        """The rule in words, for documentation."""
        parts = [f"{_SPACES[self.space]}, {_FILTERS[self.filter]}"]
        if self.blended:
            parts.append("pixels without depth are left out afterwards")
        if self.farthest:
            parts.append(f"then limited to {self.nearest:g} to {self.farthest:g} m")
        return "; ".join(parts)


def read_resizing(text: str) -> Resizing:
    """Read a rule from its text, which is ``str(rule)``.

    Raises:
        ValueError: If it is no rule.
    """
    space, *words = text.split(" ")
    filter = Filter.ANTIALIASED
    if words and words[0] in tuple(Filter):
        filter = Filter(words.pop(0))
    blended = words[:1] == [_BLENDED]
    if blended:
        words.pop(0)
    nearest, farthest = map(float, words or (0.0, 0.0))
    return Resizing(
        space=Space(space), filter=filter, blended=blended, nearest=nearest, farthest=farthest
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Answer for one photograph, at the network's resolution.

    Attributes:
        depth: Depth of the kind that the model's card states; None if the model gives none.
        valid: Pixels that have depth; None for all.
        normals: Vectors in the camera frame, towards the camera, of any length.
        confidence: Values from 0 to 1.
        sky: Probability that a pixel shows no surface, from 0 to 1.
        camera: Camera that the model estimated.
        shift: Constant that was added to the exponential of log depth, for resizing in logarithms.
        shown: Photograph as the network saw it, if it was only shrunk.
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


PLAIN = Resizing()
"""Rule for networks whose authors name none."""
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
