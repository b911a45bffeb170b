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
    """Read the evaluations at some paths.

    A path is a file, the folder of an evaluation, or a folder above several.
    """
    runs = []
    for path in paths:
        run_paths = list(_evaluation_folders(path)) if os.path.isdir(path) else [path]
        if not run_paths:
            raise InputError(
                f"{path}: neither this folder nor one inside it has an {FILE_NAME}, which 'rilievo "
                "evaluate' writes"
            )
        for run_path in run_paths:
            folder = run_path if os.path.isdir(run_path) else run_path.parent
            runs.append(Run(folder=folder, evaluation=read_evaluation(run_path)))
    return tuple(runs)


def _evaluation_folders(folder: Path) -> Iterator[Path]:
    """Yield folders with an evaluation; what lies below such a folder is not searched."""
    for current, subfolders, files in os.walk(folder):
        # os.walk goes on with what is left in the list of subfolders.
        if FILE_NAME in files:
            subfolders.clear()
            yield Path(current)
        subfolders[:] = sorted(name for name in subfolders if name != "predictions")


def is_across_benchmarks(runs: Sequence[Run]) -> bool:
    """Whether runs are of several benchmarks, and a comparison over these makes sense.

    It does if all are of one model, or if some benchmark has several runs.
    """
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


def check_same_settings(groups: Mapping[GroupKey, Sequence[Run]]) -> None:
    """Check that groups with the same benchmark and data have the same settings."""
    first_runs: dict[tuple[str, ...], Run] = {}
    for key, runs in groups.items():
        run = runs[0]
        name_and_data = (run.evaluation.benchmark, key.dataset, key.split, key.variant)
        first_run = first_runs.setdefault(name_and_data, run)
        if first_run is not run:
            check_same_benchmark(
                {printable(member.folder): member.evaluation for member in (first_run, run)}
            )


def benchmark_labels(groups: Mapping[GroupKey, Sequence[Run]]) -> dict[GroupKey, str]:
    """Names of the benchmarks, with as much of their data as tells them apart."""
    names = {key: runs[0].evaluation.benchmark for key, runs in groups.items()}
    labels = dict(names)
    for num_parts in (1, 2, 3):
        previous = list(labels.values())
        for key, label in labels.items():
            if previous.count(label) > 1:
                data = (key.dataset, key.split, key.variant)
                labels[key] = f"{names[key]} on {', '.join(data[:num_parts])}"
    return labels


def check_same_benchmark(runs: Mapping[str, Evaluation]) -> None:
    """Check that runs, given by name, have the same benchmark and data."""
    (first_name, first_run), *others = runs.items()
    for name, run in others:
        if first_run.benchmark_sha256 != run.benchmark_sha256:
            raise InputError(
                f"{quote_pair(first_name, name)} are runs of different benchmarks, whose numbers "
                f"cannot be compared: {_setting_differences(first_run, run)}"
            )
        for attribute in ("dataset", "split", "variant"):
            first_value, value = getattr(first_run.data, attribute), getattr(run.data, attribute)
            if first_value != value:
                raise InputError(
                    f"{quote_pair(first_name, name)} were scored on different data: the "
                    f"{attribute}s are '{first_value}' and '{value}'"
                )


def _setting_differences(first_run: Evaluation, second_run: Evaluation) -> str:
    """Describe the settings in which two benchmarks differ."""
    differences = []
    if first_run.benchmark != second_run.benchmark:
        differences.append(f"'{first_run.benchmark}' and '{second_run.benchmark}'")
    # Keys of a dict, unlike a set, keep the order of the settings.
    for name in dict.fromkeys([*first_run.settings, *second_run.settings]):
        first_value, second_value = first_run.settings.get(name), second_run.settings.get(name)
        if name not in PROSE and first_value != second_value:
            differences.append(
                f"{name.replace('_', ' ')} is {setting_value(first_value)} for the first run and "
                f"{setting_value(second_value)} for the second"
            )
    if not differences:
        return "their settings look the same, so evaluate both with the same version of rilievo"
    return printable("; ".join(differences))


def quote_pair(first_name: str, second_name: str) -> str:
    """Two names in quotes, as messages show them."""
    return printable(f"'{first_name}' and '{second_name}'")
