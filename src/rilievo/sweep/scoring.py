"""Scores a trained probe under several benchmarks, with one prediction per image where possible."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets import open_dataset
from rilievo.datasets.base import Dataset
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import InputError, OptionError, RilievoError, suggest
from rilievo.evaluate.answers import Answer
from rilievo.evaluate.benchmark import Benchmark, InputCrop, benchmark_sha256
from rilievo.evaluate.benchmark import Task as Scored
from rilievo.evaluate.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluate.regions import seen
from rilievo.evaluate.scoring import score
from rilievo.evaluate.summaries import Tallied
from rilievo.models.base import Model
from rilievo.networks.blueprint import Task
from rilievo.sweep.config import TestChoice
from rilievo.sweep.results import Measured, Value
from rilievo.train.probe.config import DataChoice
from rilievo.types import Photo, Prediction, Truth

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Scores of one model, and the mean time of one image, from photograph to prediction [s]."""

    measured: tuple[Measured, ...]
    cpu_seconds: float
    seconds: float


def benchmarks_of(task: Task, test: TestChoice) -> tuple[Benchmark, ...]:
    """Benchmarks that score a task: those that are named, else generic ones for any dataset.

    Raises ``OptionError`` if a name is unknown, or no named benchmark scores the task.
    """
    if test.input_crop not in list(InputCrop):
        raise OptionError(
            f"[test] has no input_crop '{test.input_crop}'; {suggest(test.input_crop, InputCrop)}"
        )
    crop = InputCrop(test.input_crop)
    named = [find_benchmark(name) for name in test.benchmarks]
    usual = [replace(each, input_crop=crop) for each in (SCALE_AWARE, SCALE_INVARIANT, NORMALS)]
    wanted = {
        kind
        for kind, has in ((Scored.DEPTH, task.has_depth), (Scored.NORMALS, task.has_normals))
        if has
    }
    chosen = tuple(each for each in named or usual if each.task in wanted)
    if missing := wanted - {each.task for each in chosen}:
        raise OptionError(
            f"none of the benchmarks {', '.join(test.benchmarks)} scores {min(missing)}: name one "
            "more, or none for the usual ones"
        )
    return chosen


def open_test_set(benchmark: Benchmark, test: TestChoice, data: DataChoice) -> Dataset:
    """Open the test images of a benchmark.

    Raises ``OptionError`` if the benchmark is of another dataset than the training data.
    """
    if benchmark.dataset not in (None, data.dataset):
        raise OptionError(
            f"benchmark '{benchmark.name}' is of the dataset '{benchmark.dataset}', but the sweep "
            f"trains on '{data.dataset}'"
        )
    dataset = open_dataset(
        data.dataset,
        data.root,
        split=test.split or benchmark.split,
        variant=benchmark.variant or data.variant,
        list_file=test.list_file,
    )
    if not dataset.ids:
        raise InputError(f"dataset '{data.dataset}': no image of its test split is there")
    return dataset


class TestImage(NamedTuple):
    """A photograph and its ground truth."""

    image: UInt8[np.ndarray, "h w 3"]
    truth: Truth


class TestImages:
    """Images and ground truth of a test set, cached in memory for all cells up to a limit."""

    # pytest must not collect this class, whose name begins with Test.
    __test__ = False

    def __init__(self, test: TestChoice, data: DataChoice, *, megabytes: float = 2000) -> None:
        self._test, self._data, self._room = test, data, megabytes * 1e6
        self._kept: dict[tuple[str, str], TestImage] = {}

    def of(self, benchmark: Benchmark) -> Iterator[TestImage]:
        """Test images of a benchmark, in order."""
        dataset = open_test_set(benchmark, self._test, self._data)
        for id in dataset.ids[: self._test.limit]:
            key = (dataset.request.split + dataset.request.variant, id)
            pair = self._kept.get(key)
            if pair is None:
                pair = TestImage(dataset.image(id), dataset.truth(id))
                parts = (pair.image, pair.truth.depth, pair.truth.normals)
                size = sum(each.nbytes for each in parts if each is not None)
                if size <= self._room:
                    self._room -= size
                    self._kept[key] = pair
            yield pair


def score_model(model: Model, benchmarks: Sequence[Benchmark], images: TestImages) -> Report:
    """Predict every test image and score it."""
    groups: dict[tuple[str | None, str | None, InputCrop | str], list[Benchmark]] = {}
    for each in benchmarks:
        groups.setdefault((each.split, each.variant, each.input_crop), []).append(each)
    parts = [_score(model, alike, images.of(alike[0])) for alike in groups.values()]
    return Report(
        measured=tuple(each for part in parts for each in part.measured),
        cpu_seconds=min(part.cpu_seconds for part in parts),
        seconds=min(part.seconds for part in parts),
    )


def _score(model: Model, benchmarks: Sequence[Benchmark], pairs: Iterable[TestImage]) -> Report:
    tallies = [Tallied(benchmark=each) for each in benchmarks]
    reasons: list[list[str]] = [[] for _ in benchmarks]
    cpu = wall = 0.0
    count = 0
    for image, truth in pairs:
        window = seen(benchmarks[0].input_crop, image.shape[:2])
        pixels = image[window.top : window.bottom, window.left : window.right]
        photo = Photo(pixels=np.ascontiguousarray(pixels), name=truth.id)
        cpu, wall = cpu - time.process_time(), wall - time.perf_counter()
        (prediction,) = model.predict_raw([photo])
        cpu, wall = cpu + time.process_time(), wall + time.perf_counter()
        count += 1
        answer = _as_it_stands(prediction)
        for tally, why in zip(tallies, reasons, strict=True):
            try:
                tally.add(score(tally.benchmark, answer, truth))
            except RilievoError as error:
                why.append(f"{truth.id}: {error}")
    if not any(tally.scores for tally in tallies):
        raise InputError(f"no image could be scored; the first, {reasons[0][0]}")
    return Report(
        measured=tuple(_measured(*each) for each in zip(tallies, reasons, strict=True)),
        cpu_seconds=cpu / count,
        seconds=wall / count,
    )


def _as_it_stands(prediction: Prediction) -> Answer:
    """Mark a probe's depth as metric: probes learn the dataset's own unit, whatever their kind."""
    depth = prediction.depth_or_none
    if depth is not None:
        depth = DepthMap(values=depth.values, kind=DepthKind.METRIC)
    return Answer(depth=depth, normals=prediction.normals)


def _measured(tally: Tallied, reasons: Sequence[str]) -> Measured:
    summaries = tally.summaries({}) if tally.scores else ()
    return Measured(
        benchmark=tally.benchmark.name,
        sha256=benchmark_sha256(tally.benchmark),
        images=len(tally.scores),
        unscored=len(reasons),
        reason=reasons[0] if reasons else None,
        values=tuple(
            Value(
                metric=each.metric,
                label=each.label,
                unit=each.unit,
                better=each.better,
                value=each.value,
                each=tuple(score.values[each.metric] for score in tally.scores),
            )
            for each in summaries
        ),
        ids=tuple(score.id for score in tally.scores),
    )
