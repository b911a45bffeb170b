"""Compare models over several benchmarks, by mean ranks with intervals."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.errors import OptionError
from rilievo.evaluation.intervals import MIN_SCENES, scene_numbers
from rilievo.evaluation.metrics.metric import Better, badness
from rilievo.evaluation.tables.comparing import compare, shared_metrics
from rilievo.evaluation.tables.comparison import Column, ColumnGroup, Comparison, Standing
from rilievo.evaluation.tables.pairs_over_sets import (
    Errors,
    draw_scene_counts,
    errors_by_scene,
    pairs_over_sets,
)
from rilievo.evaluation.tables.runs import Run, benchmark_labels, group_runs, refuse_other_settings
from rilievo.evaluation.tables.set_means import SetValues, notes_on_means, set_means

COMPANIONS = ("delta1", "within_11_25", "point_delta1")
"""Metrics that papers print beside the leading one; the first that a benchmark has is shown."""

Ranks = Mapping[str, float]
"""Rank of each model on one benchmark."""
DrawnRanks = Mapping[str, Float64[np.ndarray, "draws"]]
"""Ranks of each model on one benchmark, in draws of its images."""


def leading_two(names: Sequence[str]) -> Sequence[str]:
    """The leading metric, and one that papers print beside it if there is one."""
    companions = [name for name in COMPANIONS if name in names[1:]]
    return [names[0], *companions[:1]]


def standings(
    runs: Sequence[Run],
    *,
    metrics: Sequence[str] | None = None,
    choose: Callable[[Sequence[str]], Sequence[str]] = leading_two,
    common: bool = False,
) -> Comparison:
    """Put runs of several benchmarks into one table, ranked by the first metric of each.

    Args:
        runs: Evaluations of one or several models.
        metrics: Metrics to compare, where a benchmark has them; None to let ``choose`` decide.
        choose: Function from the metrics of a benchmark to those that are compared.
        common: Whether to compare only the images that all runs of a benchmark have.

    Raises:
        InputError: If runs of one benchmark differ in settings, data or images.
        OptionError: If a model has two runs of one benchmark, or a benchmark none of the metrics.
        MissingExtraError: If scipy is not installed.
    """
    runs_by_benchmark = group_runs(runs)
    refuse_other_settings(runs_by_benchmark)
    labels = benchmark_labels(runs_by_benchmark)
    groups = tuple(
        _column_group(labels[key], members, metrics, choose, common=common)
        for key, members in runs_by_benchmark.items()
    )

    names = list(dict.fromkeys(run.evaluation.made_by.model for run in runs))
    ranks = {group.label: _column_ranks(group.leading) for group in groups}
    shared = {
        group.label: group.leading for group in groups if len(ranks[group.label]) == len(names)
    }
    drawn = {label: _bootstrap_ranks(column, label) for label, column in shared.items()}
    models = [_model_standing(name, ranks, shared, drawn) for name in names]
    models.sort(key=lambda model: (model.mean_rank is None, model.mean_rank or 0.0, model.name))

    means = set_means(_values_on_sets(groups))
    errors = _errors_on_sets(shared)
    unranked = [label for label, drawn_ranks in drawn.items() if drawn_ranks is None]
    notes = [*_ranking_notes(groups, shared, len(names), unranked)]
    if len(names) > 1 and len(shared) > 1:
        notes += _pair_notes([*errors], shared)
    notes += notes_on_means(means)
    return Comparison(
        groups=groups,
        models=tuple(models),
        shared=tuple(shared),
        notes=tuple(notes),
        means=means,
        pairs=pairs_over_sets(errors) if len(errors) > 1 else (),
    )


def _values_on_sets(groups: Sequence[ColumnGroup]) -> Iterator[SetValues]:
    """Yield the values of all models in every metric of every benchmark."""
    for group in groups:
        for column in group.columns:
            yield SetValues(
                label=group.label,
                benchmark=group.benchmark,
                metric=column,
                values={name: cell.value for name, cell in column.cells.items()},
            )


def _errors_on_sets(shared: Mapping[str, Column]) -> dict[str, Errors]:
    """Errors of the models on each benchmark by scene, where its numbers are means of errors."""
    errors_on_sets = {}
    for label, column in shared.items():
        if not _is_mean_of_images(column):
            continue
        errors = errors_by_scene(
            column.values,
            column.better,
            column.unit,
            column.images.scenes,
            by_scene=column.images.by_scene,
        )
        if errors is not None:
            errors_on_sets[label] = errors
    return errors_on_sets


def _column_group(
    label: str,
    runs: Sequence[Run],
    metrics: Sequence[str] | None,
    choose: Callable[[Sequence[str]], Sequence[str]],
    *,
    common: bool,
) -> ColumnGroup:
    """Comparison of the runs of one benchmark, with the reports on disk."""
    folder_of_model: dict[str, Path] = {}
    for run in runs:
        name = run.evaluation.made_by.model
        if name in folder_of_model:
            raise OptionError(
                f"{folder_of_model[name]} and {run.folder} both have '{name}' on {label}; give one "
                "of them"
            )
        folder_of_model[name] = run.folder

    evaluations = [run.evaluation for run in runs]
    shared_names = shared_metrics(evaluations)
    chosen = [name for name in metrics if name in shared_names] if metrics else choose(shared_names)
    if not chosen:
        raise OptionError(f"{label} has none of the metrics {', '.join(metrics or ())}")
    [group] = compare(evaluations, metrics=chosen, common=common).groups
    reports = {
        name: folder / "report.html"
        for name, folder in folder_of_model.items()
        if os.path.exists(folder / "report.html")
    }
    return replace(group, label=label, reports=reports)


def _model_standing(
    name: str,
    ranks: Mapping[str, Ranks],
    shared: Collection[str],
    drawn: Mapping[str, DrawnRanks | None],
) -> Standing:
    """Ranks of a model, and their mean over the shared benchmarks.

    The mean has an interval if the ranks on all of them could be drawn.
    """
    own_ranks = {label: by_model[name] for label, by_model in ranks.items() if name in by_model}
    if not shared:
        return Standing(name=name, ranks=own_ranks)
    mean_rank = float(np.mean([own_ranks[label] for label in shared]))
    drawn_ranks = [by_model[name] for by_model in drawn.values() if by_model is not None]
    if len(drawn_ranks) < len(shared):
        return Standing(name=name, ranks=own_ranks, mean_rank=mean_rank)
    low, high = np.percentile(np.mean(drawn_ranks, axis=0), [2.5, 97.5])
    return Standing(
        name=name, ranks=own_ranks, mean_rank=mean_rank, low=float(low), high=float(high)
    )


def _ranking_notes(
    groups: Sequence[ColumnGroup], shared: Collection[str], models: int, unranked: Sequence[str]
) -> Iterator[str]:
    """Yield notes on mean ranks, then those of the groups, each once with its benchmarks.

    ``unranked`` are benchmarks whose ranks could not be drawn.
    """
    if models > 1 and shared:
        interval = "" if unranked else "; 95 % intervals by drawing images, or scenes, anew"
        yield (
            f"Mean ranks are over the {len(shared)} benchmarks that all {models} models have, by "
            f"the first metric of each{interval}."
        )
    left_out = [group.label for group in groups if group.label not in shared]
    if left_out and models > 1:
        yield f"Not in the mean ranks, as a model is missing there: {', '.join(left_out)}."
    if unranked and models > 1:
        yield (
            "Mean ranks have no interval, as numbers are ranked that are no means over three or "
            f"more images or scenes (or biases of both signs): {', '.join(unranked)}."
        )
    labels_by_note: dict[str, list[str]] = {}
    for group in groups:
        for note in group.notes:
            labels_by_note.setdefault(note, []).append(group.label)
    for note, labels in labels_by_note.items():
        yield note if len(labels) == len(groups) else f"{', '.join(labels)}: {note}"


def _pair_notes(compared: Sequence[str], shared: Collection[str]) -> Iterator[str]:
    """Yield notes on the comparison of pairs of models, and on benchmarks that are not in it."""
    if len(compared) > 1:
        yield (
            "Pairs of models: errors in the first metric, one over the other, geometric mean over "
            f"{', '.join(compared)}, each counting the same (of shares, what they lack to 1). "
            "Intervals draw scenes anew, the same ones for all models; with 95 % those of all "
            "pairs hold. They speak of new scenes of these benchmarks, not of other benchmarks."
        )
    left_out = [label for label in shared if label not in compared]
    if left_out:
        yield (
            "Not in the comparison of pairs, as there are fewer than three images or scenes, or "
            f"numbers that are no means of errors: {', '.join(left_out)}."
        )


def _column_ranks(column: Column) -> Ranks:
    """Rank of each model in one metric; equal values share their mean rank."""
    values = np.array([cell.value for cell in column.cells.values()], np.float64)
    ranks = tied_ranks(badness(values[None], column.better))[0]
    return dict(zip(column.cells, ranks.tolist(), strict=True))


def tied_ranks(values: Float64[np.ndarray, "draws models"]) -> Float64[np.ndarray, "draws models"]:
    """Ranks in each row, from 1 for the smallest; equal values share their mean rank."""
    smaller = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    return smaller + (equal + 1) / 2


def _is_mean_of_images(column: Column) -> bool:
    """Whether the cells are means of the images' values, so that drawing images varies them.

    A pooled value is not, nor is a bias, of which the absolute value is compared.
    """
    if not column.ids:
        return False
    shown = np.array([column.cells[name].value for name in column.values], np.float64)
    if column.better is Better.ZERO:
        shown = np.abs(shown)
    means = [column.images.means(values).mean() for values in column.values.values()]
    return np.allclose(means, shown, rtol=1e-6, atol=1e-12)


def _bootstrap_ranks(column: Column, seed: str) -> DrawnRanks | None:
    """Ranks of each model in draws of scenes.

    None with fewer than three scenes, and where the cells are no means of the images' values.
    """
    scene_of_image = scene_numbers(column.images.scenes)
    sizes = np.bincount(scene_of_image)
    if len(sizes) < MIN_SCENES or not _is_mean_of_images(column):
        return None
    sums = np.stack(
        [np.bincount(scene_of_image, values) for values in column.values.values()], axis=1
    )
    if column.images.by_scene:
        sums, sizes = sums / sizes[:, None], np.ones_like(sizes)

    drawn_ranks = []
    for weights in draw_scene_counts(len(sizes), seed):
        means = (weights @ sums) / (weights @ sizes)[:, None]
        drawn_ranks.append(tied_ranks(badness(means, column.better)))
    ranks = np.concatenate(drawn_ranks)
    return dict(zip(column.values, ranks.T, strict=True))
