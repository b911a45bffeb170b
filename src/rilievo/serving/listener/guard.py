"""Checks of the head of every request: its host, its origin, its token."""

import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from functools import cached_property

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rilievo.serving.listener.refusal_response import Body, RefusalResponse
from rilievo.serving.listener.request_refusals import Refusal

OPEN_ROUTES = frozenset({"/healthz"})
"""Routes that need no token, as those who ask for them have none."""

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
            await RefusalResponse(refusal)(scope, body, send)
            return
        await self._app(scope, body, send)

    def check(self, scope: Scope) -> None:
        """Check the head of a request."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            raise Refusal(421, "this server does not go by this name: its option hosts lists names")
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


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
