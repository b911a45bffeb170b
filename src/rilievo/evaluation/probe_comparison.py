"""Probes of a sweep side by side."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import (
    Averaging,
    benchmark_metrics,
    benchmark_settings,
    benchmark_sha256,
)
from rilievo.evaluation.intervals import mean_interval, scene_means
from rilievo.evaluation.metrics.metric import AnyMetric
from rilievo.evaluation.probe_scores import USUAL
from rilievo.evaluation.records import DataFacts, Evaluation, Score, Summary
from rilievo.evaluation.summaries import metric_reach
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
class _Metric(Protocol):
    label: str
    value: float
    by_image: Sequence[float]


@runtime_checkable
class _Measurement(Protocol):
    benchmark: str
    unscored: int
    reason: str | None
    metrics: Sequence[_Metric]
    ids: Sequence[str]
    scenes: Sequence[str | None]


@runtime_checkable
class _Cell(Protocol):
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
class ComparedProbes:
    """Comparison of the probes of a sweep."""

    compared: Comparison

    @property
    def table(self) -> Table:
        """Table of all rows."""
        return comparison_tables(self.compared)[0]

    def write(self, path: Path) -> None:
        """Write a file in the format of its ending."""
        write_comparison(self.compared, path)


# rilievo.training.sweep.sweep_run finds this by its name in the registry.
def compare_probes(
    title: str, cells: Sequence[_Cell], dataset: str, split: str, *, notes: Sequence[str]
) -> ComparedProbes:
    """Compare the cells of a sweep, on each benchmark over the images that all rows have."""
    rows: dict[tuple[str, str], list[tuple[_Cell, _Measurement]]] = {}
    mixed = len({cell.task for cell in cells}) > 1 and any(cell.task == "both" for cell in cells)
    left: list[str] = []
    for cell in cells:
        name = f"{cell.title}, {cell.probe}" + (f", {cell.task}" if mixed else "")
        for measured in cell.measured:
            rows.setdefault((measured.benchmark, name), []).append((cell, measured))
    for benchmark in dict.fromkeys(benchmark for benchmark, _ in rows):
        parts = [part for (own, _), seeds in rows.items() if own == benchmark for _, part in seeds]
        if not set[str].intersection(*(set(part.ids) for part in parts)):
            left.append(benchmark)
    evaluations = [
        _mean_evaluation(name, benchmark, seeds, dataset, split)
        for (benchmark, name), seeds in rows.items()
        if benchmark not in left
    ]
    notes = (
        *(f"{name}: no image has a score in every row, so it is left out." for name in left),
        *notes,
    )
    if not evaluations:
        raise InputError(f"no image has a score in every row of the sweep under {', '.join(left)}")
    if len({evaluation.benchmark for evaluation in evaluations}) == 1:
        [group] = compare(evaluations, common=True).groups
        group = replace(group, title=title, notes=(*group.notes, *notes))
        return ComparedProbes(compared=Comparison(groups=(group,), notes=group.notes))
    runs = [Run(folder=Path(), evaluation=evaluation) for evaluation in evaluations]
    placed = standings(runs, choose=list, common=True)
    return ComparedProbes(compared=replace(placed, notes=(f"{title}.", *placed.notes, *notes)))


def _mean_evaluation(
    name: str,
    place: str,
    seeds: Sequence[tuple[_Cell, _Measurement]],
    dataset: str,
    split: str,
) -> Evaluation:
    """Evaluation of the seeds' means."""
    benchmark = USUAL.get(place) or find_benchmark(place)
    metrics = {metric.label: metric for metric in benchmark_metrics(benchmark).values()}
    cells, parts = zip(*seeds, strict=True)
    first, *_ = parts
    shared = set[str].intersection(*(set(part.ids) for part in parts))
    is_cut = any(len(part.ids) > len(shared) for part in parts)
    ids = [id for id in first.ids if id in shared]
    own = [metrics[metric.label] for metric in first.metrics]
    values = {
        metric.name: np.mean([_values_of_images(part, metric.label, ids) for part in parts], axis=0)
        for metric in own
    }
    scenes = dict(zip(first.ids, first.scenes or [None] * len(first.ids), strict=True))
    return Evaluation(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark_sha256(benchmark),
        settings={"title": benchmark.title, **benchmark_settings(benchmark)},
        task=benchmark.task.value,
        made_by=MadeBy(model=name, weights_sha256="", licence="", settings={}, version=VERSION),
        data=DataFacts(
            dataset=dataset,
            root="",
            split=split,
            variant="",
            found=len(ids),
            asked=len(ids),
            ids_sha256="",
        ),
        summaries=tuple(
            _metric_summary(
                metric,
                None if is_cut else [_metric_of_label(part, metric.label).value for part in parts],
                values[metric.name],
                [scenes[id] for id in ids],
                benchmark.averaging,
            )
            for metric in own
        ),
        scores=tuple(
            Score(
                id=id,
                values={metric: float(column[at]) for metric, column in values.items()},
                pixels=0,
                true_share=0.0,
                scene=scenes[id],
            )
            for at, id in enumerate(ids)
        ),
        warnings=tuple(_probe_notes(cells, parts, own)),
        command="",
        version=VERSION,
        seconds=0.0,
    )


def _values_of_images(part: _Measurement, label: str, ids: Sequence[str]) -> Values:
    by_id = dict(zip(part.ids, _metric_of_label(part, label).by_image, strict=True))
    return np.array([by_id[id] for id in ids], np.float64)


def _metric_of_label(part: _Measurement, label: str) -> _Metric:
    return next(metric for metric in part.metrics if metric.label == label)


def _metric_summary(
    metric: AnyMetric,
    numbers: Sequence[float] | None,
    values: Values,
    scenes: Sequence[str | None],
    averaging: Averaging,
) -> Summary:
    is_by_scene = averaging is Averaging.PER_SCENE
    by_scene = scene_means(values, scenes) if is_by_scene else values
    interval = None
    if averaging is not Averaging.POOLED or not metric.pools:
        reach = metric_reach(metric.better, metric.unit, values.tolist())
        interval = mean_interval(values, scenes, reach, by_scene=is_by_scene)
    low, high = interval or (None, None)
    return Summary(
        metric=metric.name,
        label=metric.label,
        unit=metric.unit,
        better=metric.better,
        value=float((by_scene if numbers is None else np.array(numbers)).mean()),
        low=low,
        high=high,
        per_image=float(values.mean()),
        median=float(np.median(values)),
        images=values.size,
        pixels=0,
    )


def _probe_notes(
    cells: Sequence[_Cell], parts: Sequence[_Measurement], metrics: Sequence[AnyMetric]
) -> Iterator[str]:
    size = f"{cells[0].backbone_parameters / 1e6:.3g} M parameters of the backbone"
    seconds = statistics.fmean(cell.predicting_cpu_seconds for cell in cells)
    yield f"{size}, {seconds:.3f} CPU s an image from photograph to answer"
    if len(cells) == 1:
        yield "one seed"
    else:
        spreads = (
            f"{metric.label} "
            + quantity(
                statistics.stdev(_metric_of_label(part, metric.label).value for part in parts),
                metric.unit,
            )
            for metric in metrics
        )
        yield f"standard deviation over {len(cells)} seeds: {', '.join(spreads)}"
    for cell, part in zip(cells, parts, strict=True):
        if part.unscored:
            yield (
                f"seed {cell.seed}: {part.unscored} images have no score under {part.benchmark}; "
                f"the first, {part.reason}"
            )
        yield from (f"seed {cell.seed} learned nothing: {doubt}" for doubt in cell.doubts)
