"""Compare the runs of one benchmark, beside its published results."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Averaging, Published, benchmark_settings
from rilievo.evaluation.evaluation_folder import metric_names, read_evaluation
from rilievo.evaluation.intervals import (
    MIN_SCENES,
    holm_correction,
    scene_count,
    scene_means,
    wilcoxon_p,
)
from rilievo.evaluation.metrics.metric import Better, badness
from rilievo.evaluation.model_names import shown_model_names
from rilievo.evaluation.records import Evaluation, Summary
from rilievo.evaluation.summaries import SIGNIFICANCE_LEVEL, metric_value_range, unscored_remark
from rilievo.evaluation.tables.comparison import (
    BenchmarkComparison,
    ComparedImages,
    ComparedMetric,
    ComparedResult,
    ComparedValue,
    Comparison,
    Difference,
)
from rilievo.evaluation.tables.runs import check_same_benchmark, quote_pair
from rilievo.evaluation.tables.wording import setting_value
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.names import printable
from rilievo.records.prediction_record import Setting


def compare(
    runs: Sequence[Path | Evaluation],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    common: bool = False,
) -> Comparison:
    """Compare runs of one benchmark, beside its published results.

    Differences are paired by image, or by scene where the dataset names scenes. Intervals are by
    Student's t, p-values by Wilcoxon's signed-rank test with Holm's correction.

    Args:
        runs: Evaluations, or folders that hold them.
        baseline: Name of the run that the others are compared with; None for the best.
        metrics: Metrics to compare; None for all that the runs share.
        common: Whether to compare only the images that all runs have.

    Raises:
        InputError: If a run cannot be read, or runs differ in benchmark, data or images.
        OptionError: If there is no run, or no such baseline or metric.
        MissingExtraError: If scipy is not installed.
    """
    if not runs:
        raise OptionError("there is no run to compare; give folders that contain evaluation.json")
    run_by_name = runs_by_name(runs)
    if baseline is not None:
        baseline = _run_name(baseline, run_by_name)
    check_same_benchmark(run_by_name)
    ids = shared_images(run_by_name, common=common)
    has_unshared_images = any(len(run.scores) != len(ids) for run in run_by_name.values())
    columns = tuple(
        compare_metric(run_by_name, metric, ids, baseline, has_unshared_images=has_unshared_images)
        for metric in shared_metrics(run_by_name.values(), metrics)
    )

    first_run = next(iter(run_by_name.values()))
    published_rows = _published_rows(_comparable_published(first_run), columns, run_by_name)
    notes = _comparison_notes(
        run_by_name,
        columns,
        baseline,
        num_images=len(ids),
        has_unshared_images=has_unshared_images,
    )
    group = BenchmarkComparison(
        label=first_run.benchmark,
        benchmark=first_run.benchmark,
        benchmark_sha256=first_run.benchmark_sha256,
        title=setting_value(first_run.settings.get("title", "")),
        dataset=f"{first_run.data.dataset}, split {first_run.data.split}",
        image_count=len(ids),
        baseline=baseline,
        columns=columns,
        rows=(*_run_rows(columns, run_by_name), *published_rows),
        notes=tuple(notes),
    )
    return Comparison(groups=(group,), notes=group.notes)


def _run_rows(
    columns: Sequence[ComparedMetric], runs: Mapping[str, Evaluation]
) -> list[ComparedResult]:
    """Rows of the runs, the best in the leading metric first."""
    leading = columns[0]
    best_first = sorted(runs, key=lambda name: leading.cells[name].rank or 0)
    return [
        ComparedResult(
            name=name,
            is_published=False,
            cells={column.metric: column.cells[name] for column in columns},
            alignment=runs[name].alignment,
        )
        for name in best_first
    ]


def shared_images(runs: Mapping[str, Evaluation], *, common: bool) -> tuple[str, ...]:
    """Ids of the images that all runs have scored, in the order of the first run."""
    ids_by_run = {name: {score.id for score in run.scores} for name, run in runs.items()}
    shared = set.intersection(*ids_by_run.values())
    if not shared:
        examples = [f"'{run.scores[0].id}' in {name}" for name, run in runs.items() if run.scores]
        raise InputError(
            "no image has a score in every run, so there is nothing to compare; ids must be equal, "
            f"but the first ones are {printable(', '.join(examples))}"
        )
    first_name, *other_names = runs
    first_ids = ids_by_run[first_name]
    for name in other_names:
        if ids_by_run[name] != first_ids and not common:
            unshared_example = printable(min(ids_by_run[name] ^ first_ids))
            raise InputError(
                f"{quote_pair(first_name, name)} were scored on different sets of "
                f"images ({len(first_ids):,} and {len(ids_by_run[name]):,} images); for example, "
                f"only one of the runs has '{unshared_example}'",
                hint=Text(
                    "use ",
                    OptionName("common"),
                    f" to compare only the {len(shared):,} images that all runs have",
                ),
            )
    return tuple(score.id for score in runs[first_name].scores if score.id in shared)


def _run_name(baseline: str, run_by_name: Mapping[str, Evaluation]) -> str:
    """Find the run that a user names, by its shown name or by its model's full name."""
    if baseline in run_by_name:
        return baseline
    names = [name for name, run in run_by_name.items() if run.made_by.model == baseline]
    if len(names) != 1:
        raise OptionError(
            f"no run '{baseline}' to use as the baseline; {suggest(baseline, run_by_name)}"
        )
    return names[0]


def runs_by_name(runs: Sequence[Path | Evaluation]) -> dict[str, Evaluation]:
    """Read runs, and give each a unique name.

    It is the name of its model, as ``shown_model_names`` shortens it. If several runs have the same
    model, their folders are added, and if that is not enough, a number.
    """
    evaluations = [run if isinstance(run, Evaluation) else read_evaluation(run) for run in runs]
    model_counts = Counter(evaluation.made_by.model for evaluation in evaluations)
    names = shown_model_names(model_counts)
    run_by_name: dict[str, Evaluation] = {}
    for source, evaluation in zip(runs, evaluations, strict=True):
        model = evaluation.made_by.model
        name = names[model]
        if model_counts[model] > 1 and isinstance(source, Path):
            folder = source if source.is_dir() else source.parent
            name = f"{name} ({folder.resolve().name})"
        unique_name = name
        next_number = 2
        while unique_name in run_by_name:
            unique_name = f"{name} #{next_number}"
            next_number += 1
        run_by_name[unique_name] = evaluation
    return run_by_name


def shared_metrics(
    runs: Iterable[Evaluation], metrics: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Metrics that all runs have, the leading one first; or the requested ones, each once."""
    first_names, *other_names = map(metric_names, runs)
    shared = tuple(name for name in first_names if all(name in names for names in other_names))
    for name in metrics or ():
        if name not in shared:
            raise OptionError(f"not every run has the metric '{name}'; {suggest(name, shared)}")
    if not shared:
        raise OptionError("the runs have no metric in common, so there is nothing to compare")
    return tuple(dict.fromkeys(metrics)) if metrics else shared


def _comparable_published(run: Evaluation) -> tuple[Published, ...]:
    """Published results on the run's data; none if settings changed or its code is not trusted."""
    try:
        check_trusted(run.benchmark, "benchmark", "evaluation")
        benchmark = find_benchmark(run.benchmark)
    except OptionError:
        return ()
    for name, value in benchmark_settings(benchmark).items():
        # The run may be older than a setting that is None by default.
        if value is not None and run.settings.get(name) != value:
            return ()
    data = f"{run.data.dataset} {run.data.split}"
    # Results without data are for all of the benchmark's data.
    return tuple(result for result in benchmark.published if result.data in ("", data))


def _published_rows(
    published: Sequence[Published],
    columns: Sequence[ComparedMetric],
    runs: Mapping[str, Evaluation],
) -> list[ComparedResult]:
    """Published results that have one of the metrics, the best in the leading one first."""
    leading = columns[0]
    rows = []
    for result in published:
        cells = {
            column.metric: ComparedValue(value=result.values[column.metric])
            for column in columns
            if column.metric in result.values
        }
        if not cells:
            continue
        name = f"{result.model} (published)" if result.model in runs else result.model
        row = ComparedResult(
            name=name, is_published=True, cells=cells, source=result.source, quote=result.quote
        )
        rows.append(row)

    def leading_badness(row: ComparedResult) -> float:
        cell = row.cells.get(leading.metric)
        return float("inf") if cell is None else badness(cell.value, leading.better)

    return sorted(rows, key=leading_badness)


def compare_metric(
    runs: Mapping[str, Evaluation],
    metric: str,
    ids: tuple[str, ...],
    baseline: str | None,
    *,
    has_unshared_images: bool,
) -> ComparedMetric:
    """Rank the runs in one metric, and test them against the baseline, or without one the best.

    ``ids`` are the images that all runs have. If a run has others too (``has_unshared_images``),
    the cells are means over the shared images instead of the runs' own numbers.
    """
    scored = _images_scored_by_all(runs, metric, ids)
    images = ComparedImages(scenes=scored.scenes, by_scene=is_by_scene(runs))

    summaries = {name: _summary_of_metric(run, metric) for name, run in runs.items()}
    better = next(iter(summaries.values())).better
    cells = {name: _cell_of_summary(summary) for name, summary in summaries.items()}
    if has_unshared_images and scored.ids:
        for name, values in scored.values_by_run.items():
            value_range = metric_value_range(better, summaries[name].unit, values.tolist())
            cells[name] = images.cell(values, value_range)

    badness_by_run = {name: badness(cell.value, better) for name, cell in cells.items()}
    best_run = min(runs, key=badness_by_run.__getitem__)
    reference = best_run if baseline is None else baseline
    compared_values = scored.values_by_run
    if better is Better.ZERO:
        # Absolute values are compared, because two biases of opposite sign may be equally bad.
        compared_values = {name: np.abs(values) for name, values in compared_values.items()}
    return ComparedMetric(
        metric=metric,
        label=summaries[reference].label,
        unit=summaries[reference].unit,
        better=better,
        reference=reference,
        ids=scored.ids,
        images=images,
        values=compared_values,
        cells=_rank_and_test(
            cells,
            badness_by_run,
            compared_values,
            images,
            best_run=best_run,
            reference=reference,
            better=better,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoredImages:
    """Images that all runs have scored in one metric.

    Attributes:
        scenes: Scene of each image; None if it is not known.
        values_by_run: Values of each run, one for each image.
    """

    ids: tuple[str, ...]
    scenes: tuple[str | None, ...]
    values_by_run: Mapping[str, Values]


def _images_scored_by_all(
    runs: Mapping[str, Evaluation], metric: str, ids: Sequence[str]
) -> _ScoredImages:
    """Find the images, among ``ids``, that all runs have scored in a metric."""
    scores_by_run = {name: {score.id: score for score in run.scores} for name, run in runs.items()}
    scored_ids = tuple(
        image_id
        for image_id in ids
        if all(metric in scores[image_id].values for scores in scores_by_run.values())
    )
    first_scores = next(iter(scores_by_run.values()))
    return _ScoredImages(
        ids=scored_ids,
        scenes=tuple(first_scores[image_id].scene for image_id in scored_ids),
        values_by_run={
            name: np.array([scores[image_id].values[metric] for image_id in scored_ids], np.float64)
            for name, scores in scores_by_run.items()
        },
    )


def _summary_of_metric(run: Evaluation, metric: str) -> Summary:
    return next(summary for summary in run.summaries if summary.metric == metric)


def _cell_of_summary(summary: Summary) -> ComparedValue:
    return ComparedValue(value=summary.value, low=summary.low, high=summary.high)


def _rank_and_test(
    cells: Mapping[str, ComparedValue],
    badness_by_run: Mapping[str, float],
    image_values: Mapping[str, Values],
    images: ComparedImages,
    *,
    best_run: str,
    reference: str,
    better: Better,
) -> dict[str, ComparedValue]:
    """Add ranks, differences from the reference, and the mark of a significantly best run."""
    from_best = _differences_to_reference(image_values, images, best_run)
    from_reference = from_best
    if reference != best_run:
        from_reference = _differences_to_reference(image_values, images, reference)
    is_best_significant = _are_all_worse(from_best.values(), better)
    return {
        name: replace(
            cell,
            rank=1 + sum(other < badness_by_run[name] for other in badness_by_run.values()),
            difference=from_reference.get(name),
            is_best=is_best_significant and name == best_run,
        )
        for name, cell in cells.items()
    }


def _are_all_worse(differences: Collection[Difference], better: Better) -> bool:
    """Whether all other runs are significantly worse than the best; False if there are none."""
    sign = -1 if better is Better.HIGHER else 1
    is_worse = [
        difference.is_significant and sign * difference.mean > 0 for difference in differences
    ]
    return bool(is_worse) and all(is_worse)


def is_by_scene(runs: Mapping[str, Evaluation]) -> bool:
    """Whether the benchmark averages over scenes, and not over images."""
    return any(run.settings.get("averaging") == Averaging.PER_SCENE for run in runs.values())


def _differences_to_reference(
    values: Mapping[str, Values], images: ComparedImages, reference: str
) -> Mapping[str, Difference]:
    """Paired differences of the other runs from a reference, by run."""
    differences = {
        name: run_values - values[reference]
        for name, run_values in values.items()
        if name != reference and run_values.size
    }
    p_values = holm_correction(
        [wilcoxon_p(scene_means(paired, images.scenes)) for paired in differences.values()]
    )
    tested = {}
    for (name, paired), p_value in zip(differences.items(), p_values, strict=True):
        mean = images.cell(paired)
        tested[name] = Difference(mean=mean.value, low=mean.low, high=mean.high, p=p_value)
    return tested


def _comparison_notes(
    runs: Mapping[str, Evaluation],
    columns: Sequence[ComparedMetric],
    baseline: str | None,
    *,
    num_images: int,
    has_unshared_images: bool,
) -> Iterator[str]:
    """Yield caveats of a comparison, one sentence each.

    None of them mentions the table of differences, because a LaTeX file only has that of values.
    """
    first_run = next(iter(runs.values()))
    if len(runs) > 1:
        yield from _significance_notes(first_run, num_images, baseline)
    yield from _averaging_notes(runs, num_images, has_unshared_images=has_unshared_images)
    for column in columns:
        if len(column.ids) < num_images:
            yield (
                f"{column.label}: runs are compared on the {len(column.ids):,} images for which "
                "every run has a value."
            )
        if column.better is Better.ZERO:
            yield f"{column.label}: the comparison uses the absolute value for each image."
    official_count = first_run.data.official
    if official_count is not None and official_count != num_images:
        yield f"The whole split has {official_count:,} images, but {num_images:,} are compared."
    yield from _notes_on_different_runs(runs)
    yield from _run_warnings(runs)


def _significance_notes(
    first_run: Evaluation, num_images: int, baseline: str | None
) -> Iterator[str]:
    """Yield notes on how runs are compared, and on how few scenes they are compared."""
    yield f"Runs are compared image by image, over {count_text(num_images, 'image')}."
    # Frames of a scene are no independent evidence.
    num_scenes = scene_count([score.scene for score in first_run.scores])
    if num_scenes < MIN_SCENES <= len(first_run.scores):
        yield (
            f"All images are from {count_text(num_scenes, 'scene')}, whose frames are nearly "
            "alike, so there are no intervals and no significance tests."
        )
        return
    if num_images < MIN_SCENES:
        yield "There are too few images for intervals and significance tests."
        return
    yield (
        f"An asterisk marks a significant difference from {baseline or 'the best run'}: p < "
        f"{SIGNIFICANCE_LEVEL:g}, by Wilcoxon's signed-rank test with Holm's correction for the "
        "number of runs, and a 95% interval of the difference, by Student's t distribution, that "
        "excludes zero. Bold marks the best run if it is significantly better than every other run."
    )
    if num_scenes < len(first_run.scores):
        yield (
            f"Frames of one scene are alike, so intervals and p are based on {num_scenes:,} "
            "scenes, not on single images."
        )


def _averaging_notes(
    runs: Mapping[str, Evaluation], num_images: int, *, has_unshared_images: bool
) -> Iterator[str]:
    """Yield notes on how the numbers are averaged, if it is not simply over all images."""
    by_scene = is_by_scene(runs)
    if by_scene:
        yield (
            "The benchmark averages the images of each scene, then the scenes; differences are "
            "averaged in the same way."
        )
    if any(run.settings.get("averaging") == Averaging.POOLED for run in runs.values()):
        yield (
            "The benchmark pools the pixels of all images; differences and p are computed from "
            "the values of single images, so their sign can differ from the sign of the difference "
            "between the pooled values."
        )
    if has_unshared_images:
        image_counts = ", ".join(f"{name} {len(run.scores):,}" for name, run in runs.items())
        by_scene_words = ", scene by scene" if by_scene else ""
        yield (
            "These are not the benchmark's own numbers: the runs were scored on different images "
            f"({image_counts}), so all values are means over the {num_images:,} images that all "
            f"runs have{by_scene_words}."
        )


def _notes_on_different_runs(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield notes on alignment, kind, version and processing if these differ between runs."""
    processing = {
        name: run.made_by.settings["processing"]
        for name, run in runs.items()
        if "processing" in run.made_by.settings
    }
    compared_settings: dict[str, Mapping[str, Setting]] = {
        "The runs are aligned in different ways, which hide different errors": {
            name: run.alignment for name, run in runs.items()
        },
        "The predictions are of different kinds": {name: run.kind for name, run in runs.items()},
        "The runs were scored with different versions of rilievo": {
            name: run.version for name, run in runs.items()
        },
        "The runs were predicted with different processing": processing,
    }
    for problem, value_by_run in compared_settings.items():
        if len(set(value_by_run.values())) > 1:
            values = ", ".join(f"{name}: {value or 'none'}" for name, value in value_by_run.items())
            yield printable(f"{problem} ({values}).")


def _run_warnings(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield the warnings of the runs, each once with the names of its runs."""
    names_by_warning: dict[str, list[str]] = {}
    for name, run in runs.items():
        warnings = run.warnings
        # Newer results have this remark among their warnings already.
        remark = unscored_remark(run.unscored, run.data.asked)
        if remark is not None and remark not in warnings:
            warnings = (remark, *warnings)
        for warning in warnings:
            names_by_warning.setdefault(warning, []).append(name)
    for warning, names in names_by_warning.items():
        is_of_every_run = len(runs) > 1 and len(names) == len(runs)
        run_words = "All runs" if is_of_every_run else ", ".join(names)
        yield printable(f"{run_words}: {warning.removesuffix('.')}.")
