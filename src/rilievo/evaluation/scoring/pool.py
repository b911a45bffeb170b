"""Scoring of many images side by side, in order, in bounded memory."""

import ctypes
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field

from rilievo.alignment.fit import Fit
from rilievo.arrays.shapes import Size, Values
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.records import Unscored, unscored_image
from rilievo.evaluation.scoring.score import ScoreWithSums, normal_angles, score, score_stability
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.io.files.machine import check_memory
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
