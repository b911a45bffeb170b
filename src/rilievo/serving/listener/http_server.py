"""HTTP server of every listener."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rilievo.serving.listener.connections import Connections
from rilievo.serving.listener.listening import AddressOptions
from rilievo.serving.listener.request_refusals import PROBLEM, Refusal, problem_of
from rilievo.serving.listener.stopping import GRACE, StoppableServer

HEAD_SECONDS = 10.0
"""Time for the head of a request, and for closing a connection."""

_TOO_MANY = problem_of(
    Refusal(429, "too many connections from this address: close some, or use them again")
)
_REFUSED = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: %b\r\nRetry-After: 1\r\n%b"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b"
)
# It is sent before any head is read, so that it cannot name an origin; it tells nothing else.
_FOR_PAGES = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n"


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol with limits on heads and on connections of an address."""

    counted = Connections(1_000_000)
    """Connections of the server, set by ``counting``."""
    for_pages = b""
    """Headers for pages of other origins, set by ``counting``."""
    _counts_for = ""
    _is_refused = False
    _limit: asyncio.TimerHandle | None = None
    _ending: asyncio.TimerHandle | None = None
    _was_closing = False

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        client = self.counted.take(self.client[0] if self.client else "")
        if client is None:
            # uvicorn's own limit is over all clients: those refused must not count for it.
            self.connections.discard(self)
            self._is_refused = True
            parts = PROBLEM.encode(), self.for_pages, len(_TOO_MANY), _TOO_MANY
            transport.write(_REFUSED % parts)
            transport.close()
            self._ending = self.loop.call_later(HEAD_SECONDS, transport.abort)
            return
        self._counts_for = client
        self._watch()
        self._look_at_end()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a complete head ends the waiting."""
        if self._is_refused:
            return
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
        self._give_back()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection to a stream."""
        self._give_back()
        super().handle_websocket_upgrade(event)

    def _give_back(self) -> None:
        client, self._counts_for = self._counts_for, ""
        self.counted.give_back(client)

    def _watch(self) -> None:
        is_waiting = self.conn.their_state is h11.IDLE
        if is_waiting and self._limit is None:
            self._limit = self.loop.call_later(HEAD_SECONDS, self._end)
        elif not is_waiting and self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _look_at_end(self) -> None:
        if self._was_closing:
            self.transport.abort()
            return
        self._was_closing = self.transport.is_closing()
        self._ending = self.loop.call_later(HEAD_SECONDS, self._look_at_end)

    def _end(self) -> None:
        self._limit = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()


def counting(connections: Connections, *, for_pages: bool) -> type[ImpatientProtocol]:
    """Protocol of one server, with its connections."""
    members = {"counted": connections, "for_pages": _FOR_PAGES if for_pages else b""}
    return type("Counting", (ImpatientProtocol,), members)


_BACKLOG = 512
_MOST_CONNECTIONS = 1000


def http_server(
    app: ASGIApp,
    options: AddressOptions,
    *,
    connections: int,
    frame_bytes: int = 0,
    folder: Path | None = None,
    abandon: Callable[[], None] = lambda: None,
) -> StoppableServer:
    """Make the server of an application.

    Args:
        app: Application within its guard.
        options: Address of the server, and its proxies.
        connections: Most open connections of one address.
        frame_bytes: Largest message over a WebSocket; 0 for none.
        folder: Folder with all files of the server.
        abandon: Function that ends other processes of the server.
    """
    config = uvicorn.Config(
        app,
        http=counting(
            Connections(connections, options.proxies), for_pages=bool(options.calling_origins)
        ),
        ws="websockets-sansio" if frame_bytes else "none",
        ws_max_size=frame_bytes,
        ws_max_queue=2,
        ws_per_message_deflate=False,
        log_level="critical",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=options.proxies,
        root_path=options.root_path,
        backlog=_BACKLOG,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
    )
    return StoppableServer(config, folder, abandon)
