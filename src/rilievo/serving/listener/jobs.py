"""Work of requests, which is given up when its time is over or its client leaves."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rilievo.serving.listener.request_refusals import GivenUp, Refusal
from rilievo.serving.listener.turns import Turns

T = TypeVar("T")
AnyJob = TypeVar("AnyJob", bound="RequestJob")


@dataclass(slots=True, kw_only=True)
class RequestJob:
    """Request at work.

    Attributes:
        is_heavy: Whether its work takes seconds.
        has_place: Whether its work has begun.
        until: Time at which it is given up, of ``time.monotonic``.
    """

    client: str
    is_heavy: bool = False
    has_place: bool = False
    is_given_up: bool = False
    until: float = math.inf

    def raise_if_given_up(self) -> None:
        """End work that nobody waits for."""
        if self.is_given_up:
            raise GivenUp

    def close(self) -> None:
        """Release what the request holds."""


class Jobs:
    """Work of requests, which ends also if nobody waits."""

    def __init__(self, time_limit: float | int) -> None:
        self._time_limit = time_limit
        self._tasks: set[asyncio.Task[object]] = set()
        self.begun = 0
        """Number of begun requests."""

    @property
    def at_work(self) -> int:
        """Number of requests at work."""
        return len(self._tasks)

    def deadline(self, begun: float) -> float:
        """Time of ``time.monotonic`` at which a request is given up."""
        return begun + self._time_limit

    async def result_in_time(self, until: float, work: Awaitable[T]) -> T:
        """Result of work; refuses it after a deadline."""
        limit = asyncio.timeout_at(until)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise self.too_late_refusal() from None
            raise

    def too_late_refusal(self, seconds: float = 0.0) -> Refusal:
        """Refusal 503; come again after ``seconds``."""
        return Refusal(
            503,
            f"no result after {self._time_limit:g} s: the server is busy, or the model is slow",
            {"Retry-After": str(max(1, round(seconds)))},
        )

    async def wait_for_all(self) -> None:
        """Wait for all work to end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def run_in_turn(
        self,
        turns: Turns,
        job: AnyJob,
        work: Callable[[AnyJob], Awaitable[T]],
        departure: Awaitable[object],
        *,
        unused: Callable[[T], None] = lambda result: None,
    ) -> T:
        """Result of work in a place; given up at departure or deadline."""
        task, leaving = self._start_task(turns, job, work), asyncio.ensure_future(departure)
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
            raise self.too_late_refusal(turns.seconds_to_wait)
        finally:
            leaving.cancel()
            if not task.done():
                job.is_given_up = True
                task.add_done_callback(lambda ended: _dispose_of_result(ended, unused))
                if not job.has_place:
                    task.cancel()

    def _start_task(
        self, turns: Turns, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]
    ) -> "asyncio.Task[T]":
        task = asyncio.create_task(_work_in_place(turns, job, work))
        self.begun += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: job.close())
        return task


async def _work_in_place(turns: Turns, job: AnyJob, work: Callable[[AnyJob], Awaitable[T]]) -> T:
    place = await turns.take(job.client)
    try:
        job.has_place = True
        job.raise_if_given_up()
        return await work(job)
    finally:
        place.give_back()


def _dispose_of_result(task: "asyncio.Task[T]", unused: Callable[[T], None]) -> None:
    if not task.cancelled() and task.exception() is None:
        unused(task.result())
