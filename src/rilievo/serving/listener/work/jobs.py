"""Jobs: the work of requests, which is given up when its time is over or its client leaves."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rilievo.serving.listener.request_refusals import GivenUp, Refusal
from rilievo.serving.listener.work.turns import Turns

T = TypeVar("T")
AnyJob = TypeVar("AnyJob", bound="RequestJob")


@dataclass(slots=True, kw_only=True)
class RequestJob:
    """One request at work.

    Attributes:
        client: Name of the client that asks.
        is_heavy: Whether its work takes seconds.
        has_place: Whether its work has begun.
        is_given_up: Whether nobody waits for it any more; the next step does not begin then.
        until: Time at which the request is given up, of ``time.monotonic``.
    """

    client: str
    is_heavy: bool = False
    has_place: bool = False
    is_given_up: bool = False
    until: float = math.inf

    def check(self) -> None:
        """End work that nobody waits for."""
        if self.is_given_up:
            raise GivenUp

    def close(self) -> None:
        """Release what the request holds; called when the work ends."""


class Jobs:
    """Work of requests that goes on, also where nobody waits for it any more."""

    def __init__(self, time_limit: float | int) -> None:
        self._time_limit = time_limit
        self._tasks: set[asyncio.Task[object]] = set()
        self.begun = 0
        """Number of requests whose work has begun so far."""

    @property
    def at_work(self) -> int:
        """Number of requests whose work has not ended."""
        return len(self._tasks)

    def deadline(self, begun: float) -> float:
        """Time at which a request that began at another is given up, of ``time.monotonic``."""
        return begun + self._time_limit

    async def in_time(self, until: float, work: Awaitable[T]) -> T:
        """The result of work that is given up at a time, of ``time.monotonic``."""
        limit = asyncio.timeout_at(until)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise self.too_late() from None
            raise

    def too_late(self, seconds: float = 0.0) -> Refusal:
        """The refusal of a request whose time is over, with the time after which to try again."""
        return Refusal(
            503,
            f"no result after {self._time_limit:g} s: the server is busy, or the model is slow",
            {"Retry-After": str(max(1, round(seconds)))},
        )

    async def finish(self) -> None:
        """Wait for the work to end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def in_turn(
        self,
        turns: Turns,
        job: AnyJob,
        work: Callable[[AnyJob], Awaitable[T]],
        left: Awaitable[object],
        *,
        unused: Callable[[T], None] = lambda result: None,
    ) -> T:
        """Do the work of a request once there is a place for it.

        The place is taken until the work has really ended: a thread cannot be stopped.
        """
        task, leaving = self._started(turns, job, work), asyncio.ensure_future(left)
        try:
            await asyncio.wait(
                {task, leaving},
                timeout=max(0.0, min(job.until - time.monotonic(), self._time_limit)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if leaving.done():
                raise GivenUp
            raise self.too_late(turns.seconds_to_wait)
        finally:
            leaving.cancel()
            if not task.done():
                job.is_given_up = True
                task.add_done_callback(lambda ended: _tidy(ended, unused))
                if not job.has_place:
                    task.cancel()

    def _started(
        self, turns: Turns, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]
    ) -> "asyncio.Task[T]":
        task = asyncio.create_task(_placed(turns, job, work))
        self.begun += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: job.close())
        return task


async def _placed(turns: Turns, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]) -> T:
    place = await turns.take(job.client)
    try:
        job.has_place = True
        job.check()
        return await work(job)
    finally:
        place.give_back()


def _tidy(task: "asyncio.Task[T]", unused: Callable[[T], None]) -> None:
    """Take note of how work ended that nobody waits for."""
    if not task.cancelled() and task.exception() is None:
        unused(task.result())
