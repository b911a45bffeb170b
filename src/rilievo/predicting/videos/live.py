"""Live depth of a camera, stream or video, on a page served to this machine.

The page shows motion JPEG (multipart/x-mixed-replace), which every browser has shown for decades.
"""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
from PIL import Image

from rilievo.interruptions import take
from rilievo.io.colour_pictures import ColourRange, colourise
from rilievo.io.outputs.formats.colour_files import picture_range
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.shapes import Pixels

_BOUNDARY = "frame"
_CALM = 0.9
"""Weight of the previous colour range in each frame, so that colours do not flicker."""
_PAGE = b"""<!doctype html><meta charset="utf-8"><title>rilievo live</title>
<meta name="viewport" content="width=device-width">
<style>body{margin:0;background:#111;display:grid;place-items:center;height:100vh}
img{max-width:100%;max-height:100vh}</style>
<img src="/frames" alt="the camera's picture beside its depth">"""


@dataclass(slots=True)
class Newest:
    """The latest picture, for any number of waiting browsers.

    Attributes:
        jpeg: The picture; empty before the first.
        over: Whether the stream has ended.
    """

    number: int = 0
    jpeg: bytes = b""
    over: bool = False
    _change: threading.Condition = field(default_factory=threading.Condition)

    def put(self, jpeg: bytes) -> None:
        """Set the next picture."""
        with self._change:
            self.number, self.jpeg = self.number + 1, jpeg
            self._change.notify_all()

    def end(self) -> None:
        """Release all waiting browsers."""
        with self._change:
            self.over = True
            self._change.notify_all()

    def after(self, number: int) -> tuple[int, bytes] | None:
        """Wait for a picture newer than this number; None at the end."""
        with self._change:
            self._change.wait_for(lambda: self.number > number or self.over)
            return None if self.number <= number else (self.number, self.jpeg)


class LivePage:
    """Web server, reachable from this machine only, that shows predictions as they are made."""

    def __init__(self) -> None:
        """Start to serve on any free port."""
        self._newest = Newest()
        handler = partial(_Handler, newest=self._newest)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, name="live page", daemon=True).start()

    def show(self, predictions: Iterable[Prediction], options: SaveOptions) -> tuple[int, float]:
        """Show predictions until they end, or the user stops them.

        Returns:
            Number of predictions, and predictions per second.
        """
        begin, shown = time.monotonic(), None
        try:
            for prediction in predictions:
                shown = _calmer(picture_range(prediction.depth, options), shown)
                self._newest.put(_jpeg(_beside(prediction, options, shown)))
        except KeyboardInterrupt as stop:  # how users end a camera
            take(stop)
        seconds = time.monotonic() - begin
        return self._newest.number, self._newest.number / max(seconds, 1e-9)

    def close(self) -> None:
        """Stop the server."""
        self._newest.end()
        self._server.shutdown()
        self._server.server_close()


def _calmer(wanted: ColourRange, former: ColourRange | None) -> ColourRange:
    if former is None:
        return wanted
    low, high = (
        _CALM * old + (1 - _CALM) * new
        for old, new in ((former.low, wanted.low), (former.high, wanted.high))
    )
    return replace(wanted, low=low, high=high)


def _beside(prediction: Prediction, options: SaveOptions, limits: ColourRange) -> Pixels:
    depth = colourise(
        prediction.depth, colour_map=options.colour_map, limits=limits, what=options.draw
    )
    if prediction.photo is None:
        return depth
    return np.concatenate([prediction.photo.pixels, depth], axis=1)


def _jpeg(pixels: Pixels) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return stream.getvalue()


class _Handler(BaseHTTPRequestHandler):
    """Handler for the page at / and its pictures at /frames."""

    def __init__(self, *arguments: object, newest: Newest) -> None:
        self._newest = newest
        super().__init__(*arguments)  # pyright: ignore[reportArgumentType]

    def do_GET(self) -> None:
        """Handle one request; it ends when the browser disconnects."""
        with suppress(ConnectionError):
            if self.path == "/":
                self._head("text/html; charset=utf-8")
                self.wfile.write(_PAGE)
            elif self.path == "/frames":
                self._head(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                self._pictures()
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the terminal belongs to the command."""

    def _head(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def _pictures(self) -> None:
        number, boundary = 0, f"--{_BOUNDARY}\r\n".encode()
        self.wfile.write(boundary)
        while (found := self._newest.after(number)) is not None:
            number, jpeg = found
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            # Browsers show a picture once they receive the boundary after it.
            self.wfile.write(head + jpeg + b"\r\n" + boundary)
