"""Compare the runs of one benchmark, beside its published results."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import OptionName, Text
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
from rilievo.evaluation.records import Evaluation, Summary
from rilievo.evaluation.summaries import SIGNIFICANCE_LEVEL, metric_value_range, unscored_remark
from rilievo.evaluation.tables.comparison import (
    Cell,
    Column,
    ColumnGroup,
    ColumnImages,
    Comparison,
    Difference,
    Row,
)
from rilievo.evaluation.tables.runs import quote_pair, refuse_other_benchmarks
from rilievo.evaluation.tables.wording import setting_value
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.names import printable


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
        raise OptionError("there is no run to compare; give folders that hold evaluation.json")
    named = runs_by_name(runs)
    if baseline is not None and baseline not in named:
        raise OptionError(f"no run '{baseline}' for a baseline; {suggest(baseline, named)}")
    refuse_other_benchmarks(named)
    ids = shared_images(named, common=common)
    has_unshared_images = any(len(run.scores) != len(ids) for run in named.values())
    columns = tuple(
        compare_metric(named, metric, ids, baseline, has_unshared_images=has_unshared_images)
        for metric in shared_metrics(named.values(), metrics)
    )

    first = next(iter(named.values()))
    leading = columns[0]
    best_first = sorted(named, key=lambda name: leading.cells[name].rank or 0)
    rows = [
        Row(
            name=name,
            is_published=False,
            cells={column.metric: column.cells[name] for column in columns},
            alignment=named[name].alignment,
        )
        for name in best_first
    ]
    rows += _published_rows(_comparable_published(first), columns, named)
    notes = tuple(
        _comparison_notes(named, columns, images=len(ids), has_unshared_images=has_unshared_images)
    )
    group = ColumnGroup(
        label=first.benchmark,
        benchmark=first.benchmark,
        benchmark_sha256=first.benchmark_sha256,
        title=setting_value(first.settings.get("title", "")),
        dataset=f"{first.data.dataset}, {first.data.split}",
        images=len(ids),
        baseline=baseline,
        columns=columns,
        rows=tuple(rows),
        notes=notes,
    )
    return Comparison(groups=(group,), notes=group.notes)


def shared_images(runs: Mapping[str, Evaluation], *, common: bool) -> tuple[str, ...]:
    """Ids of the images that all runs have scored, in the order of the first run.

    Raises:
        InputError: If there are none, or runs have other images and ``common`` is not set.
    """
    ids_by_run = {name: {score.id for score in run.scores} for name, run in runs.items()}
    shared = set.intersection(*ids_by_run.values())
    if not shared:
        raise InputError("no image is scored in every run, so there is nothing to compare")
    first, *others = runs
    for name in others:
        if ids_by_run[name] != ids_by_run[first] and not common:
            example = printable(min(ids_by_run[name] ^ ids_by_run[first]))
            raise InputError(
                f"{quote_pair(first, name)} were scored on different images, "
                f"{len(ids_by_run[first]):,} and {len(ids_by_run[name]):,} ('{example}' is in one "
                "alone)",
                hint=Text(
                    "with ",
                    OptionName("common"),
                    f" only the {len(shared):,} that all runs have are compared",
                ),
            )
    return tuple(score.id for score in runs[first].scores if score.id in shared)


def runs_by_name(runs: Sequence[Path | Evaluation]) -> dict[str, Evaluation]:
    """Read runs, and name them after their models, with the folders of models that repeat."""
    evaluations = [run if isinstance(run, Evaluation) else read_evaluation(run) for run in runs]
    model_counts = Counter(evaluation.made_by.model for evaluation in evaluations)
    named: dict[str, Evaluation] = {}
    for source, evaluation in zip(runs, evaluations, strict=True):
        name = evaluation.made_by.model
        if model_counts[name] > 1 and isinstance(source, Path):
            folder = source if source.is_dir() else source.parent
            name = f"{name} ({folder.resolve().name})"
        unique_name, number = name, 2
        while unique_name in named:
            unique_name = f"{name} #{number}"
            number += 1
        named[unique_name] = evaluation
    return named


def shared_metrics(
    runs: Iterable[Evaluation], metrics: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Metrics that all runs have, the leading one first; or the requested ones, each once.

    Raises:
        OptionError: If the runs share no metric, or not all of those that are requested.
    """
    first, *others = map(metric_names, runs)
    shared = tuple(name for name in first if all(name in names for names in others))
    for name in metrics or ():
        if name not in shared:
            raise OptionError(f"no metric '{name}' in every run; {suggest(name, shared)}")
    if not shared:
        raise OptionError("the runs have no metric in common")
    return tuple(dict.fromkeys(metrics)) if metrics else shared


def _comparable_published(run: Evaluation) -> tuple[Published, ...]:
    """Published results on the same data; none if the benchmark's settings have changed since."""
    try:
        check_trusted(run.benchmark, "benchmark", "evaluation")
        benchmark = find_benchmark(run.benchmark)
    except OptionError:
        return ()
    for name, value in benchmark_settings(benchmark).items():
        if value is not None and run.settings.get(name) != value:
            return ()
    data = f"{run.data.dataset} {run.data.split}"
    return tuple(entry for entry in benchmark.published if entry.data in ("", data))


def _published_rows(
    published: Sequence[Published], columns: Sequence[Column], runs: Mapping[str, Evaluation]
) -> list[Row]:
    """Published results that have one of the metrics, the best in the leading one first."""
    leading = columns[0]
    rows = []
    for entry in published:
        cells = {
            column.metric: Cell(value=entry.values[column.metric])
            for column in columns
            if column.metric in entry.values
        }
        if cells:
            name = f"{entry.model} (published)" if entry.model in runs else entry.model
            row = Row(
                name=name, is_published=True, cells=cells, source=entry.source, quote=entry.quote
            )
            rows.append(row)

    def badness_of(row: Row) -> float:
        cell = row.cells.get(leading.metric)
        return float("inf") if cell is None else badness(cell.value, leading.better)

    return sorted(rows, key=badness_of)


def compare_metric(
    runs: Mapping[str, Evaluation],
    metric: str,
    ids: tuple[str, ...],
    baseline: str | None,
    *,
    has_unshared_images: bool,
) -> Column:
    """Rank the runs in one metric, and test them against the baseline, or without one the best.

    If a run has more images than are shared, the cells are means over the shared images, and not
    the numbers of the runs.
    """
    values_of_run = {
        name: {score.id: score.values for score in run.scores} for name, run in runs.items()
    }
    ids = tuple(id for id in ids if all(metric in values[id] for values in values_of_run.values()))
    compared = {
        name: np.array([values[id][metric] for id in ids], np.float64)
        for name, values in values_of_run.items()
    }
    scene_of_id = {score.id: score.scene for score in next(iter(runs.values())).scores}
    images = ColumnImages(scenes=tuple(scene_of_id[id] for id in ids), by_scene=is_by_scene(runs))

    summaries = {name: _find_summary(run, metric) for name, run in runs.items()}
    better = next(iter(summaries.values())).better
    cells = {}
    for name, summary in summaries.items():
        if has_unshared_images and compared[name].size:
            value_range = metric_value_range(better, summary.unit, compared[name].tolist())
            cells[name] = images.cell(compared[name], value_range)
        else:
            cells[name] = Cell(value=summary.value, low=summary.low, high=summary.high)

    badnesses = {name: badness(cell.value, better) for name, cell in cells.items()}
    best = min(runs, key=badnesses.__getitem__)
    reference = best if baseline is None else baseline
    if better is Better.ZERO:
        # Sizes are compared, because two biases of opposite sign may be equally bad.
        compared = {name: np.abs(values) for name, values in compared.items()}
    from_best = _differences_to_reference(compared, images, best)
    from_reference = from_best
    if reference != best:
        from_reference = _differences_to_reference(compared, images, reference)
    is_clear = _are_all_worse(from_best.values(), better)
    return Column(
        metric=metric,
        label=summaries[reference].label,
        unit=summaries[reference].unit,
        better=better,
        reference=reference,
        ids=ids,
        images=images,
        values=compared,
        cells={
            name: replace(
                cell,
                rank=1 + sum(other < badnesses[name] for other in badnesses.values()),
                difference=from_reference.get(name),
                is_best=is_clear and name == best,
            )
            for name, cell in cells.items()
        },
    )


def _find_summary(run: Evaluation, metric: str) -> Summary:
    return next(summary for summary in run.summaries if summary.metric == metric)


def _are_all_worse(differences: Collection[Difference], better: Better) -> bool:
    """Whether all other runs are significantly worse than the best; False without other runs."""
    sign = -1 if better is Better.HIGHER else 1
    is_worse = [
        difference.is_significant and sign * difference.mean > 0 for difference in differences
    ]
    return bool(is_worse) and all(is_worse)


def is_by_scene(runs: Mapping[str, Evaluation]) -> bool:
    """Whether the benchmark averages over scenes, and not over images."""
    return any(run.settings.get("averaging") == Averaging.PER_SCENE for run in runs.values())


def _differences_to_reference(
    values: Mapping[str, Values], images: ColumnImages, reference: str
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
    for (name, paired), p in zip(differences.items(), p_values, strict=True):
        cell = images.cell(paired)
        tested[name] = Difference(mean=cell.value, low=cell.low, high=cell.high, p=p)
    return tested


def _comparison_notes(
    runs: Mapping[str, Evaluation],
    columns: Sequence[Column],
    *,
    images: int,
    has_unshared_images: bool,
) -> Iterator[str]:
    """Yield notes to read before the numbers of a comparison are believed, a sentence each."""
    first = next(iter(runs.values()))
    if len(runs) > 1:
        yield from _significance_notes(first, images)
    yield from _averaging_notes(runs, images, has_unshared_images=has_unshared_images)
    for column in columns:
        if len(column.ids) < images:
            yield (
                f"{column.label}: differences rest on {len(column.ids):,} images, those where "
                "every run has it."
            )
        if column.better is Better.ZERO:
            yield f"{column.label}: what is compared is how far it is from zero, image by image."
    official = first.data.official
    if official is not None and official != images:
        yield f"The whole split has {official:,} images, not {images:,}."
    yield from _notes_on_different_runs(runs)
    yield from _notes_of_runs(runs)


def _significance_notes(first: Evaluation, images: int) -> Iterator[str]:
    """Yield notes on how differences are tested, and on how few scenes they rest."""
    yield (
        f"Differences are paired over {images:,} images: 95 % intervals by Student's t, p "
        "by Wilcoxon's signed-rank test with Holm's correction for the runs of each metric. "
        f"An asterisk marks p < {SIGNIFICANCE_LEVEL:g} with an interval that leaves out zero; bold "
        "marks the best where it is so much better than every other run."
    )
    # Frames of a scene are no independent evidence.
    scenes = scene_count([score.scene for score in first.scores])
    if scenes < MIN_SCENES <= len(first.scores):
        yield (
            f"All images are of {scenes} scene{'s' if scenes > 1 else ''}, whose frames are "
            "nearly alike: no interval is claimed, and nothing is called significant."
        )
    elif scenes < len(first.scores):
        yield (
            f"Frames of one scene are alike, so intervals and p rest on {scenes:,} scenes, "
            "not on single images."
        )


def _averaging_notes(
    runs: Mapping[str, Evaluation], images: int, *, has_unshared_images: bool
) -> Iterator[str]:
    """Yield notes on how the numbers are averaged, where it is not simply over all images."""
    by_scene = is_by_scene(runs)
    if by_scene:
        yield (
            "The benchmark averages the images of each scene, then the scenes; so do differences."
        )
    if any(run.settings.get("averaging") == Averaging.POOLED for run in runs.values()):
        yield (
            "The benchmark pools the pixels of all images; differences and p are of the values "
            "of single images, and can point the other way."
        )
    if has_unshared_images:
        counts = ", ".join(f"{name} {len(run.scores):,}" for name, run in runs.items())
        yield (
            f"Not the benchmark's own numbers: the runs were scored on different images ({counts}),"
            f" so all values are means over the {images:,} images that all of them have"
            f"{', scene by scene' if by_scene else ''}."
        )


def _notes_on_different_runs(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield notes on alignment, kind, version and processing where these differ between runs."""
    processing = {
        name: run.made_by.settings["processing"]
        for name, run in runs.items()
        if "processing" in run.made_by.settings
    }
    for problem, value_of_run in (
        (
            "Aligned in different ways, which forgive different errors",
            {name: run.alignment for name, run in runs.items()},
        ),
        ("Predictions are of different kinds", {name: run.kind for name, run in runs.items()}),
        (
            "Scored with different versions of rilievo",
            {name: run.version for name, run in runs.items()},
        ),
        ("Predicted with different processing", processing),
    ):
        if len(set(value_of_run.values())) > 1:
            values = ", ".join(f"{name}: {value or 'none'}" for name, value in value_of_run.items())
            yield printable(f"{problem} ({values}).")


def _notes_of_runs(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield the warnings of the runs, each once with the names of its runs."""
    names_by_warning: dict[str, list[str]] = {}
    for name, run in runs.items():
        unscored = [
            remark
            for remark in unscored_remark(run.unscored, run.data.asked)
            if remark not in run.warnings
        ]
        for warning in (*unscored, *run.warnings):
            names_by_warning.setdefault(warning, []).append(name)
    for warning, names in names_by_warning.items():
        concerned = "every run" if len(names) == len(runs) > 1 else ", ".join(names)
        yield printable(f"Of {concerned}: {warning.removesuffix('.')}.")
