"""Means of each metric over sets, each counting the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rilievo.evaluation.records import Summary
from rilievo.evaluation.tables.comparison import Column, SetMean

# Beginnings of names of benchmarks of one program, each for one set.
FAMILIES = ("marigold",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetValues:
    """Number of each model in one metric on one set."""

    label: str
    benchmark: str
    metric: Column | Summary
    values: Mapping[str, float]


def set_means(numbers: Iterable[SetValues]) -> tuple[SetMean, ...]:
    """Means of each metric over the sets of a family that has several."""
    groups: dict[tuple[str, str], list[SetValues]] = {}
    for entry in numbers:
        groups.setdefault((_benchmark_family(entry.benchmark), entry.metric.metric), []).append(
            entry
        )
    return tuple(
        SetMean(
            family=family,
            metric=sets[0].metric,
            sets=tuple(entry.label for entry in sets),
            values={name: fmean(entry.values[name] for entry in sets) for name in models},
        )
        for (family, _), sets in groups.items()
        if len(sets) > 1
        and (models := [name for name in sets[0].values if all(name in e.values for e in sets)])
    )


def notes_on_means(means: Sequence[SetMean]) -> tuple[str, ...]:
    """Sets that each mean is over, each family once."""
    return tuple(dict.fromkeys(mean.note for mean in means))


def _benchmark_family(benchmark: str) -> str:
    name, plus, changes = benchmark.partition("+")
    program = name.partition("-")[0]
    return (program if program in FAMILIES else name) + plus + changes
