"""Find evaluations on disk, and group them by benchmark."""

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


class GroupKey(NamedTuple):
    """What evaluations must have in common to be compared on one benchmark."""

    benchmark_sha256: str
    dataset: str
    split: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An evaluation on disk."""

    folder: Path
    evaluation: Evaluation

    @property
    def group_key(self) -> GroupKey:
        """Benchmark and data, by which it is grouped."""
        data = self.evaluation.data
        return GroupKey(self.evaluation.benchmark_sha256, data.dataset, data.split, data.variant)


def find_runs(paths: Sequence[Path]) -> tuple[Run, ...]:
    """Read the evaluations at some paths: files, folders of one, or folders above several.

    Raises:
        InputError: If there is none at a path, or one cannot be read.
    """
    runs = []
    for path in paths:
        found = list(_evaluation_folders(path)) if os.path.isdir(path) else [path]
        if not found:
            raise InputError(
                f"{path}: neither it nor a folder below has an {FILE_NAME}, which 'rilievo "
                "evaluate' writes"
            )
        for run_path in found:
            folder = run_path if os.path.isdir(run_path) else run_path.parent
            runs.append(Run(folder=folder, evaluation=read_evaluation(run_path)))
    return tuple(runs)


def _evaluation_folders(folder: Path) -> Iterator[Path]:
    """Yield folders with an evaluation; what lies below such a folder is not searched."""
    for current, subfolders, files in os.walk(folder):
        if FILE_NAME in files:
            subfolders.clear()
            yield Path(current)
        subfolders[:] = sorted(name for name in subfolders if name != "predictions")


def is_across_benchmarks(runs: Sequence[Run]) -> bool:
    """Whether runs are of several benchmarks, and of one model or comparable on some benchmark."""
    groups = group_runs(runs)
    if len(groups) < 2:
        return False
    models = {run.evaluation.made_by.model for run in runs}
    return len(models) == 1 or any(len(members) > 1 for members in groups.values())


def group_runs(runs: Sequence[Run]) -> dict[GroupKey, list[Run]]:
    """Group runs by benchmark and data, in the order of the first run of each."""
    groups: dict[GroupKey, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group_key, []).append(run)
    return groups


def refuse_other_settings(groups: Mapping[GroupKey, Sequence[Run]]) -> None:
    """Refuse two groups of the same benchmark and data, whose settings must differ.

    Raises:
        InputError: With the settings that differ.
    """
    first_runs: dict[tuple[str, ...], Run] = {}
    for key, runs in groups.items():
        run = runs[0]
        name_and_data = (run.evaluation.benchmark, key.dataset, key.split, key.variant)
        first = first_runs.setdefault(name_and_data, run)
        if first is not run:
            refuse_other_benchmarks(
                {printable(member.folder): member.evaluation for member in (first, run)}
            )


def benchmark_labels(groups: Mapping[GroupKey, Sequence[Run]]) -> dict[GroupKey, str]:
    """Names of the benchmarks, with as much of their data as tells them apart."""
    names = {key: runs[0].evaluation.benchmark for key, runs in groups.items()}
    labels = dict(names)
    for parts in (1, 2, 3):
        previous = list(labels.values())
        for key, label in labels.items():
            if previous.count(label) > 1:
                data = (key.dataset, key.split, key.variant)
                labels[key] = f"{names[key]} on {', '.join(data[:parts])}"
    return labels


def refuse_other_benchmarks(runs: Mapping[str, Evaluation]) -> None:
    """Refuse runs of different benchmarks or data; ``runs`` has their names.

    Raises:
        InputError: With what differs.
    """
    (first_name, first), *others = runs.items()
    for name, run in others:
        if first.benchmark_sha256 != run.benchmark_sha256:
            raise InputError(
                f"{quote_pair(first_name, name)} are runs of different benchmarks, whose numbers "
                f"do not compare: {_setting_differences(first, run)}"
            )
        for what in ("dataset", "split", "variant"):
            first_value, value = getattr(first.data, what), getattr(run.data, what)
            if first_value != value:
                raise InputError(
                    f"{quote_pair(first_name, name)} were scored on different data: the {what} is "
                    f"'{first_value}' and '{value}'"
                )


def _setting_differences(first: Evaluation, second: Evaluation) -> str:
    """Settings of two benchmarks that differ, in words."""
    differences = []
    if first.benchmark != second.benchmark:
        differences.append(f"'{first.benchmark}' and '{second.benchmark}'")
    for name in {**first.settings, **second.settings}:
        first_value, second_value = first.settings.get(name), second.settings.get(name)
        if name not in PROSE and first_value != second_value:
            differences.append(
                f"{name.replace('_', ' ')} is {setting_value(first_value)} "
                f"and {setting_value(second_value)}"
            )
    if not differences:
        return "their settings read alike, so evaluate both with one version of rilievo"
    return printable("; ".join(differences))


def quote_pair(first: str, second: str) -> str:
    """Two names in quotes, as messages show them."""
    return printable(f"'{first}' and '{second}'")
