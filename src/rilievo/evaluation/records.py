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
        true_share: Fraction of the image's pixels that have ground truth, before crop and cap.
        scale: Scale that was fitted to the truth, as ``shift``; None if none was fitted.
        left_out: Number of pixels with ground truth that each setting of the benchmark leaves out,
            by its name, such as "crop".
        unanswered: Number of pixels to be scored that have no prediction.
        scene: Scene or sequence of the image; None if the dataset does not name it.
    """

    id: str
    values: Mapping[str, float]
    pixels: int
    true_share: float
    scale: float | None = None
    shift: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    unanswered: int = 0
    notes: tuple[str, ...] = ()
    scene: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """An image without a score, and why."""

    id: str
    reason: str


def unscored_image(image_id: str, error: RilievoError | OSError) -> Unscored:
    """Make the record of an image that has no score because of an error."""
    cause = error if isinstance(error, RilievoError) else unreadable(error, image_id)
    return Unscored(id=image_id, reason=note_of(cause))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One metric over all images.

    Attributes:
        value: Value to quote, averaged as the benchmark prescribes.
        low: Lower end of the 95% confidence interval of ``value``. None with fewer than three
            images or scenes, and for a pooled median.
        per_image: Mean of the images' values, as ``median`` is their median.
        pooled: Value over the pixels of all images; None if the metric cannot be pooled.
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
    """Error of the pixels whose true depth lies from ``near`` to ``far`` [m].

    Attributes:
        bias: Mean of (predicted - true) / true; above 0 is too far.
    """

    near: float
    far: float
    pixels: int
    abs_rel: float
    bias: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsification:
    """Mean error of the remaining pixels once a fraction of the pixels is removed.

    Attributes:
        by_confidence: Error if the least sure pixels are removed.
        by_error: Error if the pixels with the largest errors are removed.
    """

    removed: float
    by_confidence: float
    by_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredData:
    """Dataset, split and images that were scored.

    Attributes:
        official: Number of images in the whole split; None if papers do not fix it.
        found: Number of images on disk.
        asked: Number of images to score, those that are missing on disk included.
        ids_sha256: Hash of the ids to score, one on each line.
        numbers: How the files of true depth were read.
        read_as: The same in one line.
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
        benchmark_sha256: Hash of the benchmark's settings. Results with another hash are not
            comparable.
        kind: Kind of the predicted depth; None if no depth is scored.
        alignment: Alignment of predictions to the ground truth; None if nothing is aligned.
        summaries: One for each metric, the leading one first.
        parts: Summaries of parts of the images.
        sparsification: Empty if no metric judges confidence.
        reliability: Empty if no metric judges a probability.
        asked: Options as words of a command line, by name; empty before version 0.3.0.
        seconds: Duration [s], without predictions that were in the cache.
    """

    format: str = "rilievo-evaluation/1"
    benchmark: str
    benchmark_sha256: str
    settings: Mapping[str, Setting]
    task: str
    made_by: MadeBy
    kind: str | None = None
    alignment: str | None = None
    data: ScoredData
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
