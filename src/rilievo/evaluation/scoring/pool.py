"""Scoring of many images side by side, in order, in bounded memory, and of whole scenes."""

import ctypes
import multiprocessing
import os
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from rilievo.alignment import AlignMethod
from rilievo.alignment.fit import Fit, FitSpace, abscissa
from rilievo.arrays.shapes import Float64, Size, Values
from rilievo.data.datasets.loaders import Dataset
from rilievo.errors import CalibrationError, InputError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.records import Unscored, unscored_image
from rilievo.evaluation.scoring.metres import alignment_for_kind, resize_for_benchmark
from rilievo.evaluation.scoring.regions import (
    depth_mask,
    place_prediction,
    truth_in_view,
    truth_size,
)
from rilievo.evaluation.scoring.score import ScoreWithSums, normal_angles, score, score_stability
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.io.files.machine import check_memory
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Truth
from rilievo.system import signals

CHUNK = 8

# Bytes: maps in float64, and masks.
MEMORY_A_PIXEL = 85

_JOBS: list["ScoreJob"] = []

# https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreJob:
    """All that the score of an image takes besides its id."""

    benchmark: Benchmark
    dataset: Dataset
    predictions: Predictions
    fits: Mapping[str, Fit] = field(default_factory=dict)
    scenes: Mapping[str, str] = field(default_factory=dict)
    following: Mapping[str, str] = field(default_factory=dict)

    def fit_of(self, id: str) -> Fit | None:
        """Fit of the image's scene, or None."""
        return self.fits.get(self.scenes[id]) if id in self.scenes else None

    def score(self, id: str) -> ScoreWithSums | Unscored:
        """Score one image, or tell why not."""
        try:
            return self._score_or_raise(id)
        except (RilievoError, OSError) as error:
            return unscored_image(id, error)

    def angles(self, ids: Iterable[str]) -> Iterator[Values]:
        """Angles between predicted and true normals [°], image by image."""
        for id in ids:
            yield normal_angles(self.benchmark, self.predictions.read(id), self.dataset.truth(id))

    def _score_or_raise(self, id: str) -> ScoreWithSums:
        prediction, truth = self.predictions.read(id), self.dataset.truth(id)
        if self.benchmark.task is Task.STABILITY:
            next_id = self.following[id]
            frames = prediction, self.predictions.read(next_id)
            truths = truth, self.dataset.truth(next_id)
            return score_stability(self.benchmark, frames, truths, self.fit_of(id))
        return score(self.benchmark, prediction, truth, self.fit_of(id))


def check_memory_of_scores(shape: Size, processes: int) -> None:
    """Refuse more memory for scores of depth than is free."""
    height, width = shape
    several = processes > 1
    check_memory(
        processes * MEMORY_A_PIXEL * height * width,
        f"scores of images of {width}x{height} pixels"
        + (f" in {processes} processes" if several else ""),
        Text("take ", OptionName("workers", "1")) if several else "score smaller images",
    )


def score_all(
    job: ScoreJob, ids: Sequence[str], *, processes: int
) -> Iterator[ScoreWithSums | Unscored]:
    """Scores in the order of the ids, by several processes."""
    if processes == 1:
        _keep_freed_memory()
        yield from map(job.score, ids)
        return
    chunks = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    # Forked processes would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _prepare_worker, (job,))
    waiting: deque[Future[list[ScoreWithSums | Unscored]]] = deque()
    try:
        for chunk in chunks:
            with signals.block_in_children():
                waiting.append(pool.submit(_score_chunk, chunk))
            if len(waiting) > 2 * processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RilievoError(
            "a process that scores died, perhaps for want of memory",
            hint=Text(
                "try ",
                OptionName("workers", "1"),
                " (and in a script of your own, call evaluate below if __name__ == '__main__')",
            ),
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker(job: ScoreJob) -> None:
    # Ctrl-C is for the process that started this one, with which this one ends.
    """Ignore Ctrl-C, keep the job, end with the parent."""
    signals.ignore_ctrl_c()
    threading.Thread(target=_exit_after_parent, daemon=True).start()
    _keep_freed_memory()
    _JOBS[:] = [job]


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only processes that were started for it score so"
    parent.join()
    os._exit(1)


def _keep_freed_memory() -> None:
    # By default the system clears each page anew: 13 of 32 ms an image.
    if sys.platform == "linux":
        # Libraries other than GNU's have no such function, and other habits.
        with suppress(OSError, AttributeError):
            for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
                ctypes.CDLL(None).mallopt(parameter, 1 << 25)


def _score_chunk(ids: Sequence[str]) -> list[ScoreWithSums | Unscored]:
    return [_JOBS[0].score(id) for id in ids]


_SPACES = {
    AlignMethod.SCALE_SHIFT: FitSpace.DEPTH,
    AlignMethod.INVERSE_SCALE_SHIFT: FitSpace.INVERSE,
}


def needs_scenes(benchmark: Benchmark) -> bool:
    """Whether an image's score takes other images of its scene."""
    return benchmark.fit_scene or benchmark.task is Task.STABILITY


def require_scene(truth: Truth, benchmark: Benchmark) -> str:
    """Name of the scene."""
    if truth.scene is None:
        raise InputError(
            f"the dataset names no scene or sequence for '{truth.id}', and the benchmark "
            f"'{benchmark.name}' fits one scale and shift to each"
        )
    return truth.scene


def add_scenes(job: ScoreJob, ids: Sequence[str]) -> tuple[ScoreJob, list[str]]:
    """Job with fits or next frames of scenes, and ids to score."""
    benchmark, scenes = job.benchmark, _scene_by_id(job, ids)
    following: dict[str, str] = {}
    if benchmark.task is Task.STABILITY:
        last: dict[str, str] = {}
        for id in scenes:
            if scenes[id] in last:
                following[last[scenes[id]]] = id
            last[scenes[id]] = id
        if not following:
            raise InputError("no scene has two frames, so none can be compared with the next one")
    fits = _fit_by_scene(job, scenes) if benchmark.fit_scene else {}
    whole = replace(job, fits=fits, scenes=scenes, following=following)
    return whole, [id for id in ids if benchmark.task is not Task.STABILITY or id in following]


def _scene_by_id(job: ScoreJob, ids: Sequence[str]) -> dict[str, str]:
    scenes = {}
    for id in ids:
        try:
            truth = job.dataset.truth(id)
        except (RilievoError, OSError):
            continue  # told when its turn to be scored comes
        scenes[id] = require_scene(truth, job.benchmark)
    return scenes


def _fit_by_scene(job: ScoreJob, scenes: Mapping[str, str]) -> dict[str, Fit]:
    moments: defaultdict[str, Float64[np.ndarray, 5]] = defaultdict(lambda: np.zeros(5))
    space = FitSpace.DEPTH
    for id, scene in scenes.items():
        try:
            frame_moments = _fit_moments(job, id)
        except (RilievoError, OSError):
            continue
        space, sums = frame_moments
        moments[scene] += sums
    return {scene: _fit_from_moments(scene, space, sums) for scene, sums in moments.items()}


def _fit_moments(job: ScoreJob, id: str) -> tuple[FitSpace, Float64[np.ndarray, "5"]]:
    """Sums 1, x, y, x², xy over an image's pixels."""
    benchmark = job.benchmark
    whole = job.dataset.truth(id)
    prediction = place_prediction(benchmark, job.predictions.read(id), whole).prediction
    truth = truth_in_view(benchmark, whole)
    if prediction.depth_or_none is None or truth.depth is None:
        raise InputError("no depth")
    method = alignment_for_kind(benchmark, prediction.depth.kind)
    if method not in _SPACES:
        raise InputError(f"the fit '{method}' is none of whole scenes")
    space = _SPACES[AlignMethod(method)]
    mask = depth_mask(benchmark, truth)
    resized = resize_for_benchmark(benchmark, prediction.depth, truth_size(truth))
    both = mask & resized.valid
    x = abscissa(resized.values[both].astype(np.float64), resized.kind, space)
    y = abscissa(truth.depth[both].astype(np.float64), DepthKind.METRIC, space)
    return space, np.array([x.size, x.sum(), y.sum(), x @ x, x @ y])


def _fit_from_moments(scene: str, space: FitSpace, moments: Float64[np.ndarray, "5"]) -> Fit:
    count, x, y, xx, xy = moments
    if not count:
        raise CalibrationError(f"no frame of the scene '{scene}' has pixels to fit to")
    spread = xx - x * x / count
    # A constant prediction is put at the mean of the truth, as ``constant_fit`` does.
    is_constant = not spread > 1e-12 * xx
    scale = 0.0 if is_constant else (xy - x * y / count) / spread
    if not (is_constant or scale > 0):
        raise CalibrationError(
            f"the best scale over the scene '{scene}' is {scale:.4g}, not positive: the "
            "prediction takes near for far; is its kind the right one?"
        )
    shift = (y - scale * x) / count
    return Fit(space=space, scale=float(scale), shift=float(shift), residual=0.0, pixels=int(count))
