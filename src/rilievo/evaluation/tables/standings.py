"""Models over several benchmarks: one table, mean ranks with intervals, and pairs of models.

A model's rank on a benchmark is that of its number in the leading metric, 1 for the best; equal
numbers share the mean of their ranks (Demšar 2006, "Statistical Comparisons of Classifiers over
Multiple Data Sets"). The interval of a mean rank tells how far it depends on the images: on
every benchmark, images (scenes, where they are known) are drawn anew with replacement, the same
ones for all models, and ranks follow from the means over what was drawn.
"""

import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.errors import OptionError
from rilievo.evaluation.metrics.metric import Better, badness
from rilievo.evaluation.results.intervals import FEWEST, grouped, scene_count, scene_means
from rilievo.evaluation.tables.comparing import compare, shared_metrics
from rilievo.evaluation.tables.comparison import Cell, Column, Comparison, scenes_of
from rilievo.evaluation.tables.pairs_over_sets import (
    PairOverSets,
    ScenesOnSet,
    errors_by_scene,
    pairs_over_sets,
)
from rilievo.evaluation.tables.run_groups import (
    Run,
    grouped_runs,
    labels_of,
    refuse_other_settings,
)
from rilievo.evaluation.tables.set_means import OnSet, SetMean, notes_on_means, set_means

COMPANIONS = ("delta1", "within_11_25", "point_delta1")
"""Metrics that papers print beside the leading one; the first that a benchmark has is shown."""
DRAWS = 2000
"""Draws of images for the intervals of mean ranks."""
_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One benchmark, and the models that were scored on it.

    Attributes:
        label: Unique among the benchmarks: its name, and its data where that does not suffice.
        comparison: Rows of the benchmark, the leading metric first.
        reports: The report beside each model's results, where there is one.
    """

    label: str
    comparison: Comparison
    reports: Mapping[str, Path]

    def cell(self, model: str, metric: str) -> Cell | None:
        """One number of a model that was scored here; None where there is none."""
        for row in self.comparison.runs:
            if row.name == model:
                return row.cells.get(metric)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One model over all benchmarks.

    Attributes:
        name: Name of the model.
        ranks: Rank of the model by label of the benchmark, on those where it was scored.
        mean_rank: Mean over the benchmarks that all models have; None where there is none.
        low: Lower end of the 95 % interval of the mean rank; None where images are too few, or
            the numbers of a benchmark are no means over images.
        high: Upper end.
    """

    name: str
    ranks: Mapping[str, float]
    mean_rank: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """Several models on several benchmarks.

    Attributes:
        events: The benchmarks, in the order in which their first runs were given.
        models: The best mean rank first.
        shared: Labels of the benchmarks that mean ranks rest on.
        notes: Notes to read before the numbers are believed.
        means: Means over sets, of families that have several.
        pairs: Every two models over the benchmarks that all have, the surest claims first.
    """

    events: tuple[Event, ...]
    models: tuple[Standing, ...]
    shared: tuple[str, ...]
    notes: tuple[str, ...]
    means: tuple[SetMean, ...] = ()
    pairs: tuple[PairOverSets, ...] = ()


def leading_two(known: Sequence[str]) -> Sequence[str]:
    """The leading metric of a benchmark, and the one that papers print beside it."""
    companion = [name for name in COMPANIONS if name in known[1:]]
    return [known[0], *companion[:1]]


def standings(
    runs: Sequence[Run],
    *,
    metrics: Sequence[str] | None = None,
    choose: Callable[[Sequence[str]], Sequence[str]] = leading_two,
    common: bool = False,
) -> Standings:
    """Put runs of several benchmarks into one table.

    Args:
        runs: Runs of any models and benchmarks, one of each pair.
        metrics: Metrics to show, of each benchmark those that it has; None for those of
            ``choose``. Ranks are by the first.
        choose: Choice among the metrics of a benchmark.
        common: Whether to score anew, on each benchmark, the images that all its runs have.

    Raises:
        InputError: If runs of one benchmark differ in settings, data or images.
        OptionError: If a model has two runs of one benchmark, or a benchmark none of the metrics.
        MissingExtraError: If scipy is not installed.
    """
    groups = grouped_runs(runs)
    refuse_other_settings(groups)
    labels = labels_of(groups)
    events = tuple(
        _event(labels[key], group, metrics, choose, common=common) for key, group in groups.items()
    )
    names = dict.fromkeys(run.evaluation.made_by.model for run in runs)
    ranks = {event.label: ranks_of(event.comparison) for event in events}
    shared = tuple(label for label, each in ranks.items() if len(each) == len(names))
    scenes = {
        event.label: _scenes(event, group)
        for event, group in zip(events, groups.values(), strict=True)
    }
    common_events = [event for event in events if event.label in shared]
    by_label = {
        event.label: drawn_ranks(event.comparison, scenes[event.label], event.label)
        for event in common_events
    }
    drawn = [each for each in by_label.values() if each is not None]
    without = [label for label, each in by_label.items() if each is None]
    models = [_standing(name, ranks, shared, [each[name] for each in drawn]) for name in names]
    models.sort(key=lambda each: (each.mean_rank is None, each.mean_rank or 0.0, each.name))
    means = set_means(
        [_on_set(event, column) for event in events for column in event.comparison.columns]
    )
    sets = [_scenes_on(event, scenes[event.label]) for event in common_events]
    compared = [each for each in sets if each is not None]
    return Standings(
        events=events,
        models=tuple(models),
        shared=shared,
        notes=(
            *_notes(events, shared, len(names), without),
            *_notes_on_pairs(compared, shared, len(names)),
            *notes_on_means(means),
        ),
        means=means,
        pairs=pairs_over_sets(compared) if len(compared) > 1 else (),
    )


def _scenes_on(event: Event, scenes: Sequence[str | None]) -> ScenesOnSet | None:
    """Errors of the models by scene; None where drawing scenes would move another number."""
    comparison, column = event.comparison, event.comparison.columns[0]
    if not is_mean_of_images(comparison, scenes):
        return None
    errors = errors_by_scene(
        column.values, column.better, column.unit, scenes, by_scene=comparison.by_scene
    )
    return None if errors is None else ScenesOnSet(label=event.label, errors=errors)


def _notes_on_pairs(
    compared: Sequence[ScenesOnSet], shared: Sequence[str], models: int
) -> Iterator[str]:
    """Notes on what pairs of models rest on."""
    if models < 2 or len(shared) < 2:
        return
    labels = [each.label for each in compared]
    left = [label for label in shared if label not in labels]
    if len(labels) > 1:
        yield (
            "Pairs of models: errors in the first metric, one over the other, geometric mean over "
            f"{', '.join(labels)}, each counting the same (of shares, what they lack to 1). "
            "Intervals draw scenes anew, the same ones for all models; with 95 % those of all "
            "pairs hold. They speak of new scenes of these benchmarks, not of other benchmarks."
        )
    if left:
        yield (
            "Not in the comparison of pairs, as there are fewer than three images or scenes, or "
            f"numbers that are no means of errors: {', '.join(left)}."
        )


def _on_set(event: Event, column: Column) -> OnSet:
    rows = event.comparison.runs
    return OnSet(
        label=event.label,
        benchmark=event.comparison.benchmark,
        metric=column.metric,
        heading=column.label,
        unit=column.unit,
        better=column.better,
        values={row.name: row.cells[column.metric].value for row in rows},
    )


def _event(
    label: str,
    group: Sequence[Run],
    metrics: Sequence[str] | None,
    choose: Callable[[Sequence[str]], Sequence[str]],
    *,
    common: bool,
) -> Event:
    evaluations = [run.evaluation for run in group]
    names = [each.made_by.model for each in evaluations]
    for name in names:
        if names.count(name) > 1:
            first, second = (run.folder for run in group if run.evaluation.made_by.model == name)
            raise OptionError(
                f"{first} and {second} both have '{name}' on {label}; give one of them"
            )
    known = shared_metrics(evaluations)
    chosen = [name for name in metrics if name in known] if metrics else choose(known)
    if not chosen:
        raise OptionError(f"{label} has none of the metrics {', '.join(metrics or ())}")
    return Event(
        label=label,
        comparison=compare(evaluations, metrics=chosen, common=common),
        reports={
            name: run.folder / "report.html"
            for name, run in zip(names, group, strict=True)
            if os.path.exists(run.folder / "report.html")
        },
    )


def _scenes(event: Event, group: Sequence[Run]) -> tuple[str | None, ...]:
    """The scenes of the images in the first column."""
    runs = {run.evaluation.made_by.model: run.evaluation for run in group}
    return scenes_of(runs, event.comparison.columns[0].ids)


def _standing(
    name: str,
    ranks: Mapping[str, Mapping[str, float]],
    shared: Sequence[str],
    drawn: Sequence[Float64[np.ndarray, "draws"]],
) -> Standing:
    own = {label: each[name] for label, each in ranks.items() if name in each}
    if not shared:
        return Standing(name=name, ranks=own)
    mean = float(np.mean([own[label] for label in shared]))
    if len(drawn) < len(shared):
        return Standing(name=name, ranks=own, mean_rank=mean)
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    return Standing(name=name, ranks=own, mean_rank=mean, low=float(low), high=float(high))


def _notes(
    events: Sequence[Event], shared: Sequence[str], models: int, without: Sequence[str]
) -> Iterator[str]:
    if models > 1 and shared:
        yield (
            f"Mean ranks are over the {len(shared)} benchmarks that all {models} models have, by "
            "the first metric of each"
            + ("." if without else "; 95 % intervals by drawing images, or scenes, anew.")
        )
    left = [event.label for event in events if event.label not in shared]
    if left and models > 1:
        yield f"Not in the mean ranks, as a model is missing there: {', '.join(left)}."
    if without and models > 1:
        yield (
            "Mean ranks have no interval, as numbers are ranked that are no means over three or "
            f"more images or scenes (or biases of both signs): {', '.join(without)}."
        )
    said: dict[str, list[str]] = {}
    for event in events:
        for note in event.comparison.notes:
            said.setdefault(note, []).append(event.label)
    for note, labels in said.items():
        yield note if len(labels) == len(events) else f"{', '.join(labels)}: {note}"


def ranks_of(comparison: Comparison) -> dict[str, float]:
    """Ranks by the numbers that are quoted in the first column, 1 for the best."""
    leading = comparison.columns[0]
    rows = comparison.runs
    values = np.array([row.cells[leading.metric].value for row in rows], np.float64)
    ranks = mean_ranks(badness(values[None], leading.better))[0]
    return {row.name: float(rank) for row, rank in zip(rows, ranks, strict=True)}


def mean_ranks(values: Float64[np.ndarray, "draws models"]) -> Float64[np.ndarray, "draws models"]:
    """Ranks in each row from 1 for the smallest; equal values share the mean of their ranks."""
    below = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    return below + (equal + 1) / 2


def is_mean_of_images(comparison: Comparison, scenes: Sequence[str | None]) -> bool:
    """Whether the numbers in the first column are means over its images, or over their scenes.

    Those of pooled benchmarks are not, nor are biases of both signs, of which the sizes are
    compared: drawing images anew would move another number than the one that is ranked.
    """
    column = comparison.columns[0]
    values = np.array([column.values[row.name] for row in comparison.runs], np.float64)
    quoted = np.array([row.cells[column.metric].value for row in comparison.runs], np.float64)
    if column.better is Better.ZERO:
        quoted = np.abs(quoted)
    if not values.size:
        return False
    if comparison.by_scene:
        values = np.stack([scene_means(each, scenes) for each in values])
    return np.allclose(values.mean(axis=1), quoted, rtol=1e-6, atol=1e-12)


def drawn_ranks(
    comparison: Comparison, scenes: Sequence[str | None], seed: str
) -> Mapping[str, Float64[np.ndarray, "draws"]] | None:
    """Ranks in the first column over images drawn anew, the same ones for all models.

    Args:
        comparison: Comparison of runs on one benchmark.
        scenes: Scenes of the images of its first column; whole scenes are drawn where known.
        seed: Tells the draws of benchmarks apart.

    Returns:
        Ranks by model; None where there are fewer than three images or scenes, or where the
        numbers that are quoted are no means over images.
    """
    column = comparison.columns[0]
    count = scene_count(scenes)
    if count < FEWEST or not is_mean_of_images(comparison, scenes):
        return None
    groups = grouped(scenes)
    values = np.array([column.values[row.name] for row in comparison.runs])
    sums = np.stack([np.bincount(groups, each, count) for each in values], axis=1)
    sizes = np.bincount(groups, minlength=count)
    if comparison.by_scene:
        sums, sizes = sums / sizes[:, None], np.ones_like(sizes)
    chance = np.random.default_rng(zlib.crc32(seed.encode()))
    parts = []
    # In parts, as a draw has a number for each image.
    for _ in range(DRAWS // _AT_ONCE):
        weights = chance.multinomial(count, np.full(count, 1 / count), _AT_ONCE).astype(np.float64)
        means = (weights @ sums) / (weights @ sizes)[:, None]
        parts.append(mean_ranks(badness(means, column.better)))
    ranks = np.concatenate(parts)
    return {row.name: each for row, each in zip(comparison.runs, ranks.T, strict=True)}
