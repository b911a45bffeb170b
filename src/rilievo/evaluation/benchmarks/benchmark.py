"""A benchmark: everything that a score depends on besides the prediction, frozen under a name.

Rules may be somebody's own functions, named as ``package.module:name``. A crop takes (height,
width) and returns (top, bottom, left, right), ends exclusive. A mask takes the ``Truth`` and
returns the pixels that count. A fit takes the predicted ``DepthMap``, true depth [m] and that mask,
and returns depth [m]. An interpolation takes float64 numbers and a size.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np

from rilievo.alignment import AlignMethod
from rilievo.alignment.point_fit import PointFit
from rilievo.arrays.shapes import Field, Float, Mask, Size
from rilievo.errors import InputError, OptionError, RilievoError, suggest
from rilievo.errors.messages import Text
from rilievo.evaluation.metrics.certainty import CERTAINTY_METRICS, NORMAL_CERTAINTY_METRICS
from rilievo.evaluation.metrics.depth import (
    DEPTH_METRICS,
    ORDER_METRICS,
    PICTURE_METRICS,
    WINDOW_METRICS,
)
from rilievo.evaluation.metrics.metric import AnyMetric, Metric, Plane
from rilievo.evaluation.metrics.normals import NORMAL_METRICS
from rilievo.evaluation.metrics.point_maps import CAMERA_METRICS, POINT_METRICS
from rilievo.evaluation.metrics.stability import STABILITY_METRICS
from rilievo.extensions.entry_points import load_entry_point
from rilievo.extensions.trust import check_trusted, is_import_path
from rilievo.extensions.user_objects import load_user_object
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Truth

_DESCRIPTIVE = ("name", "title", "reproduces", "hides", "published", "parts", "chosen_metrics")
"""Attributes that name and explain a benchmark, but change none of its numbers."""


class Task(StrEnum):
    """Quantity that is scored."""

    DEPTH = "depth"
    NORMALS = "normals"
    PICTURE = "picture"
    """Depth maps as 8-bit pictures, each scaled by its own maximum."""
    POINTS = "points"
    """Points in the camera frame."""
    STABILITY = "stability"
    """Agreement of depth between successive video frames."""
    CAMERA = "camera"
    """Horizontal field of view."""
    ORDER = "order"
    """Which of two points is nearer."""


class Crop(StrEnum):
    """Part of the ground truth that is scored."""

    NONE = "none"
    NYU_EIGEN = "nyu_eigen"
    """Eigen et al. 2014."""
    KITTI_GARG = "kitti_garg"
    """Garg et al. 2016."""
    KITTI_EIGEN = "kitti_eigen"
    """Eigen et al. 2014."""


class InputCrop(StrEnum):
    """Part of the picture that the model sees; the truth is cropped likewise."""

    NONE = "none"
    KITTI_BENCHMARK = "kitti_benchmark"
    """352 x 1216 pixels, at the bottom and in the middle."""
    NYU_SQUARE = "nyu_square"
    """Columns 80 to 560."""
    NYU_EIGEN = "nyu_eigen"
    """Without the white frame of the photographs."""


class Interpolation(StrEnum):
    """Resizing of predictions to the truth's size."""

    BILINEAR = "bilinear"
    """Half-pixel centres."""
    BILINEAR_CORNERS = "bilinear_corners"
    """Corners aligned."""
    BILINEAR_INVERSE = "bilinear_inverse"
    """Inverse depth, half-pixel centres (Monodepth2)."""
    BICUBIC_CORNERS = "bicubic_corners"
    """Cubic convolution with a = -0.75, as in PyTorch, corners aligned."""
    NEAREST = "nearest"


class Invalid(StrEnum):
    """Treatment of pixels to be scored that have no prediction, such as NaN."""

    SKIP = "skip"
    """Count them, and leave them out of the score."""
    REFUSE = "refuse"
    """Leave the image without a score."""
    FAR = "far"
    """Score them, after a fit to the others, at the far end of the clip, else at the cap, else at
    the largest true depth that counts."""


class Averaging(StrEnum):
    """How the scores of many images become one number."""

    PER_IMAGE = "per_image"
    """The mean of the images' values."""
    POOLED = "pooled"
    """The value over the pixels of all images."""
    PER_SCENE = "per_scene"
    """The mean of the scenes' means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One model's results that somebody published.

    Attributes:
        values: Numbers by rilievo's metric names, in rilievo's units.
        place: Paper with its version and table.
        data: Dataset and split, for a benchmark that fits any.
        note: What is known to differ from the benchmark.
        quote: The row in its own words.
        read: Document in which the words were read.
        checked: Days on which both were compared.
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
        """Where the numbers stand, with known differences."""
        unquoted = "" if self.quote else "unquoted"
        return "; ".join(filter(None, (self.place, self.note, unquoted)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A protocol: what is scored, on which images, and how.

    Rules may be functions of the user's own (``rilievo.evaluation.benchmarks.benchmark``).

    Attributes:
        dataset: None if the protocol fits any.
        input_crop: Crop before the model.
        crop: Crop before the fit and the score.
        mask: Function that says which pixels with truth count.
        min_depth: True depth [m] counts if it is larger.
        max_depth: Largest depth [m] that is scored.
        truth_ceiling: True depth [m] beyond it is set to it.
        least_pixels: An image with fewer pixels that count has no score.
        alignment: The fit for each kind of depth; other kinds are refused.
        least_depth: Least depth [m] that a fit in depth may give.
        min_inverse: Least inverse depth [1/m] that a fit may give; None for the inverse of the
            image's largest true depth (MoGe).
        positive_fit: Whether a fit of inverse depth rests only on predictions above zero
            (Marigold).
        fit_side: Longest side of a map whose fit rests on all pixels. The columns of a larger map
            are thinned out (Marigold's ETH3D).
        fit_scene: Whether all images of a scene share one fit.
        least_predicted: Least predicted inverse depth before the fit (Video Depth Anything).
        clip: Range [m] of predicted depth after the fit.
        rounding: Decimals of an image's metrics before averaging, those of shares in %.
        metrics: Names in the task's table, or ``package.module:NAME``; the leading one first.
        reproduces: Numbers that it reproduces, and their program.
        hides: Limits of its numbers.
        parts: Beginnings of ids that tables also give by themselves.
        chosen_metrics: Metrics to compute in place of ``metrics``; empty for those. They change no
            number of another metric, so that results of both are comparable.
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
    chosen_metrics: tuple[str, ...] = ()
    version: int = 1


_RARE = {
    "truth_ceiling": None,
    "least_pixels": 1,
    "mask": None,
    "fit_side": None,
    "fit_scene": False,
    "least_predicted": None,
    "invalid": Invalid.SKIP,
}
"""Settings that are left out at these defaults, so that the hashes of old benchmarks stay."""


def benchmark_settings(benchmark: Benchmark) -> Mapping[str, Setting]:
    """Settings that the numbers of a benchmark depend on, without rare ones at their defaults."""
    settings: dict[str, Setting] = {}
    for attribute in fields(Benchmark):
        name, value = attribute.name, getattr(benchmark, attribute.name)
        is_default = name in _RARE and value == _RARE[name]
        if name not in _DESCRIPTIVE and not is_default:
            settings[name] = _setting_of(value)
    return settings


def _setting_of(value: Any) -> Setting:
    """Value of an attribute as JSON and messages have it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{kind}: {value[kind]}" for kind in sorted(value)) or "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, StrEnum):
        return value.value
    return value


def benchmark_sha256(benchmark: Benchmark) -> str:
    """Hash of a benchmark's settings; results are comparable only where it is the same."""
    text = json.dumps(dict(benchmark_settings(benchmark)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


TABLES: Mapping[Task, Mapping[str, AnyMetric]] = {
    Task.DEPTH: {**WINDOW_METRICS, **CERTAINTY_METRICS, **DEPTH_METRICS},
    Task.NORMALS: {**NORMAL_CERTAINTY_METRICS, **NORMAL_METRICS},
    Task.PICTURE: PICTURE_METRICS,
    Task.POINTS: POINT_METRICS,
    Task.STABILITY: STABILITY_METRICS,
    Task.CAMERA: CAMERA_METRICS,
    Task.ORDER: ORDER_METRICS,
}
"""Metrics of each task, by name."""


def find_metric(task: Task, name: str) -> AnyMetric:
    """Find a metric of a task by its name, an entry point, or ``package.module:NAME``.

    Raises:
        OptionError: If there is none, or the user's own has the name of another metric.
    """
    table = TABLES[task]
    if name in table:
        return table[name]
    if is_import_path(name):
        metric = load_user_object(name, "metric")
    else:
        metric = load_entry_point(name, "metric")
    if metric is None:
        raise OptionError(f"no metric '{name}' of {task}; {suggest(name, table)}")
    if not isinstance(metric, Metric):
        raise OptionError(f"'{name}' is no metric, but a {type(metric).__name__}")
    if metric.name in table:
        raise OptionError(
            f"'{name}' calls itself '{metric.name}', as another metric of {task} does"
        )
    return metric


def benchmark_metrics(benchmark: Benchmark) -> Mapping[str, AnyMetric]:
    """Metrics that are computed under a benchmark, by name, the leading one first.

    Raises:
        OptionError: If one is unknown, or two have the same name.
    """
    metrics: dict[str, AnyMetric] = {}
    for name in benchmark.chosen_metrics or benchmark.metrics:
        try:
            metric = find_metric(benchmark.task, name)
        except OptionError as error:
            raise OptionError(
                path=f"the benchmark '{benchmark.name}'", problem=Text(error)
            ) from error
        if metric.name in metrics:
            raise OptionError(
                f"the benchmark '{benchmark.name}' has two metrics of the name '{metric.name}'"
            )
        metrics[metric.name] = metric
    return metrics


OWN_METRICS = "own"
"""Word for the metrics of the benchmark among chosen ones."""


def choose_metrics(benchmark: Benchmark, words: Iterable[str]) -> tuple[str, ...]:
    """Names of the metrics that the words of ``--metrics`` choose, each once.

    Words are names, patterns such as ``delta*``, and ``own`` for those of the benchmark.

    Raises:
        OptionError: If a word chooses none, or a metric does not apply to the benchmark.
    """
    table = TABLES[benchmark.task]
    names: list[str] = []
    for word in words:
        if word == OWN_METRICS:
            names += benchmark.metrics
        elif "*" in word:
            matching = [name for name in table if fnmatchcase(name, word)]
            if not matching:
                raise OptionError(
                    option="metrics",
                    problem=f"has '{word}', which matches no metric of {benchmark.task}",
                    hint=suggest(word.replace("*", ""), table),
                )
            names += matching
        else:
            names.append(word)
    chosen = tuple(dict.fromkeys(names))
    if not chosen:
        raise OptionError(
            option="metrics", problem="names no metric", hint="leave the option out for all"
        )
    for name in chosen:
        _require_applicable(benchmark, name)
    return chosen


def _require_applicable(benchmark: Benchmark, name: str) -> None:
    """Refuse a metric of another task, or one that cannot be pooled where the benchmark pools."""
    other_tasks = [task for task, metrics in TABLES.items() if name in metrics]
    if other_tasks and name not in TABLES[benchmark.task]:
        raise OptionError(
            option="metrics",
            problem=f"has '{name}', a metric of {other_tasks[0]}, and the benchmark "
            f"'{benchmark.name}' scores {benchmark.task}",
            hint=f"its own: {', '.join(benchmark.metrics)}",
        )
    metric = find_metric(benchmark.task, name)
    if benchmark.averaging is Averaging.POOLED and not metric.pools:
        raise OptionError(
            option="metrics",
            problem=f"has '{name}', a number of one image, and the benchmark '{benchmark.name}' "
            "pools the pixels of all images",
            hint="leave it out",
        )


def judges_confidence(benchmark: Benchmark) -> bool:
    """Whether a metric of the benchmark judges confidences."""
    return any(metric.needs_confidence for metric in benchmark_metrics(benchmark).values())


def trusted_metrics(task: str, names: Iterable[str]) -> Mapping[str, AnyMetric]:
    """Metrics of a task by name, without unknown ones and code that the user does not trust."""
    metrics: dict[str, AnyMetric] = {}
    if task not in list(Task):
        return metrics
    for name in names:
        try:
            # Code that a file names is not run unless the user trusts it.
            check_trusted(name, "metric", "evaluation")
            metric = find_metric(Task(task), name)
        except OptionError:
            continue
        metrics[metric.name] = metric
    return metrics


@cache
def find_rule(import_path: str, kind: str) -> Callable[..., Any]:
    """Import a function of the user's own, such as a crop; ``kind`` names it in messages.

    Raises:
        OptionError: If there is none, or it is not callable.
    """
    rule = load_user_object(import_path, kind)
    if not callable(rule):
        raise OptionError(f"'{import_path}' is no {kind}, but a {type(rule).__name__}")
    return rule


def call_crop(import_path: str, shape: Size) -> tuple[int, int, int, int]:
    """Crop (top, bottom, left, right) [px] by the user's function; the ends are exclusive."""
    edges = _call_rule(import_path, "crop", shape)
    improper_crop = InputError(
        f"the crop '{import_path}' gives {edges} of {shape[0]} x {shape[1]} pixels, expected (top, "
        "bottom, left, right) inside them"
    )
    try:
        top, bottom, left, right = (int(edge) for edge in edges)
    except (TypeError, ValueError):
        raise improper_crop from None
    if not (0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]):
        raise improper_crop
    return top, bottom, left, right


def call_mask(import_path: str, truth: Truth, shape: Size) -> Mask:
    """Mask of the pixels that count, by the user's function."""
    mask = _call_rule(import_path, "mask", truth)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != shape:
        raise InputError(
            f"the mask '{import_path}' gives {_shape_or_type(mask)}, expected {shape} bool"
        )
    return mask


def call_fit(
    import_path: str,
    predicted: DepthMap,
    true: Field,
    valid: Mask,
) -> Field:
    """Depth [m] by the user's function; 1 m where nothing is predicted.

    Raises:
        InputError: If it is no array of the right size, or not positive where ``valid``.
    """
    fitted = _call_rule(import_path, "fit", predicted, true, valid)
    if not isinstance(fitted, np.ndarray) or fitted.shape != true.shape or fitted.dtype.kind != "f":
        raise InputError(
            f"the fit '{import_path}' gives {_shape_or_type(fitted)}, expected {true.shape} float"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.where(predicted.valid, fitted, 1).astype(np.float32)
    is_depth = np.isfinite(depth) & (depth > 0)
    improper = int((~is_depth & valid).sum())
    if improper:
        raise InputError(
            f"the fit '{import_path}' gives depth that is zero, negative, NaN or infinite at "
            f"{improper} pixels that count: let it keep a least depth"
        )
    return depth


def call_interpolation(import_path: str, values: Float[np.ndarray, "a b"], shape: Size) -> Plane:
    """Map resized to (height, width) by the user's function."""
    resized = _call_rule(import_path, "interpolation", values.astype(np.float64), shape)
    if not isinstance(resized, np.ndarray) or resized.shape != shape or resized.dtype.kind != "f":
        raise InputError(
            f"the interpolation '{import_path}' gives {_shape_or_type(resized)}, expected {shape} "
            "float"
        )
    return resized.astype(np.float64)


def _call_rule(import_path: str, kind: str, *arguments: object) -> Any:
    """Call a function of the user's own; whatever it raises becomes an InputError."""
    rule = find_rule(import_path, kind)
    try:
        return rule(*arguments)
    except RilievoError:
        raise
    except Exception as error:
        raise InputError(
            f"the {kind} '{import_path}' failed: {type(error).__name__}: {error}"
        ) from error


def _shape_or_type(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    return f"a {type(value).__name__}"
