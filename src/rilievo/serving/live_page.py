"""The page of ``rilievo predict --live``: live depth as motion JPEG, below a secret path."""

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from io import BytesIO
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rilievo.arrays.shapes import Pixels
from rilievo.io.map_pictures import ColourRange
from rilievo.io.outputs.formats.colour_files import coloured_sky, depth_picture, picture_range
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.serving.listener.connections import OpenStreams, client_name
from rilievo.serving.listener.guard import Guard
from rilievo.serving.listener.http_server import GRACE_SECONDS, http_server
from rilievo.serving.listener.listening import AddressOptions, listening_socket, local_url
from rilievo.serving.listener.process import force_exit_after_signal
from rilievo.serving.listener.request_refusals import Refusal, RefusalResponse
from rilievo.system.signals import handle_if_ctrl_c


class _NumberedPicture(NamedTuple):
    number: int  # from 1
    jpeg: bytes


class NewestPicture:
    """The latest picture of a stream, which a thread writes and tasks of the event loop read.

    Readers that are slower than the stream skip pictures.
    """

    def __init__(self) -> None:
        self.number = 0  # of the latest picture; 0 if there is none yet
        self._latest = _NumberedPicture(0, b"")
        self._is_over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change = asyncio.Event()

    def put(self, jpeg: bytes) -> None:
        """Replace the picture. It may be called from any thread."""
        self.number += 1
        self._latest = _NumberedPicture(self.number, jpeg)
        self._wake_readers_from_thread()

    def end(self) -> None:
        """Tell all readers that no further picture follows."""
        self._is_over = True
        self._wake_readers_from_thread()

    async def wait_for_newer(self, number: int) -> _NumberedPicture | None:
        """Wait for a picture with a higher number; return None at the end of the stream."""
        # Once the loop is set, every new picture wakes this task, even one before ``wait`` below.
        self._loop = asyncio.get_running_loop()
        while self._latest.number <= number:
            if self._is_over:
                return None
            await self._change.wait()
        return self._latest

    def _wake_readers_from_thread(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(self._wake_readers)

    def _wake_readers(self) -> None:
        # Readers that come from now on wait for the next picture, so they get a new event.
        awaited_change = self._change
        self._change = asyncio.Event()
        awaited_change.set()


_MAX_READERS = 16
_SEND_SECONDS = 20.0  # a reader that takes longer for a picture is cut off
_BOUNDARY = "frame"
_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = """<!doctype html><meta charset="utf-8"><title>rilievo live</title>
<meta name="viewport" content="width=device-width">
<style>body{margin:0;background:#111;display:grid;place-items:center;height:100vh}
img{max-width:100%;max-height:100vh}</style>
<img src="frames" alt="The camera image next to its depth">"""


def live_application(newest: NewestPicture, secret: str) -> ASGIApp:
    """Make the ASGI application that serves the page and its pictures below ``/secret/``."""
    # All readers are on this machine, so they count as one client.
    readers = OpenStreams(_MAX_READERS, max_per_client=_MAX_READERS)

    async def html_page(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    async def picture_stream(request: Request) -> Response:
        client = "" if request.client is None else request.client.host
        open_reader = ExitStack()
        try:
            open_reader.enter_context(readers.counted(client_name(client)))
        except Refusal as refusal:
            return RefusalResponse(refusal)
        return _PictureStream(newest, open_reader)

    app = Starlette(
        routes=[
            Route(f"/{secret}/", html_page, methods=["GET"]),
            Route(f"/{secret}/frames", picture_stream, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _routing_error_response},
    )
    app.router.redirect_slashes = False
    return Guard(app, tokens=(), hosts=(), observe=lambda route, status, seconds: None)


class _PictureStream(StreamingResponse):
    """Response that sends the newest picture again and again, as motion JPEG.

    ``open_reader`` counts it as an open reader, and is closed when it ends.
    """

    def __init__(self, newest: NewestPicture, open_reader: ExitStack) -> None:
        media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        super().__init__(_multipart_pictures(newest), media_type=media_type)
        self._open_reader = open_reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send pictures until the last one, or until the client is too slow."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_SEND_SECONDS):
                await send(message)

        with self._open_reader:
            if scope["method"] == "HEAD":
                await Response(media_type=self.media_type)(scope, receive, send)
                return
            try:
                await super().__call__(scope, receive, send_in_time)
            except TimeoutError:
                return  # the server closes the connection, because the response is incomplete


async def _multipart_pictures(newest: NewestPicture) -> AsyncIterator[bytes]:
    """Yield each newest picture as one part of a multipart body."""
    boundary = f"--{_BOUNDARY}\r\n".encode()
    yield boundary
    picture = await newest.wait_for_newer(0)
    while picture is not None:
        length = len(picture.jpeg)
        head = f"Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n".encode()
        # Browsers show a picture once they receive the boundary after it.
        yield head + picture.jpeg + b"\r\n" + boundary
        picture = await newest.wait_for_newer(picture.number)


def _routing_error_response(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "Starlette calls this handler for HTTPException only"
    line = "no such address: open the address that the command printed"
    return RefusalResponse(Refusal(error.status_code, line, error.headers))


_PREVIOUS_RANGE_WEIGHT = 0.9  # of 1, so that colours do not flicker
_SECRET_BYTES = 16
_MAX_CONNECTIONS = 4 * _MAX_READERS


class LivePage:
    """Server that shows live predictions at the URL ``address``, whose path is secret."""

    def __init__(self) -> None:
        """Start the server on a free port, in a thread of its own."""
        self._newest_picture = NewestPicture()
        self._resources = ExitStack()
        options = AddressOptions(port=0, proxies="")
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        listener = self._resources.enter_context(listening_socket(options, "predict --live"))
        self.address = f"{local_url(options, listener.getsockname()[1])}{secret}/"
        application = live_application(self._newest_picture, secret)
        self._server = http_server(application, options, max_client_connections=_MAX_CONNECTIONS)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="live page", daemon=True
        )
        self._thread.start()
        self._started_at = time.monotonic()
        self._ended_at = self._started_at

    def __enter__(self) -> Self:
        self._resources.enter_context(force_exit_after_signal(0))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.close(at_once=error is not None)
        return handle_if_ctrl_c(error)  # True ends the block normally, as Ctrl-C is meant to

    @property
    def count(self) -> int:
        """Number of predictions that were shown."""
        return self._newest_picture.number

    @property
    def rate(self) -> float:
        """Mean number of predictions per second."""
        seconds = self._ended_at - self._started_at
        return self.count / max(seconds, 1e-9)

    def show(self, predictions: Iterable[Prediction], options: SaveOptions) -> None:
        """Show predictions until they end, each beside its photograph."""
        self._started_at = time.monotonic()
        colour_range = None
        try:
            for prediction in predictions:
                frame_range = picture_range(prediction.depth, options, coloured_sky(prediction))
                # Smoothed, so that the colours do not flicker from frame to frame.
                colour_range = _smoothed_range(frame_range, colour_range)
                picture = _photo_left_of_depth(prediction, options, colour_range)
                self._newest_picture.put(_jpeg_bytes(picture))
        finally:
            self._ended_at = time.monotonic()

    def close(self, *, at_once: bool = False) -> None:
        """Stop the server: at once, or after viewers had a few seconds to get the last picture."""
        self._newest_picture.end()
        self._server.stop(at_once=at_once)
        self._thread.join(GRACE_SECONDS + 1)
        self._resources.close()


def _smoothed_range(current: ColourRange, previous: ColourRange | None) -> ColourRange:
    """Exponential moving average of the colour ranges of successive pictures."""
    if previous is None:
        return current
    weight = _PREVIOUS_RANGE_WEIGHT
    return replace(
        current,
        low=weight * previous.low + (1 - weight) * current.low,
        high=weight * previous.high + (1 - weight) * current.high,
    )


def _photo_left_of_depth(
    prediction: Prediction, options: SaveOptions, colour_range: ColourRange
) -> Pixels:
    depth = depth_picture(prediction, options, limits=colour_range)
    if prediction.photo is None:
        return depth
    return np.concatenate([prediction.photo.pixels, depth], axis=1)


def _jpeg_bytes(pixels: Pixels) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return stream.getvalue()
