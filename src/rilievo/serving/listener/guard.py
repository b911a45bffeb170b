"""Check the host, origin and token of every request."""

import hashlib
import hmac
import socket
import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property, partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rilievo.serving.listener.listening import is_ip_address, normalized_origin
from rilievo.serving.listener.request_refusals import Refusal, RefusalResponse, TrackedReceive

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""
_EXPOSED_HEADERS = ("Content-Disposition", "Retry-After", "X-Depth-Kind", "X-Notes")
"""Headers that pages of other origins may read."""


class _NormalisingCors(CORSMiddleware):
    """Middleware that lets pages of other origins call the server.

    Origins are compared in a normalised form, so that a default port makes no difference.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization",),
            # With "*", any page of the internet could call a server in a private network.
            allow_private_network="*" not in origins,
            expose_headers=_EXPOSED_HEADERS,
        )

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether pages of an origin may call the server."""
        return self.allow_all_origins or normalized_origin(origin) in self.allow_origins


class Guard:
    """ASGI application that passes only allowed requests on to another application.

    It checks the Host header, the Origin header and the token, in this order.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Sequence[str],
        hosts: Sequence[str],
        observe: Callable[[str, int, float], None],
        origins: Sequence[str] = (),
        public_paths: Collection[str] = (),
    ) -> None:
        """Guard an application.

        Without ``tokens``, everybody may call, as anybody may call ``public_paths``. ``origins``
        are other origins whose pages may call (``*``: all). ``observe`` gets path, status and
        duration [s] of each request.
        """
        self._app = app
        self._public_paths = public_paths
        self._observe = observe
        self._digests = [_sha256(token.encode()) for token in tokens]
        self._hosts = frozenset(hosts)
        # CORS is the outer layer and the token is checked inside it, because a browser sends its
        # preflight request without a token, and a page may read why its token was refused.
        self._cors = _NormalisingCors(self._answer_if_token_is_valid, origins) if origins else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):  # the start and the end of the server
            await self._app(scope, receive, send)
            return
        scope = _without_repeated_root_path(scope)
        tracked_receive = TrackedReceive(receive)
        observed_send = self._wrap_send(scope, send)
        try:
            self._check_host_and_origin(Headers(scope=scope))
        except Refusal as refusal:
            readable_send = self._send_readable_by_page(scope, observed_send)
            await RefusalResponse(refusal)(scope, tracked_receive, readable_send)
            return
        answer = self._answer_if_token_is_valid if self._cors is None else self._cors
        await answer(scope, tracked_receive, observed_send)

    def _send_readable_by_page(self, scope: Scope, send: Send) -> Send:
        """Wrap ``send`` so that the page of an allowed origin may read why it was refused."""
        headers = Headers(scope=scope)
        if self._cors is None or scope["type"] != "http" or not self._is_allowed_origin(headers):
            return send
        return partial(self._cors.send, send=send, request_headers=headers)

    async def _answer_if_token_is_valid(self, scope: Scope, receive: Receive, send: Send) -> None:
        needs_token = self._digests and path_below_root(scope) not in self._public_paths
        if needs_token and not self._has_valid_token(scope):
            line = "a valid token is required: send the header 'Authorization: Bearer TOKEN'"
            refusal = Refusal(401, line, {"WWW-Authenticate": "Bearer"})
            await RefusalResponse(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host_and_origin(self, headers: Headers) -> None:
        """Raise a ``Refusal`` for a foreign host name, or a page whose origin is not allowed."""
        host = headers.get("host", "")
        if not self._is_own_host_name(host):
            raise Refusal(421, "this host name is not allowed: add it to the server's option hosts")
        origin = normalized_origin(headers.get("origin", ""))
        own_origin = normalized_origin(f"{origin.partition('://')[0]}://{host}")
        if origin and origin != own_origin and not self._is_allowed_origin(headers):
            raise Refusal(
                403,
                "web pages of other sites may not call this server: add their origin with the "
                "option origins of 'rilievo serve'",
            )

    def _is_allowed_origin(self, headers: Headers) -> bool:
        return self._cors is not None and self._cors.is_allowed_origin(headers.get("origin", ""))

    def _has_valid_token(self, scope: Scope) -> bool:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        token_digest = _sha256(token.strip().encode("latin-1", "replace"))
        # All digests are compared, each in constant time, so that the duration reveals nothing.
        matches = [hmac.compare_digest(token_digest, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(matches)

    def _is_own_host_name(self, host: str) -> bool:
        """Whether a Host header names this server, or any IP address.

        Checking names prevents DNS rebinding, which is not possible with an address.
        """
        name = host.lower()
        if name.startswith("["):  # [IPv6] or [IPv6]:port
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:  # name:port
            name = name.partition(":")[0]
        if name in self._hosts or name in ("localhost", self._machine_name):
            return True
        return is_ip_address(name)

    @cached_property
    def _machine_name(self) -> str:
        return socket.gethostname().lower()

    def _wrap_send(self, scope: Scope, send: Send) -> Send:
        """Wrap ``send`` so that it adds security headers, and reports the request at its end."""
        start = time.monotonic()
        status = 0

        async def send_and_observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)
            is_end = message["type"] == "http.response.body" and not message.get("more_body", False)
            if is_end:
                self._observe(path_below_root(scope), status, time.monotonic() - start)

        return send_and_observe


def _without_repeated_root_path(scope: Scope) -> Scope:
    """Scope whose path begins with the root path once only.

    uvicorn puts it before every path, even if the proxy passed on the full path.
    """
    root = scope.get("root_path", "")
    if root and scope["path"].startswith(f"{root}{root}/"):
        return {**scope, "path": scope["path"].removeprefix(root)}
    return scope


def path_below_root(scope: Scope) -> str:
    """Path of a request without the ``root_path`` of a proxy."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _sha256(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
