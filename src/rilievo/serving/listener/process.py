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
EXIT_TIMEOUT = 6.5
"""Time from a signal to an end by force [s]."""


@contextmanager
def exit_zero_on_sigterm() -> Iterator[None]:
    """While the block runs, SIGTERM exits with code 0 after cleaning up."""
    with _signals_handled_by([signal.SIGTERM], lambda number, frame: sys.exit(EXIT_CODES[number])):
        yield


@contextmanager
def exit_at_once_on_signals() -> Iterator[None]:
    """While the block runs, signals exit at once, because a thread reads standard input.

    Otherwise, the process would wait for that thread. No file is half written at that time.
    """
    with _signals_handled_by([*EXIT_CODES], lambda number, frame: end_at_once(number)):
        yield


def end_at_once(number: int = signal.SIGTERM) -> None:
    """Exit now, without cleaning up, with the exit code of a signal."""
    os._exit(EXIT_CODES[number])


@contextmanager
def force_exit_after_signal(exit_code: int) -> Iterator[None]:
    """Exit by force if the block has not ended ``EXIT_TIMEOUT`` after a signal.

    This is needed because another library may swallow the exception that a signal raises. A thread
    waits for a signal, and then for the end of the block.
    """
    signalled = threading.Event()
    ended = threading.Event()

    def exit_if_still_running() -> None:
        signalled.wait()
        if not ended.wait(EXIT_TIMEOUT):
            os._exit(exit_code)

    def record_and_forward_signal(number: int, frame: FrameType | None) -> None:
        signalled.set()
        handler = original_handlers[number]
        if callable(handler):
            handler(number, frame)

    original_handlers = {number: signal.getsignal(number) for number in EXIT_CODES}
    threading.Thread(target=exit_if_still_running, name="forced exit", daemon=True).start()
    try:
        # Signals that the process ignores, for example in the background of a script, stay ignored.
        numbers = [number for number, handler in original_handlers.items() if callable(handler)]
        with _signals_handled_by(numbers, record_and_forward_signal):
            yield
    finally:
        ended.set()
        signalled.set()  # wakes the thread, so that it ends


@contextmanager
def _signals_handled_by(
    numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle signals while the block runs. Outside the main thread Python allows no handlers."""
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
    """Let the threads that start later share two arenas of glibc, and so their freed memory."""
    _call_glibc("mallopt", _ARENA_MAX, _ARENAS)


def raise_limit_of_open_files(wanted: int) -> int:
    """Raise the limit of open files to ``wanted``, or as far as possible.

    Connections count as open files too.

    Returns:
        The limit that holds now.
    """
    if sys.platform == "win32":  # there is no such limit
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
