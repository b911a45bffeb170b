"""Conditions under which the numbers of several evaluations may be compared."""

from collections.abc import Mapping

from rilievo.errors import InputError
from rilievo.evaluate.records import Evaluation
from rilievo.evaluate.wording import PROSE, count, setting_name, setting_value
from rilievo.io.limits import printable


def check_benchmark(runs: Mapping[str, Evaluation]) -> None:
    """Refuse runs of different benchmarks, or of different data under one benchmark.

    Args:
        runs: Evaluations by name.

    Raises:
        InputError: Naming what differs.
    """
    (first, one), *others = runs.items()
    for name, other in others:
        if one.benchmark_sha256 != other.benchmark_sha256:
            raise InputError(
                f"{_pair(first, name)} are runs of different benchmarks, whose numbers do not "
                f"compare: {_settings(one, other)}"
            )
        for what in ("dataset", "split", "variant"):
            here, there = getattr(one.data, what), getattr(other.data, what)
            if here != there:
                raise InputError(
                    f"{_pair(first, name)} were scored on different data: the {what} is "
                    f"'{printable(here)}' and '{printable(there)}'"
                )


def _settings(one: Evaluation, other: Evaluation) -> str:
    names = [name for name in {**one.settings, **other.settings} if name not in PROSE]
    differing = [
        f"{setting_name(name)} is {setting_value(one.settings.get(name))} "
        f"and {setting_value(other.settings.get(name))}"
        for name in names
        if one.settings.get(name) != other.settings.get(name)
    ]
    if one.benchmark != other.benchmark:
        differing.insert(0, f"'{one.benchmark}' and '{other.benchmark}'")
    if not differing:
        return "their settings read alike, so evaluate both with one version of rilievo"
    return printable("; ".join(differing))


def shared_images(runs: Mapping[str, Evaluation], *, common: bool) -> tuple[str, ...]:
    """The ids that are compared, in the order of the first run.

    Args:
        runs: Evaluations by name.
        common: Whether to take those that all runs have, where they do not have the same.

    Raises:
        InputError: If the images differ and ``common`` is false, or no image is in all runs.
    """
    ids = {name: {score.id for score in run.scores} for name, run in runs.items()}
    first = next(iter(runs))
    shared = set.intersection(*ids.values())
    if not shared:
        raise InputError("no image is scored in every run, so there is nothing to compare")
    for name in runs:
        if ids[name] != ids[first] and not common:
            odd = printable(min(ids[name] ^ ids[first]))
            raise InputError(
                f"{_pair(first, name)} were scored on different images, {count(len(ids[first]))} "
                f"and {count(len(ids[name]))} ('{odd}' is in one alone); with --common only the "
                f"{count(len(shared))} that all runs have are compared"
            )
    return tuple(score.id for score in runs[first].scores if score.id in shared)


def _pair(one: str, other: str) -> str:
    return printable(f"'{one}' and '{other}'")
