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
    title="depth after a least-squares fit of scale and shift to each image",
    alignment=BENCHMARKS["probe3d-nyuv2-si"].alignment,
    least_depth=BENCHMARKS["probe3d-nyuv2-si"].least_depth,
)
NORMALS = replace(BENCHMARKS["normals"], metrics=NORMALS_METRICS)
DEFAULT_BENCHMARKS = {
    benchmark.name: benchmark for benchmark in (SCALE_AWARE, SCALE_INVARIANT, NORMALS)
}
"""Benchmarks of a sweep that does not name any."""


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
    """Scores of one model under several benchmarks, and mean times to predict an image [s]."""

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
        """Check that the benchmarks score what probes predict, without reading any images."""
        self._choose_benchmarks(predicts_depth=depth, predicts_normals=normals)

    def score(self, model: Model, *, depth: bool, normals: bool) -> ModelScores:
        """Predict every test image, and score it under each benchmark.

        ``depth`` and ``normals`` say what the model predicts. Times are those of the fastest group
        of benchmarks, because the first predictions of a model are slow.
        """
        groups: dict[tuple[str | None, str | None, InputCrop | str], list[Benchmark]] = {}
        for benchmark in self._choose_benchmarks(predicts_depth=depth, predicts_normals=normals):
            image_settings = (benchmark.split, benchmark.variant, benchmark.input_crop)
            groups.setdefault(image_settings, []).append(benchmark)
        # Benchmarks of the same images share their predictions.
        group_scores = [
            _score_model(model, benchmarks, self._read_images(benchmarks[0]))
            for benchmarks in groups.values()
        ]
        return ModelScores(
            benchmarks=tuple(
                benchmark for scores in group_scores for benchmark in scores.benchmarks
            ),
            cpu_seconds=min(scores.cpu_seconds for scores in group_scores),
            seconds=min(scores.seconds for scores in group_scores),
        )

    def _choose_benchmarks(
        self, *, predicts_depth: bool, predicts_normals: bool
    ) -> tuple[Benchmark, ...]:
        """Choose the named benchmarks, or the default ones, that score what a probe predicts."""
        if self.input_crop not in list(InputCrop):
            raise OptionError(
                f"in [test], input_crop does not accept '{self.input_crop}'; "
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
        if predicts_depth:
            tasks.add(Task.DEPTH)
        if predicts_normals:
            tasks.add(Task.NORMALS)
        matching = tuple(benchmark for benchmark in candidates if benchmark.task in tasks)
        unscored_tasks = tasks - {benchmark.task for benchmark in matching}
        if unscored_tasks:
            raise OptionError(
                f"none of the benchmarks {', '.join(self.benchmarks)} scores "
                f"{min(unscored_tasks)}: add one that does, or remove all of them to use the "
                "default benchmarks"
            )
        return matching

    def _open_test_split(self, benchmark: Benchmark) -> Dataset:
        """Open the sweep's dataset at the split and variant that the benchmark scores."""
        if benchmark.dataset not in (None, self.dataset):
            raise OptionError(
                f"the benchmark '{benchmark.name}' uses the dataset '{benchmark.dataset}', but the "
                f"sweep trains on '{self.dataset}': leave this benchmark out"
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
                f"the dataset '{self.dataset}' has no images in its test "
                f"split{dataset.first_missing}"
            )
        return dataset

    def _read_images(self, benchmark: Benchmark) -> Iterator[tuple[Photo, Truth]]:
        """Yield photographs, cropped for the model, with the truth of the whole picture."""
        dataset = self._open_test_split(benchmark)
        for image_id in dataset.ids[: self.limit]:
            image, truth = self._read_image(dataset, image_id)
            pixels = crop_for_model(image, benchmark.input_crop)
            yield Photo(pixels=pixels, name=truth.id), truth

    def _read_image(self, dataset: Dataset, image_id: str) -> tuple[Pixels, Truth]:
        """Read a photograph and its truth, and cache them while the memory budget lasts."""
        key = (dataset.request.split, dataset.request.variant, image_id)
        if key in self._cached_images:
            return self._cached_images[key]
        image, truth = dataset.image(image_id), dataset.truth(image_id)
        # The other arrays of the truth, such as masks, are small beside these.
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
    total_cpu_seconds = total_seconds = 0.0
    num_images = 0
    for photo, truth in images:
        cpu_start, start = time.process_time(), time.perf_counter()
        [prediction] = model.predict_raw([photo])
        total_cpu_seconds += time.process_time() - cpu_start
        total_seconds += time.perf_counter() - start
        num_images += 1

        metric_prediction = _as_metric(prediction)
        for accumulator in accumulators:
            try:
                accumulator.add(score(accumulator.benchmark, metric_prediction, truth))
            except RilievoError as error:
                accumulator.unscored.append(Unscored(id=truth.id, reason=note_of(error)))
    if not any(accumulator.scores for accumulator in accumulators):
        first = accumulators[0].unscored[0]
        raise InputError(
            f"no image could be scored; the reason for the first one, {first.id}:",
            problem=Text(first.reason),
        )
    return ModelScores(
        benchmarks=tuple(map(_benchmark_scores, accumulators)),
        cpu_seconds=total_cpu_seconds / num_images,
        seconds=total_seconds / num_images,
    )


def _as_metric(prediction: PredictionRecord) -> StoredPrediction:
    """Declare predicted depth metric, because probes learn the dataset's own unit."""
    depth = prediction.depth_or_none
    if depth is not None:
        depth = DepthMap(values=depth.values, kind=DepthKind.METRIC)
    return StoredPrediction(
        depth_or_none=depth, normals=prediction.normals, made_by=prediction.made_by
    )


def _benchmark_scores(accumulator: ScoreAccumulator) -> BenchmarkScores:
    return BenchmarkScores(
        benchmark=accumulator.benchmark.name,
        sha256=benchmark_sha256(accumulator.benchmark),
        summaries=accumulator.summaries({}) if accumulator.scores else (),
        scores=tuple(accumulator.scores),
        unscored=tuple(accumulator.unscored),
    )
