"""Answers of files: sent in pieces within a time limit, and removed at the end."""

import asyncio
from collections.abc import Iterator

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rilievo.errors import one_line
from rilievo.serve.files import Written
from rilievo.serve.results import Result

_LONGEST_REMARKS = 1000


def file_answer(result: Result, written: Written, seconds: float | int) -> Response:
    """The answer that sends the outputs of a prediction."""
    headers = {"Content-Disposition": f'attachment; filename="{written.name}"'}
    depth = result.prediction.depth_or_none
    if depth is not None:
        headers["X-Depth-Kind"] = depth.kind.value
    if result.remarks:
        remarks = one_line(" | ".join(result.remarks)).encode("ascii", "replace").decode()
        headers["X-Remarks"] = remarks[:_LONGEST_REMARKS]
    if written.content is not None:
        return Response(written.content, media_type=written.media_type, headers=headers)
    if written.size is not None:
        headers["Content-Length"] = str(written.size)
    return _FilesResponse(written, headers, seconds)


class _FilesResponse(Response):
    """Files that are removed when they are sent, or when the client leaves or is too slow."""

    def __init__(self, written: Written, headers: dict[str, str], seconds: float | int) -> None:
        super().__init__(None, headers=headers, media_type=written.media_type)
        self._written, self._seconds = written, seconds
        if written.size is None:  # a zip is as long as it becomes
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(receive, send)
        except TimeoutError:
            return  # the connection is closed, as the answer is not complete
        finally:
            await run_in_threadpool(self._written.remove)

    async def _send(self, receive: Receive, send: Send) -> None:
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        left = asyncio.ensure_future(disconnected(receive))
        pieces = self._written.chunks()
        try:
            while (piece := await run_in_threadpool(_next_of, pieces)) is not None:
                if left.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            left.cancel()


def _next_of(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


async def disconnected(receive: Receive) -> None:
    """Wait until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        continue
