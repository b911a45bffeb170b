"""Predict many photographs in a pipeline: read, infer, write, and rename files in parallel.

Each stage has threads of its own. The queues between the stages are bounded in number and in
pixels, so that memory stays bounded however many photographs there are.
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
from rilievo.predicting.run_times import RENAME
from rilievo.predicting.summary import FAILURES, Tally, record_failure
from rilievo.records.sample import Photo
from rilievo.system.signals import delay_ctrl_c, handle_if_ctrl_c

MIN_EXPECTED_PIXELS = 6_000_000
"""Minimum size that is assumed for a photograph until it is decoded; the last one's if larger."""
MAX_UNCOMMITTED = 256
"""Maximum number of photographs whose files are written under temporary names, but not renamed yet.
If the run is killed, they are lost."""
Save = Callable[[Job, Photo, Inference], FileSet | None]
"""Function that writes the files of a photograph, and returns those that remain to be renamed."""
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

    The jobs are taken one by one. ``is_depth_sufficient`` tells whether a photograph needs neither
    normals nor confidence. ``at_once`` limits the photographs in one stage at a time, and
    ``waiting_pixels`` the decoded pixels that wait for one stage; None means the defaults.

    Raises:
        KeyboardInterrupt: If the user stops the run, after writes under way are completed.
    """
    max_threads = at_once or MAX_THREADS
    workers = min(thread_count(), max_threads)
    max_pixels = waiting_pixels or MAX_WAITING_PIXELS
    readers: _BoundedPool[Job, Photo] = _BoundedPool(
        workers, "read", max_items=2 * workers + 2, max_pixels=max_pixels
    )
    # The model says how many batches it runs best at a time; with more, they compete for the cores.
    # One more batch waits, so that the network is never idle.
    callers = min(model.callers, max_threads)
    network: _BoundedPool[Batch, list[Inference]] = _BoundedPool(
        callers, "infer", max_items=callers + 1, max_pixels=max_pixels
    )
    writers = _Writers(save, tally, workers, max_pixels)

    def infer(batch: Batch) -> list[Inference]:
        """Run the network on a batch, for depth alone if no photograph needs more."""
        needs_depth_only = all(is_depth_sufficient(job, photo) for job, photo in batch)
        network_model = model.depth_alone() if needs_depth_only else model
        return tally.stopwatch.infer(network_model, [photo for _, photo in batch])

    is_failing = True  # until all batches are inferred
    try:
        with _shutting_down(readers, network, model):
            photos = _read_photos(jobs, read, readers, tally)
            batches = _group_into_batches(photos, batch_size, max_pixels)
            _infer_and_write(batches, network, infer, writers, model)
        is_failing = False
    finally:
        _settle_writers(writers, is_failing=is_failing)


@contextmanager
def _shutting_down(
    readers: "_BoundedPool[Job, Photo]",
    network: "_BoundedPool[Batch, list[Inference]]",
    model: Model,
) -> Iterator[None]:
    """Shut down the pools for reading and for the network at the end of the block.

    Calls that no thread has begun are cancelled. If an error ends the block, the model is
    interrupted, so that calls under way end soon.
    """
    try:
        yield
    except BaseException:
        model.interrupt()
        raise
    finally:
        for pool in (readers, network):
            pool.cancel()
            pool.executor.shutdown()


def _infer_and_write(
    batches: Iterable[Batch],
    network: "_BoundedPool[Batch, list[Inference]]",
    infer: Callable[[Batch], list[Inference]],
    writers: "_Writers",
    model: Model,
) -> None:
    """Let the network infer the batches, and pass its results to the writers in their order.

    While the network's queue is full, the oldest batch is waited for. So reading ahead stops, too.
    """
    for batch in batches:
        network.add(batch, sum(map(_pixel_count, batch)), infer, batch)
        while network.is_full:
            writers.write(network.waiting.popleft(), model)
    while network.waiting:
        writers.write(network.waiting.popleft(), model)


def _settle_writers(writers: "_Writers", *, is_failing: bool) -> None:
    """Complete and count the writes under way, even if the user presses Ctrl-C several times.

    Writes that have not begun are cancelled if the run is failing, or once the user presses Ctrl-C.

    Raises:
        KeyboardInterrupt: If the user pressed Ctrl-C, unless the error of a failing run is raised.
    """
    interruption: KeyboardInterrupt | None = None
    while not writers.is_settled:
        try:
            if is_failing or interruption is not None:
                writers.queue.cancel()
            writers.settle()  # continues where an interruption has stopped it
        except KeyboardInterrupt as error:
            handle_if_ctrl_c(error)
            interruption = error
    if interruption is not None and not is_failing:
        raise interruption


@dataclass(slots=True, eq=False)
class _PoolCall(Generic[Item, Result]):
    """A call that a pool makes for one item, and the number of pixels that it keeps in memory."""

    item: Item
    future: Future[Result]
    pixel_count: int


class _BoundedPool(Generic[Item, Result]):
    """Thread pool whose queue has bounds; its user checks ``is_full`` before ``add``."""

    def __init__(self, threads: int, name: str, *, max_items: int, max_pixels: int) -> None:
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._max_items = max_items
        self._max_pixels = max_pixels
        # Calls in the order in which they were added, until the user removes them.
        self.waiting: deque[_PoolCall[Item, Result]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether the queue has reached its bound on calls or on pixels."""
        pixel_count = sum(call.pixel_count for call in self.waiting)
        return len(self.waiting) >= self._max_items or pixel_count >= self._max_pixels

    def add(
        self, item: Item, pixel_count: int, function: Callable[..., Result], *arguments: object
    ) -> _PoolCall[Item, Result]:
        """Let a thread call a function with these arguments, for an item with so many pixels."""
        call: _PoolCall[Item, Result] = _PoolCall(item, Future(), pixel_count)
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
    """Cancel the future if its submission is interrupted, because then nothing may complete it."""
    try:
        yield
    except BaseException:
        future.cancel()
        raise


def _run_call(
    future: Future[Result], function: Callable[..., Result], arguments: Sequence[object]
) -> None:
    """Call a function unless the future is cancelled, and give the future the result or error."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function(*arguments))
    except BaseException as error:
        future.set_exception(error)


def _read_photos(
    jobs: Iterable[Job], read: Read, readers: _BoundedPool[Job, Photo], tally: Tally
) -> Iterator[tuple[Job, Photo]]:
    """Yield photographs in the order of their jobs, while threads read the next ones.

    Photographs that cannot be read are recorded in the tally and left out.
    """
    remaining_jobs = iter(jobs)
    expected_pixels = MIN_EXPECTED_PIXELS
    _start_reading(remaining_jobs, read, readers, expected_pixels)
    while readers.waiting:
        oldest_call = readers.waiting.popleft()
        try:
            photo = oldest_call.future.result()
        except FAILURES as error:
            record_failure(oldest_call.item, error, tally)
        else:
            # Photographs that follow each other are often from one camera, and equally large.
            expected_pixels = max(math.prod(photo.shape), MIN_EXPECTED_PIXELS)
            yield oldest_call.item, photo
        _start_reading(remaining_jobs, read, readers, expected_pixels)


def _start_reading(
    remaining_jobs: Iterator[Job],
    read: Read,
    readers: _BoundedPool[Job, Photo],
    expected_pixels: int,
) -> None:
    """Let the threads read the next jobs, until their queue is full or no job remains.

    Only a decoded photograph shows how many pixels it keeps in memory. Until then,
    ``expected_pixels`` of it count towards the limit of the queue.
    """
    while not readers.is_full:
        job = next(remaining_jobs, None)
        if job is None:
            return
        call = readers.add(job, expected_pixels, read, job)
        call.future.add_done_callback(partial(_set_pixel_count, call))


def _set_pixel_count(call: _PoolCall[Job, Photo], future: Future[Photo]) -> None:
    """Replace the expected number of pixels by the actual one; 0 if the photograph failed."""
    is_read = not future.cancelled() and not future.exception()
    call.pixel_count = math.prod(future.result().shape) if is_read else 0


def _pixel_count(item: tuple[Job, Photo]) -> int:
    _, photo = item
    return math.prod(photo.shape)


def _group_into_batches(
    photos: Iterable[tuple[Job, Photo]], batch_size: int, max_pixels: int
) -> Iterator[Batch]:
    """Group photographs into batches of ``batch_size``, or fewer if they have too many pixels."""
    batch: list[tuple[Job, Photo]] = []
    pixel_count = 0
    for item in photos:
        batch.append(item)
        pixel_count += _pixel_count(item)
        if len(batch) >= batch_size or pixel_count >= max_pixels:
            yield batch
            batch = []
            pixel_count = 0
    if batch:
        yield batch


class _Writers:
    """Threads that finish and write results, and one that commits (renames) files in groups.

    A group costs a single fsync, however many photographs it has.

    Attributes:
        queue: Results that are being written.
        is_settled: Whether all of them are written, renamed and counted.
    """

    def __init__(self, save: Save, tally: Tally, workers: int, max_pixels: int) -> None:
        self.queue: _BoundedPool[Job, FileSet | None] = _BoundedPool(
            workers, "write", max_items=2 * workers + 2, max_pixels=max_pixels
        )
        self.is_settled = False
        self._save = save
        self._tally = tally
        self._commit = tally.stopwatch.timed(RENAME, commit_all)
        self._commit_executor = ThreadPoolExecutor(1, thread_name_prefix="place")
        self._uncommitted: list[_PoolCall[Job, FileSet | None]] = []
        self._being_committed: list[_PoolCall[Job, FileSet | None]] = []
        self._committing: Future[list[OutputError | None]] | None = None

    def write(self, inferred: _PoolCall[Batch, list[Inference]], model: Model) -> None:
        """Write the results of a batch, as soon as the queue has room for them."""
        for job, photo, inference in _batch_inferences(inferred, model, self._tally):
            while self.queue.is_full:
                self._settle_oldest()
            self.queue.add(job, math.prod(photo.shape), self._save, job, photo, inference)

    def settle(self) -> None:
        """Wait until everything is written, renamed and counted.

        If this is interrupted, it can be called again and continues.
        """
        while self.queue.waiting:
            self._settle_oldest()
        while self._being_committed or self._uncommitted:
            self._commit_group()
        for executor in (self.queue.executor, self._commit_executor):
            executor.shutdown()
        self.is_settled = True

    def _settle_oldest(self) -> None:
        """Wait for the oldest result, and count it or queue it for renaming.

        An interruption loses no result, because it leaves the first queue only after it has
        entered the next one.
        """
        call = self.queue.waiting[0]
        if call.future.cancelled():
            self.queue.waiting.popleft()
            return
        error = call.future.exception()
        if error is None and call.future.result() is not None:
            was_queued_before_interruption = call in self._uncommitted[-1:]
            if not was_queued_before_interruption:
                self._uncommitted.append(call)
            self.queue.waiting.popleft()
            is_idle = self._committing is None or self._committing.done()
            if is_idle or len(self._uncommitted) >= MAX_UNCOMMITTED:
                self._commit_group()
            return
        with delay_ctrl_c():
            self.queue.waiting.popleft()
            if error is None:
                self._tally.done(call.item.target)
            elif isinstance(error, FAILURES):
                record_failure(call.item, error, self._tally)
            else:
                raise error

    def _commit_group(self) -> None:
        """Wait for the group that is being renamed and count it; then start the next group."""
        if self._committing is not None and not self._committing.cancelled():
            self._count_group(self._committing.result())
        # A group whose start was interrupted is still in ``_being_committed``, and goes first.
        self._being_committed, self._uncommitted = self._being_committed + self._uncommitted, []
        if self._being_committed:
            self._start_committing()

    def _count_group(self, errors: Sequence[OutputError | None]) -> None:
        """Count the photographs of the group that was renamed, by their errors or None."""
        with delay_ctrl_c():
            group = self._being_committed
            self._being_committed = []
            self._committing = None
            for call, error in zip(group, errors, strict=True):
                if error is None:
                    self._tally.done(call.item.target)
                else:
                    record_failure(call.item, error, self._tally)

    def _start_committing(self) -> None:
        """Let the thread for renaming commit the files of ``_being_committed``."""
        file_sets = [call.future.result() for call in self._being_committed]
        committing: Future[list[OutputError | None]] = Future()
        with _cancel_if_interrupted(committing):
            self._committing = committing
            self._commit_executor.submit(_run_call, committing, self._commit, (file_sets,))


def _batch_inferences(
    inferred: _PoolCall[Batch, list[Inference]], model: Model, tally: Tally
) -> Iterator[tuple[Job, Photo, Inference]]:
    """Yield the inferences of a batch; if the batch failed, retry each photograph alone."""
    batch = inferred.item
    inferences: list[Inference] | None = None
    try:
        inferences = inferred.future.result()
    except FAILURES as error:
        if len(batch) == 1:
            [(job, _)] = batch
            record_failure(job, error, tally)
            return
    # After the except block, so that errors of the retry are not chained to that of the batch.
    if inferences is None:
        yield from _infer_one_by_one(batch, model, tally)
        return
    for (job, photo), inference in zip(batch, inferences, strict=True):
        yield job, photo, inference


def _infer_one_by_one(
    batch: Batch, model: Model, tally: Tally
) -> Iterator[tuple[Job, Photo, Inference]]:
    """Run the network on each photograph alone, and count those on which it fails."""
    for job, photo in batch:
        try:
            [inference] = model.infer([photo])
        except FAILURES as error:
            record_failure(job, error, tally)
            continue
        yield job, photo, inference
