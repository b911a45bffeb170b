"""Responses with the files of a prediction."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import cast

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from rilievo.errors.messages import one_line
from rilievo.prediction import Prediction
from rilievo.serving.server.answer_files import WrittenFiles
from rilievo.serving.server.service import client_notes

_MAX_NOTES_LENGTH = 1000


def files_response(prediction: Prediction, written: WrittenFiles, seconds: float | int) -> Response:
    """Make a response that sends the outputs of a prediction and then removes them.

    Args:
        prediction: Prediction, whose kind of depth and notes are sent as headers.
        written: Its outputs.
        seconds: Time in which the client has to read them.
    """
    headers = {"Content-Disposition": f'attachment; filename="{written.name}"'}
    depth = prediction.depth_or_none
    if depth is not None:
        headers["X-Depth-Kind"] = depth.kind.value
    notes = " | ".join(client_notes(prediction))
    if notes:
        headers["X-Notes"] = one_line(notes).encode("ascii", "replace").decode()[:_MAX_NOTES_LENGTH]
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
    """Response in pieces, which the client has to read in time, and whose source is removed."""

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
        """Send the pieces, then remove their source."""
        pieces = cast("AsyncGenerator[bytes]", self.body_iterator)
        try:
            async with asyncio.timeout(self._seconds), aclosing(pieces):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # uvicorn closes the connection, because the answer is not complete
        finally:
            await self._tidy()
