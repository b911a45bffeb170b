"""Results on disk: found below folders, and grouped by benchmark."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rilievo.errors import InputError
from rilievo.evaluation.evaluation_folder import FILE_NAME, read_evaluation
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.tables.wording import PROSE, setting_value
from rilievo.io.files.names import printable


class _GroupKey(NamedTuple):
    benchmark_sha256: str
    dataset: str
    split: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Results on disk."""

    folder: Path
    evaluation: Evaluation


def find_runs(paths: Sequence[Path]) -> tuple[Run, ...]:
    """Results in folders, or below those that have none themselves."""
    runs = []
    for path in paths:
        places = [path] if not os.path.isdir(path) else list(_evaluation_folders(path))
        if not places:
            raise InputError(
                f"{path}: neither it nor a folder below has an {FILE_NAME}, which 'rilievo "
                "evaluate' writes"
            )
        for place in places:
            folder = place if os.path.isdir(place) else place.parent
            runs.append(Run(folder=folder, evaluation=read_evaluation(place)))
    return tuple(runs)


def _evaluation_folders(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        if FILE_NAME in files:
            folders.clear()
            yield Path(here)
        folders[:] = sorted(name for name in folders if name != "predictions")


def is_across_benchmarks(runs: Sequence[Run]) -> bool:
    """Whether runs are of several benchmarks and any two of them compare."""
    groups = group_runs(runs)
    models = {run.evaluation.made_by.model for run in runs}
    return len(groups) > 1 and (
        len(models) == 1 or any(len(members) > 1 for members in groups.values())
    )


def _group_key(run: Run) -> _GroupKey:
    data = run.evaluation.data
    return _GroupKey(run.evaluation.benchmark_sha256, data.dataset, data.split, data.variant)


def group_runs(runs: Sequence[Run]) -> dict[_GroupKey, list[Run]]:
    """Runs by benchmark and data, in the order of the first of each."""
    groups: dict[_GroupKey, list[Run]] = {}
    for run in runs:
        groups.setdefault(_group_key(run), []).append(run)
    return groups


def refuse_other_settings(groups: Mapping[_GroupKey, Sequence[Run]]) -> None:
    """Refuse one benchmark with two settings."""
    first_runs: dict[tuple[str, ...], Run] = {}
    for (_, *data), (run, *_others) in groups.items():
        before = first_runs.setdefault((run.evaluation.benchmark, *data), run)
        if before is not run:
            refuse_other_benchmarks(
                {printable(member.folder): member.evaluation for member in (before, run)}
            )


def benchmark_labels(
    groups: Mapping[_GroupKey, Sequence[Run]],
) -> dict[_GroupKey, str]:
    """Names of benchmarks, with as much of their data as sets them apart."""
    names = {key: group[0].evaluation.benchmark for key, group in groups.items()}
    labels = dict(names)
    for parts in (1, 2, 3):
        counted = list(labels.values())
        for key, label in labels.items():
            if counted.count(label) > 1:
                labels[key] = f"{names[key]} on {', '.join(key[1 : parts + 1])}"
    return labels


def refuse_other_benchmarks(runs: Mapping[str, Evaluation]) -> None:
    """Refuse runs of different benchmarks or data."""
    (first, one), *others = runs.items()
    for name, other in others:
        if one.benchmark_sha256 != other.benchmark_sha256:
            raise InputError(
                f"{quote_pair(first, name)} are runs of different benchmarks, whose numbers do "
                f"not compare: {_setting_differences(one, other)}"
            )
        for what in ("dataset", "split", "variant"):
            here, there = getattr(one.data, what), getattr(other.data, what)
            if here != there:
                raise InputError(
                    f"{quote_pair(first, name)} were scored on different data: the {what} is "
                    f"'{here}' and '{there}'"
                )


def _setting_differences(one: Evaluation, other: Evaluation) -> str:
    names = [name for name in {**one.settings, **other.settings} if name not in PROSE]
    differing = [
        f"{name.replace('_', ' ')} is {setting_value(one.settings.get(name))} "
        f"and {setting_value(other.settings.get(name))}"
        for name in names
        if one.settings.get(name) != other.settings.get(name)
    ]
    if one.benchmark != other.benchmark:
        differing.insert(0, f"'{one.benchmark}' and '{other.benchmark}'")
    if not differing:
        return "their settings read alike, so evaluate both with one version of rilievo"
    return printable("; ".join(differing))


def quote_pair(one: str, other: str) -> str:
    """Two names in quotes, as messages show them."""
    return printable(f"'{one}' and '{other}'")
