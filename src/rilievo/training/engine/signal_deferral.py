"""Signals that stop a run after the step in progress."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rilievo.system.signals import is_repeated_signal, raise_unless_repeated


class SignalDeferral:
    """Context manager that defers SIGINT and SIGTERM while a step is computed.

    Outside of ``deferred``, or if a signal comes twice, the previous handler is called at once.

    Attributes:
        is_asked: Whether a deferred signal asks the run to stop.
    """

    def __init__(self, *, defers: bool) -> None:
        """Prepare the handlers; without ``defers``, signals are left alone."""
        self.is_asked = False
        is_main_thread = threading.current_thread() is threading.main_thread()
        self._defers = defers and is_main_thread
        self._is_in_step = False
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> "SignalDeferral":
        if not self._defers:
            return self
        for number in (signal.SIGINT, signal.SIGTERM):
            # A handler that the user installed stays.
            if signal.getsignal(number) in (signal.default_int_handler, raise_unless_repeated):
                self._previous_handlers[number] = signal.signal(number, self._handle_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer the first signal that comes in this block."""
        self._is_in_step = True
        try:
            yield
        finally:
            self._is_in_step = False

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_in_step and not self.is_asked:
            self.is_asked = True
            is_repeated_signal()  # counts this signal as the first one
            return
        self._previous_handlers[number](number, frame)
