"""Work for requests, which is given up when its time is over or its client leaves."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rilievo.serving.listener.request_refusals import GivenUp, Refusal
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
        is_given_up: Whether nobody waits for its result any more.
        deadline: Time of ``time.monotonic`` at which it is given up.
    """

    client: str
    is_heavy: bool = False
    has_slot: bool = False
    is_given_up: bool = False
    deadline: float = math.inf

    def raise_if_given_up(self) -> None:
        """Raise ``GivenUp`` if nobody waits for the result."""
        if self.is_given_up:
            raise GivenUp

    def close(self) -> None:
        """Release what the request holds."""


class Jobs:
    """The work for all requests of a server."""

    def __init__(self, time_limit: float | int) -> None:
        self._time_limit = time_limit
        self._tasks: set[asyncio.Task[object]] = set()
        self.started = 0
        """Number of requests whose work was started."""

    @property
    def at_work(self) -> int:
        """Number of requests at work."""
        return len(self._tasks)

    def deadline_after(self, start: float) -> float:
        """Time at which a request that arrived at ``start`` is given up (``time.monotonic``)."""
        return start + self._time_limit

    async def result_in_time(self, deadline: float, work: Awaitable[T]) -> T:
        """Wait for the result of work.

        Raises:
            Refusal: If there is none at the deadline.
        """
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise self.too_late_refusal() from None
            raise

    def too_late_refusal(self, seconds: float = 0.0) -> Refusal:
        """Refusal for a request without a result in time; it may come again after ``seconds``."""
        return Refusal(
            503,
            f"no result after {self._time_limit:g} s: the server is busy, or the model is slow",
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
        departure: Awaitable[object],
        *,
        unused: Callable[[T], None] = lambda result: None,
    ) -> T:
        """Wait for a slot, do work in it, and return its result.

        Args:
            slots: Slots of such work.
            job: Request.
            work: Function that does the work.
            departure: Ends when the client leaves.
            unused: Function that disposes of a result for which nobody waits any more.

        Raises:
            GivenUp: If the client leaves.
            Refusal: If there is no result at the job's deadline.
        """
        task = self._start_task(slots, job, work)
        leaving = asyncio.ensure_future(departure)
        try:
            await asyncio.wait(
                {task, leaving},
                timeout=max(0.0, min(job.deadline - time.monotonic(), self._time_limit)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if leaving.done():
                raise GivenUp
            raise self.too_late_refusal(slots.seconds_to_wait)
        finally:
            leaving.cancel()
            if not task.done():
                job.is_given_up = True
                task.add_done_callback(lambda ended: _dispose_of_result(ended, unused))
                if not job.has_slot:
                    task.cancel()

    def _start_task(
        self, slots: WorkSlots, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]
    ) -> "asyncio.Task[T]":
        task = asyncio.create_task(_work_in_slot(slots, job, work))
        self.started += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: job.close())
        return task


async def _work_in_slot(slots: WorkSlots, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]) -> T:
    slot = await slots.acquire(job.client)
    try:
        job.has_slot = True
        job.raise_if_given_up()
        return await work(job)
    finally:
        slot.release()


def _dispose_of_result(task: "asyncio.Task[T]", unused: Callable[[T], None]) -> None:
    if not task.cancelled() and task.exception() is None:
        unused(task.result())
