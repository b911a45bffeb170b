"""Predictions by id, from a cache, results of rilievo, or files of others."""

from typing import Protocol, runtime_checkable

from rilievo.depth_map import DepthKind
from rilievo.evaluation.records import Unscored
from rilievo.frozen import frozen
from rilievo.io.depth_numbers import DepthCrop
from rilievo.prediction_record import MadeBy, PredictionRecord
from rilievo.records import no_hash, same_record
from rilievo.shapes import Mask, Size, Vectors


@frozen
class PointMap:
    """Points in the camera frame (x right, y down, z forward), one a pixel."""

    values: Vectors
    kind: DepthKind
    valid: Mask

    __eq__ = same_record
    __hash__ = no_hash


@frozen
class StoredPrediction(PredictionRecord):
    """A prediction whose parts are of any size, with what only files have.

    Attributes:
        size: (height, width) that ``camera`` is of.
        crop: Part of what the benchmark shows; None for all.
    """

    points: PointMap | None = None
    size: Size | None = None
    crop: DepthCrop | None = None

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        """Check nothing: parts may differ in size."""

    @property
    def shape(self) -> Size:
        """Size (height, width)."""
        return PredictionRecord.shape.__get__(self) if self.size is None else self.size


@runtime_checkable
class Predictions(Protocol):
    """Predictions by id; other processes read them, so it holds paths alone."""

    @property
    def made_by(self) -> MadeBy:
        """Maker of the predictions: model, weights and settings."""
        ...

    @property
    def kind(self) -> DepthKind | None:
        """Kind of their depth; None for normals only."""
        ...

    def read(self, id: str) -> PredictionRecord:
        """Read the prediction of one image."""
        ...


@frozen
class Source:
    """Predictions to be scored, and what went wrong."""

    predictions: Predictions
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()
