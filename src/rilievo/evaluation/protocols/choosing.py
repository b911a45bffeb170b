"""Benchmarks that fit one dataset, with reasons for those that do not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.data.datasets import find_dataset
from rilievo.data.datasets.base import Dataset, spread
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.plan import Plan, make_plan

ALL = "all"
"""Word for every benchmark."""
COMPARED = 2
"""Photographs by which two variants of a dataset are found to show the same ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Benchmarks of one dataset.

    Attributes:
        plans: Plans of those that can be tried.
        refused: Reasons why others cannot, by name.
    """

    plans: tuple[Plan, ...]
    refused: Mapping[str, str]


def choose(protocols: str, root: str | Path | None, options: EvaluateOptions) -> Chosen:
    """The plans of several benchmarks on one dataset.

    Args:
        protocols: Names with commas between them; ``all`` takes those that rilievo has for the
            dataset, and those that fit any.
        root: Folder of the dataset.
        options: Names the dataset, and what else is asked.

    Raises:
        OptionError: If a name is unknown, no dataset is named, or no benchmark fits it.
    """
    if options.dataset is None:
        raise OptionError("--protocols scores one dataset by many benchmarks: name it, --dataset")
    card = find_dataset(options.dataset).card
    split = options.split or card.splits[0]
    plans, refused = [], {}
    for benchmark in _named(protocols, options.dataset):
        reason = _mismatch(benchmark, options.dataset, split, options.variant)
        if reason is not None:
            refused[benchmark.name] = reason
            continue
        asked = options if benchmark.dataset is None else replace(options, split=None, variant=None)
        try:
            plans.append(make_plan(benchmark, root, asked))
        except RilievoError as error:
            refused[benchmark.name] = str(error)
    if not plans:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise OptionError(f"no benchmark fits '{options.dataset}', split '{split}': {reasons}")
    return Chosen(plans=tuple(plans), refused=refused)


def _named(protocols: str, dataset: str) -> Iterable[Benchmark]:
    if protocols != ALL:
        return [find_benchmark(name.strip()) for name in protocols.split(",")]
    return [each for each in BENCHMARKS.values() if each.dataset in (None, dataset)]


def _mismatch(benchmark: Benchmark, dataset: str, split: str, variant: str | None) -> str | None:
    """Reason why a benchmark is not of these images; None where it is."""
    if benchmark.dataset is None:
        return None
    for what, own, asked in (
        ("dataset", benchmark.dataset, dataset),
        ("split", benchmark.split, split),
        ("variant", benchmark.variant, variant),
    ):
        if None not in (own, asked) and own != asked:
            return f"is of the {what} '{own}', and '{asked}' is asked for"
    return None


def same_pictures(plans: Sequence[Plan]) -> list[list[Plan]]:
    """Plans in groups that show a model the same pictures, so that one prediction serves them."""
    groups: list[list[Plan]] = []
    for plan in plans:
        for group in groups:
            if _shows_the_same(group[0], plan):
                group.append(plan)
                break
        else:
            groups.append([plan])
    return groups


def _shows_the_same(one: Plan, other: Plan) -> bool:
    if one.benchmark.input_crop != other.benchmark.input_crop or one.ids != other.ids:
        return False
    if one.dataset.request == other.dataset.request:
        return True
    # Variants of a dataset have other truth, or other photographs too.
    return all(_is_one(one.dataset, other.dataset, id) for id in spread(one.ids, COMPARED))


def _is_one(one: Dataset, other: Dataset, id: str) -> bool:
    try:
        file = one.photo_file(id)
        if file is not None and file == other.photo_file(id):
            return True
        return np.array_equal(one.image(id), other.image(id))
    except (InputError, OSError):
        return False
