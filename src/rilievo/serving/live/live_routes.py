"""Routes of the live page: the page and its pictures, below a path that nobody can guess.

The pictures are motion JPEG (multipart/x-mixed-replace), which every browser has shown for decades.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rilievo.serving.listener.client_name import client_name
from rilievo.serving.listener.guard import Guard
from rilievo.serving.listener.open_streams import OpenStreams
from rilievo.serving.listener.refusal_response import RefusalResponse
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.live.newest_picture import NewestPicture

MOST_READERS = 16
_SEND_SECONDS = 20.0
"""Time in which a reader takes a picture."""
_BOUNDARY = "frame"
_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = """<!doctype html><meta charset="utf-8"><title>rilievo live</title>
<meta name="viewport" content="width=device-width">
<style>body{margin:0;background:#111;display:grid;place-items:center;height:100vh}
img{max-width:100%;max-height:100vh}</style>
<img src="frames" alt="the camera's picture beside its depth">"""


def live_application(newest: NewestPicture, secret: str) -> ASGIApp:
    """The live page below a secret path, as an ASGI application within the guard of servers."""
    # All readers are of this machine, and so one client.
    readers = OpenStreams(MOST_READERS, most_of_one=MOST_READERS)

    async def page(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    async def frames(request: Request) -> Response:
        client, opened = "" if request.client is None else request.client.host, ExitStack()
        try:
            opened.enter_context(readers.counted(client_name(client)))
        except Refusal as refusal:
            return RefusalResponse(refusal)
        return _Pictures(newest, opened)

    app = Starlette(
        routes=[
            Route(f"/{secret}/", page, methods=["GET"]),
            Route(f"/{secret}/frames", frames, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _no_such_address},
    )
    app.router.redirect_slashes = False
    return Guard(app, tokens=(), hosts=(), observe=lambda route, status, seconds: None)


class _Pictures(StreamingResponse):
    """Pictures as they come, until the reader leaves, or does not take one in time."""

    def __init__(self, newest: NewestPicture, opened: ExitStack) -> None:
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        super().__init__(_parts(newest), media_type=kind)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""

        async def sent(message: Message) -> None:
            async with asyncio.timeout(_SEND_SECONDS):
                await send(message)

        with self._opened:
            if scope["method"] == "HEAD":
                await Response(media_type=self.media_type)(scope, receive, send)
                return
            try:
                await super().__call__(scope, receive, sent)
            except TimeoutError:
                return  # the connection is closed, as the answer is not complete


async def _parts(newest: NewestPicture) -> AsyncIterator[bytes]:
    number, boundary = 0, f"--{_BOUNDARY}\r\n".encode()
    yield boundary
    while (picture := await newest.after(number)) is not None:
        number, jpeg = picture
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
        # Browsers show a picture once they receive the boundary after it.
        yield head + jpeg + b"\r\n" + boundary


def _no_such_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it"
    line = "no such address: the command has printed the one there is"
    return RefusalResponse(Refusal(error.status_code, line, error.headers))
