"""Records that ``evaluation.json`` holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rilievo.errors import RilievoError
from rilievo.errors.messages import note_of
from rilievo.evaluation.metrics.certainty import Reliability
from rilievo.evaluation.metrics.metric import Better
from rilievo.io.depth.interpretation import DepthProperty
from rilievo.io.files.limits import unreadable
from rilievo.records.prediction_record import MadeBy, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Metric values of one image.

    Attributes:
        true_share: Share of pixels with truth, before crop and cap.
        unanswered: Pixels that count but have no prediction.
    """

    id: str
    values: Mapping[str, float]
    pixels: int
    true_share: float
    scale: float | None = None
    shift: float | None = None
    unanswered: int = 0
    notes: tuple[str, ...] = ()
    scene: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """An image without a score, and why."""

    id: str
    reason: str


def unscored_image(id: str, error: RilievoError | OSError) -> Unscored:
    """Record of an image that an error left without a score."""
    cause = error if isinstance(error, RilievoError) else unreadable(error, id)
    return Unscored(id=id, reason=note_of(cause))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One metric over all images.

    Attributes:
        value: Value by the benchmark's averaging: the number to quote.
        low: Lower end of its 95 % confidence interval; None of fewer than three images or scenes,
            and for a pooled median.
        pooled: Value over the pixels of all images.
    """

    metric: str
    label: str
    unit: str
    better: Better
    value: float
    low: float | None = None
    high: float | None = None
    per_image: float
    pooled: float | None = None
    median: float
    images: int
    pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Summaries of a part of the images, such as those indoors."""

    name: str
    images: int
    summaries: tuple[Summary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeError:
    """Error of pixels whose true depth lies from ``near`` to ``far`` [m]."""

    near: float
    far: float
    pixels: int
    abs_rel: float
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsification:
    """Mean leading error once a share of the pixels, 0 to 1, is taken out."""

    removed: float
    by_confidence: float
    by_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """Dataset, split and selection of the images that were scored.

    Attributes:
        official: Images of the whole split; None if the user decides.
        ids_sha256: Hash of the ids to score, one a line.
    """

    dataset: str
    root: str
    split: str
    variant: str
    official: int | None = None
    found: int
    asked: int
    ids_sha256: str
    list_file: str | None = None
    numbers: tuple[DepthProperty, ...] = ()
    read_as: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Results of one model on one benchmark.

    Attributes:
        benchmark_sha256: Results with another hash are not comparable.
        kind: Kind of the predicted depth; None for normals.
        summaries: One a metric, the leading one first.
        sparsification: Empty where no confidence is judged.
        asked: Options as words of a command line, by name; empty from before 0.3.0.
        seconds: Duration [s], without predictions from the cache.
    """

    format: str = "rilievo-evaluation/1"
    benchmark: str
    benchmark_sha256: str
    settings: Mapping[str, Setting]
    task: str
    made_by: MadeBy
    kind: str | None = None
    alignment: str | None = None
    data: DataFacts
    summaries: tuple[Summary, ...]
    parts: tuple[Subset, ...] = ()
    ranges: tuple[RangeError, ...] = ()
    sparsification: tuple[Sparsification, ...] = ()
    reliability: tuple[Reliability, ...] = ()
    scores: tuple[Score, ...]
    unscored: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()
    command: str
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: str
    seconds: float
