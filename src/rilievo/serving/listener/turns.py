"""Places at work, for which clients wait in turn."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from rilievo.serving.listener.request_refusals import busy_refusal, stopping_refusal

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
