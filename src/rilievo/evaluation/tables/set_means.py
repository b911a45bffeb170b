"""Means over sets, as papers print them beside the sets themselves: every set counts the same.

Sets belong together where one benchmark scored them (MoGe's on its ten sets), or benchmarks of one
program that has another for each set (Marigold's five).
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from rilievo.evaluation.records import Summary
from rilievo.evaluation.tables.comparison import Column, SetMean
from rilievo.frozen import frozen

FAMILIES = ("marigold",)
"""Beginnings of names of benchmarks that are of one program, each for one set."""


@frozen
class OnSet:
    """Numbers of one metric on one set.

    Attributes:
        label: Name of the set in tables.
        benchmark: Name of the benchmark.
        metric: Name, label, unit and direction of the metric.
        values: Number of each model that was scored there.
    """

    label: str
    benchmark: str
    metric: Column | Summary
    values: Mapping[str, float]


def set_means(numbers: Iterable[OnSet]) -> tuple[SetMean, ...]:
    """Means of each metric over the sets of a family; a family of one set has none."""
    groups: dict[tuple[str, str], list[OnSet]] = {}
    for entry in numbers:
        groups.setdefault((_family(entry.benchmark), entry.metric.metric), []).append(entry)
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


def _family(benchmark: str) -> str:
    """The benchmark itself, or its program; with what the user changed, which is another."""
    name, plus, changes = benchmark.partition("+")
    program = name.partition("-")[0]
    return (program if program in FAMILIES else name) + plus + changes
