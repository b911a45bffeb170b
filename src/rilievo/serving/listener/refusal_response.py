"""Response that tells of a refusal, also to a client that is still sending."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from rilievo.serving.listener.request_refusals import Refusal

_DRAINED_BYTES = 64 * 2**20
_DRAINED_SECONDS = 5.0


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


class RefusalResponse(JSONResponse):
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
