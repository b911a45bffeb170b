"""Response that tells of a refusal as a problem of RFC 9457, also to a client still sending."""

import asyncio
from contextlib import suppress
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rilievo.serving.listener.request_refusals import Refusal

_DRAINED_BYTES = 64 * 2**20
_DRAINED_SECONDS = 5.0
PROBLEM = "application/problem+json"
"""Media type of refusals."""


class Problem(BaseModel):
    """Refusal as RFC 9457 has it; ``option``, where one is at fault, and what follows may lack."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str = "about:blank"
    """Kind of problem: the status says it all."""
    title: str
    """Name of the status."""
    status: int
    """Status of the answer."""
    detail: str
    """Line about this request: what was found, what was expected, what to do."""
    error: str
    """The same line."""
    option: str | None = None
    """Parameter at fault."""
    value: bool | int | float | str | None = None
    """Value that it was given."""
    expected: str | None = None
    """Values that it takes."""
    hint: str | None = None
    """Remedy."""


def problem_of(refusal: Refusal) -> bytes:
    """The body of the answer that tells of a refusal."""
    problem = Problem(
        title=HTTPStatus(refusal.status).phrase,
        status=refusal.status,
        detail=refusal.line,
        error=refusal.line,
        **refusal.facts,
    )
    return problem.model_dump_json(exclude_none=True).encode()


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


class RefusalResponse(Response):
    """The answer that tells of a refusal.

    What the client is still sending is read for a while and dropped, so that it comes to read the
    answer; a connection that is closed meanwhile would be reset.
    """

    media_type = PROBLEM

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(problem_of(refusal), refusal.status, refusal.headers)

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
