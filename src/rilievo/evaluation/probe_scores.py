"""Scores of probes."""

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
from rilievo.evaluation.summaries import ScoreTally
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
    _images: dict[tuple[str, str, str], tuple[Pixels, Truth]] = field(default_factory=dict)

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
            key = (dataset.request.split, dataset.request.variant, id)
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
