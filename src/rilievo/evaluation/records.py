"""Records of an evaluation; ``evaluation.json`` holds them, and reports are made from it."""

from collections.abc import Mapping
from dataclasses import field

from rilievo.errors import RilievoError
from rilievo.evaluation.metrics.certainty import Reliability
from rilievo.evaluation.metrics.metric import Better
from rilievo.frozen import frozen
from rilievo.io.depth_numbers import NumberFact
from rilievo.io.files.limits import unreadable
from rilievo.messages import note_of
from rilievo.other_libraries import HintedAttributes
from rilievo.prediction_record import MadeBy, Setting


@frozen
class Score:
    """One image.

    Attributes:
        true_share: Share of the image's pixels with truth, before crop and cap.
        scale: Fitted by the alignment; None where none was.
        unanswered: Pixels that count but have no prediction; what became of them, the benchmark
            says.
        notes: Notes, such as pixels that the fit took out of range.
        scene: Scene or sequence, as the dataset has it; None where it knows none.
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


@frozen
class Unscored:
    """An image of the split that has no score."""

    id: str
    reason: str


def unscored(id: str, error: RilievoError | OSError) -> Unscored:
    """Record an image that an error left without a score."""
    cause = error if isinstance(error, RilievoError) else unreadable(error, id)
    return Unscored(id=id, reason=note_of(cause))


@frozen
class Summary:
    """One metric over all images.

    Attributes:
        unit: "" for none.
        better: Direction in which it improves.
        value: Value by the benchmark's averaging: the number to quote.
        low: Lower end of the 95 % confidence interval of ``value``, as
            ``rilievo.evaluation.results.intervals`` makes it; None of fewer than three images or
            scenes, and for a median over the pixels of all images.
        pooled: Value over the pixels of all images; None if the metric has no such form.
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


@frozen
class Subset:
    """A part of the images by itself, such as those indoors."""

    name: str
    images: int
    summaries: tuple[Summary, ...]


@frozen
class RangeError:
    """Error of the pixels whose true depth lies in one range.

    Attributes:
        near: Lower end [m].
        far: Upper end [m].
        bias: Mean of (predicted - true) / true.
    """

    near: float
    far: float
    pixels: int
    abs_rel: float
    bias: float


@frozen
class Sparsification:
    """Leading error once a share of the pixels is taken out, as means over images.

    Attributes:
        removed: Share of each image's pixels, 0 to 1.
        by_confidence: Error without the least sure ones.
        by_error: Error without those whose own is largest.
    """

    removed: float
    by_confidence: float
    by_error: float


@frozen
class DataFacts:
    """Images that were scored.

    Attributes:
        official: Number of images of the whole split; None if the user decides.
        asked: Number of images to score: fewer with ``--limit``.
        ids_sha256: Hash of the ids to score, one a line: tells selections apart.
        list_file: The user's own list; None for the official one.
        numbers: Facts about how true depth is read, with their sources; empty of declared data.
        read_as: The unit of true depth in words, with its source and range; None likewise.
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
    numbers: tuple[NumberFact, ...] = ()
    read_as: str | None = None


@frozen
class Evaluation(HintedAttributes):
    """One model on one benchmark.

    Attributes:
        benchmark_sha256: Hash of all its settings: results with another one are not comparable.
        settings: Settings of the benchmark in words, for the reader.
        made_by: Model, weights and settings.
        kind: Kind of the predicted depth; None for normals.
        alignment: Method that brought it to metres; None for normals.
        summaries: One a metric, the leading one first.
        parts: The same of parts of the images, where the benchmark has such.
        ranges: Error against true depth; empty for normals.
        sparsification: AbsRel, or the mean angle, by share of pixels removed; empty where no
            confidence is judged.
        reliability: Confidence against the share of depth that is right, over the pixels of all
            images; empty likewise, and for normals.
        scores: One an image, in the dataset's order.
        unscored: Every image of the split without a score, and why.
        warnings: Warnings about the whole run, such as ground truth that looks like millimetres.
        command: Command that repeats it, as a text to read.
        asked: Options that it was made with, by their names, each as the words of a command line;
            paths are whole, so that it opens from any folder. Empty in evaluations from before
            0.3.0, which are opened by their command.
        seconds: Duration of the run [s], without predictions from the cache.
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
