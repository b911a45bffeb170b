"""Signals that stop a run: the step in progress is finished first, so that it can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rilievo.interruptions import follows, raise_once


class Stopping:
    """Defers SIGINT and SIGTERM while a step is taken; a context manager.

    Elsewhere, and the second time, they raise ``KeyboardInterrupt`` at once. Signals that are
    handled in another way, such as those of a notebook's server, are left alone.

    Attributes:
        is_asked: Whether a signal came during a step.
    """

    def __init__(self, *, defers: bool) -> None:
        """Prepare; without ``defers`` nothing is changed."""
        self.is_asked = False
        self._defers = defers and threading.current_thread() is threading.main_thread()
        self._inside = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        for number in (signal.SIGINT, signal.SIGTERM) if self._defers else ():
            if signal.getsignal(number) in (signal.default_int_handler, raise_once):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer the signals in a block."""
        self._inside = True
        try:
            yield
        finally:
            self._inside = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._inside and not self.is_asked:
            self.is_asked = True
            follows()
            return
        self._before[number](number, frame)
