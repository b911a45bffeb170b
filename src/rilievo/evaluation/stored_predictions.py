"""Predictions by id."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Size
from rilievo.evaluation.peer_confidence import Meaning, PeerConfidence
from rilievo.evaluation.records import Unscored
from rilievo.evaluation.stored_numbers import PointMap, ValueEncoding
from rilievo.io.depth.crops import StatedPlacement
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import MadeBy, PredictionRecord
from rilievo.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrediction(PredictionRecord):
    """A prediction whose parts are of any size, with what only files have.

    Attributes:
        size: (height, width) that ``camera`` is of.
        crop: Where it lies in what the benchmark shows, as the user says; None if unsaid.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Predictions to be scored, and what went wrong.

    Attributes:
        warnings: Sentences for the results, with the ``doubts``.
        doubts: What the numbers of predictions look like besides depth.
    """

    predictions: Predictions
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


DEPTH_ARRAY = "depth"

PEERS: Mapping[str, PeerConfidence] = {
    "moge": PeerConfidence(
        meaning=Meaning.HIGHER,
        pattern="{id}/mask.png",
        source="moge/scripts/infer.py: mask.png beside depth.exr, 255 where there is an answer",
    ),
    "depth-anything-3": PeerConfidence(
        meaning=Meaning.HIGHER,
        array="conf",
        source="docs/API.md: conf beside depth in mini_npz; its mono and metric models have none",
    ),
    "unidepth": PeerConfidence(
        meaning=Meaning.LOWER,
        source="UniK3D, issue 18, by the author of both: the output is the error to expect of the "
        "logarithm, whatever its name",
    ),
    "metric3d": PeerConfidence(
        meaning=Meaning.HIGHER,
        source="Metric3D, issue 45: trained to be 1 less the relative error, and not cut to 0 to 1",
    ),
    **{meaning.value: PeerConfidence(meaning=meaning) for meaning in Meaning},
}


def unknown_maker(name: str, kind: DepthKind | None, stored: ValueEncoding) -> MadeBy:
    """Maker of predictions that do not state it, named as their folder."""
    return MadeBy(
        model=printable(name),
        weights_sha256="unknown",
        licence="unknown",
        settings={"kind": None if kind is None else str(stored.number_kind), "scale": stored.scale},
        version=VERSION,
    )
