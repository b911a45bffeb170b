"""Deferral of signals, so that they stop a run after the step in progress."""

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
        stop_requested: Whether a deferred signal asks the run to stop.
    """

    def __init__(self, *, defers: bool) -> None:
        """Prepare the handlers; without ``defers``, signals are left alone."""
        self.stop_requested = False
        is_main_thread = threading.current_thread() is threading.main_thread()
        self._defers = defers and is_main_thread
        self._is_in_step = False
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> "SignalDeferral":
        if not self._defers:
            return self
        # Handlers that the user installed stay.
        replaceable_handlers = (signal.default_int_handler, raise_unless_repeated)
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signal_number) in replaceable_handlers:
                previous_handler = signal.signal(signal_number, self._handle_signal)
                self._previous_handlers[signal_number] = previous_handler
        return self

    def __exit__(self, *_: object) -> None:
        for signal_number, handler in self._previous_handlers.items():
            signal.signal(signal_number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer the first signal that comes in this block."""
        self._is_in_step = True
        try:
            yield
        finally:
            self._is_in_step = False

    def _handle_signal(self, signal_number: int, frame: FrameType | None) -> None:
        if self._is_in_step and not self.stop_requested:
            self.stop_requested = True
            is_repeated_signal()  # counts this signal as the first one
            return
        self._previous_handlers[signal_number](signal_number, frame)
