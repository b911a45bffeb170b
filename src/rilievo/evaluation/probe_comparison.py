"""Compare the probes of a sweep with each other."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Averaging, benchmark_settings, benchmark_sha256
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics
from rilievo.evaluation.intervals import mean_interval, scene_means
from rilievo.evaluation.metrics.metric import AnyMetric
from rilievo.evaluation.probe_scores import DEFAULT_BENCHMARKS
from rilievo.evaluation.records import Evaluation, Score, ScoredData, Summary
from rilievo.evaluation.summaries import metric_value_range
from rilievo.evaluation.tables.comparing import compare
from rilievo.evaluation.tables.comparison import Comparison
from rilievo.evaluation.tables.comparison_report import comparison_tables, write_comparison
from rilievo.evaluation.tables.runs import Run
from rilievo.evaluation.tables.standings import standings
from rilievo.evaluation.tables.wording import quantity
from rilievo.pages.tables import Table
from rilievo.records.prediction_record import MadeBy
from rilievo.version import VERSION


@runtime_checkable
class _MetricValues(Protocol):
    """One metric of one seed: its value over all images, and the value of each image."""

    label: str
    value: float
    by_image: Sequence[float]


@runtime_checkable
class _Measurement(Protocol):
    """Scores of one seed under one benchmark; ``reason`` says why the first image is unscored."""

    benchmark: str
    unscored: int
    reason: str | None
    metrics: Sequence[_MetricValues]
    ids: Sequence[str]
    scenes: Sequence[str | None]


@runtime_checkable
class _Cell(Protocol):
    """One trained probe of a sweep: a backbone, a kind of probe, a task and a seed."""

    title: str
    probe: str
    task: str
    seed: int
    run: str
    backbone_parameters: int
    predicting_cpu_seconds: float
    measured: Sequence[_Measurement]
    doubts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SeedResult:
    """A probe, with its scores under one benchmark."""

    cell: _Cell
    measured: _Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedProbes:
    """Comparison of the probes of a sweep, as a table or a file."""

    compared: Comparison

    @property
    def table(self) -> Table:
        """Table of all rows."""
        return comparison_tables(self.compared)[0]

    def write(self, path: Path) -> None:
        """Write a file in the format that its ending names."""
        write_comparison(self.compared, path)


# rilievo.training.sweep.sweep_run finds this by its name in the registry.
def compare_probes(
    title: str, cells: Sequence[_Cell], dataset: str, split: str, *, notes: Sequence[str]
) -> ComparedProbes:
    """Compare the probes of a sweep, on each benchmark over the images that all of them have.

    A row is the mean over the seeds of one probe.
    """
    seeds_by_row = _group_seeds(cells)
    excluded_benchmarks = _benchmarks_without_shared_images(seeds_by_row)
    evaluations = [
        _mean_evaluation(row, seeds, dataset, split)
        for row, seeds in seeds_by_row.items()
        if row.benchmark not in excluded_benchmarks
    ]
    if not evaluations:
        raise InputError(
            "no image has a score in every row of the sweep for "
            f"{', '.join(excluded_benchmarks)}, so the rows cannot be compared"
        )

    all_notes = [
        f"{name} is left out, because no image has a score in every row of the sweep."
        for name in excluded_benchmarks
    ]
    all_notes += notes
    if len({evaluation.benchmark for evaluation in evaluations}) == 1:
        [group] = compare(evaluations, common=True).groups
        group = replace(group, title=title, notes=(*group.notes, *all_notes))
        return ComparedProbes(compared=Comparison(groups=(group,), notes=group.notes))
    runs = [Run(folder=Path(), evaluation=evaluation) for evaluation in evaluations]
    ranked = standings(runs, choose=list, common=True)
    return ComparedProbes(compared=replace(ranked, notes=(f"{title}.", *ranked.notes, *all_notes)))


class _RowKey(NamedTuple):
    """Benchmark and name of a row of the comparison."""

    benchmark: str
    name: str


def _group_seeds(cells: Sequence[_Cell]) -> dict[_RowKey, list[_SeedResult]]:
    """Group the results of all seeds by benchmark and probe.

    A row's name has the task if some probes are trained on both tasks and some on one.
    """
    tasks = {cell.task for cell in cells}
    names_task = len(tasks) > 1 and "both" in tasks
    rows: dict[_RowKey, list[_SeedResult]] = {}
    for cell in cells:
        name = f"{cell.title}, {cell.probe}"
        if names_task:
            name += f", {cell.task}"
        for measured in cell.measured:
            key = _RowKey(measured.benchmark, name)
            rows.setdefault(key, []).append(_SeedResult(cell=cell, measured=measured))
    return rows


def _benchmarks_without_shared_images(
    seeds_by_row: Mapping[_RowKey, Sequence[_SeedResult]],
) -> list[str]:
    """Benchmarks under which no image has a score of every row and seed."""
    id_lists_by_benchmark: dict[str, list[Sequence[str]]] = {}
    for row, seeds in seeds_by_row.items():
        for seed in seeds:
            id_lists_by_benchmark.setdefault(row.benchmark, []).append(seed.measured.ids)
    return [name for name, id_lists in id_lists_by_benchmark.items() if not _shared_ids(id_lists)]


def _shared_ids(id_lists: Sequence[Sequence[str]]) -> set[str]:
    """Ids that are in every list."""
    return set[str].intersection(*(set(ids) for ids in id_lists))


def _mean_evaluation(
    row: _RowKey, seeds: Sequence[_SeedResult], dataset: str, split: str
) -> Evaluation:
    """Make an evaluation whose scores are the means over the seeds of a probe.

    Its summaries are means of the seeds' own numbers, or means over the shared images if some
    seeds lack a score of an image.
    """
    benchmark = DEFAULT_BENCHMARKS.get(row.benchmark) or find_benchmark(row.benchmark)
    metric_by_label = {metric.label: metric for metric in benchmark_metrics(benchmark).values()}
    measurements = [seed.measured for seed in seeds]
    first = measurements[0]
    shared = _shared_ids([measured.ids for measured in measurements])
    has_unshared_images = any(len(measured.ids) > len(shared) for measured in measurements)
    ids = [image_id for image_id in first.ids if image_id in shared]
    all_scenes = first.scenes or [None] * len(first.ids)
    scene_by_id = dict(zip(first.ids, all_scenes, strict=True))
    scenes = [scene_by_id[image_id] for image_id in ids]

    metrics = [metric_by_label[values.label] for values in first.metrics]
    mean_values: dict[str, Values] = {}
    summaries = []
    for metric in metrics:
        image_values = [_image_values(measured, metric.label, ids) for measured in measurements]
        mean_values[metric.name] = np.mean(image_values, axis=0)
        seed_values = None
        if not has_unshared_images:
            seed_values = [_find_metric(measured, metric.label).value for measured in measurements]
        summary = _metric_summary(
            metric, seed_values, mean_values[metric.name], scenes, benchmark.averaging
        )
        summaries.append(summary)
    return Evaluation(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark_sha256(benchmark),
        settings={"title": benchmark.title, **benchmark_settings(benchmark)},
        task=benchmark.task.value,
        made_by=MadeBy(model=row.name, weights_sha256="", licence="", settings={}, version=VERSION),
        data=_scored_data(dataset, split, image_count=len(ids)),
        summaries=tuple(summaries),
        scores=_image_scores(ids, scenes, mean_values),
        warnings=tuple(_probe_notes(seeds, metrics)),
        command="",
        version=VERSION,
        seconds=0.0,
    )


def _scored_data(dataset: str, split: str, *, image_count: int) -> ScoredData:
    """Data of a row of the comparison, which is no evaluation of its own on disk."""
    return ScoredData(
        dataset=dataset,
        root="",
        split=split,
        variant="",
        found=image_count,
        asked=image_count,
        ids_sha256="",
    )


def _image_scores(
    ids: Sequence[str], scenes: Sequence[str | None], values_by_metric: Mapping[str, Values]
) -> tuple[Score, ...]:
    """Scores of the images, from one value per image of each metric; pixel counts are not known."""
    return tuple(
        Score(
            id=image_id,
            values={name: float(values[index]) for name, values in values_by_metric.items()},
            pixels=0,
            true_share=0.0,
            scene=scene,
        )
        for index, (image_id, scene) in enumerate(zip(ids, scenes, strict=True))
    )


def _image_values(measured: _Measurement, label: str, ids: Sequence[str]) -> Values:
    """Values of a metric for the given images, in their order."""
    value_by_id = dict(zip(measured.ids, _find_metric(measured, label).by_image, strict=True))
    return np.array([value_by_id[image_id] for image_id in ids], np.float64)


def _find_metric(measured: _Measurement, label: str) -> _MetricValues:
    """Values of the metric with a label."""
    return next(metric for metric in measured.metrics if metric.label == label)


def _metric_summary(
    metric: AnyMetric,
    seed_values: Sequence[float] | None,
    image_values: Values,
    scenes: Sequence[str | None],
    averaging: Averaging,
) -> Summary:
    """Summary of a metric over the images that all seeds have.

    Its value is the mean of the seeds' own values, or if these are None, of the images' values.
    """
    is_by_scene = averaging is Averaging.PER_SCENE
    interval = None
    if averaging is not Averaging.POOLED or not metric.pools:
        value_range = metric_value_range(metric.better, metric.unit, image_values.tolist())
        interval = mean_interval(image_values, scenes, value_range, by_scene=is_by_scene)
    low, high = interval or (None, None)

    if seed_values is not None:
        averaged = np.array(seed_values)
    elif is_by_scene:
        averaged = scene_means(image_values, scenes)
    else:
        averaged = image_values
    return Summary(
        metric=metric.name,
        label=metric.label,
        unit=metric.unit,
        better=metric.better,
        value=float(averaged.mean()),
        low=low,
        high=high,
        per_image=float(image_values.mean()),
        median=float(np.median(image_values)),
        images=image_values.size,
        pixels=0,
    )


def _probe_notes(seeds: Sequence[_SeedResult], metrics: Sequence[AnyMetric]) -> Iterator[str]:
    """Yield notes on a row: size, speed, spread over seeds, unscored images, failed training."""
    cells = [seed.cell for seed in seeds]
    parameters = f"{cells[0].backbone_parameters / 1e6:.3g} M parameters in the backbone"
    seconds = statistics.fmean(cell.predicting_cpu_seconds for cell in cells)
    yield f"{parameters}, {seconds:.3f} CPU seconds per image from photograph to prediction"
    if len(seeds) == 1:
        yield "one seed"
    else:
        spreads = []
        for metric in metrics:
            values = [_find_metric(seed.measured, metric.label).value for seed in seeds]
            spreads.append(f"{metric.label} {quantity(statistics.stdev(values), metric.unit)}")
        yield f"standard deviation over {len(seeds)} seeds: {', '.join(spreads)}"
    for seed in seeds:
        cell, measured = seed.cell, seed.measured
        if measured.unscored:
            verb = "has" if measured.unscored == 1 else "have"
            yield (
                f"seed {cell.seed}: {count_text(measured.unscored, 'image')} {verb} no score for "
                f"{measured.benchmark}; the reason for the first one: {measured.reason}"
            )
        for doubt in cell.doubts:
            yield f"seed {cell.seed} seems to have learned nothing: {doubt}"
