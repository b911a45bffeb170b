"""Responses with the files of a prediction."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import cast

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from rilievo.errors.messages import one_line
from rilievo.prediction import Prediction
from rilievo.serving.server.answer_files import WrittenFiles
from rilievo.serving.server.service import client_notes

_MAX_NOTES_LENGTH = 1000


class TimedResponse(StreamingResponse):
    """Streaming response that is cut off if the client does not read it in ``timeout_seconds``.

    ``clean_up`` is called at the end, whether or not the client has read all of it.
    """

    def __init__(
        self,
        chunks: Iterator[bytes] | AsyncIterator[bytes],
        *,
        headers: Mapping[str, str],
        media_type: str,
        timeout_seconds: float | int,
        clean_up: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(chunks, headers=headers, media_type=media_type)
        self._timeout_seconds = timeout_seconds
        self._clean_up = clean_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks, then clean up."""
        chunks = cast("AsyncGenerator[bytes]", self.body_iterator)
        try:
            async with asyncio.timeout(self._timeout_seconds), aclosing(chunks):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # uvicorn closes the connection, because the answer is not complete
        finally:
            await self._clean_up()


class FilesResponse(TimedResponse):
    """Response with the outputs of a prediction, which are removed once they are sent."""

    def __init__(
        self, prediction: Prediction, written: WrittenFiles, timeout_seconds: float | int
    ) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{written.name}"'}
        depth = prediction.depth_or_none
        if depth is not None:
            headers["X-Depth-Kind"] = depth.kind.value
        notes = " | ".join(client_notes(prediction))
        if notes:
            ascii_notes = one_line(notes).encode("ascii", "replace").decode()
            headers["X-Notes"] = ascii_notes[:_MAX_NOTES_LENGTH]
        if written.size is not None:
            headers["Content-Length"] = str(written.size)
        super().__init__(
            written.chunks(),
            headers=headers,
            media_type=written.media_type,
            timeout_seconds=timeout_seconds,
            clean_up=lambda: asyncio.to_thread(written.remove),
        )
        self._written = written

    def discard(self) -> None:
        """Remove the outputs without sending them."""
        self._written.remove()
