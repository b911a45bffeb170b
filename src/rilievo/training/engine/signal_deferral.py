"""Signals that stop a run: the step in progress is finished first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rilievo.system.signals import is_repeated_signal, raise_unless_repeated


class SignalDeferral:
    """Deferral of SIGINT and SIGTERM while a step is taken; the second raises."""

    def __init__(self, *, defers: bool) -> None:
        self.is_asked = False
        self._defers = defers and threading.current_thread() is threading.main_thread()
        self._inside = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "SignalDeferral":
        for number in (signal.SIGINT, signal.SIGTERM) if self._defers else ():
            if signal.getsignal(number) in (signal.default_int_handler, raise_unless_repeated):
                self._before[number] = signal.signal(number, self._handle_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer the first signal in the block."""
        self._inside = True
        try:
            yield
        finally:
            self._inside = False

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        if self._inside and not self.is_asked:
            self.is_asked = True
            is_repeated_signal()
            return
        self._before[number](number, frame)
