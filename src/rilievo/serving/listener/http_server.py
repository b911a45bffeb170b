"""HTTP server of every listener, which ends in time and limits connections."""

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
"""Time that requests have to end after a signal [s]; containers are killed after 10."""
_REMOVAL_SECONDS = 1.0
"""Time in which removing the server's folder is tried again [s]."""


class StoppableServer(uvicorn.Server):
    """uvicorn's server, which ends a few seconds after a signal, whatever its requests do."""

    def __init__(
        self,
        config: uvicorn.Config,
        folder: Path | None,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a server.

        Args:
            config: Configuration of uvicorn.
            folder: Folder to remove if the server is ended by force.
            abandon: Function that ends other processes of the server then.
        """
        super().__init__(config)
        self._folder, self._abandon = folder, abandon
        self._is_interrupted = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal stops the server.

        Raises:
            KeyboardInterrupt: If the signal was Ctrl-C.
        """
        super().run(sockets)
        if self._is_interrupted:
            raise KeyboardInterrupt

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for requests to end; after a second Ctrl-C, abort their connections."""
        if self.force_exit:
            for connection in [*self.server_state.connections]:
                connection.transport.abort()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order; at a second Ctrl-C at once, and after ``LAST_SECONDS`` by force."""
        if is_repeated_signal():
            return
        is_first = not self.should_exit
        self._is_interrupted = sig == signal.SIGINT
        self.force_exit = self._is_interrupted and not is_first
        self.should_exit = True
        if is_first:
            timer = threading.Timer(LAST_SECONDS, self._abandon_and_exit, (EXIT_CODES[sig],))
            timer.daemon = True
            timer.start()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop from another thread; requests are cancelled after ``GRACE`` seconds, or at once."""
        self.force_exit, self.should_exit = at_once, True

    def _abandon_and_exit(self, code: int) -> None:
        try:
            self._abandon()
            if self._folder is not None:
                _remove_folder_with_retries(self._folder)
        finally:
            os._exit(code)


def _remove_folder_with_retries(folder: Path) -> None:
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


HEAD_SECONDS = 10.0
"""Time in which the head of a request arrives, and in which a connection is closed [s]."""
_TOO_MANY_CONNECTIONS = problem_json(
    Refusal(429, "too many connections from this address: close some, or use them again")
)
_REFUSAL_TEMPLATE = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: %b\r\nRetry-After: 1\r\n%b"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b"
)

# The refusal is sent before a head is read, so it cannot name one origin. It tells nothing secret.
_CORS_HEADERS = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n"


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol with limits of time and of the number of connections.

    A client has to send the head of a request in ``HEAD_SECONDS``. A client with too many
    connections gets a refusal. If all clients together have too many, the connection that was idle
    longest is closed, of the client that has most.
    """

    counted = Connections(1_000_000)
    """Connections of the server by client, set by ``counting_protocol``."""
    idle_order: IdleOrder["ImpatientProtocol"] = IdleOrder()
    """Connections of the server by their last transfer, set by ``counting_protocol``."""
    max_open = 1_000_000
    """Number of connections that all clients together may have, set by ``counting_protocol``."""
    cors_headers = b""
    """Headers of a refusal for pages of other origins, set by ``counting_protocol``."""
    _client_name = ""
    """Client under which the connection is counted; "" if it is not."""
    _is_refused = False
    _head_timer: asyncio.TimerHandle | None = None
    _closing_timer: asyncio.TimerHandle | None = None
    _was_closing = False

    def connection_made(self, transport: Any) -> None:
        """Count the connection and wait for a request, or refuse it."""
        super().connection_made(transport)
        client = self.counted.admit(self.client[0] if self.client else "")
        if client is None:
            # uvicorn's own limit is for all clients together, and must not count this connection.
            self.connections.discard(self)
            self._is_refused = True
            body = _TOO_MANY_CONNECTIONS
            transport.write(
                _REFUSAL_TEMPLATE % (PROBLEM.encode(), self.cors_headers, len(body), body)
            )
            transport.close()
            self._closing_timer = self.loop.call_later(HEAD_SECONDS, transport.abort)
            return
        self._client_name = client
        self._note_transfer()
        if len(self.connections) > self.max_open:
            self._close_idlest_connection_of_greediest_client()
        self._start_or_cancel_head_timer()
        self._abort_if_closing_since_last_check()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; a complete head stops its timer."""
        if self._is_refused:
            return
        self._note_transfer()
        super().data_received(data)
        self._start_or_cancel_head_timer()

    def pause_writing(self) -> None:
        """Wait for a client that does not read."""
        self._note_transfer()
        super().pause_writing()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._note_transfer()
        super().on_response_complete()
        self._start_or_cancel_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers, and count the connection no longer."""
        for timer in (self._head_timer, self._closing_timer):
            if timer is not None:
                timer.cancel()
        self._uncount_connection()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Count the connection no longer, because streams are counted by themselves."""
        self._uncount_connection()
        super().handle_websocket_upgrade(event)

    @property
    def waits_for_client(self) -> bool:
        """Whether the client has to send or to read before anything goes on."""
        is_sending = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return self.flow.write_paused or (is_sending and not self.flow.read_paused)

    def _note_transfer(self) -> None:
        client = self._client_name
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
        client, self._client_name = self._client_name, ""
        self.counted.release(client)
        self.idle_order.discard(self)

    def _start_or_cancel_head_timer(self) -> None:
        is_waiting = self.conn.their_state is h11.IDLE
        if is_waiting and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._abort_if_idle)
        elif not is_waiting and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _abort_if_closing_since_last_check(self) -> None:
        if self._was_closing:
            self.transport.abort()
            return
        self._was_closing = self.transport.is_closing()
        self._closing_timer = self.loop.call_later(
            HEAD_SECONDS, self._abort_if_closing_since_last_check
        )

    def _abort_if_idle(self) -> None:
        self._head_timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()


def counting_protocol(
    connections: Connections, max_open: int, *, answers_pages: bool
) -> type[ImpatientProtocol]:
    """Make the protocol of one server.

    Args:
        connections: Connections of the server by client.
        max_open: Number of connections that all clients together may have.
        answers_pages: Whether pages of other origins may call the server.
    """
    members = {
        "counted": connections,
        "idle_order": IdleOrder[ImpatientProtocol](),
        "max_open": max_open,
        "cors_headers": _CORS_HEADERS if answers_pages else b"",
    }
    return type("Counting", (ImpatientProtocol,), members)


_BACKLOG = 512
"""Connections that the system holds until the server accepts them."""
_MAX_CONNECTIONS = 1000
_OPEN_FILES = 4096
"""Number of open files that the server asks of the system, which often allows 1024."""
_RESERVED_FILES = 1024
"""Files for bodies, answers and networks, and for new connections that come at once."""


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
        connections: Number of connections that a client may have.
        frame_bytes: Size of the largest message over a WebSocket [bytes]; 0 if there are none.
        folder: Folder with all files of the server, which is removed at an end by force.
        abandon: Function that ends other processes of the server.
    """
    open_files = raise_limit_of_open_files(_OPEN_FILES)
    max_open = min(_MAX_CONNECTIONS, max(open_files // 4, open_files - _RESERVED_FILES))
    config = uvicorn.Config(
        app,
        http=counting_protocol(
            Connections(connections, options.proxies),
            max_open,
            answers_pages=bool(options.calling_origins),
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
        # uvicorn counts requests too, which end a moment after their connections are closed.
        limit_concurrency=2 * max_open,
        timeout_graceful_shutdown=GRACE,
    )
    return StoppableServer(config, folder, abandon)
