"""Ctrl-C and SIGTERM stop a command without interrupting its cleanup.

A terminal sends Ctrl-C to every process of a command, and a user may press it twice. So a signal
within a second of another one is ignored, and a command can finish what it does at its end.
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
"""Time after a signal in which further signals are ignored [s]."""
_RESEND_DELAY = 0.01
"""Time after which a swallowed signal is sent again [s]."""
_UNINTERRUPTED_IMPORTS = frozenset({"onnx", "torch", "torch._dynamo", "triton"})
"""Packages whose C++ aborts the process if Ctrl-C interrupts their import."""

# State of the process. Times are those of ``time.monotonic`` [s].
_last_signal_time = -math.inf
_last_raised_time = -math.inf
_last_signal = signal.SIGINT
_delaying_blocks = 0
_has_delayed_signal = False


class Interruption(KeyboardInterrupt):
    """Ctrl-C, which is sent again if code such as a C extension swallows it.

    Attributes:
        is_taken: Whether rilievo handles it, so that it need not be sent again.
    """

    is_taken = False

    def __del__(self) -> None:
        if not self.is_taken:
            _send_again()


def handle_if_ctrl_c(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error; if so, it counts as handled and is not sent again."""
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
    """Where the work stopped, as the message of a ``KeyboardInterrupt`` that rilievo raised says.

    Return "stopped" if no error in the chain of causes has such a message.
    """
    while error is not None and not _has_place_as_message(error):
        error = error.__cause__ or error.__context__
    return "stopped" if error is None else error.args[0]


def _has_place_as_message(error: BaseException) -> bool:
    is_wrapped_by_python = isinstance(error.__cause__, KeyboardInterrupt)
    return isinstance(error, KeyboardInterrupt) and bool(error.args) and not is_wrapped_by_python


def is_repeated_signal() -> bool:
    """Whether a signal that comes now follows another one within a second.

    If not, it is recorded as the last signal.
    """
    global _last_signal_time
    now = time.monotonic()
    if now - _last_signal_time < _REPEAT_TIME:
        return True
    _last_signal_time = now
    return False


def raise_unless_repeated(number: int, frame: FrameType | None) -> None:
    """Signal handler: raise ``Interruption`` now, or at the end of a ``delay_ctrl_c`` block."""
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
    # Python remembers that a KeyboardInterrupt left a call of exec(), such as that in dataclasses,
    # and would then end by SIGINT. A further call of exec() makes it forget.
    exec("")
    _set_handlers(exit_unless_repeated)


@contextmanager
def block_in_children() -> Iterator[None]:
    """Block Ctrl-C in processes that start in the block, until they call ``ignore_ctrl_c``.

    Windows cannot block signals, so the block does nothing there.
    """
    if sys.platform == "win32":
        yield
        return
    # Starting the resource tracker unblocks signals, so it has to start first.
    import_module("multiprocessing.resource_tracker").ensure_running()
    original_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, original_mask)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C in a child process, whose parent receives it and ends the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class _UninterruptedImports:
    """Finder in ``sys.meta_path`` that delays Ctrl-C while some packages are imported.

    It finds no modules itself. It asks the other finders, and wraps the loader that they return, so
    that the module is executed in a ``delay_ctrl_c`` block.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _UNINTERRUPTED_IMPORTS:
            return None
        spec = _find_spec_elsewhere(name, path, target)
        if spec is not None:
            exec_module = spec.loader.exec_module
            spec.loader.exec_module = partial(_execute_uninterrupted, exec_module)
        return spec


def _find_spec_elsewhere(name: str, path: Any, target: Any) -> Any:
    """Ask the other finders for a module with a loader; None if there is none."""
    for finder in sys.meta_path:
        # A process that has run several commands has one of these finders for each of them.
        if isinstance(finder, _UninterruptedImports):
            continue
        spec = finder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            return spec
    return None


def _execute_uninterrupted(exec_module: Callable[[ModuleType], None], module: ModuleType) -> None:
    with delay_ctrl_c():
        exec_module(module)


@contextmanager
def delay_ctrl_c() -> Iterator[None]:
    """Delay Ctrl-C to the end of a block, or of the outermost one if blocks are nested."""
    global _delaying_blocks, _has_delayed_signal
    _delaying_blocks += 1
    try:
        with _replace_python_handler():
            yield
    finally:
        _delaying_blocks -= 1
        if _has_delayed_signal and not _delaying_blocks:
            _has_delayed_signal = False
            _send_again()


@contextmanager
def _replace_python_handler() -> Iterator[None]:
    """Handle SIGINT with ``raise_unless_repeated`` in a block, if nobody else handles it."""
    python_handler = signal.default_int_handler
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGINT) is not python_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, raise_unless_repeated)
        yield
    finally:
        signal.signal(signal.SIGINT, python_handler)


def _set_handlers(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # A command in the background of a script ignores SIGINT, and goes on to ignore it.
        is_ignored = signal.getsignal(number) is signal.SIG_IGN
        if not is_ignored:
            signal.signal(number, handler)


def _print_unless_ctrl_c(unraisable: "sys.UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _send_again() -> None:
    """Send the last signal to the main thread again, so that it does not count as repeated."""
    global _last_signal_time
    import _thread

    def send() -> None:
        # A signal to the main thread also interrupts a blocking call, which Windows cannot do.
        if sys.platform == "win32":
            _thread.interrupt_main(_last_signal)
        else:
            signal.pthread_kill(threading.main_thread().ident or 0, _last_signal)

    _last_signal_time = -math.inf
    threading.Timer(_RESEND_DELAY, send).start()
