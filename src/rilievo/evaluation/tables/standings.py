"""Models over several benchmarks: mean ranks with intervals."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.errors import OptionError
from rilievo.evaluation.intervals import MIN_SCENES, scene_numbers
from rilievo.evaluation.metrics.metric import Better, badness
from rilievo.evaluation.tables.comparing import compare, shared_metrics
from rilievo.evaluation.tables.comparison import Column, ColumnGroup, Comparison, Standing
from rilievo.evaluation.tables.pairs_over_sets import (
    draw_scene_counts,
    errors_by_scene,
    pairs_over_sets,
)
from rilievo.evaluation.tables.runs import Run, benchmark_labels, group_runs, refuse_other_settings
from rilievo.evaluation.tables.set_means import SetValues, notes_on_means, set_means

# Papers print them beside the leading metric; the first that a benchmark has is shown.
COMPANIONS = ("delta1", "within_11_25", "point_delta1")


def leading_two(names: Sequence[str]) -> Sequence[str]:
    """The leading metric, and the one that papers print beside it."""
    companion = [name for name in COMPANIONS if name in names[1:]]
    return [names[0], *companion[:1]]


def standings(
    runs: Sequence[Run],
    *,
    metrics: Sequence[str] | None = None,
    choose: Callable[[Sequence[str]], Sequence[str]] = leading_two,
    common: bool = False,
) -> Comparison:
    """Put runs of several benchmarks into one table, ranked by the first metric of each.

    ``choose`` names the metrics where ``metrics`` does not. ``common`` compares the images that all
    runs of a benchmark have.

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
    names = dict.fromkeys(run.evaluation.made_by.model for run in runs)
    ranks = {group.label: _column_ranks(group.leading) for group in groups}
    shared = {
        group.label: group.leading for group in groups if len(ranks[group.label]) == len(names)
    }
    drawn = {label: _bootstrap_ranks(column, label) for label, column in shared.items()}
    models = [_model_standing(name, ranks, shared, drawn) for name in names]
    models.sort(key=lambda row: (row.mean_rank is None, row.mean_rank or 0.0, row.name))
    means = set_means(
        SetValues(
            label=group.label,
            benchmark=group.benchmark,
            metric=column,
            values={name: cell.value for name, cell in column.cells.items()},
        )
        for group in groups
        for column in group.columns
    )
    errors = {
        label: errors_by_scene(
            column.values,
            column.better,
            column.unit,
            column.images.scenes,
            by_scene=column.images.by_scene,
        )
        for label, column in shared.items()
        if _is_mean_of_images(column)
    }
    sets = {label: by_model for label, by_model in errors.items() if by_model is not None}
    return Comparison(
        groups=groups,
        models=tuple(models),
        shared=tuple(shared),
        notes=(
            *_standings_notes(
                groups, shared, len(names), [n for n, item in drawn.items() if item is None]
            ),
            *(_notes_on_pairs([*sets], shared) if len(names) > 1 < len(shared) else ()),
            *notes_on_means(means),
        ),
        means=means,
        pairs=pairs_over_sets(sets) if len(sets) > 1 else (),
    )


def _notes_on_pairs(compared: Sequence[str], shared: Collection[str]) -> Iterator[str]:
    left = [label for label in shared if label not in compared]
    if len(compared) > 1:
        yield (
            "Pairs of models: errors in the first metric, one over the other, geometric mean over "
            f"{', '.join(compared)}, each counting the same (of shares, what they lack to 1). "
            "Intervals draw scenes anew, the same ones for all models; with 95 % those of all "
            "pairs hold. They speak of new scenes of these benchmarks, not of other benchmarks."
        )
    if left:
        yield (
            "Not in the comparison of pairs, as there are fewer than three images or scenes, or "
            f"numbers that are no means of errors: {', '.join(left)}."
        )


def _column_group(
    label: str,
    runs: Sequence[Run],
    metrics: Sequence[str] | None,
    choose: Callable[[Sequence[str]], Sequence[str]],
    *,
    common: bool,
) -> ColumnGroup:
    evaluations = [run.evaluation for run in runs]
    names = [evaluation.made_by.model for evaluation in evaluations]
    for name in names:
        if names.count(name) > 1:
            first, second = (run.folder for run in runs if run.evaluation.made_by.model == name)
            raise OptionError(
                f"{first} and {second} both have '{name}' on {label}; give one of them"
            )
    shared_names = shared_metrics(evaluations)
    chosen = [name for name in metrics if name in shared_names] if metrics else choose(shared_names)
    if not chosen:
        raise OptionError(f"{label} has none of the metrics {', '.join(metrics or ())}")
    [group] = compare(evaluations, metrics=chosen, common=common).groups
    reports = {
        name: run.folder / "report.html"
        for name, run in zip(names, runs, strict=True)
        if os.path.exists(run.folder / "report.html")
    }
    return replace(group, label=label, reports=reports)


def _model_standing(
    name: str,
    ranks: Mapping[str, Mapping[str, float]],
    shared: Collection[str],
    drawn: Mapping[str, Mapping[str, Float64[np.ndarray, "draws"]] | None],
) -> Standing:
    own = {label: rank[name] for label, rank in ranks.items() if name in rank}
    if not shared:
        return Standing(name=name, ranks=own)
    mean = float(np.mean([own[label] for label in shared]))
    of_draws = [by_model[name] for by_model in drawn.values() if by_model is not None]
    if len(of_draws) < len(shared):
        return Standing(name=name, ranks=own, mean_rank=mean)
    low, high = np.percentile(np.mean(of_draws, axis=0), [2.5, 97.5])
    return Standing(name=name, ranks=own, mean_rank=mean, low=float(low), high=float(high))


def _standings_notes(
    groups: Sequence[ColumnGroup], shared: Collection[str], models: int, without: Sequence[str]
) -> Iterator[str]:
    if models > 1 and shared:
        yield (
            f"Mean ranks are over the {len(shared)} benchmarks that all {models} models have, by "
            "the first metric of each"
            + ("." if without else "; 95 % intervals by drawing images, or scenes, anew.")
        )
    left = [group.label for group in groups if group.label not in shared]
    if left and models > 1:
        yield f"Not in the mean ranks, as a model is missing there: {', '.join(left)}."
    if without and models > 1:
        yield (
            "Mean ranks have no interval, as numbers are ranked that are no means over three or "
            f"more images or scenes (or biases of both signs): {', '.join(without)}."
        )
    labels_by_note: dict[str, list[str]] = {}
    for group in groups:
        for note in group.notes:
            labels_by_note.setdefault(note, []).append(group.label)
    for note, labels in labels_by_note.items():
        yield note if len(labels) == len(groups) else f"{', '.join(labels)}: {note}"


def _column_ranks(column: Column) -> dict[str, float]:
    values = np.array([cell.value for cell in column.cells.values()], np.float64)
    ranks = tied_ranks(badness(values[None], column.better))[0]
    return dict(zip(column.cells, ranks.tolist(), strict=True))


def tied_ranks(values: Float64[np.ndarray, "draws models"]) -> Float64[np.ndarray, "draws models"]:
    """Ranks in each row from 1 for the smallest; equal values share their mean."""
    below = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    return below + (equal + 1) / 2


def _is_mean_of_images(column: Column) -> bool:
    # Drawing images anew would move another number than a pooled one, or than a bias, of which
    # the size is compared.
    if not column.ids:
        return False
    quoted = np.array([column.cells[name].value for name in column.values], np.float64)
    if column.better is Better.ZERO:
        quoted = np.abs(quoted)
    means = [column.images.means(values).mean() for values in column.values.values()]
    return np.allclose(means, quoted, rtol=1e-6, atol=1e-12)


def _bootstrap_ranks(
    column: Column, seed: str
) -> Mapping[str, Float64[np.ndarray, "draws"]] | None:
    """Ranks of each model in draws; None where nothing is drawn."""
    groups = scene_numbers(column.images.scenes)
    sizes = np.bincount(groups)
    if len(sizes) < MIN_SCENES or not _is_mean_of_images(column):
        return None
    sums = np.stack([np.bincount(groups, errors) for errors in column.values.values()], axis=1)
    if column.images.by_scene:
        sums, sizes = sums / sizes[:, None], np.ones_like(sizes)
    ranks = np.concatenate(
        [
            tied_ranks(badness((weights @ sums) / (weights @ sizes)[:, None], column.better))
            for weights in draw_scene_counts(len(sizes), seed)
        ]
    )
    return dict(zip(column.values, ranks.T, strict=True))
