"""Places at work, and jobs that are given up when nobody waits."""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rilievo.serving.listener.request_refusals import (
    GivenUp,
    Refusal,
    busy_refusal,
    stopping_refusal,
)

_MEMORY = 0.2  # weight of the newest duration in the mean


class Place:
    """Place at work."""

    def __init__(self, give_back: Callable[["Place"], None], client: str) -> None:
        self.client, self.start = client, time.monotonic()
        self._free_place: Callable[[Place], None] | None = give_back

    def give_back(self) -> None:
        """Let the next request work."""
        give_back, self._free_place = self._free_place, None
        if give_back is not None:
            give_back(self)


class Turns:
    """Places, for which clients wait in turn."""

    def __init__(self, most: int, *, waiting: int, spare: int = 0) -> None:
        """Begin with all places free; one client never gets the ``spare`` ones."""
        self._most, self._most_waiting = most, waiting
        self._most_of_one = max(1, most - spare)
        self._at_work: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[asyncio.Future[Place]]] = OrderedDict()
        self._seconds = 0.0

    @property
    def working(self) -> int:
        """Number of taken places."""
        return sum(self._at_work.values())

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def seconds_to_wait(self) -> float:
        """Estimated wait [s]."""
        return (self.waiting + 1) * self._seconds / self._most

    def refuse_if_full(self) -> None:
        """Refuse a request that could not wait."""
        if self.waiting >= self._most_waiting:
            raise busy_refusal(f"{self.waiting} requests are waiting already", self.seconds_to_wait)

    async def take(self, client: str) -> Place:
        """Wait for a place."""
        if self._has_place_for(client) and client not in self._waiting:
            return self._occupy_place(client)
        self.refuse_if_full()
        queue = self._waiting.get(client, deque())
        if len(queue) >= max(1, self._most_waiting // 2):
            raise busy_refusal(
                f"{len(queue)} requests of yours are waiting already", self.seconds_to_wait
            )
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._leave_queue(client, future)
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().give_back()
            raise

    def close(self) -> None:
        """Refuse all that wait."""
        for queue in self._waiting.values():
            for future in queue:
                if not future.done():
                    future.set_exception(stopping_refusal())
        self._waiting.clear()

    def _has_place_for(self, client: str) -> bool:
        return self.working < self._most and self._at_work.get(client, 0) < self._most_of_one

    def _occupy_place(self, client: str) -> Place:
        self._at_work[client] = self._at_work.get(client, 0) + 1
        return Place(self._free_place, client)

    def _free_place(self, place: Place) -> None:
        took = time.monotonic() - place.start
        self._seconds += (_MEMORY if self._seconds else 1.0) * (took - self._seconds)
        self._at_work[place.client] -= 1
        if not self._at_work[place.client]:
            del self._at_work[place.client]
        self._give_places_to_waiting()

    def _give_places_to_waiting(self) -> None:
        while (client := next(filter(self._has_place_for, self._waiting), None)) is not None:
            queue = self._waiting.pop(client)
            future = queue.popleft()
            if queue:  # the client goes to the end of the line
                self._waiting[client] = queue
            if not future.done():
                future.set_result(self._occupy_place(client))

    def _leave_queue(self, client: str, future: asyncio.Future[Place]) -> None:
        queue = self._waiting.get(client)
        if queue is not None and future in queue:
            queue.remove(future)
            if not queue:
                del self._waiting[client]


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
