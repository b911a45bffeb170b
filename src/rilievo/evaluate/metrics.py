"""The metrics that a benchmark names: those of its task's table, and anybody's own."""

from collections.abc import Iterable, Mapping

from rilievo.errors import OptionError, suggest
from rilievo.evaluate.benchmark import Benchmark, Task
from rilievo.metrics.depth import DEPTH_METRICS
from rilievo.metrics.metric import AnyMetric, Metric
from rilievo.metrics.normals import NORMAL_METRICS
from rilievo.metrics.picture import PICTURE_METRICS
from rilievo.outside import load_offered, load_outside

TABLES: Mapping[Task, Mapping[str, AnyMetric]] = {
    Task.DEPTH: DEPTH_METRICS,
    Task.NORMALS: NORMAL_METRICS,
    Task.PICTURE: PICTURE_METRICS,
}


def find_metric(task: Task, name: str) -> AnyMetric:
    """A metric by its name.

    Args:
        task: Whose table has it; a metric of one's own takes the pairs of this task.
        name: In that table, that of an installed package, or ``package.module:NAME`` of a
            ``Metric`` of one's own.

    Raises:
        OptionError: If there is none, or one's own has a name of the table.
    """
    table = TABLES[task]
    if name in table:
        return table[name]
    found = load_outside(name, "metric") if ":" in name else load_offered(name, "metric")
    if found is None:
        raise OptionError(f"no metric '{name}' of {task}; {suggest(name, table)}")
    if not isinstance(found, Metric):
        raise OptionError(f"'{name}' is no metric, but a {type(found).__name__}")
    if found.name in table:
        raise OptionError(f"'{name}' calls itself '{found.name}', as another metric of {task} does")
    return found


def metrics_of(benchmark: Benchmark) -> Mapping[str, AnyMetric]:
    """The benchmark's metrics by their own names, its leading one first.

    Raises:
        OptionError: If there is no such metric, or two have one name.
    """
    found: dict[str, AnyMetric] = {}
    for name in benchmark.metrics:
        try:
            metric = find_metric(benchmark.task, name)
        except OptionError as error:
            raise OptionError(f"the benchmark '{benchmark.name}': {error}") from error
        if metric.name in found:
            raise OptionError(
                f"the benchmark '{benchmark.name}' has two metrics of the name '{metric.name}'"
            )
        found[metric.name] = metric
    return found


def known_metrics(task: str, names: Iterable[str]) -> Mapping[str, AnyMetric]:
    """Those that can be found here, by their own names: results may come from elsewhere."""
    found: dict[str, AnyMetric] = {}
    for name in names if task in list(Task) else ():
        try:
            metric = find_metric(Task(task), name)
        except OptionError:
            continue
        found[metric.name] = metric
    return found
