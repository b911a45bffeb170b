"""The process of a listener: how it ends at a signal, and returns memory to the system.

This module imports nothing of an extra.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

EXIT_CODES: Mapping[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 128 + signal.SIGINT}
"""Exit codes by signals. SIGTERM is the normal end of a service."""
LAST_SECONDS = 6.5
"""Time from a signal to an end by force [s]."""


@contextmanager
def exit_zero_on_sigterm() -> Iterator[None]:
    """Exit with code 0 at SIGTERM in the block, and clean up before."""
    with _signals_handled_by([signal.SIGTERM], lambda number, frame: sys.exit(EXIT_CODES[number])):
        yield


@contextmanager
def exit_at_once_on_signals() -> Iterator[None]:
    """Exit at once at signals in the block, where a thread reads standard input.

    Without this, the process would wait for the thread. No file is half written then.
    """
    with _signals_handled_by([*EXIT_CODES], lambda number, frame: end_at_once(number)):
        yield


def end_at_once(number: int = signal.SIGTERM) -> None:
    """Exit now and without cleaning up, with the code of a signal."""
    os._exit(EXIT_CODES[number])


@contextmanager
def exit_in_time_after_signals(exit_code: int) -> Iterator[None]:
    """Exit by force ``LAST_SECONDS`` after a signal, if the block has not ended by then.

    The exception of a signal may be lost in another library.
    """
    signalled, ended = threading.Event(), threading.Event()

    def exit_if_still_running() -> None:
        signalled.wait()
        if not ended.wait(LAST_SECONDS):
            os._exit(exit_code)

    def note_signal_and_pass_on(number: int, frame: FrameType | None) -> None:
        signalled.set()
        handler = original_handlers[number]
        if callable(handler):
            handler(number, frame)

    original_handlers = {number: signal.getsignal(number) for number in EXIT_CODES}
    threading.Thread(target=exit_if_still_running, name="end in time", daemon=True).start()
    try:
        # A process that ignores a signal, as in the background of a script, goes on to ignore it.
        handled = [number for number, handler in original_handlers.items() if callable(handler)]
        with _signals_handled_by(handled, note_signal_and_pass_on):
            yield
    finally:
        ended.set()
        signalled.set()


@contextmanager
def _signals_handled_by(
    numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle signals in the block, if it runs in the main thread; others cannot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    original_handlers = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, original_handler in original_handlers.items():
            signal.signal(number, original_handler)


_ARENA_MAX = -8
"""Parameter of ``mallopt``: https://man7.org/linux/man-pages/man3/mallopt.3.html."""
_ARENAS = 2


def share_arenas() -> None:
    """Let threads that start later share the memory that they free."""
    _call_glibc("mallopt", _ARENA_MAX, _ARENAS)


def raise_limit_of_open_files(wanted: int) -> int:
    """Raise the limit of open files and connections to ``wanted``, if possible; return it."""
    if sys.platform == "win32":  # which has no such limit
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if possible > soft:
        with suppress(OSError, ValueError):  # macOS has a limit below the one that it states
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def trim_heap() -> None:
    """Return freed memory to the system."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    if sys.platform == "linux":
        # Other C libraries have no such functions.
        with suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(None), name)(*arguments)
