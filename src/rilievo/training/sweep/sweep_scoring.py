"""Protocol of the scoring that a sweep uses and ``rilievo.evaluation.probe_scores`` does."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from rilievo.models.base import Model
from rilievo.plugins import load_service
from rilievo.training.probe.probe_config import DataChoice
from rilievo.training.sweep.sweep_config import TestChoice
from rilievo.training.sweep.sweep_results import Better, Measured, Value
from rilievo.types import Photo, Truth


@runtime_checkable
class Summary(Protocol):
    """One metric over all images."""

    metric: str
    label: str
    unit: str
    better: str
    value: float


@runtime_checkable
class ImageScore(Protocol):
    """Metrics of one image."""

    id: str
    values: Mapping[str, float]


@runtime_checkable
class Unscored(Protocol):
    """An image without a score, and the reason."""

    id: str
    reason: str


@runtime_checkable
class BenchmarkScores(Protocol):
    """Scores of one model under one benchmark."""

    benchmark: str
    sha256: str
    summaries: Sequence[Summary]
    scores: Sequence[ImageScore]
    unscored: Sequence[Unscored]


@runtime_checkable
class ModelScores(Protocol):
    """Scores of one model, and the mean time of one image, from photograph to prediction [s]."""

    benchmarks: Sequence[BenchmarkScores]
    cpu_seconds: float
    seconds: float


@runtime_checkable
class TestImage(Protocol):
    """A photograph as a benchmark shows it to a model, and its ground truth."""

    photo: Photo
    truth: Truth


@runtime_checkable
class PublishedResult(Protocol):
    """Somebody's result under a benchmark; ``data`` is empty where the benchmark says it."""

    model: str
    values: Mapping[str, float]
    data: str

    @property
    def source(self) -> str:
        """Paper or document that has the numbers."""
        ...


@runtime_checkable
class Scoring(Protocol):
    """Test images, and the benchmarks that score probes of depth, normals or both on them."""

    def check(self, *, depth: bool, normals: bool) -> None:
        """Refuse benchmarks that are unknown, or do not score what probes predict."""
        ...

    def score(self, model: Model, *, depth: bool, normals: bool) -> ModelScores:
        """Predict every test image and score it."""
        ...

    def examples(self, count: int, *, depth: bool, normals: bool) -> Iterator[TestImage]:
        """Test images, evenly spread, with the truth of what models are shown."""
        ...

    def published(self, sha256s: Collection[str]) -> Mapping[str, Sequence[PublishedResult]]:
        """Published results under the benchmarks of these hashes, by the benchmark's name."""
        ...


def open_scoring(test: TestChoice, data: DataChoice) -> Scoring:
    """Scoring of a sweep's probes."""
    scoring: Any = load_service("probe-scoring", "a sweep")(
        dataset=data.dataset,
        root=data.root,
        split=test.split,
        variant=data.variant,
        list_file=test.list_file,
        limit=test.limit,
        input_crop=test.input_crop,
        benchmarks=test.benchmarks,
    )
    return scoring


def measured_of(scores: BenchmarkScores) -> Measured:
    """Record of a cell's scores under one benchmark."""
    first = next(iter(scores.unscored), None)
    return Measured(
        benchmark=scores.benchmark,
        sha256=scores.sha256,
        images=len(scores.scores),
        unscored=len(scores.unscored),
        reason=None if first is None else f"{first.id}: {first.reason}",
        values=tuple(
            Value(
                metric=each.metric,
                label=each.label,
                unit=each.unit,
                better=Better(each.better),
                value=each.value,
                each=tuple(score.values[each.metric] for score in scores.scores),
            )
            for each in scores.summaries
        ),
        ids=tuple(score.id for score in scores.scores),
    )
