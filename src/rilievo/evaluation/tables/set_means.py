"""Means of a metric over the datasets of a benchmark or a program, each counting the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rilievo.evaluation.records import Summary
from rilievo.evaluation.tables.comparison import Column, SetMean

FAMILIES = ("marigold",)
"""Programs with a benchmark for each of several datasets, whose names begin with the program's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetValues:
    """Value of each model in one metric on one dataset."""

    label: str
    benchmark: str
    metric: Column | Summary
    values: Mapping[str, float]


def set_means(values_on_sets: Iterable[SetValues]) -> tuple[SetMean, ...]:
    """Means over the datasets of each family that has several, of the models that have all."""
    groups: dict[tuple[str, str], list[SetValues]] = {}
    for entry in values_on_sets:
        key = (_benchmark_family(entry.benchmark), entry.metric.metric)
        groups.setdefault(key, []).append(entry)

    means = []
    for (family, _), sets in groups.items():
        models = [name for name in sets[0].values if all(name in entry.values for entry in sets)]
        if len(sets) < 2 or not models:
            continue
        means.append(
            SetMean(
                family=family,
                metric=sets[0].metric,
                sets=tuple(entry.label for entry in sets),
                values={name: fmean(entry.values[name] for entry in sets) for name in models},
            )
        )
    return tuple(means)


def notes_on_means(means: Sequence[SetMean]) -> tuple[str, ...]:
    """Sentences that name the datasets of the means, each once."""
    return tuple(dict.fromkeys(mean.note for mean in means))


def _benchmark_family(benchmark: str) -> str:
    """Name of the benchmark, or of its program, with the user's changes ("+median")."""
    name, plus, changes = benchmark.partition("+")
    program = name.partition("-")[0]
    return (program if program in FAMILIES else name) + plus + changes
