"""Signals that end a listener, and the exit codes of its process."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

EXIT_CODES: Mapping[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 128 + signal.SIGINT}
"""Exit codes by signals: SIGTERM is how services are ended, and clients end what they started."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process with exit code 0, also before uvicorn listens to it."""
    with _handled([signal.SIGTERM], lambda number, frame: sys.exit(EXIT_CODES[number])):
        yield


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Let signals end the process though a thread waits for standard input.

    Files are whole at any moment, as they get their names at the end.
    """
    with _handled([*EXIT_CODES], lambda number, frame: end_at_once(number)):
        yield


def end_at_once(number: int = signal.SIGTERM) -> None:
    """End the process as a signal does, whatever its threads do."""
    os._exit(EXIT_CODES[number])


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
