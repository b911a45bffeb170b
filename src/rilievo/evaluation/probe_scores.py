"""Scores of probes, and the comparison of a sweep's."""

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Pixels, Values
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.loaders import Dataset
from rilievo.errors import InputError, OptionError, RilievoError, suggest
from rilievo.errors.messages import Text, note_of
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import (
    Averaging,
    Benchmark,
    InputCrop,
    Task,
    benchmark_metrics,
    benchmark_settings,
    benchmark_sha256,
)
from rilievo.evaluation.metrics.metric import AnyMetric
from rilievo.evaluation.records import DataFacts, Evaluation, Score, Summary, Unscored
from rilievo.evaluation.scoring.regions import crop_for_model
from rilievo.evaluation.scoring.score import score
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.evaluation.summaries import ScoreTally, mean_interval, metric_reach, scene_means
from rilievo.evaluation.tables.comparison import Comparison
from rilievo.evaluation.tables.comparison_report import comparison_tables, write_comparison
from rilievo.evaluation.tables.runs import Run, compare
from rilievo.evaluation.tables.standings import standings
from rilievo.evaluation.tables.wording import quantity
from rilievo.models.base import Model
from rilievo.pages.tables import Table
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy, PredictionRecord
from rilievo.records.sample import Photo, Truth
from rilievo.version import VERSION

DEPTH_METRICS = ("delta1", "delta2", "delta3", "rmse", "abs_rel")
NORMALS_METRICS = ("mean", "median", "rmse", "within_11_25", "within_22_5", "within_30")

SCALE_AWARE = replace(
    BENCHMARKS["depth"], title="depth in metres, as predicted", metrics=DEPTH_METRICS
)
SCALE_INVARIANT = replace(
    SCALE_AWARE,
    name="depth-si",
    title="depth after scale and shift of each image, by least squares",
    alignment=BENCHMARKS["probe3d-nyuv2-si"].alignment,
    least_depth=BENCHMARKS["probe3d-nyuv2-si"].least_depth,
)
NORMALS = replace(BENCHMARKS["normals"], metrics=NORMALS_METRICS)
USUAL = {benchmark.name: benchmark for benchmark in (SCALE_AWARE, SCALE_INVARIANT, NORMALS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkScores:
    """Scores of one model under one benchmark."""

    benchmark: str
    sha256: str
    summaries: tuple[Summary, ...]
    scores: tuple[Score, ...]
    unscored: tuple[Unscored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScores:
    """Scores of one model, and its mean time of an image [s]."""

    benchmarks: tuple[BenchmarkScores, ...]
    cpu_seconds: float
    seconds: float


# rilievo.training.sweep.sweep_work finds this by its name in the registry.
@dataclass(slots=True, kw_only=True)
class ProbeScoring:
    """Test images of a sweep, and the benchmarks under which probes are scored on them.

    Attributes:
        megabytes: Largest size of images kept in memory [MB].
    """

    dataset: str
    root: str | Path | None
    split: str | None
    variant: str | None
    list_file: str | Path | None
    limit: int | None
    input_crop: str
    benchmarks: tuple[str, ...]
    megabytes: float = 2000
    _images: dict[tuple[str, str], tuple[Pixels, Truth]] = field(default_factory=dict)

    def check(self, *, depth: bool, normals: bool) -> None:
        """Refuse benchmarks that do not score what probes predict."""
        self._benchmarks_to_score(depth=depth, normals=normals)

    def score(self, model: Model, *, depth: bool, normals: bool) -> ModelScores:
        """Predict every test image and score it."""
        groups: dict[tuple[str | None, str | None, InputCrop | str], list[Benchmark]] = {}
        for benchmark in self._benchmarks_to_score(depth=depth, normals=normals):
            groups.setdefault(
                (benchmark.split, benchmark.variant, benchmark.input_crop), []
            ).append(benchmark)
        parts = [
            _score_model(model, alike, self._model_photos(alike[0])) for alike in groups.values()
        ]
        return ModelScores(
            benchmarks=tuple(benchmark for part in parts for benchmark in part.benchmarks),
            cpu_seconds=min(part.cpu_seconds for part in parts),
            seconds=min(part.seconds for part in parts),
        )

    def _benchmarks_to_score(self, *, depth: bool, normals: bool) -> tuple[Benchmark, ...]:
        if self.input_crop not in list(InputCrop):
            raise OptionError(
                f"[test] has no input_crop '{self.input_crop}'; "
                f"{suggest(self.input_crop, InputCrop)}"
            )
        crop = InputCrop(self.input_crop)
        named = [find_benchmark(name) for name in self.benchmarks]
        usual = [replace(candidate, input_crop=crop) for candidate in USUAL.values()]
        wanted = {task for task, has in ((Task.DEPTH, depth), (Task.NORMALS, normals)) if has}
        chosen = tuple(candidate for candidate in named or usual if candidate.task in wanted)
        if missing := wanted - {candidate.task for candidate in chosen}:
            raise OptionError(
                f"none of the benchmarks {', '.join(self.benchmarks)} scores {min(missing)}: name "
                "one more, or none for the usual ones"
            )
        return chosen

    def _open_test_split(self, benchmark: Benchmark) -> Dataset:
        if benchmark.dataset not in (None, self.dataset):
            raise OptionError(
                f"benchmark '{benchmark.name}' is of the dataset '{benchmark.dataset}', but the "
                f"sweep trains on '{self.dataset}'"
            )
        dataset = open_dataset(
            self.dataset,
            self.root,
            split=self.split or benchmark.split,
            variant=benchmark.variant or self.variant,
            list_file=self.list_file,
        )
        if not dataset.ids:
            raise InputError(
                f"dataset '{self.dataset}': no image of its test split is there"
                f"{dataset.first_missing}"
            )
        return dataset

    def _model_photos(self, benchmark: Benchmark) -> Iterator[tuple[Photo, Truth]]:
        """Photographs cropped for the model; truths whole."""
        dataset = self._open_test_split(benchmark)
        for id in dataset.ids[: self.limit]:
            key = (dataset.request.split + dataset.request.variant, id)
            pair = self._images.get(key)
            if pair is None:
                image, truth = pair = dataset.image(id), dataset.truth(id)
                parts = (image, truth.depth, truth.normals)
                size = sum(array.nbytes for array in parts if array is not None) / 1e6
                if size <= self.megabytes:
                    self.megabytes -= size
                    self._images[key] = pair
            image, truth = pair
            pixels = crop_for_model(image, benchmark.input_crop)
            yield Photo(pixels=pixels, name=truth.id), truth


def _score_model(
    model: Model, benchmarks: Sequence[Benchmark], images: Iterable[tuple[Photo, Truth]]
) -> ModelScores:
    tallies = [ScoreTally(benchmark=item) for item in benchmarks]
    unscored: list[list[Unscored]] = [[] for _ in benchmarks]
    cpu = wall = 0.0
    count = 0
    for photo, truth in images:
        cpu, wall = cpu - time.process_time(), wall - time.perf_counter()
        (prediction,) = model.predict_raw([photo])
        cpu, wall = cpu + time.process_time(), wall + time.perf_counter()
        count += 1
        answer = _as_metric(prediction)
        for tally, without in zip(tallies, unscored, strict=True):
            try:
                tally.add(score(tally.benchmark, answer, truth))
            except RilievoError as error:
                without.append(Unscored(id=truth.id, reason=note_of(error)))
    if not any(tally.scores for tally in tallies):
        first = unscored[0][0]
        raise InputError(
            f"no image could be scored; the first, {first.id}:", problem=Text(first.reason)
        )
    return ModelScores(
        benchmarks=tuple(_benchmark_scores(*item) for item in zip(tallies, unscored, strict=True)),
        cpu_seconds=cpu / count,
        seconds=wall / count,
    )


def _as_metric(prediction: PredictionRecord) -> StoredPrediction:
    """Prediction whose depth is called metric."""
    depth = prediction.depth_or_none
    if depth is not None:
        # Probes learn the dataset's own unit, whatever their kind.
        depth = DepthMap(values=depth.values, kind=DepthKind.METRIC)
    return StoredPrediction(
        depth_or_none=depth, normals=prediction.normals, made_by=prediction.made_by
    )


def _benchmark_scores(tally: ScoreTally, unscored: Sequence[Unscored]) -> BenchmarkScores:
    return BenchmarkScores(
        benchmark=tally.benchmark.name,
        sha256=benchmark_sha256(tally.benchmark),
        summaries=tuple(tally.summaries({})) if tally.scores else (),
        scores=tuple(tally.scores),
        unscored=tuple(unscored),
    )


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
