"""A stream of photographs: reading, the network, writing and renaming run beside each other.

Each stage has threads of its own. Photographs wait between stages in queues that are bounded in
number and in pixels, so that memory stays bounded however long the stream is.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from rilievo.errors import OutputError
from rilievo.io.files.commit import FileSet, commit_all
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job
from rilievo.predicting.photographs.photo_memory import (
    MAX_THREADS,
    MAX_WAITING_PIXELS,
    thread_count,
)
from rilievo.predicting.run_times import PLACE
from rilievo.predicting.summary import FAILURES, Tally, fail
from rilievo.records.sample import Photo
from rilievo.system.signals import delay_ctrl_c, handle_if_ctrl_c

MIN_EXPECTED_PIXELS = 6_000_000
"""Pixels that a photograph is taken to have until it is decoded, if the last one was smaller."""
MAX_UNPLACED = 256
"""Most photographs whose files are written but not yet renamed, and which a kill would lose."""
Save = Callable[[Job, Photo, Inference], FileSet | None]
"""Function that writes the files of an answer, and returns those that remain to be renamed."""
Read = Callable[[Job], Photo]
"""Function that reads a photograph."""
Batch = Sequence[tuple[Job, Photo]]
"""Photographs that the network takes together."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def predict_photos(
    jobs: Iterable[Job],
    model: Model,
    tally: Tally,
    *,
    batch_size: int,
    read: Read,
    save: Save,
    is_depth_sufficient: Callable[[Job, Photo], bool] = lambda job, photo: False,
    at_once: int | None = None,
    waiting_pixels: int | None = None,
) -> None:
    """Predict the photographs of all jobs, and count what is done and what fails.

    Args:
        jobs: Jobs, which are taken one by one.
        model: Refined model.
        tally: Counter of the run.
        batch_size: Photographs that the network takes together.
        read: Function that reads a photograph.
        save: Function that writes the files of an answer.
        is_depth_sufficient: Function that tells whether a photograph needs neither normals nor
            confidence.
        at_once: Most photographs in one stage at a time; None for the usual number.
        waiting_pixels: Most decoded pixels that wait for one stage; None for the usual number.

    Raises:
        KeyboardInterrupt: If the user stops the run, after writes under way are completed.
    """
    max_threads = at_once or MAX_THREADS
    workers = min(thread_count(), max_threads)
    max_pixels = waiting_pixels or MAX_WAITING_PIXELS
    readers: _BoundedPool[Job, Photo] = _BoundedPool(
        workers, "read", max_items=2 * workers + 2, max_pixels=max_pixels
    )
    # As many batches at a time as the model has callers: more take the cores from each other. One
    # more waits already, so that the network is never idle.
    callers = min(model.callers, max_threads)
    network: _BoundedPool[Batch, list[Inference]] = _BoundedPool(
        callers, "infer", max_items=callers + 1, max_pixels=max_pixels
    )
    writers = _Writers(save, tally, workers, max_pixels)

    def infer(batch: Batch) -> list[Inference]:
        needs_depth_only = all(is_depth_sufficient(job, photo) for job, photo in batch)
        network_model = model.depth_alone() if needs_depth_only else model
        return tally.stopwatch.infer(network_model, [photo for _, photo in batch])

    is_failing = False
    try:
        photos = _read_photos(jobs, read, readers, tally)
        try:
            for batch in _group_into_batches(photos, batch_size, max_pixels):
                network.add(batch, sum(map(_pixel_count, batch)), infer, batch)
                while network.is_full:
                    writers.write(network.waiting.popleft(), model)
            while network.waiting:
                writers.write(network.waiting.popleft(), model)
        except BaseException:
            model.interrupt()
            raise
        finally:
            for pool in (readers, network):
                pool.cancel()
                pool.executor.shutdown()
    except BaseException:
        is_failing = True
        raise
    finally:
        _settle_writers(writers, is_failing=is_failing)


def _settle_writers(writers: "_Writers", *, is_failing: bool) -> None:
    """Complete and count the writes under way, however often that is interrupted.

    Raises:
        KeyboardInterrupt: If it was interrupted, unless the run fails anyway.
    """
    interruption: KeyboardInterrupt | None = None
    while not writers.is_settled:
        try:
            if is_failing or interruption is not None:
                writers.queue.cancel()
            writers.settle()
        except KeyboardInterrupt as error:
            handle_if_ctrl_c(error)
            interruption = error
    if interruption is not None and not is_failing:
        raise interruption


@dataclass(slots=True, eq=False)
class _PoolCall(Generic[Item, Result]):
    """A call that a pool makes for one item, and the pixels that it keeps in memory."""

    item: Item
    future: Future[Result]
    pixels: int


class _BoundedPool(Generic[Item, Result]):
    """Threads that make calls, whose number and pixels the caller bounds with ``is_full``.

    Attributes:
        waiting: Calls in the order in which they were added, until the caller takes them out.
    """

    def __init__(self, threads: int, name: str, *, max_items: int, max_pixels: int) -> None:
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._max_items = max_items
        self._max_pixels = max_pixels
        self.waiting: deque[_PoolCall[Item, Result]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether the calls that wait reach a bound."""
        pixels = sum(call.pixels for call in self.waiting)
        return len(self.waiting) >= self._max_items or pixels >= self._max_pixels

    def add(
        self, item: Item, pixels: int, function: Callable[..., Result], *arguments: object
    ) -> _PoolCall[Item, Result]:
        """Let a thread call a function for an item."""
        call: _PoolCall[Item, Result] = _PoolCall(item, Future(), pixels)
        with _cancel_if_interrupted(call.future):
            self.waiting.append(call)
            self.executor.submit(_run_call, call.future, function, arguments)
        return call

    def cancel(self) -> None:
        """Cancel the calls that no thread has begun."""
        for call in self.waiting:
            call.future.cancel()


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
    """Call a function, and give its result or its error to a future that is not cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function(*arguments))
    except BaseException as error:
        future.set_exception(error)


def _read_photos(
    jobs: Iterable[Job], read: Read, readers: _BoundedPool[Job, Photo], tally: Tally
) -> Iterator[tuple[Job, Photo]]:
    """Yield photographs in the order of their jobs, reading ahead; count those that fail."""
    remaining = iter(jobs)
    expected_pixels = MIN_EXPECTED_PIXELS
    while True:
        while not readers.is_full:
            job = next(remaining, None)
            if job is None:
                break
            call = readers.add(job, expected_pixels, read, job)
            call.future.add_done_callback(partial(_set_pixel_count, call))
        if not readers.waiting:
            return

        call = readers.waiting.popleft()
        try:
            photo = call.future.result()
        except FAILURES as error:
            fail(call.item, error, tally)
            continue
        expected_pixels = max(math.prod(photo.shape), MIN_EXPECTED_PIXELS)
        yield call.item, photo


def _set_pixel_count(call: _PoolCall[Job, Photo], future: Future[Photo]) -> None:
    """Replace the expected number of pixels by that of the photograph; 0 if it failed."""
    is_read = not future.cancelled() and not future.exception()
    call.pixels = math.prod(future.result().shape) if is_read else 0


def _pixel_count(item: tuple[Job, Photo]) -> int:
    _, photo = item
    return math.prod(photo.shape)


def _group_into_batches(
    photos: Iterable[tuple[Job, Photo]], batch_size: int, max_pixels: int
) -> Iterator[Batch]:
    """Group photographs into batches, which are smaller if the photographs are large."""
    batch: list[tuple[Job, Photo]] = []
    pixels = 0
    for item in photos:
        batch.append(item)
        pixels += _pixel_count(item)
        if len(batch) >= batch_size or pixels >= max_pixels:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


class _Writers:
    """Threads that finish and write answers, and one that renames their files in groups.

    Renaming a group costs one synchronisation of the disk, however many photographs it has.

    Attributes:
        queue: Answers that are being written.
        is_settled: Whether all of them are written, renamed and counted.
    """

    def __init__(self, save: Save, tally: Tally, workers: int, max_pixels: int) -> None:
        self.queue: _BoundedPool[Job, FileSet | None] = _BoundedPool(
            workers, "write", max_items=2 * workers + 2, max_pixels=max_pixels
        )
        self.is_settled = False
        self._save = save
        self._tally = tally
        self._place = tally.stopwatch.timed(PLACE, commit_all)
        self._placing_executor = ThreadPoolExecutor(1, thread_name_prefix="place")
        self._unplaced: list[_PoolCall[Job, FileSet | None]] = []
        self._being_placed: list[_PoolCall[Job, FileSet | None]] = []
        self._placing: Future[list[OutputError | None]] | None = None

    def write(self, inferred: _PoolCall[Batch, list[Inference]], model: Model) -> None:
        """Write the answers of a batch, as soon as the queue has room for them."""
        for job, photo, inference in _answers_of_batch(inferred, model, self._tally):
            while self.queue.is_full:
                self._settle_oldest()
            self.queue.add(job, math.prod(photo.shape), self._save, job, photo, inference)

    def settle(self) -> None:
        """Wait until everything is written, renamed and counted; may be called again."""
        while self.queue.waiting:
            self._settle_oldest()
        while self._being_placed or self._unplaced:
            self._place_group()
        for executor in (self.queue.executor, self._placing_executor):
            executor.shutdown()
        self.is_settled = True

    def _settle_oldest(self) -> None:
        """Wait for the oldest answer, and count it or hand it on for renaming.

        An interruption loses none: the answer leaves the queue only after it was handed on.
        """
        call = self.queue.waiting[0]
        if call.future.cancelled():
            self.queue.waiting.popleft()
            return
        error = call.future.exception()
        if error is None and call.future.result() is not None:
            was_handed_on = call in self._unplaced[-1:]  # before an interruption
            if not was_handed_on:
                self._unplaced.append(call)
            self.queue.waiting.popleft()
            is_idle = self._placing is None or self._placing.done()
            if is_idle or len(self._unplaced) >= MAX_UNPLACED:
                self._place_group()
            return
        with delay_ctrl_c():
            self.queue.waiting.popleft()
            if error is None:
                self._tally.done(call.item.target)
            elif isinstance(error, FAILURES):
                fail(call.item, error, self._tally)
            else:
                raise error

    def _place_group(self) -> None:
        """Wait for the group that is being renamed and count it; then start the next group."""
        if self._placing is not None and not self._placing.cancelled():
            errors = self._placing.result()
            with delay_ctrl_c():
                group, self._being_placed, self._placing = self._being_placed, [], None
                for call, error in zip(group, errors, strict=True):
                    if error is None:
                        self._tally.done(call.item.target)
                    else:
                        fail(call.item, error, self._tally)

        # A group whose start was interrupted is still in ``_being_placed``, and goes first.
        self._being_placed, self._unplaced = self._being_placed + self._unplaced, []
        if self._being_placed:
            file_sets = [call.future.result() for call in self._being_placed]
            placing: Future[list[OutputError | None]] = Future()
            with _cancel_if_interrupted(placing):
                self._placing = placing
                self._placing_executor.submit(_run_call, placing, self._place, (file_sets,))


def _answers_of_batch(
    inferred: _PoolCall[Batch, list[Inference]], model: Model, tally: Tally
) -> Iterator[tuple[Job, Photo, Inference]]:
    """Yield the answers of a batch; if the network failed on it, those of each photograph alone."""
    batch = inferred.item
    try:
        answers = [*zip(batch, inferred.future.result(), strict=True)]
    except FAILURES as error:
        if len(batch) == 1:
            fail(batch[0][0], error, tally)
            return
        answers = None
    if answers is None:
        yield from _answers_one_by_one(batch, model, tally)
        return
    for (job, photo), answer in answers:
        yield job, photo, answer


def _answers_one_by_one(
    batch: Batch, model: Model, tally: Tally
) -> Iterator[tuple[Job, Photo, Inference]]:
    """Run the network on each photograph alone, and count those on which it fails."""
    for job, photo in batch:
        try:
            [answer] = model.infer([photo])
        except FAILURES as error:
            fail(job, error, tally)
            continue
        yield job, photo, answer
