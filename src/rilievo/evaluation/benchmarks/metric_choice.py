"""Metrics of a benchmark: the tables of all tasks, and the choice of the user."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.evaluation.benchmarks.benchmark import Averaging, Benchmark, Task
from rilievo.evaluation.metrics.certainty import CERTAINTY_METRICS, NORMAL_CERTAINTY_METRICS
from rilievo.evaluation.metrics.depth import (
    DEPTH_METRICS,
    ORDER_METRICS,
    PICTURE_METRICS,
    WINDOW_METRICS,
)
from rilievo.evaluation.metrics.metric import AnyMetric, Metric
from rilievo.evaluation.metrics.normals import NORMAL_METRICS
from rilievo.evaluation.metrics.point_maps import CAMERA_METRICS, POINT_METRICS
from rilievo.evaluation.metrics.stability import STABILITY_METRICS
from rilievo.extensions.entry_points import load_entry_point
from rilievo.extensions.trust import check_trusted, is_import_path
from rilievo.extensions.user_objects import load_user_object

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
"""Word for the metrics of the benchmark among chosen ones."""


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
