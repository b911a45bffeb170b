"""Prediction of a stream of photographs, in parallel."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from rilievo.errors import OutputError
from rilievo.io.files.commit import FileSet, place
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job
from rilievo.predicting.photographs.photo_memory import MOST_WORKERS, PIXELS_AHEAD, thread_count
from rilievo.predicting.summary import FAILURES, PLACE, Tally, fail
from rilievo.records.sample import Photo
from rilievo.system.signals import delay_ctrl_c, handle_if_ctrl_c

UNREAD_PIXELS = 6_000_000
"""Least pixels of a photograph not yet decoded."""
MOST_UNPLACED = 256
"""Most photographs not renamed, which a kill loses."""
Save = Callable[[Job, Photo, Inference], FileSet | None]
"""Function that writes an answer; gives what remains to be placed."""
Read = Callable[[Job], Photo]
"""Function that reads a photograph."""
Batch = Sequence[tuple[Job, Photo]]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _PoolCall(Generic[Item, Result]):
    item: Item
    future: Future[Result]
    pixels: int


class _BoundedPool(Generic[Item, Result]):
    def __init__(self, workers: int, name: str, *, most: int, pixels: int) -> None:
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._most, self._pixels = most, pixels
        self.waiting: deque[_PoolCall[Item, Result]] = deque()

    @property
    def is_full(self) -> bool:
        pixels = sum(work.pixels for work in self.waiting)
        return len(self.waiting) >= self._most or pixels >= self._pixels

    def add(
        self, item: Item, pixels: int, function: Callable[..., Result], *arguments: object
    ) -> _PoolCall[Item, Result]:
        work: _PoolCall[Item, Result] = _PoolCall(item, Future(), pixels)
        with _cancel_if_interrupted(work.future):
            self.waiting.append(work)
            self.pool.submit(_run_call, work.future, function, arguments)
        return work

    def cancel(self) -> None:
        for work in self.waiting:
            work.future.cancel()


@contextmanager
def _cancel_if_interrupted(future: Future[Result]) -> Iterator[None]:
    """Cancel a call whose submission is interrupted: Ctrl-C in ``submit`` loses its future."""
    try:
        yield
    except BaseException:
        future.cancel()
        raise


def _run_call(
    future: Future[Result], function: Callable[..., Result], arguments: Sequence[object]
) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)


class _Writers:
    """Answers finished in a pool, placed in groups with one sync."""

    def __init__(self, save: Save, tally: Tally, workers: int, pixels: int) -> None:
        self.queue: _BoundedPool[Job, FileSet | None] = _BoundedPool(
            workers, "write", most=2 * workers + 2, pixels=pixels
        )
        self._save, self._tally, self._place = save, tally, tally.stages.timed(PLACE, place)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="place")
        self._unplaced: list[_PoolCall[Job, FileSet | None]] = []
        self._under_way: list[_PoolCall[Job, FileSet | None]] = []
        self._future: Future[list[OutputError | None]] | None = None
        self.is_settled = False

    def write(self, inferred: _PoolCall[Batch, list[Inference]], model: Model) -> None:
        for job, photo, inference in _batch_answers(inferred, model, self._tally):
            while self.queue.is_full:
                self._settle_oldest()
            self.queue.add(job, math.prod(photo.shape), self._save, job, photo, inference)

    def settle(self) -> None:
        while self.queue.waiting:
            self._settle_oldest()
        while self._under_way or self._unplaced:
            self._place_group()
        for pool in (self.queue.pool, self._pool):
            pool.shutdown()
        self.is_settled = True

    def _settle_oldest(self) -> None:
        """Wait for the oldest; an interruption loses none."""
        work = self.queue.waiting[0]
        if work.future.cancelled():
            self.queue.waiting.popleft()
            return
        error = work.future.exception()
        if error is None and work.future.result() is not None:
            if work not in self._unplaced[-1:]:
                self._unplaced.append(work)
            self.queue.waiting.popleft()
            is_free = self._future is None or self._future.done()
            if is_free or len(self._unplaced) >= MOST_UNPLACED:
                self._place_group()
            return
        with delay_ctrl_c():
            self.queue.waiting.popleft()
            if error is None:
                self._tally.done(work.item.target)
            elif isinstance(error, FAILURES):
                fail(work.item, error, self._tally)
            else:
                raise error

    def _place_group(self) -> None:
        """Count the group under way, start the next with interrupted ones."""
        if self._future is not None and not self._future.cancelled():
            errors = self._future.result()
            with delay_ctrl_c():
                group, self._under_way, self._future = self._under_way, [], None
                for work, error in zip(group, errors, strict=True):
                    if error is None:
                        self._tally.done(work.item.target)
                    else:
                        fail(work.item, error, self._tally)
        self._under_way, self._unplaced = self._under_way + self._unplaced, []
        if self._under_way:
            placements = [work.future.result() for work in self._under_way]
            future: Future[list[OutputError | None]] = Future()
            with _cancel_if_interrupted(future):
                self._future = future
                self._pool.submit(_run_call, future, self._place, (placements,))


def predict_photos(
    jobs: Iterable[Job],
    model: Model,
    tally: Tally,
    *,
    batch_size: int,
    read: Read,
    save: Save,
    of_depth_alone: Callable[[Job, Photo], bool] = lambda job, photo: False,
    at_once: int | None = None,
    pixels_ahead: int | None = None,
) -> None:
    """Predict every job, write in order, count failures."""
    workers = min(thread_count(), at_once or MOST_WORKERS)
    pixels_ahead = pixels_ahead or PIXELS_AHEAD
    readers: _BoundedPool[Job, Photo] = _BoundedPool(
        workers, "read", most=2 * workers + 2, pixels=pixels_ahead
    )
    # As many batches at a time as the model has callers: more take the cores from each other. One
    # more waits already, so that the network is never idle.
    callers = min(model.callers, at_once or MOST_WORKERS)
    network: _BoundedPool[Batch, list[Inference]] = _BoundedPool(
        callers, "infer", most=callers + 1, pixels=pixels_ahead
    )
    writers = _Writers(save, tally, workers, pixels_ahead)
    stop: KeyboardInterrupt | None = None
    is_failing = False

    def answer(batch: Batch) -> list[Inference]:
        alone = all(of_depth_alone(job, photo) for job, photo in batch)
        photos = [photo for _, photo in batch]
        return tally.stages.answer(model.depth_alone() if alone else model, photos)

    try:
        try:
            for batch in _photo_batches(jobs, read, readers, tally, batch_size, pixels_ahead):
                pixels = sum(math.prod(photo.shape) for _, photo in batch)
                network.add(batch, pixels, answer, batch)
                while network.is_full:
                    writers.write(network.waiting.popleft(), model)
            while network.waiting:
                writers.write(network.waiting.popleft(), model)
        except BaseException:
            model.interrupt()
            raise
        finally:
            for queue in (readers, network):
                queue.cancel()
                queue.pool.shutdown()
    except BaseException:
        is_failing = True
        raise
    finally:
        # Writes under way are completed and counted, however often that is interrupted.
        while not writers.is_settled:
            try:
                if is_failing or stop is not None:
                    writers.queue.cancel()
                writers.settle()
            except KeyboardInterrupt as error:
                handle_if_ctrl_c(error)
                stop = error
        if stop is not None and not is_failing:
            raise stop


def _photo_batches(
    jobs: Iterable[Job],
    read: Read,
    readers: _BoundedPool[Job, Photo],
    tally: Tally,
    most: int,
    pixels_ahead: int,
) -> Iterator[Batch]:
    jobs, expected = iter(jobs), UNREAD_PIXELS
    batch: list[tuple[Job, Photo]] = []
    pixels = 0
    while True:
        while not readers.is_full and (job := next(jobs, None)) is not None:
            work = readers.add(job, expected, read, job)
            work.future.add_done_callback(partial(_set_pixel_count, work))
        if not readers.waiting:
            break
        work = readers.waiting.popleft()
        try:
            photo = work.future.result()
        except FAILURES as error:
            fail(work.item, error, tally)
            continue
        batch.append((work.item, photo))
        size = math.prod(photo.shape)
        pixels += size
        expected = max(size, UNREAD_PIXELS)
        if len(batch) >= most or pixels >= pixels_ahead:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _set_pixel_count(work: _PoolCall[Job, Photo], future: Future[Photo]) -> None:
    is_read = not future.cancelled() and not future.exception()
    work.pixels = math.prod(future.result().shape) if is_read else 0


def _batch_answers(
    inferred: _PoolCall[Batch, list[Inference]], model: Model, tally: Tally
) -> Iterator[tuple[Job, Photo, Inference]]:
    """Outputs of a batch, or if it failed, one by one."""
    batch = inferred.item
    pairs: list[tuple[tuple[Job, Photo], Inference | None]]
    try:
        pairs = [*zip(batch, inferred.future.result(), strict=True)]
    except FAILURES as error:
        if len(batch) == 1:
            fail(batch[0][0], error, tally)
            return
        pairs = [(photo, None) for photo in batch]
    for (job, photo), answer in pairs:
        if answer is None:
            try:
                [answer] = model.infer([photo])
            except FAILURES as error:
                fail(job, error, tally)
                continue
        yield job, photo, answer
