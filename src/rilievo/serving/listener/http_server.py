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
from rilievo.serving.listener.process import EXIT_CODES, EXIT_TIMEOUT, raise_limit_of_open_files
from rilievo.serving.listener.request_refusals import PROBLEM_JSON, Refusal, problem_json
from rilievo.system.signals import is_repeated_signal

GRACE_SECONDS = 5
"""Time that requests have to end after a signal [s]; containers are killed after 10."""
_REMOVAL_SECONDS = 1.0
"""Time in which removing the server's folder is tried again [s]."""


class StoppableServer(uvicorn.Server):
    """uvicorn's server, which ends a few seconds after a signal, whatever its requests do."""

    def __init__(
        self,
        config: uvicorn.Config,
        folder: Path | None,
        kill_processes: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a server.

        If it has to be ended by force, ``kill_processes`` ends the other processes that work for
        it, and its ``folder`` is removed.
        """
        super().__init__(config)
        self._folder = folder
        self._kill_processes = kill_processes
        self._is_interrupted = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal stops the server; raise KeyboardInterrupt after Ctrl-C."""
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
        """Stop gracefully at the first signal, and at once at a second Ctrl-C.

        If the server still runs ``EXIT_TIMEOUT`` after the first signal, it is ended by force.
        """
        if is_repeated_signal():
            return
        is_first_signal = not self.should_exit
        self._is_interrupted = sig == signal.SIGINT
        self.force_exit = self._is_interrupted and not is_first_signal
        self.should_exit = True
        if is_first_signal:
            timer = threading.Timer(EXIT_TIMEOUT, self._clean_up_and_exit, (EXIT_CODES[sig],))
            timer.daemon = True
            timer.start()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop from another thread; requests are cancelled after ``GRACE_SECONDS``, or at once."""
        self.force_exit = at_once
        self.should_exit = True

    def _clean_up_and_exit(self, code: int) -> None:
        try:
            self._kill_processes()
            if self._folder is not None:
                _remove_folder_with_retries(self._folder)
        finally:
            os._exit(code)


def _remove_folder_with_retries(folder: Path) -> None:
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


HEAD_SECONDS = 10.0
"""Time in which the head of a request has to arrive, and a connection has to close [s]."""
_TOO_MANY_CONNECTIONS = problem_json(
    Refusal(429, "too many connections from this address: close some, or reuse them")
)
_REFUSAL_TEMPLATE = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: %b\r\nRetry-After: 1\r\n%b"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b"
)

# The refusal is sent before any head is read, so it cannot name the origin of the request. It may
# be read by all origins, because it contains nothing secret.
_CORS_HEADERS = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n"


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol with limits on time and on the number of connections.

    A client has to send the head of a request within ``HEAD_SECONDS``. A client with too many
    connections gets a refusal. If all clients together have too many, the client with most
    connections loses the one that has been idle longest.
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
        """Count the connection and wait for a request, or refuse the connection."""
        super().connection_made(transport)
        client = self.counted.admit(self.client[0] if self.client else "")
        if client is None:
            self._refuse_connection(transport)
            return
        self._client_name = client
        self._note_transfer()
        if len(self.connections) > self.max_open:
            self._close_idlest_connection_of_greediest_client()
        self._start_or_cancel_head_timer()
        self._abort_if_closing_since_last_check()

    def data_received(self, data: bytes) -> None:
        """Pass on bytes from the client; once a head is complete, its timer stops."""
        if self._is_refused:
            return
        self._note_transfer()
        super().data_received(data)
        self._start_or_cancel_head_timer()

    def pause_writing(self) -> None:
        """Pause, because the client does not read fast enough."""
        self._note_transfer()
        super().pause_writing()

    def on_response_complete(self) -> None:
        """Wait for the next request on this connection."""
        self._note_transfer()
        super().on_response_complete()
        self._start_or_cancel_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers, and stop counting the connection."""
        for timer in (self._head_timer, self._closing_timer):
            if timer is not None:
                timer.cancel()
        self._uncount_connection()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Stop counting the connection, because streams have a limit of their own."""
        self._uncount_connection()
        super().handle_websocket_upgrade(event)

    @property
    def waits_for_client(self) -> bool:
        """Whether the client has to send or to read before anything goes on."""
        must_read = self.flow.write_paused
        must_send = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return must_read or (must_send and not self.flow.read_paused)

    def _refuse_connection(self, transport: Any) -> None:
        # uvicorn's own limit is for all clients together, and must not count this connection.
        self.connections.discard(self)
        self._is_refused = True
        body = _TOO_MANY_CONNECTIONS
        transport.write(
            _REFUSAL_TEMPLATE % (PROBLEM_JSON.encode(), self.cors_headers, len(body), body)
        )
        transport.close()
        # A client that does not close its side would keep the socket open.
        self._closing_timer = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def _note_transfer(self) -> None:
        client = self._client_name
        if not client and self.scope is not None and self.scope["client"] is not None:
            # Over a proxy's connection, this is the client of the last request.
            client = client_name(self.scope["client"][0])
        self.idle_order.note_transfer(self, client)

    def _close_idlest_connection_of_greediest_client(self) -> None:
        idlest = self.idle_order.idlest_of_greediest_client(newcomer=self)
        if idlest is not None:
            self.connections.discard(idlest)
            self.idle_order.discard(idlest)
            idlest.transport.abort()

    def _uncount_connection(self) -> None:
        client = self._client_name
        self._client_name = ""
        self.counted.release(client)
        self.idle_order.discard(self)

    def _start_or_cancel_head_timer(self) -> None:
        """Run the timer exactly while the head of a request is expected."""
        expects_head = self.conn.their_state is h11.IDLE
        if expects_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._abort_if_idle)
        elif not expects_head and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _abort_if_closing_since_last_check(self) -> None:
        """Check every ``HEAD_SECONDS``; abort a connection that takes longer than that to close."""
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
    """Subclass ``ImpatientProtocol`` for one server, whose connections share its class attributes.

    Pages of other origins can read its refusals if ``answers_pages`` is true.
    """
    members = {
        "counted": connections,
        "idle_order": IdleOrder[ImpatientProtocol](),
        "max_open": max_open,
        "cors_headers": _CORS_HEADERS if answers_pages else b"",
    }
    return type("Counting", (ImpatientProtocol,), members)


_BACKLOG = 512
"""New connections that the system queues until the server accepts them."""
_MAX_CONNECTIONS = 1000
_OPEN_FILES = 4096
"""Number of open files that the server asks of the system, which often allows 1024."""
_RESERVED_FILES = 1024
"""Files for bodies, answers and networks, and for new connections that come at once."""


def http_server(
    app: ASGIApp,
    options: AddressOptions,
    *,
    max_client_connections: int,
    max_frame_bytes: int = 0,
    folder: Path | None = None,
    kill_processes: Callable[[], None] = lambda: None,
) -> StoppableServer:
    """Make the server of an application.

    Args:
        app: Application that answers the requests.
        options: Address, trusted proxies and allowed origins.
        max_client_connections: Number of connections that one client may have open.
        max_frame_bytes: Size of the largest WebSocket message [bytes]; 0 for no WebSockets.
        folder: Folder that is removed if the server has to be ended by force.
        kill_processes: Function that ends the other processes of the server in that case.
    """
    open_files = raise_limit_of_open_files(_OPEN_FILES)
    max_open = min(_MAX_CONNECTIONS, max(open_files // 4, open_files - _RESERVED_FILES))
    config = uvicorn.Config(
        app,
        http=counting_protocol(
            Connections(max_client_connections, options.proxies),
            max_open,
            answers_pages=bool(options.calling_origins),
        ),
        ws="websockets-sansio" if max_frame_bytes else "none",
        ws_max_size=max_frame_bytes,
        ws_max_queue=2,
        ws_per_message_deflate=False,
        # The default configures the logging of the whole process and closes the handlers of others,
        # such as absl's, which takes standard error with it.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=options.proxies,
        root_path=options.root_path,
        backlog=_BACKLOG,
        # uvicorn counts connections and requests together. Requests end a moment after their
        # connections, so the limit has room for both.
        limit_concurrency=2 * max_open,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return StoppableServer(config, folder, kill_processes)
