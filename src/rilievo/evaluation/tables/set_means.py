"""Means of a metric over the datasets of a benchmark or a program, each counting the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rilievo.evaluation.records import Summary
from rilievo.evaluation.tables.comparison import ComparedMetric, SetMean

FAMILIES = ("marigold",)
"""Programs with a benchmark for each of several datasets, whose names begin with the program's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetValues:
    """Value of each model in one metric on one dataset."""

    label: str
    benchmark: str
    metric: ComparedMetric | Summary
    values: Mapping[str, float]


def set_means(values_on_datasets: Iterable[SetValues]) -> tuple[SetMean, ...]:
    """Means over the datasets of each benchmark family with several, for models scored on all."""
    groups: dict[tuple[str, str], list[SetValues]] = {}
    for dataset_values in values_on_datasets:
        metric_name = dataset_values.metric.metric
        key = (_benchmark_family(dataset_values.benchmark), metric_name)
        groups.setdefault(key, []).append(dataset_values)

    means = []
    for (family, _), datasets in groups.items():
        models = [
            name
            for name in datasets[0].values
            if all(name in dataset.values for dataset in datasets)
        ]
        if len(datasets) < 2 or not models:
            continue
        means.append(
            SetMean(
                family=family,
                metric=datasets[0].metric,
                sets=tuple(dataset.label for dataset in datasets),
                values={
                    name: fmean(dataset.values[name] for dataset in datasets) for name in models
                },
            )
        )
    return tuple(means)


def means_notes(means: Sequence[SetMean]) -> tuple[str, ...]:
    """Sentences that name the datasets of the means, each once."""
    return tuple(dict.fromkeys(mean.note for mean in means))


def _benchmark_family(benchmark: str) -> str:
    """Name of the benchmark, or of its program, with the user's changes ("+median")."""
    name, plus, changes = benchmark.partition("+")
    program = name.partition("-")[0]
    return (program if program in FAMILIES else name) + plus + changes
