"""Metrics of a benchmark: the tables of all tasks, and the choice of the user."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.evaluation.benchmarks.benchmark import Averaging, Benchmark, Task
from rilievo.evaluation.metrics.boundary import WINDOW_METRICS
from rilievo.evaluation.metrics.certainty import CERTAINTY_METRICS, NORMAL_CERTAINTY_METRICS
from rilievo.evaluation.metrics.depth import DEPTH_METRICS
from rilievo.evaluation.metrics.metric import AnyMetric, Metric
from rilievo.evaluation.metrics.normals import NORMAL_METRICS
from rilievo.evaluation.metrics.order import ORDER_METRICS
from rilievo.evaluation.metrics.picture import PICTURE_METRICS
from rilievo.evaluation.metrics.point_maps import CAMERA_METRICS, POINT_METRICS
from rilievo.evaluation.metrics.stability import STABILITY_METRICS
from rilievo.extensions.foreign_code import load_entry_point, load_user_object
from rilievo.extensions.trust import check_trusted, is_import_path

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
OWN_METRICS = "own"
"""Word of ``--metrics`` that stands for the metrics of the benchmark."""


def find_metric(task: Task, name: str) -> AnyMetric:
    """Find a metric of a task by its name, an entry point, or ``package.module:NAME``."""
    table = TABLES[task]
    if name in table:
        return table[name]
    if is_import_path(name):
        metric = load_user_object(name, "metric")
    else:
        metric = load_entry_point(name, "metric")
    if metric is None:
        raise OptionError(f"no {task} metric '{name}'; {suggest(name, table)}")
    if not isinstance(metric, Metric):
        raise OptionError(f"'{name}' is of type {type(metric).__name__}, expected a metric")
    if metric.name in table:
        raise OptionError(
            f"the metric '{name}' has the name '{metric.name}', which another {task} metric "
            "already has: give it a different name"
        )
    return metric


def benchmark_metrics(benchmark: Benchmark) -> Mapping[str, AnyMetric]:
    """Metrics that are computed under a benchmark, by name, the leading one first."""
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
                f"the benchmark '{benchmark.name}' has two metrics with the name "
                f"'{metric.name}': leave one of them out"
            )
        metrics[metric.name] = metric
    return metrics


def choose_metrics(benchmark: Benchmark, words: Iterable[str]) -> tuple[str, ...]:
    """Resolve the words of ``--metrics`` to names of metrics, each once.

    Words are names, patterns such as ``delta*``, and ``own`` for those of the benchmark.
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
                    problem=f"contains '{word}', which matches no {benchmark.task} metric",
                    hint=suggest(word.replace("*", ""), table),
                )
            names += matching
        else:
            names.append(word)
    unique_names = tuple(dict.fromkeys(names))
    if not unique_names:
        raise OptionError(
            option="metrics",
            problem="is empty",
            hint="give metrics, or leave the option out to compute those of the benchmark",
        )
    for name in unique_names:
        _check_metric_fits(benchmark, name)
    return unique_names


def _check_metric_fits(benchmark: Benchmark, name: str) -> None:
    """Raise an OptionError for another task's metric, or a per-image one if pixels are pooled."""
    tasks = [task for task, metrics in TABLES.items() if name in metrics]
    if tasks and benchmark.task not in tasks:
        raise OptionError(
            option="metrics",
            # Any of its tasks will do for the message.
            problem=(
                f"contains '{name}', which is a {tasks[0]} metric, but the benchmark "
                f"'{benchmark.name}' scores {benchmark.task}"
            ),
            hint=f"choose from its own metrics: {', '.join(benchmark.metrics)}",
        )
    metric = find_metric(benchmark.task, name)
    if benchmark.averaging is Averaging.POOLED and not metric.pools:
        raise OptionError(
            option="metrics",
            problem=(
                f"contains '{name}', which is computed per image, but the benchmark "
                f"'{benchmark.name}' pools the pixels of all images"
            ),
            hint="leave this metric out",
        )


def needs_confidence(benchmark: Benchmark) -> bool:
    """Whether a metric of the benchmark judges confidences."""
    return any(metric.needs_confidence for metric in benchmark_metrics(benchmark).values())


def trusted_metrics(task: str, names: Iterable[str]) -> Mapping[str, AnyMetric]:
    """Look up metrics of a task, without unknown ones and code that the user does not trust."""
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
