"""HTTP connections of uvicorn that do not wait for ever.

uvicorn ends a connection that is idle between two requests. Here one is ended too that sends no
request, or part of a head, and one that does not take the rest of an answer that was broken off.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Time in which the head of a request must come, and a closing connection must end."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol with a time limit on heads of requests."""

    _limit: asyncio.TimerHandle | None = None
    _ending: asyncio.TimerHandle | None = None
    _was_closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()
        self._look_at_end()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is complete ends the waiting."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        for timer in (self._limit, self._ending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        is_waiting = self.conn.their_state is h11.IDLE
        if is_waiting and self._limit is None:
            self._limit = self.loop.call_later(HEAD_SECONDS, self._end)
        elif not is_waiting and self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _look_at_end(self) -> None:
        """Cut a connection that has been closing since the last look."""
        if self._was_closing:
            self.transport.abort()
            return
        self._was_closing = self.transport.is_closing()
        self._ending = self.loop.call_later(HEAD_SECONDS, self._look_at_end)

    def _end(self) -> None:
        self._limit = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()
