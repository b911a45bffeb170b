"""Predictions that are read by the image's id, for scoring."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Size
from rilievo.evaluation.stored_numbers import PointMap, ValueEncoding
from rilievo.io.depth.crops import RequestedPlacement
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import MadeBy, PredictionRecord
from rilievo.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrediction(PredictionRecord):
    """A prediction from a file, whose maps may differ in size.

    Attributes:
        points: Predicted points; None if the file has no points.
        size: (height, width) of the picture that ``camera`` belongs to.
        crop: Part of the picture that it shows, as the user states; None if not stated.
    """

    points: PointMap | None = None
    size: Size | None = None
    crop: RequestedPlacement | None = None

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        """Skip the checks of ``PredictionRecord``, because maps may differ in size."""

    @property
    def shape(self) -> Size:
        """Size (height, width)."""
        # super() needs its arguments, because slots=True replaces the class.
        return super(StoredPrediction, self).shape if self.size is None else self.size


@runtime_checkable
class Predictions(Protocol):
    """Predictions by image id.

    They are sent to other processes, so they hold the paths of files and not their contents.
    """

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that made the predictions."""
        ...

    @property
    def kind(self) -> DepthKind | None:
        """Kind of the predicted depth; None for normals only."""
        ...

    def read(self, image_id: str) -> PredictionRecord:
        """Read the prediction of one image."""
        ...


def unknown_maker(name: str, kind: DepthKind | None, encoding: ValueEncoding) -> MadeBy:
    """Metadata for predictions that do not say which model made them, named after their folder."""
    return MadeBy(
        model=printable(name),
        weights_sha256="unknown",
        licence="unknown",
        settings={
            "kind": None if kind is None else str(encoding.number_kind),
            "scale": encoding.scale,
        },
        version=VERSION,
    )
