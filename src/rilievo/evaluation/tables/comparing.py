"""Compare the runs of one benchmark, beside its published results."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def shared_images(runs: Mapping[str, Evaluation], *, common: bool) -> tuple[str, ...]:
    """Ids of all runs; others are refused unless ``common``."""
    ids = {name: {score.id for score in run.scores} for name, run in runs.items()}
    first = next(iter(runs))
    shared = set.intersection(*ids.values())
    if not shared:
        raise InputError("no image is scored in every run, so there is nothing to compare")
    for name in runs:
        if ids[name] != ids[first] and not common:
            odd = printable(min(ids[name] ^ ids[first]))
            raise InputError(
                (
                    f"{quote_pair(first, name)} were scored on different images, "
                    f"{len(ids[first]):,} and {len(ids[name]):,} ('{odd}' is in one "
                    "alone)"
                ),
                hint=Text(
                    "with ",
                    OptionName("common"),
                    f" only the {len(shared):,} that all runs have are compared",
                ),
            )
    return tuple(score.id for score in runs[first].scores if score.id in shared)


def _comparison_notes(
    runs: Mapping[str, Evaluation], columns: Sequence[Column], *, images: int, is_cut: bool
) -> Iterator[str]:
    by_scene, first = is_by_scene(runs), next(iter(runs.values()))
    if len(runs) > 1:
        yield (
            f"Differences are paired over {images:,} images: 95 % intervals by Student's t, p "
            "by Wilcoxon's signed-rank test with Holm's correction for the runs of each metric. "
            f"An asterisk marks p < {SIGNIFICANCE_LEVEL:g} with an interval that leaves out zero; "
            "bold marks the best where it is so much better than every other run."
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
    if by_scene:
        yield (
            "The benchmark averages the images of each scene, then the scenes; so do differences."
        )
    if any(run.settings.get("averaging") == Averaging.POOLED for run in runs.values()):
        yield (
            "The benchmark pools the pixels of all images; differences and p are of the values "
            "of single images, and can point the other way."
        )
    if is_cut:
        counts = ", ".join(f"{name} {len(run.scores):,}" for name, run in runs.items())
        yield (
            f"Not the benchmark's own numbers: the runs were scored on different images ({counts}),"
            f" so all values are means over the {images:,} images that all of them have"
            f"{', scene by scene' if by_scene else ''}."
        )
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
    for problem, values in (
        (
            "Aligned in different ways, which forgive different errors",
            {name: run.alignment for name, run in runs.items()},
        ),
        ("Predictions are of different kinds", {name: run.kind for name, run in runs.items()}),
        (
            "Scored with different versions of rilievo",
            {name: run.version for name, run in runs.items()},
        ),
        (
            "Predicted with different processing",
            {
                name: run.made_by.settings["processing"]
                for name, run in runs.items()
                if "processing" in run.made_by.settings
            },
        ),
    ):
        if len(set(values.values())) > 1:
            by_run = ", ".join(f"{name}: {value or 'none'}" for name, value in values.items())
            yield printable(f"{problem} ({by_run}).")
    names: dict[str, list[str]] = {}
    for name, run in runs.items():
        told = {*run.warnings}
        lost = [note for note in unscored_remark(run.unscored, run.data.asked) if note not in told]
        for note in (*lost, *run.warnings):
            names.setdefault(note, []).append(name)
    for note, concerned in names.items():
        who = "every run" if len(concerned) == len(runs) > 1 else ", ".join(concerned)
        yield printable(f"Of {who}: {note.removesuffix('.')}.")


def compare(
    runs: Sequence[Path | Evaluation],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    common: bool = False,
) -> Comparison:
    """Compare runs of one benchmark, beside its published results.

    Differences are paired by image, or by scene where the dataset names them: intervals by
    Student's
    t, p by Wilcoxon's signed-rank test with Holm's correction. By default the ``baseline`` is the
    best
    run. ``common`` compares the images that all runs have.

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
    is_cut = any(len(run.scores) != len(ids) for run in named.values())
    columns = tuple(
        compare_metric(named, metric, ids, baseline, is_cut=is_cut)
        for metric in shared_metrics(named.values(), metrics)
    )
    first = next(iter(named.values()))
    # The best in the leading metric first.
    order = sorted(named, key=lambda name: columns[0].cells[name].rank or 0)
    rows = [
        Row(
            name=name,
            is_published=False,
            cells={column.metric: column.cells[name] for column in columns},
            alignment=named[name].alignment,
        )
        for name in order
    ]
    group = ColumnGroup(
        label=first.benchmark,
        benchmark=first.benchmark,
        benchmark_sha256=first.benchmark_sha256,
        title=setting_value(first.settings.get("title", "")),
        dataset=f"{first.data.dataset}, {first.data.split}",
        images=len(ids),
        baseline=baseline,
        columns=columns,
        rows=(*rows, *_published_rows(_comparable_published(first), columns, named)),
        notes=tuple(_comparison_notes(named, columns, images=len(ids), is_cut=is_cut)),
    )
    return Comparison(groups=(group,), notes=group.notes)


def runs_by_name(runs: Sequence[Path | Evaluation]) -> dict[str, Evaluation]:
    """Read runs, named after their model, and after their folder too where models repeat."""
    read = [run if isinstance(run, Evaluation) else read_evaluation(run) for run in runs]
    models = Counter(run.made_by.model for run in read)
    named: dict[str, Evaluation] = {}
    for source, run in zip(runs, read, strict=True):
        name = run.made_by.model
        if models[name] > 1 and isinstance(source, Path):
            folder = source if source.is_dir() else source.parent
            name = f"{name} ({folder.resolve().name})"
        unique, number = name, 2
        while unique in named:
            unique, number = f"{name} #{number}", number + 1
        named[unique] = run
    return named


def shared_metrics(
    runs: Iterable[Evaluation], metrics: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Metrics that all runs have, the leading one first; or those of a list, each once."""
    first, *others = map(metric_names, runs)
    shared = tuple(name for name in first if all(name in names for names in others))
    for name in metrics or ():
        if name not in shared:
            raise OptionError(f"no metric '{name}' in every run; {suggest(name, shared)}")
    if not shared:
        raise OptionError("the runs have no metric in common")
    return tuple(dict.fromkeys(metrics)) if metrics else shared


def _comparable_published(run: Evaluation) -> tuple[Published, ...]:
    """Published results on the same data; none where the benchmark's settings differ now."""
    try:
        check_trusted(run.benchmark, "benchmark", "evaluation")
        benchmark = find_benchmark(run.benchmark)
    except OptionError:
        return ()
    own = {
        name: value for name, value in benchmark_settings(benchmark).items() if value is not None
    }
    if any(run.settings.get(name) != value for name, value in own.items()):
        return ()
    data = f"{run.data.dataset} {run.data.split}"
    return tuple(entry for entry in benchmark.published if entry.data in ("", data))


def _published_rows(
    published: Sequence[Published], columns: Sequence[Column], runs: Mapping[str, Evaluation]
) -> list[Row]:
    """Rows with a metric of the columns, the best first."""
    rows = [
        Row(
            name=f"{entry.model} (published)" if entry.model in runs else entry.model,
            is_published=True,
            cells={
                column.metric: Cell(value=entry.values[column.metric])
                for column in columns
                if column.metric in entry.values
            },
            source=entry.source,
            quote=entry.quote,
        )
        for entry in published
    ]
    leading = columns[0]

    def place(row: Row) -> float:
        cell = row.cells.get(leading.metric)
        return float("inf") if cell is None else badness(cell.value, leading.better)

    return sorted((row for row in rows if row.cells), key=place)


def compare_metric(
    runs: Mapping[str, Evaluation],
    metric: str,
    ids: tuple[str, ...],
    baseline: str | None,
    *,
    is_cut: bool,
) -> Column:
    """Rank the runs in one metric, and test them against the baseline or the best.

    With ``is_cut`` some run has more images, so that its own number does not count.
    """
    rows = {name: {score.id: score.values for score in run.scores} for name, run in runs.items()}
    ids = tuple(id for id in ids if all(metric in row[id] for row in rows.values()))
    values = {
        name: np.array([row[id][metric] for id in ids], np.float64) for name, row in rows.items()
    }
    scenes = {score.id: score.scene for score in next(iter(runs.values())).scores}
    images = ColumnImages(scenes=tuple(scenes[id] for id in ids), by_scene=is_by_scene(runs))
    summaries = {
        name: next(entry for entry in run.summaries if entry.metric == metric)
        for name, run in runs.items()
    }
    quoted = {
        name: _summary_or_mean_cell(summaries[name], values[name], images, is_cut=is_cut)
        for name in runs
    }
    better = next(iter(summaries.values())).better
    badnesses = {name: badness(cell.value, better) for name, cell in quoted.items()}
    best = min(runs, key=badnesses.__getitem__)
    reference = best if baseline is None else baseline
    # Of what is best near zero, its size is compared: two biases of opposite sign may be equal.
    if better is Better.ZERO:
        values = {name: np.abs(array) for name, array in values.items()}
    to_best = to_reference = _differences_to_reference(values, images, best)
    if reference != best:
        to_reference = _differences_to_reference(values, images, reference)
    sign = -1 if better is Better.HIGHER else 1
    is_clear = bool(to_best) and all(
        entry.is_significant and sign * entry.mean > 0 for entry in to_best.values()
    )
    return Column(
        metric=metric,
        label=summaries[reference].label,
        unit=summaries[reference].unit,
        better=better,
        reference=reference,
        ids=ids,
        images=images,
        values=values,
        cells={
            name: replace(
                cell,
                rank=1 + sum(other < badnesses[name] for other in badnesses.values()),
                difference=to_reference.get(name),
                is_best=is_clear and name == best,
            )
            for name, cell in quoted.items()
        },
    )


def is_by_scene(runs: Mapping[str, Evaluation]) -> bool:
    """Whether the benchmark averages over scenes, not over images."""
    return any(run.settings.get("averaging") == Averaging.PER_SCENE for run in runs.values())


def _summary_or_mean_cell(
    summary: Summary,
    values: Values,
    images: ColumnImages,
    *,
    is_cut: bool,
) -> Cell:
    """Own number of a run, or mean over shared images."""
    if not is_cut or not values.size:
        return Cell(value=summary.value, low=summary.low, high=summary.high)
    return images.cell(values, metric_value_range(summary.better, summary.unit, values.tolist()))


def _differences_to_reference(
    values: Mapping[str, Values], images: ColumnImages, reference: str
) -> Mapping[str, Difference]:
    others = {
        name: array - values[reference]
        for name, array in values.items()
        if name != reference and array.size
    }
    corrected = holm_correction(
        [wilcoxon_p(scene_means(other, images.scenes)) for other in others.values()]
    )
    cells = map(images.cell, others.values())
    return {
        name: Difference(mean=cell.value, low=cell.low, high=cell.high, p=p)
        for name, cell, p in zip(others, cells, corrected, strict=True)
    }
