"""Predictions that are read by the image's id, for scoring."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Size
from rilievo.evaluation.foreign_confidence import ForeignConfidence, Meaning
from rilievo.evaluation.records import Unscored
from rilievo.evaluation.stored_numbers import PointMap, ValueEncoding
from rilievo.io.depth.crops import StatedPlacement
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import MadeBy, PredictionRecord
from rilievo.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrediction(PredictionRecord):
    """A prediction from a file, whose parts may differ in size.

    Attributes:
        points: Predicted points; None if the file has none.
        size: (height, width) of the picture that ``camera`` belongs to.
        crop: Part of the picture that it shows, as the user says; None if the user does not.
    """

    points: PointMap | None = None
    size: Size | None = None
    crop: StatedPlacement | None = None

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
    """Predictions by id. They are sent to other processes, so that they hold paths and no maps."""

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that made the predictions."""
        ...

    @property
    def kind(self) -> DepthKind | None:
        """Kind of the predicted depth; None for normals only."""
        ...

    def read(self, id: str) -> PredictionRecord:
        """Read the prediction of one image."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSource:
    """Predictions to score, and what went wrong with them.

    Attributes:
        failed: Images that could not be predicted.
        warnings: Sentences for the results, ``early_warnings`` included.
        early_warnings: Those about implausible numbers, to show before anything is scored.
    """

    predictions: Predictions
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()
    early_warnings: tuple[str, ...] = ()


DEPTH_ARRAY = "depth"
"""Name of the depth in an npz file that has confidences too."""

KNOWN_CONFIDENCES: Mapping[str, ForeignConfidence] = {
    "moge": ForeignConfidence(
        meaning=Meaning.HIGHER,
        pattern="{id}/mask.png",
        source="moge/scripts/infer.py: mask.png beside depth.exr, 255 where there is an answer",
    ),
    "depth-anything-3": ForeignConfidence(
        meaning=Meaning.HIGHER,
        array="conf",
        source="docs/API.md: conf beside depth in mini_npz; its mono and metric models have none",
    ),
    "unidepth": ForeignConfidence(
        meaning=Meaning.LOWER,
        source="UniK3D, issue 18, by the author of both: the output is the error to expect of the "
        "logarithm, whatever its name",
    ),
    "metric3d": ForeignConfidence(
        meaning=Meaning.HIGHER,
        source="Metric3D, issue 45: trained to be 1 less the relative error, and not cut to 0 to 1",
    ),
    **{meaning.value: ForeignConfidence(meaning=meaning) for meaning in Meaning},
}


def unknown_maker(name: str, kind: DepthKind | None, encoding: ValueEncoding) -> MadeBy:
    """Maker of predictions that do not say who made them, named after their folder."""
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
