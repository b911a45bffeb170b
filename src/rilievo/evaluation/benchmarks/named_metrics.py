"""The metrics that a benchmark names: those of its task's table, and anybody's own."""

from collections import ChainMap
from collections.abc import Iterable, Mapping

from rilievo.errors import OptionError, suggest
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.metrics.boundary import WINDOW_METRICS
from rilievo.evaluation.metrics.certainty import CERTAINTY_METRICS, NORMAL_CERTAINTY_METRICS
from rilievo.evaluation.metrics.depth import DEPTH_METRICS, ORDER_METRICS
from rilievo.evaluation.metrics.metric import AnyMetric, Metric
from rilievo.evaluation.metrics.normals import NORMAL_METRICS
from rilievo.evaluation.metrics.picture import PICTURE_METRICS
from rilievo.evaluation.metrics.point_maps import CAMERA_METRICS, POINT_METRICS
from rilievo.evaluation.metrics.stability import STABILITY_METRICS
from rilievo.messages import template
from rilievo.plugins import check_trusted, is_place, load_offered, load_outside

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
    metric = load_outside(name, "metric") if is_place(name) else load_offered(name, "metric")
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
