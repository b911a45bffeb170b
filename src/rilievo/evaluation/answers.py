"""Predictions to be scored, wherever they come from: read one image at a time."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.records import no_hash, same_record
from rilievo.types import Camera, DepthKind, DepthMap, MadeBy


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMap:
    """Points in the camera frame, one a pixel.

    Attributes:
        values: x right, y down, z forward.
        kind: Difference from metres: nothing, a scale, or a scale and a shift in space.
    """

    values: Float32[np.ndarray, "3 h w"]
    kind: DepthKind
    valid: Bool[np.ndarray, "h w"]

    __eq__ = same_record
    __hash__ = no_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Prediction for one image, at any size.

    Attributes:
        depth: None where there is none.
        normals: Camera frame, towards the camera; None where there are none.
        confidence: Confidence of the depth, or of the normals of a model of normals alone, in
            [0, 1]; None where there is none.
        points: Points, where they are given as such; else they follow from depth and ``camera``.
        camera: Camera that the model saw in the photograph; None where it saw none.
        size: (height, width) that ``camera`` is of.
    """

    depth: DepthMap | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    confidence: Float32[np.ndarray, "a b"] | None = None
    points: PointMap | None = None
    camera: Camera | None = None
    size: tuple[int, int] | None = None

    __eq__ = same_record
    __hash__ = no_hash


@runtime_checkable
class Answers(Protocol):
    """Predictions by id; read in other processes, so it holds paths alone."""

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that made the predictions."""
        ...

    @property
    def kind(self) -> DepthKind | None:
        """Kind of their depth; None for normals only."""
        ...

    def read(self, id: str) -> Answer:
        """The prediction of one image."""
        ...
