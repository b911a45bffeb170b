"""Ctrl-C and SIGTERM, which stop a command once a second and do not interrupt its cleanup.

A terminal sends Ctrl-C to every process of a command, and a user may press it twice. So a signal
within a second of another one is ignored, and what a command does at its end is done.
"""

import atexit
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import FrameType, ModuleType
from typing import Any

_REPEAT_TIME = 1.0
"""Time [s] after a signal in which another one is ignored."""
_RESEND_DELAY = 0.01
"""Time [s] until a lost signal comes again."""
_UNINTERRUPTED_IMPORTS = frozenset({"onnx", "torch"})
"""Packages whose C++ aborts the process if Ctrl-C interrupts their import."""

# State of the process. Times are those of ``time.monotonic`` [s].
_last_signal_time = -math.inf
_last_raised_time = -math.inf
_last_signal = signal.SIGINT
_delaying_blocks = 0
_has_delayed_signal = False


class Interruption(KeyboardInterrupt):
    """Ctrl-C, which comes again if code such as a C extension swallows it.

    Attributes:
        is_taken: Whether our code handles it, so that it need not come again.
    """

    is_taken = False

    def __del__(self) -> None:
        if not self.is_taken:
            _send_again()


def handle_if_ctrl_c(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error; if so, it counts as handled and does not come again."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    if isinstance(error, Interruption):
        error.is_taken = True
    return error is not None


def is_interruption(error: BaseException) -> bool:
    """Whether Ctrl-C caused an error, or came within the last second.

    If so, further signals are ignored for a second.
    """
    global _last_signal_time
    is_caused_by_ctrl_c = handle_if_ctrl_c(error)
    # pybind11 turns Ctrl-C into another error, without it as the cause.
    is_recent = time.monotonic() - _last_raised_time < _REPEAT_TIME
    is_stopped = is_caused_by_ctrl_c or _has_delayed_signal or is_recent
    if is_stopped:
        _last_signal_time = time.monotonic()
    return is_stopped


def interruption_place(error: BaseException | None) -> str:
    """Words for where the work stopped, which a ``KeyboardInterrupt`` of ours has as its message.

    They are "stopped" if no error in the chain of causes has such words.
    """
    while error is not None and not _has_place_as_message(error):
        error = error.__cause__ or error.__context__
    return "stopped" if error is None else error.args[0]


def _has_place_as_message(error: BaseException) -> bool:
    is_python = isinstance(error.__cause__, KeyboardInterrupt)
    return isinstance(error, KeyboardInterrupt) and bool(error.args) and not is_python


def is_repeated_signal() -> bool:
    """Whether a signal that comes now follows another one within a second.

    If it does not, the time of the last signal becomes now.
    """
    global _last_signal_time
    now = time.monotonic()
    if now - _last_signal_time < _REPEAT_TIME:
        return True
    _last_signal_time = now
    return False


def raise_unless_repeated(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raise ``Interruption``, or leave that to the end of ``delay_ctrl_c``."""
    global _last_raised_time, _has_delayed_signal, _last_signal
    if is_repeated_signal():
        return
    _last_signal = signal.Signals(number)
    if _delaying_blocks:
        _has_delayed_signal = True
        return
    _last_raised_time = _last_signal_time
    raise Interruption


def install_handlers() -> None:
    """Let SIGINT and SIGTERM raise ``Interruption``, once a second, until the process ends."""
    _set_handlers(raise_unless_repeated)
    sys.meta_path.insert(0, _UninterruptedImports())
    sys.unraisablehook = _print_unless_ctrl_c
    # The interpreter removes handlers while it ends, but it keeps SIG_IGN.
    atexit.register(_set_handlers, signal.SIG_IGN)


def exit_at_next_signal(exit_code: int) -> None:
    """End the process with ``exit_code`` at the next signal that is not a repetition."""

    def exit_unless_repeated(number: int, frame: FrameType | None) -> None:
        if not is_repeated_signal():
            os._exit(exit_code)

    is_repeated_signal()
    # Python remembers a KeyboardInterrupt that left exec(), as in dataclasses, until the next call,
    # and would end itself by SIGINT.
    exec("")
    _set_handlers(exit_unless_repeated)


@contextmanager
def block_in_children() -> Iterator[None]:
    """Keep Ctrl-C from processes that start in the block, until they call ``ignore_ctrl_c``.

    Windows cannot block signals, so the block does nothing there.
    """
    if sys.platform == "win32":
        yield
        return
    # The start of the resource tracker unblocks signals, so it has to come before the block.
    import_module("multiprocessing.resource_tracker").ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C in a child process, whose parent receives it and ends the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class _UninterruptedImports:
    """Finder of modules that lets the import of some packages delay Ctrl-C."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _UNINTERRUPTED_IMPORTS:
            return None
        for finder in sys.meta_path:
            # A process in which several commands run has such a finder for each of them.
            if isinstance(finder, _UninterruptedImports):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                execute = spec.loader.exec_module
                spec.loader.exec_module = partial(_execute_uninterrupted, execute)
                return spec
        return None


def _execute_uninterrupted(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    with delay_ctrl_c():
        execute(module)


@contextmanager
def delay_ctrl_c() -> Iterator[None]:
    """Delay Ctrl-C to the end of a block, or of the outermost one if blocks are nested."""
    global _delaying_blocks, _has_delayed_signal
    _delaying_blocks += 1
    try:
        with _replace_handler_of_python():
            yield
    finally:
        _delaying_blocks -= 1
        if _has_delayed_signal and not _delaying_blocks:
            _has_delayed_signal = False
            _send_again()


@contextmanager
def _replace_handler_of_python() -> Iterator[None]:
    """Use our handler of SIGINT in a block, if a user's program has none of its own."""
    of_python = signal.default_int_handler
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGINT) is not of_python:
        yield
        return
    try:
        signal.signal(signal.SIGINT, raise_unless_repeated)
        yield
    finally:
        signal.signal(signal.SIGINT, of_python)


def _set_handlers(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # A script that starts the command in the background lets it ignore SIGINT.
        is_ignored = signal.getsignal(number) is signal.SIG_IGN
        if not is_ignored:
            signal.signal(number, handler)


def _print_unless_ctrl_c(unraisable: "sys.UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _send_again() -> None:
    """Send the last signal to the main thread, as if no other one had come before."""
    global _last_signal_time
    import _thread

    def send() -> None:
        # A signal to the thread itself ends what it waits for; Windows has no such signals.
        if sys.platform == "win32":
            _thread.interrupt_main(_last_signal)
        else:
            signal.pthread_kill(threading.main_thread().ident or 0, _last_signal)

    _last_signal_time = -math.inf
    threading.Timer(_RESEND_DELAY, send).start()
