"""HTTP server of every listener, which ends in time."""

import asyncio
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rilievo.serving.listener.connections import Connections, IdleOrder, client_name
from rilievo.serving.listener.listening import AddressOptions
from rilievo.serving.listener.process import EXIT_CODES, LAST_SECONDS, raise_limit_of_open_files
from rilievo.serving.listener.request_refusals import PROBLEM, Refusal, problem_json
from rilievo.system.signals import is_repeated_signal

GRACE = 5
"""Seconds that requests have to end; containers have 10."""
_REMOVING_SECONDS = 1.0


class StoppableServer(uvicorn.Server):
    """uvicorn's server, which ends seconds after a signal in any case."""

    def __init__(
        self,
        config: uvicorn.Config,
        folder: Path | None,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._folder, self._abandon = folder, abandon
        self._is_interrupted = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until stopped.

        Raises:
            KeyboardInterrupt: If Ctrl-C stopped it.
        """
        super().run(sockets)
        if self._is_interrupted:
            raise KeyboardInterrupt

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End connections; after a second Ctrl-C, abort them."""
        if self.force_exit:
            for connection in [*self.server_state.connections]:
                connection.transport.abort()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; force it at a second Ctrl-C, or after seconds."""
        if is_repeated_signal():
            return
        is_first, self._is_interrupted = not self.should_exit, sig == signal.SIGINT
        self.force_exit, self.should_exit = not is_first and self._is_interrupted, True
        if is_first:
            timer = threading.Timer(LAST_SECONDS, self._abandon_and_exit, (EXIT_CODES[sig],))
            timer.daemon = True
            timer.start()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop, from another thread; the rest is cancelled after ``GRACE``, or at once."""
        self.force_exit, self.should_exit = at_once, True

    def _abandon_and_exit(self, code: int) -> None:
        try:
            self._abandon()
            if self._folder is not None:
                _remove_folder_with_retries(self._folder)
        finally:
            os._exit(code)


def _remove_folder_with_retries(folder: Path) -> None:
    end = time.monotonic() + _REMOVING_SECONDS
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)


HEAD_SECONDS = 10.0
"""Time for the head of a request, and for closing a connection."""
_TOO_MANY = problem_json(
    Refusal(429, "too many connections from this address: close some, or use them again")
)
_REFUSED = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: %b\r\nRetry-After: 1\r\n%b"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b"
)

# It is sent before any head is read, so that it cannot name an origin; it tells nothing else.
_FOR_PAGES = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n"


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol with limits on heads and on connections of an address and of all."""

    counted = Connections(1_000_000)
    """Connections of the server, set by ``counting_protocol``."""
    idle_order: IdleOrder["ImpatientProtocol"] = IdleOrder()
    """Open connections of the server, set by ``counting_protocol``."""
    most_open = 1_000_000
    """Most open connections of all clients, set by ``counting_protocol``."""
    for_pages = b""
    """Headers for pages of other origins, set by ``counting_protocol``."""
    _counts_for = ""
    _is_refused = False
    _limit: asyncio.TimerHandle | None = None
    _ending: asyncio.TimerHandle | None = None
    _was_closing = False

    def connection_made(self, transport: Any) -> None:
        """Count the connection, and await a request; refuse one too many."""
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
        self._note_transfer()
        if len(self.connections) > self.most_open:
            self._close_idlest_connection_of_greediest_client()
        self._start_or_cancel_head_timer()
        self._abort_if_closing_since_last_check()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a complete head ends the waiting."""
        if self._is_refused:
            return
        self._note_transfer()
        super().data_received(data)
        self._start_or_cancel_head_timer()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        self._note_transfer()
        super().pause_writing()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._note_transfer()
        super().on_response_complete()
        self._start_or_cancel_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel timers, and uncount the connection."""
        for timer in (self._limit, self._ending):
            if timer is not None:
                timer.cancel()
        self._uncount_connection()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Uncount the connection, as streams have a count."""
        self._uncount_connection()
        super().handle_websocket_upgrade(event)

    @property
    def waits_for_client(self) -> bool:
        """Whether the client has to send or to read before anything goes on."""
        is_sending = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return self.flow.write_paused or (is_sending and not self.flow.read_paused)

    def _note_transfer(self) -> None:
        client = self._counts_for
        if not client and self.scope is not None and self.scope["client"] is not None:
            client = client_name(self.scope["client"][0])  # of the last request of a proxy
        self.idle_order.note_transfer(self, client)

    def _close_idlest_connection_of_greediest_client(self) -> None:
        idlest = self.idle_order.idlest_of_greediest_client(newcomer=self)
        if idlest is not None:
            self.connections.discard(idlest)
            self.idle_order.discard(idlest)
            idlest.transport.abort()

    def _uncount_connection(self) -> None:
        client, self._counts_for = self._counts_for, ""
        self.counted.give_back(client)
        self.idle_order.discard(self)

    def _start_or_cancel_head_timer(self) -> None:
        is_waiting = self.conn.their_state is h11.IDLE
        if is_waiting and self._limit is None:
            self._limit = self.loop.call_later(HEAD_SECONDS, self._abort_if_idle)
        elif not is_waiting and self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _abort_if_closing_since_last_check(self) -> None:
        if self._was_closing:
            self.transport.abort()
            return
        self._was_closing = self.transport.is_closing()
        self._ending = self.loop.call_later(HEAD_SECONDS, self._abort_if_closing_since_last_check)

    def _abort_if_idle(self) -> None:
        self._limit = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()


def counting_protocol(
    connections: Connections, most_open: int, *, for_pages: bool
) -> type[ImpatientProtocol]:
    """Subclass for one server with its connections."""
    members = {
        "counted": connections,
        "idle_order": IdleOrder[ImpatientProtocol](),
        "most_open": most_open,
        "for_pages": _FOR_PAGES if for_pages else b"",
    }
    return type("Counting", (ImpatientProtocol,), members)


_BACKLOG = 512
_MOST_CONNECTIONS = 1000
_MOST_OPEN_FILES = 4096
"""Open files that the server asks of the system, which often allows 1024."""
_FILES_BESIDE_CONNECTIONS = 1024
"""Files for bodies, answers and networks, and for as many new connections as come in a moment."""


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
    open_files = raise_limit_of_open_files(_MOST_OPEN_FILES)
    most_open = min(_MOST_CONNECTIONS, max(open_files // 4, open_files - _FILES_BESIDE_CONNECTIONS))
    config = uvicorn.Config(
        app,
        http=counting_protocol(
            Connections(connections, options.proxies),
            most_open,
            for_pages=bool(options.calling_origins),
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
        # It counts requests too, which end a moment after their connections are closed.
        limit_concurrency=2 * most_open,
        timeout_graceful_shutdown=GRACE,
    )
    return StoppableServer(config, folder, abandon)
