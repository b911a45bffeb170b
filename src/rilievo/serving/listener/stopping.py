"""The end of the server: within seconds of a signal, whatever its threads and children do.

A thread cannot be stopped, and one that is in a decoder or a network may take minutes. Requests
have a few seconds to end; then what is left is abandoned, without a file left behind.
"""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from rilievo.interruptions import follows
from rilievo.serving.listener.ending import EXIT_CODES, LAST_SECONDS

GRACE = 5
"""Seconds that requests have to end when the server is stopped; containers are killed after 10."""
_REMOVING_SECONDS = 1.0


class StoppableServer(uvicorn.Server):
    """uvicorn's server, which ends a few seconds after SIGTERM or Ctrl-C in any case.

    SIGTERM is how a service is stopped, so the exit code is 0 then.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        folder: Path | None,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare the server.

        Args:
            config: uvicorn's settings.
            folder: Folder with all files of the server; None if it has no files.
            abandon: Function that ends what other processes do for the server.
        """
        super().__init__(config)
        self._folder, self._abandon = folder, abandon
        self._is_interrupted = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until stopped.

        Raises:
            KeyboardInterrupt: If Ctrl-C stopped it.
        """
        super().run(sockets)
        if self._is_interrupted:
            raise KeyboardInterrupt

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End connections, those that are to end at once without a last byte."""
        if self.force_exit:
            for connection in [*self.server_state.connections]:
                connection.transport.abort()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, politely at first."""
        if follows():
            return
        is_first, self._is_interrupted = not self.should_exit, sig == signal.SIGINT
        self.force_exit, self.should_exit = not is_first and self._is_interrupted, True
        if is_first:
            timer = threading.Timer(LAST_SECONDS, self._end, (EXIT_CODES[sig],))
            timer.daemon = True
            timer.start()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop, from another thread; what is left after ``GRACE``, or at once, is cancelled."""
        self.force_exit, self.should_exit = at_once, True

    def _end(self, code: int) -> None:
        try:
            self._abandon()
            if self._folder is not None:
                _remove(self._folder)
        finally:
            os._exit(code)


def _remove(folder: Path) -> None:
    """Remove a folder in which threads may still be writing."""
    end = time.monotonic() + _REMOVING_SECONDS
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
