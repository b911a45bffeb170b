"""Work for requests, which is given up when its time is over or its client leaves."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rilievo.serving.listener.request_refusals import JobCancelled, Refusal
from rilievo.serving.listener.work_slots import WorkSlots

T = TypeVar("T")
AnyJob = TypeVar("AnyJob", bound="RequestJob")


@dataclass(slots=True, kw_only=True)
class RequestJob:
    """Request whose work waits or runs.

    Attributes:
        client: Client of the request.
        is_heavy: Whether its work takes seconds.
        has_slot: Whether its work has begun.
        is_cancelled: Whether nobody waits for its result any more.
        deadline: Time of ``time.monotonic`` at which it is given up.
    """

    client: str
    is_heavy: bool = False
    has_slot: bool = False
    is_cancelled: bool = False
    deadline: float = math.inf

    def raise_if_cancelled(self) -> None:
        """Raise ``JobCancelled`` if nobody waits for the result."""
        if self.is_cancelled:
            raise JobCancelled

    def close(self) -> None:
        """Release what the request holds."""


class Jobs:
    """The work for all requests of a server."""

    def __init__(self, time_limit: float | int) -> None:
        self._time_limit = time_limit
        self._tasks: set[asyncio.Task[object]] = set()
        self.num_started = 0
        """Number of requests whose work was started."""

    @property
    def num_running(self) -> int:
        """Number of requests whose work waits or runs."""
        return len(self._tasks)

    def deadline_after(self, start: float) -> float:
        """Deadline of a request that arrived at ``start``, both as times of ``time.monotonic``."""
        return start + self._time_limit

    async def result_in_time(self, deadline: float, work: Awaitable[T]) -> T:
        """Wait for the result of work; raise a ``Refusal`` at the deadline."""
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise self.too_late_refusal() from None
            raise  # a timeout of the work itself

    def too_late_refusal(self, seconds: float = 0.0) -> Refusal:
        """Refusal for a request that took too long; its client may retry after ``seconds``."""
        return Refusal(
            503,
            f"no result after {self._time_limit:g} s, because the server is busy or the model is "
            "slow: try again later, or use a faster model",
            {"Retry-After": str(max(1, round(seconds)))},
        )

    async def wait_for_all(self) -> None:
        """Wait for all work to end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run_in_slot(
        self,
        slots: WorkSlots,
        job: AnyJob,
        work: Callable[[AnyJob], Awaitable[T]],
        disconnect: Awaitable[object],
        *,
        dispose: Callable[[T], None] = lambda result: None,
    ) -> T:
        """Wait for a slot, do work in it, and return its result.

        Work that has begun is never interrupted, because threads cannot be stopped. If its client
        leaves or the deadline passes, it finds ``job.is_cancelled`` set, and keeps its slot until
        it has ended.

        Args:
            slots: Slots of which the job takes one.
            job: Job.
            work: Function that does the work.
            disconnect: Awaitable that completes when the client leaves.
            dispose: Function that gets the result of work for which nobody waits any more.

        Raises:
            JobCancelled: If the client leaves.
            Refusal: If there is no result at the job's deadline.
        """
        task = self._start_task(slots, job, work)
        leaving = asyncio.ensure_future(disconnect)
        seconds_left = max(0.0, min(job.deadline - time.monotonic(), self._time_limit))
        try:
            await asyncio.wait(
                {task, leaving}, timeout=seconds_left, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            if leaving.done():
                raise JobCancelled
            raise self.too_late_refusal(slots.seconds_to_wait)
        finally:
            leaving.cancel()
            if not task.done():
                _give_up(task, job, dispose)

    def _start_task(
        self, slots: WorkSlots, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]
    ) -> "asyncio.Task[T]":
        task = asyncio.create_task(_work_in_slot(slots, job, work))
        self.num_started += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: job.close())
        return task


async def _work_in_slot(slots: WorkSlots, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]) -> T:
    slot = await slots.acquire(job.client)
    try:
        job.has_slot = True
        job.raise_if_cancelled()
        return await work(job)
    finally:
        slot.release()


def _give_up(task: "asyncio.Task[T]", job: RequestJob, dispose: Callable[[T], None]) -> None:
    """Cancel a task that still waits for a slot; let one that has begun end without its client."""
    job.is_cancelled = True
    task.add_done_callback(lambda ended: _dispose_of_result(ended, dispose))
    if not job.has_slot:
        task.cancel()


def _dispose_of_result(task: "asyncio.Task[T]", dispose: Callable[[T], None]) -> None:
    if not task.cancelled() and task.exception() is None:
        dispose(task.result())
