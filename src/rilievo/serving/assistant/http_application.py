"""The tools over streamable HTTP, behind the guard of ``rilievo serve``."""

import asyncio
from collections.abc import Mapping, Sequence

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rilievo.serving.assistant.protocol import Assistant
from rilievo.serving.server.request_refusals import Refusal
from rilievo.serving.server.requests.guard import Guard
from rilievo.serving.server.requests.refusal_response import RefusalResponse
from rilievo.version import VERSION

PATH = "/mcp"
"""Path at which clients reach the tools."""
MOST_BYTES = 2**20
"""Largest message; photographs are named and never sent."""
ARRIVAL_SECONDS = 30.0
"""Time in which a message must arrive."""


def http_application(
    assistant: Assistant, *, tokens: Sequence[str], hosts: Sequence[str]
) -> ASGIApp:
    """The tools as an ASGI application, which keeps no sessions.

    Args:
        assistant: The tools.
        tokens: Secrets of which requests must send one; none lets everybody in.
        hosts: Names of the server, besides its addresses and this machine's name.
    """
    # Host and Origin are checked by the guard, which also knows names and addresses of its own.
    manager = StreamableHTTPSessionManager(
        assistant.server(), json_response=True, stateless=True, max_request_body_size=MOST_BYTES
    )
    app = Starlette(
        routes=[
            Route(PATH, WholeMessages(StreamableHTTPASGIApp(manager)), methods=["POST"]),
            Route("/healthz", _health, methods=["GET"]),
        ],
        lifespan=lambda app: manager.run(),
        exception_handlers={HTTPException: _no_such},
    )
    app.router.redirect_slashes = False
    return Guard(app, tokens=tokens, hosts=hosts, observe=lambda route, status, seconds: None)


class WholeMessages:
    """ASGI application around another one, which is called when a message has arrived."""

    def __init__(self, app: ASGIApp, seconds: float = ARRIVAL_SECONDS) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body within a time, or refuse it."""
        try:
            async with asyncio.timeout(self._seconds):
                body = await _body(receive)
        except TimeoutError:
            refusal = Refusal(408, f"the message did not arrive within {self._seconds:g} seconds")
            await RefusalResponse(refusal)(scope, receive, send)
            return
        except Refusal as refusal:
            await RefusalResponse(refusal)(scope, receive, send)
            return
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replayed() -> Message:
            return next(messages, None) or await receive()

        await self._app(scope, replayed, send)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(400, "the client left")
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > MOST_BYTES:
            raise Refusal(413, f"a message has at most {MOST_BYTES >> 20} MiB")
        if not message.get("more_body", False):
            return b"".join(parts)


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": VERSION})


def _no_such(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it"
    headers: Mapping[str, str] = error.headers or {}
    lines = {
        404: f"no such address; MCP clients post to {PATH}",
        405: f"no method {request.method} here, but {headers.get('Allow', 'others')}",
    }
    line = lines.get(error.status_code, "the request cannot be read")
    return RefusalResponse(Refusal(error.status_code, line, headers))
