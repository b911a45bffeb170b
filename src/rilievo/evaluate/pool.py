"""Scoring many images side by side, in order and in bounded memory; one fit for each scene."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from rilievo.alignment import AlignMethod
from rilievo.alignment.fit import Fit, FitSpace, abscissa
from rilievo.datasets.base import Dataset
from rilievo.depth_map import DepthKind
from rilievo.errors import CalibrationError, InputError, RilievoError
from rilievo.evaluate.answers import Answers
from rilievo.evaluate.benchmark import Benchmark, Task
from rilievo.evaluate.metres import method_for, resized_for
from rilievo.evaluate.plan import Plan
from rilievo.evaluate.records import Unscored
from rilievo.evaluate.regions import depth_mask, truth_for
from rilievo.evaluate.scoring import Scored, score, score_stability
from rilievo.io.limits import unreadable

CHUNK = 8
"""Images that a process takes at once."""

PER_PROCESS = 60
"""Images for which one more process pays: it takes about a second to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreJob:
    """All that scoring an image takes besides its id; it travels to other processes.

    Attributes:
        fits: Fit of each scene, where the benchmark makes one fit for each.
        scenes: Scene of each image, where that matters.
        following: The next frame of each one, where neighbours are compared.
    """

    benchmark: Benchmark
    dataset: Dataset
    answers: Answers
    fits: Mapping[str, Fit] = field(default_factory=dict)
    scenes: Mapping[str, str] = field(default_factory=dict)
    following: Mapping[str, str] = field(default_factory=dict)

    def fit_of(self, id: str) -> Fit | None:
        """The fit of the image's scene; None where images have fits of their own."""
        return self.fits.get(self.scenes[id]) if id in self.scenes else None


def score_one(job: ScoreJob, id: str) -> Scored | Unscored:
    """The score of one image, or why it has none."""
    try:
        answer, truth = job.answers.read(id), job.dataset.truth(id)
        if job.benchmark.task is Task.STABILITY:
            next_id = job.following[id]
            frames = answer, job.answers.read(next_id)
            truths = truth, job.dataset.truth(next_id)
            return score_stability(job.benchmark, frames, truths, job.fit_of(id))
        return score(job.benchmark, answer, truth, job.fit_of(id))
    except RilievoError as error:
        return Unscored(id=id, reason=str(error))
    except OSError as error:
        return Unscored(id=id, reason=str(unreadable(error, id)))


def score_all(job: ScoreJob, ids: Sequence[str], *, workers: int) -> Iterator[Scored | Unscored]:
    """Scores in the order of the ids; in this process alone where others would not pay."""
    workers = min(workers, len(ids) // PER_PROCESS)
    if workers < 2:
        _keep_freed_memory()
        yield from (score_one(job, id) for id in ids)
        return
    chunks = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    # Forked processes would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start, (job,))
    waiting: deque[Future[list[Scored | Unscored]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_score_chunk, chunk))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RilievoError(
            "a process that scores died, perhaps for want of memory; try --workers 1 (and in a "
            "script of your own, call evaluate below if __name__ == '__main__')"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_JOBS: list[ScoreJob] = []

# https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def _start(job: ScoreJob) -> None:
    """Make a process ready: Ctrl-C is for the one that started it, with which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _keep_freed_memory()
    _JOBS[:] = [job]


def _end_with_parent() -> None:
    """Otherwise a process whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only processes that were started for it score so"
    parent.join()
    os._exit(1)


def _keep_freed_memory() -> None:
    """Let the C library keep freed maps for the next image.

    By default it hands them back to the system, which clears each page anew: 13 of 32 ms an image.
    """
    if sys.platform == "linux":
        # Libraries other than GNU's have no such function, and other habits.
        with suppress(OSError, AttributeError):
            for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
                ctypes.CDLL(None).mallopt(parameter, 1 << 25)


def _score_chunk(ids: Sequence[str]) -> list[Scored | Unscored]:
    return [score_one(_JOBS[0], id) for id in ids]


_SPACES = {
    AlignMethod.SCALE_SHIFT: FitSpace.DEPTH,
    AlignMethod.INVERSE_SCALE_SHIFT: FitSpace.INVERSE,
}


def with_scenes(plan: Plan, answers: Answers, ids: Sequence[str]) -> tuple[ScoreJob, list[str]]:
    """The work of scoring, with what it takes of whole scenes; and the images to be scored.

    Of a scene's frames, the last has no next one to be compared with.
    """
    benchmark = plan.benchmark
    plain = ScoreJob(benchmark=benchmark, dataset=plan.dataset, answers=answers)
    if not (benchmark.fit_scene or benchmark.task is Task.STABILITY):
        return plain, list(ids)
    scenes = _scenes(plan, ids)
    following: dict[str, str] = {}
    if benchmark.task is Task.STABILITY:
        last: dict[str, str] = {}
        for id in scenes:
            if scenes[id] in last:
                following[last[scenes[id]]] = id
            last[scenes[id]] = id
        if not following:
            raise InputError("no scene has two frames, so none can be compared with the next one")
    fits = _fits(plan, answers, scenes) if benchmark.fit_scene else {}
    job = ScoreJob(
        benchmark=benchmark,
        dataset=plan.dataset,
        answers=answers,
        fits=fits,
        scenes=scenes,
        following=following,
    )
    return job, [id for id in ids if benchmark.task is not Task.STABILITY or id in following]


def _scenes(plan: Plan, ids: Sequence[str]) -> dict[str, str]:
    """The scene of each image whose truth can be read."""
    scenes = {}
    for id in ids:
        try:
            scene = plan.dataset.truth(id).scene
        except (RilievoError, OSError):
            continue  # told when its turn to be scored comes
        if scene is None:
            raise InputError(
                f"the dataset names no scene or sequence for '{id}', and the benchmark "
                f"'{plan.benchmark.name}' fits one scale and shift to each"
            )
        scenes[id] = scene
    return scenes


def _fits(plan: Plan, answers: Answers, scenes: Mapping[str, str]) -> dict[str, Fit]:
    """Least squares over all pixels that count of all frames of each scene."""
    moments: defaultdict[str, Float64[np.ndarray, 5]] = defaultdict(lambda: np.zeros(5))
    space = FitSpace.DEPTH
    for id, scene in scenes.items():
        try:
            found = _moments(plan, answers, id)
        except (RilievoError, OSError):
            continue
        space, sums = found
        moments[scene] += sums
    return {scene: _line(scene, space, sums) for scene, sums in moments.items()}


def _moments(plan: Plan, answers: Answers, id: str) -> tuple[FitSpace, Float64[np.ndarray, "5"]]:
    """Pixels, and the sums of x, y, x² and xy, of one frame."""
    benchmark = plan.benchmark
    answer, truth = answers.read(id), truth_for(benchmark, plan.dataset.truth(id))
    if answer.depth is None or truth.depth is None:
        raise InputError("no depth")
    method = method_for(benchmark, answer.depth.kind)
    if method not in _SPACES:
        raise InputError(f"the fit '{method}' is none of whole scenes")
    space = _SPACES[AlignMethod(method)]
    mask = depth_mask(benchmark, truth)
    height, width = mask.shape
    resized = resized_for(benchmark, answer.depth, (height, width))
    both = mask & resized.valid
    x = abscissa(resized.values[both].astype(np.float64), resized.kind, space)
    y = abscissa(truth.depth[both].astype(np.float64), DepthKind.METRIC, space)
    return space, np.array([x.size, x.sum(), y.sum(), x @ x, x @ y])


def _line(scene: str, space: FitSpace, moments: Float64[np.ndarray, "5"]) -> Fit:
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
