"""Process of a listener: its end at a signal, and freed memory; imports nothing of an extra."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

EXIT_CODES: Mapping[int, int] = {signal.SIGTERM: 0, signal.SIGINT: 128 + signal.SIGINT}
"""Exit codes by signals; services end by SIGTERM."""
LAST_SECONDS = 6.5
"""Seconds from a signal to an end by force."""


@contextmanager
def exit_zero_on_sigterm() -> Iterator[None]:
    """Exit with code 0 at SIGTERM, in order."""
    with _signals_handled_by([signal.SIGTERM], lambda number, frame: sys.exit(EXIT_CODES[number])):
        yield


@contextmanager
def exit_at_once_on_signals() -> Iterator[None]:
    """Exit at signals while a thread reads standard input; files are whole."""
    with _signals_handled_by([*EXIT_CODES], lambda number, frame: end_at_once(number)):
        yield


def end_at_once(number: int = signal.SIGTERM) -> None:
    """Exit now, without cleaning up, by a signal's code."""
    os._exit(EXIT_CODES[number])


@contextmanager
def exit_in_time_after_signals(exit_code: int) -> Iterator[None]:
    """Exit by force seconds after a signal, whose exception may be lost."""
    signalled, over = threading.Event(), threading.Event()

    def exit_if_still_running() -> None:
        signalled.wait()
        if not over.wait(LAST_SECONDS):
            os._exit(exit_code)

    def note_signal_and_pass_on(number: int, frame: FrameType | None) -> None:
        signalled.set()
        former = earlier[number]
        if callable(former):
            former(number, frame)

    earlier = {number: signal.getsignal(number) for number in EXIT_CODES}
    threading.Thread(target=exit_if_still_running, name="end in time", daemon=True).start()
    try:
        # What ignores a signal, as in the background of a script, goes on to ignore it.
        with _signals_handled_by(
            [number for number in earlier if callable(earlier[number])], note_signal_and_pass_on
        ):
            yield
    finally:
        over.set()
        signalled.set()


@contextmanager
def _signals_handled_by(
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


# https://man7.org/linux/man-pages/man3/mallopt.3.html
_ARENA_MAX = -8
_ARENAS = 2


def share_arenas() -> None:
    """Let threads share freed memory, before they start."""
    _call_glibc("mallopt", _ARENA_MAX, _ARENAS)


def raise_limit_of_open_files(most: int) -> int:
    """Raise the number of files and connections that may be open; returns it."""
    if sys.platform == "win32":  # which has no such limit
        return most
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if wanted > soft:
        with suppress(OSError, ValueError):  # macOS has a limit below the one that it states
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def trim_heap() -> None:
    """Hand freed memory back to the system."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    if sys.platform == "linux":
        # Libraries other than GNU's have no such functions, and other habits.
        with suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(None), name)(*arguments)
