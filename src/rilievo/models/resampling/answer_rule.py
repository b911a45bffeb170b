"""Answer of a network, with the rule by which it is resized: a fact of its card."""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from rilievo.errors import ModelError
from rilievo.frozen import frozen
from rilievo.records import no_hash, same_record
from rilievo.shapes import Field, Float32, Mask, Pixels, Shaped
from rilievo.types import Camera

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]
"""Inputs or outputs of a network by name."""

_BLENDED = "blended"


class Space(StrEnum):
    """Space in which depth is resized."""

    VALUES = "values"
    """Depth as it is."""
    INVERSE = "inverse"
    """One over depth."""
    LOG = "log"
    """The logarithm of depth."""


class Filter(StrEnum):
    """Filter that resizes an answer; pixel centres are at halves."""

    ANTIALIASED = "antialiased"
    """Linear; a triangle filter where the answer shrinks."""
    LINEAR = "linear"
    """Linear between the four nearest pixels, also where the answer shrinks."""
    CUBIC = "cubic"
    """Cubic convolution of the sixteen nearest pixels (a = -0.75), also where the answer shrinks.
    Depth that would not be positive beside an edge is linear.
    """


@frozen
class Resizing:
    """Rule by which depth and normals are resized.

    Attributes:
        space: Space in which depth is resized.
        filter: Filter.
        blended: Whether pixels without depth are resized with the others and left out afterwards;
            otherwise they are left out before.
        nearest: Depth below which values are limited after resizing [m]; 0 for no limit.
        farthest: Depth beyond which values are limited after resizing [m]; 0 for no limit.
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
        """The rule as metadata and settings hold it, such as ``inverse linear 0.0001 10000.0``."""
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
    """Parse what ``str`` of a rule gives.

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


@frozen
class Inference:
    """Output of a network for one photograph, at the network's own resolution.

    Attributes:
        depth: Depth values of the card's kind; defined only where ``valid``.
        valid: Mask of pixels that have depth; None if all have.
        normals: Normals in the camera frame, towards the camera; not necessarily of unit length.
        confidence: Confidence in [0, 1].
        sky: Chance in [0, 1] that a pixel sees no surface.
        camera: Intrinsics of the photograph as estimated by the network; None if it estimates none.
        shift: Constant in depth that was added to the exponential of what the network answers, for
            depth that is resized as a logarithm.
        shown: Photograph as the network saw it; None where it was not shrunk to it as a whole.
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
"""Rule of networks whose authors name none."""
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
