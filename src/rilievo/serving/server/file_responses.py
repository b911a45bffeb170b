"""Responses with files of a prediction."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import cast

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from rilievo.errors.messages import one_line
from rilievo.prediction import Prediction
from rilievo.serving.server.answer_files import Written
from rilievo.serving.server.service import client_notes

_LONGEST_NOTES = 1000


def files_response(prediction: Prediction, written: Written, seconds: float | int) -> Response:
    """Response that sends outputs of a prediction, then removes them."""
    headers = {"Content-Disposition": f'attachment; filename="{written.name}"'}
    depth = prediction.depth_or_none
    if depth is not None:
        headers["X-Depth-Kind"] = depth.kind.value
    if notes := " | ".join(client_notes(prediction)):
        headers["X-Notes"] = one_line(notes).encode("ascii", "replace").decode()[:_LONGEST_NOTES]
    if written.size is not None:
        headers["Content-Length"] = str(written.size)
    return TimedResponse(
        written.chunks(),
        headers=headers,
        media_type=written.media_type,
        seconds=seconds,
        tidy=lambda: asyncio.to_thread(written.remove),
    )


class TimedResponse(StreamingResponse):
    """Pieces within a time; their source is removed."""

    def __init__(
        self,
        pieces: Iterator[bytes] | AsyncIterator[bytes],
        *,
        headers: Mapping[str, str],
        media_type: str,
        seconds: float | int,
        tidy: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._seconds, self._tidy = seconds, tidy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces in time, then remove their source."""
        pieces = cast("AsyncGenerator[bytes]", self.body_iterator)
        try:
            async with asyncio.timeout(self._seconds), aclosing(pieces):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # the connection is closed, as the answer is not complete
        finally:
            await self._tidy()
