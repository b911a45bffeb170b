"""A benchmark: everything that a score depends on besides the prediction, frozen under a name.

The metrics that a benchmark names: those of its task's table, and anybody's own.
"""

import hashlib
import json
from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from enum import StrEnum

from rilievo.alignment import AlignMethod
from rilievo.alignment.fit import PointFit
from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError, suggest
from rilievo.evaluation.metrics.boundary import WINDOW_METRICS
from rilievo.evaluation.metrics.certainty import CERTAINTY_METRICS, NORMAL_CERTAINTY_METRICS
from rilievo.evaluation.metrics.depth import DEPTH_METRICS, ORDER_METRICS
from rilievo.evaluation.metrics.metric import AnyMetric, Metric
from rilievo.evaluation.metrics.normals import NORMAL_METRICS
from rilievo.evaluation.metrics.picture import PICTURE_METRICS
from rilievo.evaluation.metrics.point_maps import CAMERA_METRICS, POINT_METRICS
from rilievo.evaluation.metrics.stability import STABILITY_METRICS
from rilievo.frozen import frozen
from rilievo.messages import template
from rilievo.prediction_record import Setting
from rilievo.registry import check_trusted, is_import_path, load_offered, load_outside

# What names and explains a benchmark, but changes none of its numbers.
_WORDS = ("name", "title", "reproduces", "hides", "published", "parts")


class Task(StrEnum):
    """Quantity that is scored."""

    DEPTH = "depth"
    """Depth in metres, after alignment."""
    NORMALS = "normals"
    """Surface normals."""
    PICTURE = "picture"
    """Depth maps as 8-bit pictures, each scaled by its own maximum."""
    POINTS = "points"
    """Points in space, whose directions are the model's own."""
    STABILITY = "stability"
    """Agreement of the depth of a video's neighbouring frames."""
    CAMERA = "camera"
    """The field of view that a model sees in a photograph."""
    ORDER = "order"
    """The choice of the nearer of two points."""


class Crop(StrEnum):
    """Pixels of the ground truth that are scored."""

    NONE = "none"
    NYU_EIGEN = "nyu_eigen"
    """Rows 45 to 471 and columns 41 to 601 of 480x640: 426x560 (Eigen et al. 2014)."""
    KITTI_GARG = "kitti_garg"
    """Rows 0.40810811 to 0.99189189 and columns 0.03594771 to 0.96405229 (Garg et al. 2016)."""
    KITTI_EIGEN = "kitti_eigen"
    """Rows 0.3324324 to 0.91351351 and columns 0.0359477 to 0.96405229 (Eigen et al. 2014)."""


class InputCrop(StrEnum):
    """Part of the image that the model sees; the ground truth is cropped alike."""

    NONE = "none"
    KITTI_BENCHMARK = "kitti_benchmark"
    """352x1216, at the bottom and in the middle."""
    NYU_SQUARE = "nyu_square"
    """480x480: columns 80 to 560."""
    NYU_EIGEN = "nyu_eigen"
    """426x560: what Eigen's crop counts, so without the white frame of the photographs."""


class Interpolation(StrEnum):
    """Resizing of predictions to the ground truth's size; the truth itself is never resized."""

    BILINEAR = "bilinear"
    """Bilinear in the prediction's own values, half-pixel centres."""
    BILINEAR_CORNERS = "bilinear_corners"
    """Bilinear in the prediction's own values, corners aligned."""
    BILINEAR_INVERSE = "bilinear_inverse"
    """Bilinear in inverse depth, half-pixel centres (Monodepth2)."""
    BICUBIC_CORNERS = "bicubic_corners"
    """Cubic convolution of the prediction's own values with a = -0.75, as in PyTorch, corners
    aligned.
    """
    NEAREST = "nearest"


class Invalid(StrEnum):
    """Treatment of scored pixels without a prediction.

    Those are NaN, infinite, zero in files of whole numbers, or normals of length zero. Where the
    truth does not count, nothing is asked of a prediction.
    """

    SKIP = "skip"
    """Leave them out of the image's score, and count them."""
    REFUSE = "refuse"
    """The image has no score."""
    FAR = "far"
    """The fit rests on the other pixels; these are then scored at the far end of the benchmark's
    clip, else at its cap, else at the largest true depth that counts in the image; and counted."""


class Averaging(StrEnum):
    """Averaging of the numbers of many images."""

    PER_IMAGE = "per_image"
    """Every image counts the same: the mean of its metrics."""
    POOLED = "pooled"
    """Every pixel counts the same: the metric over the pixels of all images."""
    PER_SCENE = "per_scene"
    """Every scene or sequence counts the same: the mean over them of the mean of their images."""


@frozen
class Published:
    """A row of somebody's table.

    Attributes:
        model: Name of the model.
        values: Metric's name in our tables to their number, in our unit.
        place: Paper with its version and table, or the document that has the number.
        data: Dataset and split, of a benchmark that fits any: ``moge-bundle NYUv2``, or words
            for frames that no dataset here has. Empty where the benchmark says it.
        note: Known differences to this benchmark, and to other sources.
        quote: The row of the table as its words; empty if nobody quoted it.
        read: Document in which the words were read.
        checked: Days on which the numbers were compared with the words.
    """

    model: str
    values: Mapping[str, float]
    place: str
    data: str = ""
    note: str = ""
    quote: str = ""
    read: str = ""
    checked: str = ""

    @property
    def source(self) -> str:
        """Place of the number, its known differences, and whether its words are missing."""
        return "; ".join(filter(None, (self.place, self.note, "" if self.quote else "unquoted")))


@frozen
class Benchmark:
    """A protocol: what is scored, on which images, and how.

    Attributes:
        name: Name in ``BENCHMARKS``.
        title: A line.
        task: Quantity that is scored.
        dataset: Name in ``DATASETS``; None if the protocol fits any dataset.
        split: Split of the dataset; None for its first.
        variant: Variant of the dataset; None for its first.
        input_crop: Crop before the model; or a function of one's own
            (``rilievo.evaluation.benchmarks.rules``).
        crop: Crop before the fit and the score; or a function of one's own.
        mask: A function of one's own that says which pixels with truth count; None for all.
        min_depth: True depth [m] counts if it is larger.
        max_depth: Largest depth that is scored; None for no cap.
        truth_ceiling: True depth [m] beyond it is set to it, and counts as such; None for as it is.
        least_pixels: An image with fewer pixels that count has no score.
        alignment: The fit for each kind of depth, or a function of one's own; a kind that is not
            there is refused.
        least_depth: Least depth [m] that a fit of scale and shift in depth may give.
        min_inverse: Least inverse depth [1/m] that a fit in inverse depth may give; None for the
            inverse of the image's largest true depth (MoGe).
        positive_fit: Whether a fit of inverse depth rests on pixels alone whose prediction is above
            zero (Marigold): many networks end in zeros where they see no end.
        fit_side: Longest side of a map whose fit rests on all pixels. Of a larger one every so
            manyth column counts, as many as bring its longest side to this, and every row
            (Marigold's ETH3D); None for all pixels of any map.
        fit_scene: Whether one fit serves all images of a scene or sequence.
        least_predicted: Predicted inverse depth below it is set to it, before the fit (Video Depth
            Anything); None for as it is.
        clip: Predicted depth [m] is brought between these after the fit; None for no clipping.
        interpolation: Resizing of predictions of another size; or a function of one's own.
        invalid: Treatment of scored pixels without a prediction.
        averaging: Averaging that its authors use; the other is reported beside it where it exists.
        rounding: Decimals that an image's metrics are rounded to before they are averaged, those
            of shares in %, so two more of ours; None for no rounding.
        metrics: Names in the task's table, or ``package.module:NAME`` of metrics of one's own; the
            leading one first.
        reproduces: Numbers that it reproduces, and their program.
        hides: Limits of its numbers: noise of its ground truth, errors that the alignment removes.
        published: Others' results under this protocol, or nearly.
        parts: Beginnings of ids that tables also give by themselves, such as indoors and outdoors.
        version: Raised whenever its numbers would change.
    """

    name: str
    title: str
    task: Task = Task.DEPTH
    dataset: str | None = None
    split: str | None = None
    variant: str | None = None
    input_crop: InputCrop | str = InputCrop.NONE
    crop: Crop | str = Crop.NONE
    mask: str | None = None
    min_depth: float = 1e-3
    max_depth: float | None = None
    truth_ceiling: float | None = None
    least_pixels: int = 1
    alignment: Mapping[DepthKind, AlignMethod | PointFit | str] = field(default_factory=dict)
    least_depth: float = 1e-3
    min_inverse: float | None = 1e-3
    positive_fit: bool = False
    fit_side: int | None = None
    fit_scene: bool = False
    least_predicted: float | None = None
    clip: tuple[float, float] | None = None
    interpolation: Interpolation | str = Interpolation.BILINEAR
    invalid: Invalid = Invalid.SKIP
    averaging: Averaging = Averaging.PER_IMAGE
    rounding: int | None = None
    metrics: tuple[str, ...]
    reproduces: str
    hides: str
    published: tuple[Published, ...] = ()
    parts: tuple[str, ...] = ()
    version: int = 1


# Rare rules, which the settings name only where a benchmark has them.
_RARE = {
    "truth_ceiling": None,
    "least_pixels": 1,
    "mask": None,
    "fit_side": None,
    "fit_scene": False,
    "least_predicted": None,
    "invalid": Invalid.SKIP,
}


def settings_of(benchmark: Benchmark) -> Mapping[str, Setting]:
    """Everything that the benchmark's numbers depend on, field by field, as text and numbers."""
    settings: dict[str, Setting] = {}
    for attribute in fields(Benchmark):
        if attribute.name in _WORDS:
            continue
        value = getattr(benchmark, attribute.name)
        if attribute.name in _RARE and value == _RARE[attribute.name]:
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{kind}: {value[kind]}" for kind in sorted(value)) or "none"
        elif isinstance(value, tuple):
            value = " ".join(map(str, value))
        elif isinstance(value, StrEnum):
            value = value.value
        settings[attribute.name] = value
    return settings


def benchmark_sha256(benchmark: Benchmark) -> str:
    """Hash of a benchmark's settings: results are comparable only where these agree."""
    text = json.dumps(dict(settings_of(benchmark)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


TABLES: Mapping[Task, Mapping[str, AnyMetric]] = {
    Task.DEPTH: ChainMap({}, DEPTH_METRICS, CERTAINTY_METRICS, WINDOW_METRICS),  # pyright: ignore
    Task.NORMALS: ChainMap({}, NORMAL_METRICS, NORMAL_CERTAINTY_METRICS),  # pyright: ignore
    Task.PICTURE: PICTURE_METRICS,
    Task.POINTS: POINT_METRICS,
    Task.STABILITY: STABILITY_METRICS,
    Task.CAMERA: CAMERA_METRICS,
    Task.ORDER: ORDER_METRICS,
}


def find_metric(task: Task, name: str) -> AnyMetric:
    """A metric by its name.

    Args:
        task: Task whose table has it; a metric of one's own takes the pairs of this task.
        name: Name in that table, name offered by an installed package, or ``package.module:NAME``
            of a ``Metric`` of one's own.
    """
    table = TABLES[task]
    if name in table:
        return table[name]
    metric = load_outside(name, "metric") if is_import_path(name) else load_offered(name, "metric")
    if metric is None:
        raise OptionError(f"no metric '{name}' of {task}; {suggest(name, table)}")
    if not isinstance(metric, Metric):
        raise OptionError(f"'{name}' is no metric, but a {type(metric).__name__}")
    if metric.name in table:
        raise OptionError(
            f"'{name}' calls itself '{metric.name}', as another metric of {task} does"
        )
    return metric


def metrics_of(benchmark: Benchmark) -> Mapping[str, AnyMetric]:
    """The benchmark's metrics by their own names, its leading one first."""
    metrics: dict[str, AnyMetric] = {}
    for name in benchmark.metrics:
        try:
            metric = find_metric(benchmark.task, name)
        except OptionError as error:
            raise OptionError(
                path=f"the benchmark '{benchmark.name}'", problem=template(error)
            ) from error
        if metric.name in metrics:
            raise OptionError(
                f"the benchmark '{benchmark.name}' has two metrics of the name '{metric.name}'"
            )
        metrics[metric.name] = metric
    return metrics


def judges_confidence(benchmark: Benchmark) -> bool:
    """Whether a metric of the benchmark asks for the confidence of predictions."""
    return any(metric.needs_confidence for metric in metrics_of(benchmark).values())


def known_metrics(task: str, names: Iterable[str]) -> Mapping[str, AnyMetric]:
    """Metrics of these names that are known here; results may come from elsewhere.

    The names are those of a file, so code that the user has not named is not run for them.
    """
    metrics: dict[str, AnyMetric] = {}
    for name in names if task in list(Task) else ():
        try:
            check_trusted(name, "metric", "evaluation")
            metric = find_metric(Task(task), name)
        except OptionError:
            continue
        metrics[metric.name] = metric
    return metrics
