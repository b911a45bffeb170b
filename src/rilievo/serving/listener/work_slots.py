"""Slots that limit how many requests are worked on at a time, and are given to clients in turn."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from rilievo.errors.messages import count_text
from rilievo.serving.listener.request_refusals import busy_refusal, server_stopping_refusal

_NEWEST_WEIGHT = 0.2  # weight of the newest duration in the mean


class Slot:
    """Slot that a request has taken."""

    def __init__(self, on_release: Callable[["Slot"], None], client: str) -> None:
        self.client = client
        self.taken_at = time.monotonic()
        self._on_release: Callable[[Slot], None] | None = on_release

    def release(self) -> None:
        """Pass the slot on to the next request; further calls have no effect."""
        on_release = self._on_release
        self._on_release = None
        if on_release is not None:
            on_release(self)


class WorkSlots:
    """Fair semaphore: waiting clients get free slots one after the other (round robin)."""

    def __init__(self, count: int, *, waiting: int, spare: int = 0) -> None:
        """Make free slots.

        Args:
            count: Number of slots.
            waiting: Number of requests that may wait; one client may have half of them.
            spare: Number of slots that stay free for others while one client takes all the rest.
        """
        self._count = count
        self._max_waiting = waiting
        self._max_per_client = max(1, count - spare)
        self._num_taken: dict[str, int] = {}  # by client
        self._waiting: OrderedDict[str, deque[asyncio.Future[Slot]]] = OrderedDict()
        self._mean_seconds = 0.0

    @property
    def working(self) -> int:
        """Number of taken slots."""
        return sum(self._num_taken.values())

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
            waiting_requests = count_text(self.waiting, "waiting request")
            raise busy_refusal(f"the server already has {waiting_requests}", self.seconds_to_wait)

    async def acquire(self, client: str) -> Slot:
        """Wait for a slot and take it."""
        if self._has_slot_for(client) and client not in self._waiting:
            return self._take_slot(client)
        self.refuse_if_full()
        queue = self._waiting.get(client, deque())
        if len(queue) >= max(1, self._max_waiting // 2):
            raise busy_refusal(
                f"you already have {count_text(len(queue), 'waiting request')}",
                self.seconds_to_wait,
            )
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._leave_queue(client, future)
            # The slot may have been given just before the request was cancelled.
            has_slot = future.done() and not future.cancelled() and future.exception() is None
            if has_slot:
                future.result().release()
            raise

    def close(self) -> None:
        """Refuse all requests that wait, because the server stops."""
        for queue in self._waiting.values():
            for future in queue:
                if not future.done():
                    future.set_exception(server_stopping_refusal())
        self._waiting.clear()

    def _has_slot_for(self, client: str) -> bool:
        return self.working < self._count and self._num_taken.get(client, 0) < self._max_per_client

    def _take_slot(self, client: str) -> Slot:
        self._num_taken[client] = self._num_taken.get(client, 0) + 1
        return Slot(self._free_slot, client)

    def _free_slot(self, slot: Slot) -> None:
        """Update the mean duration of work, and give the slot to a waiting request."""
        seconds = time.monotonic() - slot.taken_at
        weight = _NEWEST_WEIGHT if self._mean_seconds else 1.0
        self._mean_seconds += weight * (seconds - self._mean_seconds)
        self._num_taken[slot.client] -= 1
        if not self._num_taken[slot.client]:
            del self._num_taken[slot.client]
        self._give_slots_to_waiting()

    def _give_slots_to_waiting(self) -> None:
        """Give free slots to the first requests of the clients, in the order of the queue."""
        while (client := next(filter(self._has_slot_for, self._waiting), None)) is not None:
            queue = self._waiting.pop(client)
            future = queue.popleft()
            if queue:  # the client goes to the end of the queue
                self._waiting[client] = queue
            if not future.done():
                future.set_result(self._take_slot(client))

    def _leave_queue(self, client: str, future: asyncio.Future[Slot]) -> None:
        queue = self._waiting.get(client)
        if queue is not None and future in queue:
            queue.remove(future)
            if not queue:
                del self._waiting[client]
