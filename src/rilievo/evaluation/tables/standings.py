"""Compare models over several benchmarks, by mean ranks with intervals."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.errors import OptionError
from rilievo.errors.messages import count_text
from rilievo.evaluation.evaluation_folder import REPORT
from rilievo.evaluation.intervals import MIN_SCENES, scene_indices
from rilievo.evaluation.metrics.metric import Better, badness
from rilievo.evaluation.model_names import shown_model_names
from rilievo.evaluation.tables.comparing import compare, shared_metrics
from rilievo.evaluation.tables.comparison import (
    BenchmarkComparison,
    ComparedMetric,
    Comparison,
    Standing,
)
from rilievo.evaluation.tables.pairs_over_sets import (
    Errors,
    draw_scene_counts,
    errors_by_scene,
    pairs_over_sets,
)
from rilievo.evaluation.tables.runs import Run, benchmark_labels, check_same_settings, group_runs
from rilievo.evaluation.tables.set_means import SetValues, means_notes, set_means

COMPANIONS = ("delta1", "within_11_25", "point_delta1")
"""Metrics that papers print beside the leading one; the first that a benchmark has is shown."""

Ranks = Mapping[str, float]
"""Rank of each model on one benchmark."""
DrawnRanks = Mapping[str, Float64[np.ndarray, "draws"]]
"""Ranks of each model on one benchmark, in draws of its images."""


def leading_two(names: Sequence[str]) -> Sequence[str]:
    """The leading metric, and the first of its usual companions that the benchmark has."""
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
    runs = _with_shown_names(runs)
    runs_by_benchmark = group_runs(runs)
    check_same_settings(runs_by_benchmark)
    labels = benchmark_labels(runs_by_benchmark)
    groups = tuple(
        _compare_group(labels[key], group_members, metrics, choose, common=common)
        for key, group_members in runs_by_benchmark.items()
    )

    names = list(dict.fromkeys(run.evaluation.made_by.model for run in runs))
    ranks = {group.label: _column_ranks(group.leading) for group in groups}
    # Benchmarks that all models have.
    shared = {
        group.label: group.leading for group in groups if len(ranks[group.label]) == len(names)
    }
    drawn_ranks = {label: _bootstrap_ranks(column, label) for label, column in shared.items()}
    models = [_model_standing(name, ranks, shared, drawn_ranks) for name in names]
    models.sort(key=lambda model: (model.mean_rank is None, model.mean_rank or 0.0, model.name))

    means = set_means(_values_on_sets(groups))
    errors = _errors_on_sets(shared)
    without_draws = [
        label for label, ranks_of_draws in drawn_ranks.items() if ranks_of_draws is None
    ]
    notes = [*_ranking_notes(groups, shared, len(names), without_draws)]
    if len(names) > 1 and len(shared) > 1:
        notes += _pair_notes([*errors], shared)
    notes += means_notes(means)
    return Comparison(
        groups=groups,
        standings=tuple(models),
        shared_benchmarks=tuple(shared),
        notes=tuple(notes),
        means=means,
        pairs=pairs_over_sets(errors) if len(errors) > 1 else (),
    )


def _with_shown_names(runs: Sequence[Run]) -> list[Run]:
    """Give the models the names that tables show, so that they are the same on all benchmarks."""
    names = shown_model_names(run.evaluation.made_by.model for run in runs)
    renamed = []
    for run in runs:
        made_by = run.evaluation.made_by
        made_by = replace(made_by, model=names[made_by.model])
        renamed.append(replace(run, evaluation=replace(run.evaluation, made_by=made_by)))
    return renamed


def _values_on_sets(groups: Sequence[BenchmarkComparison]) -> Iterator[SetValues]:
    """Yield the values of all models in every metric of every benchmark."""
    for group in groups:
        for column in group.columns:
            yield SetValues(
                label=group.label,
                benchmark=group.benchmark,
                metric=column,
                values={name: cell.value for name, cell in column.cells.items()},
            )


def _errors_on_sets(shared: Mapping[str, ComparedMetric]) -> dict[str, Errors]:
    """Errors of the models by scene, for each benchmark whose numbers are means of errors."""
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


def _compare_group(
    label: str,
    runs: Sequence[Run],
    metrics: Sequence[str] | None,
    choose_metrics: Callable[[Sequence[str]], Sequence[str]],
    *,
    common: bool,
) -> BenchmarkComparison:
    """Compare the runs of one benchmark, and add the paths of their reports.

    Without ``metrics``, ``choose_metrics`` chooses from those that all runs have.
    """
    folder_by_model: dict[str, Path] = {}
    for run in runs:
        name = run.evaluation.made_by.model
        if name in folder_by_model:
            raise OptionError(
                f"{folder_by_model[name]} and {run.folder} both contain results of '{name}' on "
                f"{label}; give only one of these folders"
            )
        folder_by_model[name] = run.folder

    evaluations = [run.evaluation for run in runs]
    available = shared_metrics(evaluations)
    if metrics:
        compared_metrics = [name for name in metrics if name in available]
    else:
        compared_metrics = choose_metrics(available)
    if not compared_metrics:
        raise OptionError(
            f"the runs on {label} have none of the metrics {', '.join(metrics or ())} in common"
        )
    # Runs of one benchmark make one group.
    [group] = compare(evaluations, metrics=compared_metrics, common=common).groups
    report_by_model = {name: folder / REPORT for name, folder in folder_by_model.items()}
    reports = {name: path for name, path in report_by_model.items() if os.path.exists(path)}
    return replace(group, label=label, reports=reports)


def _model_standing(
    model: str,
    ranks_by_benchmark: Mapping[str, Ranks],
    shared_benchmarks: Collection[str],
    drawn_ranks: Mapping[str, DrawnRanks | None],
) -> Standing:
    """Ranks of a model on its benchmarks, and their mean over those that all models have.

    The mean has a 95% interval if the ranks on all of these benchmarks could be drawn. The
    interval holds the middle 95% of the mean ranks in the draws.
    """
    own_ranks = {
        benchmark: ranks[model] for benchmark, ranks in ranks_by_benchmark.items() if model in ranks
    }
    standing = Standing(name=model, ranks=own_ranks)
    if not shared_benchmarks:
        return standing
    mean_rank = float(np.mean([own_ranks[benchmark] for benchmark in shared_benchmarks]))
    standing = replace(standing, mean_rank=mean_rank)

    own_draws = [draws[model] for draws in drawn_ranks.values() if draws is not None]
    if len(own_draws) < len(shared_benchmarks):
        return standing
    mean_rank_by_draw = np.mean(own_draws, axis=0)
    low, high = np.percentile(mean_rank_by_draw, [2.5, 97.5])
    return replace(standing, low=float(low), high=float(high))


def _ranking_notes(
    groups: Sequence[BenchmarkComparison],
    shared: Collection[str],
    num_models: int,
    without_draws: Sequence[str],
) -> Iterator[str]:
    """Yield notes on mean ranks, then those of the groups, each once with its benchmarks.

    ``without_draws`` are benchmarks whose ranks could not be drawn.
    """
    if num_models > 1 and shared:
        yield (
            f"Mean ranks are over the {count_text(len(shared), 'benchmark')} that all {num_models} "
            "models have, by the first metric of each benchmark."
        )
        if not without_draws:
            yield "Their 95% intervals come from resampling images or scenes."
    unshared = [group.label for group in groups if group.label not in shared]
    if unshared and num_models > 1:
        yield (
            "The mean ranks leave out benchmarks for which a model is missing: "
            f"{', '.join(unshared)}."
        )
    if without_draws and num_models > 1:
        yield (
            "Mean ranks have no interval, because the ranks on these benchmarks cannot be "
            f"resampled: {', '.join(without_draws)}. Their numbers cover fewer than three images "
            "or scenes, are not means over images, or are biases that are positive in some images "
            "and negative in others."
        )
    labels_by_note: dict[str, list[str]] = {}
    for group in groups:
        for note in group.notes:
            labels_by_note.setdefault(note, []).append(group.label)
    for note, labels in labels_by_note.items():
        yield note if len(labels) == len(groups) else f"{', '.join(labels)}: {note}"


def _pair_notes(compared: Sequence[str], shared: Collection[str]) -> Iterator[str]:
    """Yield notes on the comparison of pairs of models, and on benchmarks that it leaves out."""
    if len(compared) > 1:
        yield (
            "Two models are compared by the ratio of their errors in the first metric. If that is "
            "a fraction, such as δ1, its error is 1 minus the fraction. The table shows the "
            f"geometric mean of these ratios over {', '.join(compared)}, with equal "
            "weights. The intervals come from resampling scenes, the same ones for all models, and "
            "hold for all pairs together with a probability of 95%. They apply to new scenes of "
            "these benchmarks, not to other benchmarks."
        )
    omitted = [label for label in shared if label not in compared]
    if omitted:
        yield (
            "The comparison of pairs leaves out benchmarks with fewer than three images or "
            f"scenes, or whose numbers are not means of errors: {', '.join(omitted)}."
        )


def _column_ranks(column: ComparedMetric) -> Ranks:
    """Ranks of the runs in one metric, 1 for the best."""
    values = np.array([cell.value for cell in column.cells.values()], np.float64)
    ranks = tied_ranks(badness(values[None], column.better))[0]
    return dict(zip(column.cells, ranks.tolist(), strict=True))


def tied_ranks(values: Float64[np.ndarray, "draws models"]) -> Float64[np.ndarray, "draws models"]:
    """Rank each row, from 1 for the smallest value; equal values share their mean rank."""
    smaller_count = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal_count = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    return smaller_count + (equal_count + 1) / 2


def _is_mean_of_images(column: ComparedMetric) -> bool:
    """Whether the cells are means of the images' values, which resampling the images varies.

    A pooled value is not such a mean, nor is a bias, because its absolute value is compared.
    """
    if not column.ids:
        return False
    cell_values = np.array([column.cells[name].value for name in column.values], np.float64)
    if column.better is Better.ZERO:
        cell_values = np.abs(cell_values)
    means = [column.images.means(values).mean() for values in column.values.values()]
    return np.allclose(means, cell_values, rtol=1e-6, atol=1e-12)


def _bootstrap_ranks(column: ComparedMetric, seed: str) -> DrawnRanks | None:
    """Rank the models in draws of scenes with replacement.

    Returns:
        None with fewer than three scenes, or if the cells are not means of the images' values.
    """
    scene_index = scene_indices(column.images.scenes)
    scene_sizes = np.bincount(scene_index)
    if len(scene_sizes) < MIN_SCENES or not _is_mean_of_images(column):
        return None
    scene_sums = np.stack(
        [np.bincount(scene_index, values) for values in column.values.values()], axis=1
    )
    if column.images.by_scene:
        # Each scene counts as a single image with the scene's mean.
        scene_sums = scene_sums / scene_sizes[:, None]
        scene_sizes = np.ones_like(scene_sizes)

    ranks_by_block = []
    for weights in draw_scene_counts(len(scene_sizes), seed):
        means = (weights @ scene_sums) / (weights @ scene_sizes)[:, None]
        ranks_by_block.append(tied_ranks(badness(means, column.better)))
    ranks = np.concatenate(ranks_by_block)
    return dict(zip(column.values, ranks.T, strict=True))
