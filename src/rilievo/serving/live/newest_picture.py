"""The latest picture, made in one thread and read in the loop of a server."""

import asyncio
from contextlib import suppress


class NewestPicture:
    """The latest picture, for any number of readers, who pass over those that they are late for."""

    def __init__(self) -> None:
        """Begin before the first picture."""
        self.number = 0
        self._picture = (0, b"")
        self._is_over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change = asyncio.Event()

    def put(self, jpeg: bytes) -> None:
        """Set the next picture; called in the thread that makes them."""
        self.number += 1
        self._picture = (self.number, jpeg)
        self._tell()

    def end(self) -> None:
        """Release all readers."""
        self._is_over = True
        self._tell()

    async def after(self, number: int) -> tuple[int, bytes] | None:
        """Wait for a picture newer than this number; None at the end."""
        self._loop = asyncio.get_running_loop()
        # From here on a picture wakes this task, also one that comes before it waits.
        while self._picture[0] <= number:
            if self._is_over:
                return None
            await self._change.wait()
        return self._picture

    def _tell(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()
