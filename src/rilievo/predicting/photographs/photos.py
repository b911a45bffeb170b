"""Prediction of a stream of photographs: decoding, inference and encoding run in parallel."""

import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from rilievo.errors import OutputError
from rilievo.io.files.placement import Placement, place
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job
from rilievo.predicting.stages import PLACE
from rilievo.predicting.summary import Tally, fail
from rilievo.types import Photo

PIXELS_AHEAD = 48_000_000
"""Decoded pixels that may wait at each of three stages (read, inferred, written); the last
photograph may exceed it. It bounds memory, whatever the batch size."""

UNREAD_PIXELS = 6_000_000
"""Least number of pixels that a photograph counts for while it is decoded: its size is unknown."""

MOST_WORKERS = 16
"""Largest number of threads that read, and of threads that write."""

MOST_UNPLACED = 256
"""Largest number of photographs whose results are written but not renamed: a kill loses them."""

Save = Callable[[Job, Photo, Inference], Placement | None]
"""Brings one answer to the photograph's size and writes it; gives what remains to be placed."""
Read = Callable[[Job], Photo]
"""Reads a photograph, with the camera that the user named."""

Work = TypeVar("Work", "_Waiting", "_Inferring", "_Writing")


@dataclass(frozen=True, slots=True)
class _Waiting:
    job: Job
    future: Future[Photo]
    expected: int

    @property
    def pixels(self) -> int:
        """Number of pixels of the photograph; the expected one until it is decoded."""
        if not self.future.done():
            return self.expected
        ready = not self.future.cancelled() and not self.future.exception()
        return math.prod(self.future.result().shape) if ready else 0


@dataclass(frozen=True, slots=True)
class _Inferring:
    batch: Sequence[tuple[Job, Photo]]
    future: Future[list[Inference]]

    @property
    def pixels(self) -> int:
        return sum(math.prod(photo.shape) for _, photo in self.batch)


@dataclass(frozen=True, slots=True)
class _Writing:
    job: Job
    future: Future[Placement | None]
    pixels: int


class _Queue(Generic[Work]):
    """Queue of work in one pool, oldest first, bounded in number and in pixels."""

    def __init__(self, workers: int, name: str, *, most: int) -> None:
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._most = most
        self.waiting: deque[Work] = deque()

    @property
    def is_full(self) -> bool:
        pixels = sum(each.pixels for each in self.waiting)
        return len(self.waiting) >= self._most or pixels >= PIXELS_AHEAD

    def close(self) -> None:
        """Cancel work that has not begun and wait for the rest."""
        self.pool.shutdown(wait=True, cancel_futures=True)


class _Readers(_Queue[_Waiting]):
    """Queue of photographs that are decoded ahead of their use."""

    def __init__(self, jobs: Iterable[Job], read: Read, tally: Tally, workers: int) -> None:
        super().__init__(workers, "read", most=2 * workers + 2)
        self._jobs, self._source, self._tally = iter(jobs), read, tally
        self._expected = UNREAD_PIXELS

    def next_batch(self, most: int) -> list[tuple[Job, Photo]]:
        """Return the next readable photographs, fewer if they are large; empty at the end."""
        batch: list[tuple[Job, Photo]] = []
        pixels = 0
        while len(batch) < most and pixels < PIXELS_AHEAD:
            self._read_on()
            if not self.waiting:
                break
            waiting = self.waiting.popleft()
            try:
                photo = waiting.future.result()
            except Exception as error:
                fail(waiting.job, error, self._tally)
                continue
            batch.append((waiting.job, photo))
            size = math.prod(photo.shape)
            pixels += size
            # A folder's photographs are mostly from one camera: the next has probably this size.
            self._expected = max(size, UNREAD_PIXELS)
        return batch

    def _read_on(self) -> None:
        while not self.is_full and (job := next(self._jobs, None)) is not None:
            future = self.pool.submit(self._source, job)
            self.waiting.append(_Waiting(job, future, self._expected))


class _Placers:
    """Placement of results in groups: all that arrive during one placement form the next.

    A sync of the disk takes as long for many files as for one, and longer than most photographs.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally, self._place = tally, tally.stages.timed(PLACE, place)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="place")
        self._waiting: list[tuple[Job, Placement]] = []
        self._under_way: list[tuple[Job, Placement]] = []
        self._future: Future[list[OutputError | None]] | None = None

    def add(self, job: Job, placement: Placement) -> None:
        self._waiting.append((job, placement))
        if self._future is None or self._future.done() or len(self._waiting) >= MOST_UNPLACED:
            self._next()

    def close(self) -> None:
        """Place all results that wait."""
        while self._future is not None or self._waiting:
            self._next()
        self._pool.shutdown()

    def _next(self) -> None:
        """Wait for the group under way, count it, and start the next."""
        if self._future is not None:
            for (job, _), error in zip(self._under_way, self._future.result(), strict=True):
                if error is None:
                    self._tally.done(job.target)
                else:
                    fail(job, error, self._tally)
        self._under_way, self._waiting, self._future = self._waiting, [], None
        if self._under_way:
            self._future = self._pool.submit(self._place, [each for _, each in self._under_way])


class _Writers(_Queue[_Writing]):
    """Queue of network outputs that are resized to their photographs' size and written."""

    def __init__(self, save: Save, tally: Tally, workers: int) -> None:
        super().__init__(workers, "write", most=2 * workers + 2)
        self._save, self._tally, self._placers = save, tally, _Placers(tally)

    def write(self, answers: Iterable[tuple[Job, Photo, Inference]]) -> None:
        """Queue more results, and wait for the oldest while the queue is full."""
        for job, photo, inference in answers:
            while self.is_full:
                self._settle_oldest()
            future = self.pool.submit(self._save, job, photo, inference)
            self.waiting.append(_Writing(job, future, math.prod(photo.shape)))

    def settle(self) -> None:
        """Wait for all work that was not cancelled, and count it, even after an interruption."""
        try:
            self._settle_all()
        except KeyboardInterrupt:
            self._settle_all()
            raise

    def _settle_all(self) -> None:
        while self.waiting:
            self._settle_oldest()
        self._placers.close()

    def _settle_oldest(self) -> None:
        future = self.waiting[0].future
        if future.cancelled():
            self.waiting.popleft()
            return
        future.exception()  # waits; if interrupted, the work is still in the queue
        self._settle(self.waiting.popleft())

    def _settle(self, writing: _Writing) -> None:
        try:
            placement = writing.future.result()
        except Exception as error:
            fail(writing.job, error, self._tally)
            return
        if placement is None:
            self._tally.done(writing.job.target)
        else:
            self._placers.add(writing.job, placement)


def predict_photos(
    jobs: Iterable[Job],
    model: Model,
    tally: Tally,
    *,
    batch_size: int,
    read: Read,
    save: Save,
) -> None:
    """Predict every job and write its results; failures are counted by ``tally`` and skipped.

    Results are written in the order of the jobs, though several may be written at once.
    """
    workers = min(max(2, os.cpu_count() or 1), MOST_WORKERS)
    readers = _Readers(jobs, read, tally, workers)
    # One batch at a time: two runs of one network take the cores from each other. A second waits
    # already, so that the network is never idle.
    network: _Queue[_Inferring] = _Queue(1, "infer", most=2)
    writers = _Writers(save, tally, workers)
    try:
        while batch := readers.next_batch(batch_size):
            future = network.pool.submit(tally.stages.answer, model, [photo for _, photo in batch])
            network.waiting.append(_Inferring(batch, future))
            while network.is_full:
                writers.write(_answers(network.waiting.popleft(), model, tally))
        while network.waiting:
            writers.write(_answers(network.waiting.popleft(), model, tally))
    finally:
        if sys.exc_info()[0] is not None:
            model.interrupt()
        # Writes under way are completed and counted, even after an interruption.
        readers.close()
        network.close()
        if sys.exc_info()[0] is not None:
            writers.close()
        writers.settle()
        writers.close()


def _answers(
    inferring: _Inferring, model: Model, tally: Tally
) -> list[tuple[Job, Photo, Inference]]:
    """Network outputs of a batch; if it fails as a whole, of each photograph by itself."""
    batch = inferring.batch
    try:
        answers = inferring.future.result()
        return [(job, photo, answer) for (job, photo), answer in zip(batch, answers, strict=True)]
    except Exception as error:
        if len(batch) == 1:
            fail(batch[0][0], error, tally)
            return []
    return [result for job, photo in batch for result in _answer(job, photo, model, tally)]


def _answer(
    job: Job, photo: Photo, model: Model, tally: Tally
) -> list[tuple[Job, Photo, Inference]]:
    """Network output of one photograph of a batch that failed; empty if this one fails too."""
    try:
        [answer] = model.infer([photo])
    except Exception as error:
        fail(job, error, tally)
        return []
    return [(job, photo, answer)]
