"""Live depth of a camera, stream or video, on a page served to this machine."""

import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from rilievo.interruptions import take
from rilievo.io.colour_pictures import ColourRange
from rilievo.io.outputs.formats.colour_files import depth_picture, picture_range, shown_sky
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.serving.listener.address_options import AddressOptions
from rilievo.serving.listener.ending import ended_in_time
from rilievo.serving.listener.http_server import http_server
from rilievo.serving.listener.listening import address_of, listening
from rilievo.serving.listener.stopping import GRACE
from rilievo.serving.live.live_routes import MOST_READERS, live_application
from rilievo.serving.live.newest_picture import NewestPicture
from rilievo.shapes import Pixels

_CALM = 0.9
"""Weight of the previous colour range in each frame, so that colours do not flicker."""
_SECRET_BYTES = 16
_CONNECTIONS = 4 * MOST_READERS


class LivePage:
    """Web server, reachable from this machine only, that shows predictions as they are made.

    Other users of this machine do not know its address, and pages of the web cannot read it.
    """

    def __init__(self) -> None:
        """Start to serve on any free port."""
        self._newest, self._opened = NewestPicture(), ExitStack()
        options, secret = AddressOptions(port=0, proxies=""), secrets.token_urlsafe(_SECRET_BYTES)
        listener = self._opened.enter_context(listening(options, "predict --live"))
        self.address = f"{address_of(options, listener.getsockname()[1])}{secret}/"
        application = live_application(self._newest, secret)
        self._server = http_server(application, options, connections=_CONNECTIONS)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="live page", daemon=True
        )
        self._thread.start()
        self._begin = self._end = time.monotonic()

    def __enter__(self) -> Self:
        """Let a signal end the page, and the process some seconds later in any case."""
        self._opened.enter_context(ended_in_time(0))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> bool:
        """Close the page; Ctrl-C is how users end a camera, and no error."""
        self.close(at_once=error is not None)
        return take(error)

    @property
    def count(self) -> int:
        """Number of predictions that were shown."""
        return self._newest.number

    @property
    def rate(self) -> float:
        """Predictions per second."""
        return self.count / max(self._end - self._begin, 1e-9)

    def show(self, predictions: Iterable[Prediction], options: SaveOptions) -> None:
        """Show predictions until they end."""
        self._begin, limits = time.monotonic(), None
        try:
            for prediction in predictions:
                limits = _calmer(
                    picture_range(prediction.depth, options, shown_sky(prediction)), limits
                )
                self._newest.put(_jpeg(_beside(prediction, options, limits)))
        finally:
            self._end = time.monotonic()

    def close(self, *, at_once: bool = False) -> None:
        """Stop the server.

        Args:
            at_once: Whether to cut readers off. Otherwise they have some seconds to take what was
                shown.
        """
        self._newest.end()
        self._server.stop(at_once=at_once)
        self._thread.join(GRACE + 1)
        self._opened.close()


def _calmer(wanted: ColourRange, former: ColourRange | None) -> ColourRange:
    if former is None:
        return wanted
    low, high = (
        _CALM * old + (1 - _CALM) * new
        for old, new in ((former.low, wanted.low), (former.high, wanted.high))
    )
    return replace(wanted, low=low, high=high)


def _beside(prediction: Prediction, options: SaveOptions, limits: ColourRange) -> Pixels:
    depth = depth_picture(prediction, options, limits=limits)
    if prediction.photo is None:
        return depth
    return np.concatenate([prediction.photo.pixels, depth], axis=1)


def _jpeg(pixels: Pixels) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return stream.getvalue()
