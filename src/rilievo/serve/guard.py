"""Checks before anything else: how long a request takes to come, its host, origin and token."""

import asyncio
import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import h11
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from rilievo.serve.connections import Connections
from rilievo.serve.refusals import Refusal

HEAD_SECONDS = 10.0
"""Time in which the head of a request must come, and a closing connection must end."""


_TOO_MANY = b'{"error":"too many connections from this address: close some, or use them again"}'
_REFUSED = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_TOO_MANY), _TOO_MANY)
)


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol with a time limit on heads of requests, and few connections an address."""

    counted = Connections(1_000_000)
    """Connections of the server's clients, replaced by ``counting``."""
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
            transport.write(_REFUSED)
            transport.close()
            self._ending = self.loop.call_later(HEAD_SECONDS, transport.abort)
            return
        self._counts_for = client
        self._watch()
        self._look_at_end()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is complete ends the waiting."""
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
        """Hand the connection to a stream, which is counted as such."""
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


def counting(connections: Connections) -> type[ImpatientProtocol]:
    """The protocol of one server, which counts its connections here."""
    return type("Counting", (ImpatientProtocol,), {"counted": connections})


OPEN_ROUTES = frozenset({"/healthz"})
"""Routes that need no token, as those who ask for them have none."""

_DRAINED_BYTES = 64 * 2**20
_DRAINED_SECONDS = 5.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI application around another one."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Sequence[str],
        hosts: Sequence[str],
        observe: Callable[[str, int, float], None],
    ) -> None:
        """Guard an application.

        Args:
            app: The application.
            tokens: Secrets of which requests must send one; none lets everybody in.
            hosts: Names of the server, besides its addresses and this machine's name.
            observe: Function that is called with route, status and seconds of each request.
        """
        self._app, self._observe = app, observe
        self._digests = [_digest(token.encode()) for token in tokens]
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        root = scope.get("root_path", "")
        if root and scope["path"].startswith(f"{root}{root}/"):  # no proxy has cut it off
            scope = {**scope, "path": scope["path"].removeprefix(root)}
        body, send = Body(receive), self._watched(scope, send)
        try:
            self.check(scope)
        except Refusal as refusal:
            await Refused(refusal)(scope, body, send)
            return
        await self._app(scope, body, send)

    def check(self, scope: Scope) -> None:
        """Check the head of a request."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            raise Refusal(421, "this server does not go by this name: name it with --hosts")
        origin = headers.get("origin", "").lower()
        if origin and origin.partition("://")[2] != host.lower():
            raise Refusal(403, "web pages of other sites may not call this server")
        if self._digests and route_of(scope) not in OPEN_ROUTES and not self._is_known(headers):
            raise Refusal(
                401,
                "a token is needed: send the header 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )

    def _is_known(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        given = _digest(token.strip().encode("latin-1", "replace"))
        # All are compared, each in constant time.
        found = [hmac.compare_digest(given, digest) for digest in self._digests]
        return kind.lower() == "bearer" and any(found)

    def _is_own(self, host: str) -> bool:
        """Whether a Host header is this server's: DNS rebinding needs a name of the attacker's."""
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name in self._hosts or name in ("localhost", self._machine):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    @cached_property
    def _machine(self) -> str:
        return socket.gethostname().lower()

    def _watched(self, scope: Scope, send: Send) -> Send:
        """The sender, with the headers of every answer, and told when the answer ends."""
        start, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._observe(route_of(scope), status, time.monotonic() - start)

        return watched


def route_of(scope: Scope) -> str:
    """Path of a request inside of the server, wherever a proxy offers it."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


class Body:
    """Messages that a client sends, as ASGI's ``receive``."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self.is_over = receive, False

    async def __call__(self) -> Message:
        """The next message."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.is_over = True
        return message


class Refused(JSONResponse):
    """The answer that tells of a refusal.

    What the client is still sending is read for a while and dropped, so that it comes to read the
    answer; a connection that is closed meanwhile would be reset.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            {"error": refusal.line}, status_code=refusal.status, headers=refusal.headers
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if scope["type"] == "websocket":
            await super().__call__(scope, receive, send)
            return
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        body = {"type": "http.response.body", "body": self.body}
        # A client that waits for leave to send its body sends nothing now.
        is_sending = not getattr(receive, "is_over", False) and "expect" not in Headers(scope=scope)
        if is_sending:
            await send({**body, "more_body": True})
            await _drain(receive)
            body = {"type": "http.response.body", "body": b""}
        await send(body)


async def _drain(receive: Receive) -> None:
    count = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAINED_SECONDS):
            while count < _DRAINED_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                count += len(message.get("body", b""))


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
