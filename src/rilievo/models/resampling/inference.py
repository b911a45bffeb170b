"""Outputs of a network for one photograph, and how they are resized to the photograph."""

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
    """Filter that resizes a network's outputs; the centres of pixels are at halves."""

    ANTIALIASED = "antialiased"
    """Linear; a triangle filter where it shrinks."""
    LINEAR = "linear"
    """Linear, never antialiased."""
    CUBIC = "cubic"
    """Cubic (a = -0.75); linear where depth would not be positive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resizing:
    """How depth and normals are resized to the photograph, as the authors of a network do it.

    Attributes:
        space: Space in which depth is interpolated.
        blended: Whether pixels without depth are interpolated like all others and masked out
            afterwards. Otherwise they get no weight in the interpolation.
        nearest: Depth is clipped to at least this [m].
        farthest: Depth is clipped to at most this [m]; 0 means that depth is not clipped at all.
    """

    space: Space = Space.VALUES
    filter: Filter = Filter.ANTIALIASED
    blended: bool = False
    nearest: float = 0.0
    farthest: float = 0.0

    def __post_init__(self) -> None:
        # Without limits both are 0. This also refuses NaN.
        if not 0 <= self.nearest <= self.farthest < float("inf"):
            raise ModelError(
                "limits must satisfy 0 <= nearest <= farthest, got "
                f"nearest={self.nearest}, farthest={self.farthest}"
            )

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
    def description(self) -> str:
        """The rule in words, for documentation."""
        parts = [f"{_SPACE_DESCRIPTIONS[self.space]}, {_FILTER_DESCRIPTIONS[self.filter]}"]
        if self.blended:
            parts.append("pixels without depth are left out afterwards")
        if self.farthest:
            parts.append(f"then limited to {self.nearest:g} to {self.farthest:g} m")
        return "; ".join(parts)


def parse_resizing(text: str) -> Resizing:
    """Parse ``str(rule)``: SPACE [FILTER] [blended] [NEAREST FARTHEST]."""
    space, *optional_words = text.split(" ")

    resize_filter = Filter.ANTIALIASED
    if optional_words and optional_words[0] in tuple(Filter):
        resize_filter = Filter(optional_words.pop(0))

    is_blended = bool(optional_words) and optional_words[0] == _BLENDED
    if is_blended:
        optional_words.pop(0)

    nearest, farthest = map(float, optional_words or (0.0, 0.0))
    return Resizing(
        space=Space(space),
        filter=resize_filter,
        blended=is_blended,
        nearest=nearest,
        farthest=farthest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Outputs of a network for one photograph, at the network's resolution.

    A field is None if the model does not predict it.

    Attributes:
        depth: Depth of the kind that the model's card states.
        valid: Pixels that have depth; None if all have.
        normals: Vectors in the camera frame, towards the camera, of any length.
        sky: Probability that a pixel shows no surface, from 0 to 1.
        camera: Camera that the model estimated.
        shift: Depth is exp(log depth) + shift for networks that are resized in logarithms.
        network_image: Photograph as the network saw it, if it was only shrunk.
    """

    depth: Field | None = None
    valid: Mask | None = None
    normals: Float32[np.ndarray, "3 h2 w2"] | None = None
    confidence: Float32[np.ndarray, "h2 w2"] | None = None
    sky: Float32[np.ndarray, "h2 w2"] | None = None
    camera: Camera | None = None
    shift: float = 0.0
    network_image: Pixels | None = None

    __eq__ = same_record
    __hash__ = no_hash


DEFAULT_RESIZING = Resizing()
"""Rule for networks whose authors name none."""
_SPACE_DESCRIPTIONS = {
    Space.VALUES: "its values",
    Space.INVERSE: "inverse depth",
    Space.LOG: "the logarithm of depth",
}
_FILTER_DESCRIPTIONS = {
    Filter.ANTIALIASED: "linear between pixel centres, antialiased where it shrinks",
    Filter.LINEAR: "linear between pixel centres, never antialiased",
    Filter.CUBIC: "cubic between pixel centres, never antialiased",
}
