"""Score the probes of a sweep, on test images that are kept in memory."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, OptionError, RilievoError, suggest
from rilievo.errors.messages import Text, note_of
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark, InputCrop, Task, benchmark_sha256
from rilievo.evaluation.records import Score, Summary, Unscored
from rilievo.evaluation.scoring.regions import crop_for_model
from rilievo.evaluation.scoring.score import score
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.evaluation.summaries import ScoreAccumulator
from rilievo.models.base import Model
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Photo, Truth

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
DEFAULT_BENCHMARKS = {
    benchmark.name: benchmark for benchmark in (SCALE_AWARE, SCALE_INVARIANT, NORMALS)
}
"""Benchmarks of a sweep that names none."""


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
    """Scores of one model under several benchmarks.

    Attributes:
        cpu_seconds: CPU time for the prediction of an image, a mean [s].
        seconds: Time for the prediction of an image, a mean [s].
    """

    benchmarks: tuple[BenchmarkScores, ...]
    cpu_seconds: float
    seconds: float


# rilievo.training.sweep.sweep_work finds this by its name in the registry.
@dataclass(slots=True, kw_only=True)
class ProbeScoring:
    """Test images of a sweep, and the benchmarks under which probes are scored on them.

    Attributes:
        benchmarks: Names of benchmarks; empty for the default ones.
        megabytes: Memory that is left for keeping images [MB].
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
    _cached_images: dict[tuple[str, str, str], tuple[Pixels, Truth]] = field(default_factory=dict)

    def check(self, *, depth: bool, normals: bool) -> None:
        """Refuse benchmarks that do not score what probes predict.

        Raises:
            OptionError: If a benchmark is unknown, or none scores the depth or the normals.
        """
        self._benchmarks_to_score(depth=depth, normals=normals)

    def score(self, model: Model, *, depth: bool, normals: bool) -> ModelScores:
        """Predict every test image, and score it under each benchmark."""
        groups: dict[tuple[str | None, str | None, InputCrop | str], list[Benchmark]] = {}
        for benchmark in self._benchmarks_to_score(depth=depth, normals=normals):
            shown_images = (benchmark.split, benchmark.variant, benchmark.input_crop)
            groups.setdefault(shown_images, []).append(benchmark)
        # Benchmarks of the same images share their predictions.
        parts = [
            _score_model(model, benchmarks, self._read_images(benchmarks[0]))
            for benchmarks in groups.values()
        ]
        return ModelScores(
            benchmarks=tuple(benchmark for part in parts for benchmark in part.benchmarks),
            cpu_seconds=min(part.cpu_seconds for part in parts),
            seconds=min(part.seconds for part in parts),
        )

    def _benchmarks_to_score(self, *, depth: bool, normals: bool) -> tuple[Benchmark, ...]:
        """Benchmarks by name, or the default ones, for what a probe predicts."""
        if self.input_crop not in list(InputCrop):
            raise OptionError(
                f"[test] has no input_crop '{self.input_crop}'; "
                f"{suggest(self.input_crop, InputCrop)}"
            )
        if self.benchmarks:
            candidates = [find_benchmark(name) for name in self.benchmarks]
        else:
            crop = InputCrop(self.input_crop)
            candidates = [
                replace(benchmark, input_crop=crop) for benchmark in DEFAULT_BENCHMARKS.values()
            ]
        tasks = set()
        if depth:
            tasks.add(Task.DEPTH)
        if normals:
            tasks.add(Task.NORMALS)
        chosen = tuple(benchmark for benchmark in candidates if benchmark.task in tasks)
        missing = tasks - {benchmark.task for benchmark in chosen}
        if missing:
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

    def _read_images(self, benchmark: Benchmark) -> Iterator[tuple[Photo, Truth]]:
        """Yield photographs, cropped for the model, with the truth of the whole picture."""
        dataset = self._open_test_split(benchmark)
        for id in dataset.ids[: self.limit]:
            image, truth = self._read_image(dataset, id)
            pixels = crop_for_model(image, benchmark.input_crop)
            yield Photo(pixels=pixels, name=truth.id), truth

    def _read_image(self, dataset: Dataset, id: str) -> tuple[Pixels, Truth]:
        """Photograph and truth, which are kept in memory for the next model if they fit."""
        key = (dataset.request.split, dataset.request.variant, id)
        if key in self._cached_images:
            return self._cached_images[key]
        image, truth = dataset.image(id), dataset.truth(id)
        arrays = (image, truth.depth, truth.normals)
        megabytes = sum(array.nbytes for array in arrays if array is not None) / 1e6
        if megabytes <= self.megabytes:
            self.megabytes -= megabytes
            self._cached_images[key] = image, truth
        return image, truth


def _score_model(
    model: Model, benchmarks: Sequence[Benchmark], images: Iterable[tuple[Photo, Truth]]
) -> ModelScores:
    """Predict each image once, and score it under all benchmarks."""
    accumulators = [ScoreAccumulator(benchmark=benchmark) for benchmark in benchmarks]
    unscored: list[list[Unscored]] = [[] for _ in benchmarks]
    cpu_seconds = seconds = 0.0
    count = 0
    for photo, truth in images:
        cpu_start, start = time.process_time(), time.perf_counter()
        [prediction] = model.predict_raw([photo])
        cpu_seconds += time.process_time() - cpu_start
        seconds += time.perf_counter() - start
        count += 1

        metric_prediction = _as_metric(prediction)
        for accumulator, unscored_images in zip(accumulators, unscored, strict=True):
            try:
                accumulator.add(score(accumulator.benchmark, metric_prediction, truth))
            except RilievoError as error:
                unscored_images.append(Unscored(id=truth.id, reason=note_of(error)))
    if not any(accumulator.scores for accumulator in accumulators):
        first = unscored[0][0]
        raise InputError(
            f"no image could be scored; the first, {first.id}:", problem=Text(first.reason)
        )
    return ModelScores(
        benchmarks=tuple(map(_benchmark_scores, accumulators, unscored)),
        cpu_seconds=cpu_seconds / count,
        seconds=seconds / count,
    )


def _as_metric(prediction: PredictionRecord) -> StoredPrediction:
    """Prediction whose depth counts as metric, because probes learn the dataset's own unit."""
    depth = prediction.depth_or_none
    if depth is not None:
        depth = DepthMap(values=depth.values, kind=DepthKind.METRIC)
    return StoredPrediction(
        depth_or_none=depth, normals=prediction.normals, made_by=prediction.made_by
    )


def _benchmark_scores(
    accumulator: ScoreAccumulator, unscored: Sequence[Unscored]
) -> BenchmarkScores:
    return BenchmarkScores(
        benchmark=accumulator.benchmark.name,
        sha256=benchmark_sha256(accumulator.benchmark),
        summaries=accumulator.summaries({}) if accumulator.scores else (),
        scores=tuple(accumulator.scores),
        unscored=tuple(unscored),
    )
