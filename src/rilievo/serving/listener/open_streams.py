"""Streams that are open, bounded over all clients and for each of them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rilievo.serving.listener.request_refusals import busy

_AGAIN_SECONDS = 10


class OpenStreams:
    """Counts of open streams by client."""

    def __init__(self, most: int, *, most_of_one: int) -> None:
        """Begin without any.

        Args:
            most: Most streams of all clients.
            most_of_one: Most streams of one client.
        """
        self._most, self._most_of_one = most, most_of_one
        self._counts: Counter[str] = Counter()

    def total(self) -> int:
        """Number of open streams."""
        return self._counts.total()

    @contextmanager
    def counted(self, client: str) -> Iterator[None]:
        """Count a stream of a client for as long as the context lasts.

        Raises:
            Refusal: If there are as many as there may be.
        """
        if self.total() >= self._most:
            raise busy(f"{self.total()} streams are open already", _AGAIN_SECONDS)
        own = self._counts[client]
        if own >= self._most_of_one:
            raise busy(f"{own} streams of yours are open already", _AGAIN_SECONDS)
        self._counts[client] += 1
        try:
            yield
        finally:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]
