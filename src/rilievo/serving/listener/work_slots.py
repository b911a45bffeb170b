"""Slots for work, for which the requests of clients wait in turn."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from rilievo.serving.listener.request_refusals import busy_refusal, stopping_refusal

_NEWEST_WEIGHT = 0.2  # weight of the newest duration in the mean


class Slot:
    """Slot that a request has taken."""

    def __init__(self, on_release: Callable[["Slot"], None], client: str) -> None:
        self.client, self.taken_at = client, time.monotonic()
        self._on_release: Callable[[Slot], None] | None = on_release

    def release(self) -> None:
        """Let the next request work; further calls have no effect."""
        on_release, self._on_release = self._on_release, None
        if on_release is not None:
            on_release(self)


class WorkSlots:
    """Slots for work, which clients with waiting requests get one after the other."""

    def __init__(self, count: int, *, waiting: int, spare: int = 0) -> None:
        """Make free slots.

        Args:
            count: Number of slots.
            waiting: Number of requests that may wait; half of them may be of one client.
            spare: Number of slots that one client alone never gets.
        """
        self._count, self._max_waiting = count, waiting
        self._max_per_client = max(1, count - spare)
        self._at_work: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[asyncio.Future[Slot]]] = OrderedDict()
        self._mean_seconds = 0.0

    @property
    def working(self) -> int:
        """Number of taken slots."""
        return sum(self._at_work.values())

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def seconds_to_wait(self) -> float:
        """Estimated time until a new request gets a slot [s]."""
        return (self.waiting + 1) * self._mean_seconds / self._count

    def refuse_if_full(self) -> None:
        """Raise a ``Refusal`` if no further request may wait."""
        if self.waiting >= self._max_waiting:
            raise busy_refusal(f"{self.waiting} requests are waiting already", self.seconds_to_wait)

    async def acquire(self, client: str) -> Slot:
        """Wait for a slot.

        Raises:
            Refusal: If too many requests wait.
        """
        if self._has_slot_for(client) and client not in self._waiting:
            return self._take_slot(client)
        self.refuse_if_full()
        queue = self._waiting.get(client, deque())
        if len(queue) >= max(1, self._max_waiting // 2):
            raise busy_refusal(
                f"{len(queue)} requests of yours are waiting already", self.seconds_to_wait
            )
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._leave_queue(client, future)
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().release()
            raise

    def close(self) -> None:
        """Refuse all requests that wait, because the server stops."""
        for queue in self._waiting.values():
            for future in queue:
                if not future.done():
                    future.set_exception(stopping_refusal())
        self._waiting.clear()

    def _has_slot_for(self, client: str) -> bool:
        return self.working < self._count and self._at_work.get(client, 0) < self._max_per_client

    def _take_slot(self, client: str) -> Slot:
        self._at_work[client] = self._at_work.get(client, 0) + 1
        return Slot(self._free_slot, client)

    def _free_slot(self, slot: Slot) -> None:
        seconds = time.monotonic() - slot.taken_at
        weight = _NEWEST_WEIGHT if self._mean_seconds else 1.0
        self._mean_seconds += weight * (seconds - self._mean_seconds)
        self._at_work[slot.client] -= 1
        if not self._at_work[slot.client]:
            del self._at_work[slot.client]
        self._give_slots_to_waiting()

    def _give_slots_to_waiting(self) -> None:
        while (client := next(filter(self._has_slot_for, self._waiting), None)) is not None:
            queue = self._waiting.pop(client)
            future = queue.popleft()
            if queue:  # the client goes to the end of the line
                self._waiting[client] = queue
            if not future.done():
                future.set_result(self._take_slot(client))

    def _leave_queue(self, client: str, future: asyncio.Future[Slot]) -> None:
        queue = self._waiting.get(client)
        if queue is not None and future in queue:
            queue.remove(future)
            if not queue:
                del self._waiting[client]
