"""Files of several results as one zip, written one result after the other while it is sent."""

import asyncio
import zipfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rilievo.app.photographs import Photographs
from rilievo.app.store import Entry, Store
from rilievo.errors import RilievoError
from rilievo.serve.asked import PredictAsked
from rilievo.serve.files import Pipe, Written, read_chunks
from rilievo.serve.refusals import GivenUp, Refusal
from rilievo.serve.results import disconnected


class ZipOfResults(Response):
    """A zip of files of results, which are pinned until it is sent."""

    def __init__(
        self,
        photographs: Photographs,
        store: Store,
        entries: Sequence[Entry],
        *,
        client: str,
        outputs: tuple[str, ...],
        seconds: float | int,
    ) -> None:
        """Prepare an answer.

        Args:
            photographs: Writes the files.
            store: Holds the results.
            entries: Results, already pinned; they are released.
            client: Visitor who asks.
            outputs: Outputs of each result.
            seconds: Time in which the visitor must have taken it.
        """
        headers = {"Content-Disposition": 'attachment; filename="results.zip"'}
        super().__init__(None, headers=headers, media_type="application/zip")
        del self.headers["content-length"]
        self._photographs, self._store, self._entries = photographs, store, entries
        self._client, self._outputs, self._seconds = client, outputs, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        left = asyncio.ensure_future(disconnected(receive))
        try:
            async with asyncio.timeout(self._seconds):
                head = {"type": "http.response.start", "status": self.status_code}
                await send({**head, "headers": self.raw_headers})
                async with aclosing(self._pieces(left)) as pieces:
                    async for piece in pieces:
                        if left.done():
                            return
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except (TimeoutError, GivenUp):
            return  # the connection is closed, as the answer is not complete
        finally:
            left.cancel()
            for entry in self._entries:
                self._store.release(entry)

    async def _pieces(self, left: "asyncio.Future[None]") -> AsyncGenerator[bytes]:
        pipe, seen = Pipe(), dict[str, int]()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
            for entry in self._entries:
                count = seen[entry.name] = seen.get(entry.name, 0) + 1
                name = entry.name if count == 1 else f"{entry.name}-{count}"
                try:
                    _, written = await self._photographs.files(
                        entry,
                        self._client,
                        PredictAsked(),
                        self._outputs,
                        lambda: asyncio.shield(left),
                        name,
                    )
                except (RilievoError, Refusal) as error:
                    packed.writestr(f"{name}.error.txt", f"{error}\n")
                    continue
                try:
                    async for piece in _packed(packed, pipe, written):
                        yield piece
                finally:
                    await asyncio.to_thread(written.remove)
        yield pipe.taken()


async def _packed(packed: zipfile.ZipFile, pipe: Pipe, written: Written) -> AsyncGenerator[bytes]:
    if written.content is not None:
        packed.writestr(written.name, written.content)
        yield pipe.taken()
    for path in written.paths:
        facts = zipfile.ZipInfo.from_file(path, path.name)
        with packed.open(facts, "w") as file:
            pieces = read_chunks(path)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                file.write(piece)
                yield pipe.taken()
