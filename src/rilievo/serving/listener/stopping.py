"""End of the server within seconds of a signal, though threads in decoders cannot be stopped.

Requests have a few seconds; then the rest is abandoned, without files left.
"""

import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from rilievo.interruptions import follows

EXIT_CODES: Mapping[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 128 + signal.SIGINT}
"""Exit codes by signals; services end by SIGTERM."""
LAST_SECONDS = 6.5
"""Seconds from a signal to an end by force."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process with exit code 0."""
    with _handled([signal.SIGTERM], lambda number, frame: sys.exit(EXIT_CODES[number])):
        yield


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Let signals end the process while a thread reads standard input; files are never partial."""
    with _handled([*EXIT_CODES], lambda number, frame: end_at_once(number)):
        yield


def end_at_once(number: int = signal.SIGTERM) -> None:
    """End the process as a signal does."""
    os._exit(EXIT_CODES[number])


@contextmanager
def ended_in_time(exit_code: int) -> Iterator[None]:
    """End the process by force some seconds after a signal, whose exception other code may lose."""
    signalled, over = threading.Event(), threading.Event()

    def watch() -> None:
        signalled.wait()
        if not over.wait(LAST_SECONDS):
            os._exit(exit_code)

    def handle(number: int, frame: FrameType | None) -> None:
        signalled.set()
        former = earlier[number]
        if callable(former):
            former(number, frame)

    earlier = {number: signal.getsignal(number) for number in EXIT_CODES}
    threading.Thread(target=watch, name="end in time", daemon=True).start()
    try:
        # What ignores a signal, as in the background of a script, goes on to ignore it.
        with _handled([number for number in earlier if callable(earlier[number])], handle):
            yield
    finally:
        over.set()
        signalled.set()


@contextmanager
def _handled(
    numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


GRACE = 5
"""Seconds that requests have to end; containers have 10."""
_REMOVING_SECONDS = 1.0


class StoppableServer(uvicorn.Server):
    """uvicorn's server, which ends seconds after a signal in any case."""

    def __init__(
        self,
        config: uvicorn.Config,
        folder: Path | None,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
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
        """End connections."""
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
        """Stop, from another thread; the rest is cancelled after ``GRACE``, or at once."""
        self.force_exit, self.should_exit = at_once, True

    def _end(self, code: int) -> None:
        try:
            self._abandon()
            if self._folder is not None:
                _remove(self._folder)
        finally:
            os._exit(code)


def _remove(folder: Path) -> None:
    end = time.monotonic() + _REMOVING_SECONDS
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
