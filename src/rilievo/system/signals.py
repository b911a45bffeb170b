"""Signals that stop a command, once a second, and do not interrupt its cleanup."""

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

_TOGETHER = 1.0
# Their C++ aborts at an interruption.
_WHOLE = frozenset({"onnx", "torch"})
_last = -math.inf
_raised = -math.inf
_number = signal.SIGINT
_blocks = 0
_waits = False


class Interruption(KeyboardInterrupt):
    """Ctrl-C, which comes again where it is lost, as in C code."""

    is_taken = False

    def __del__(self) -> None:
        if not self.is_taken:
            _raise_again()


def handle_if_ctrl_c(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error; then it does not come again."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    if isinstance(error, Interruption):
        error.is_taken = True
    return error is not None


def is_interruption(error: BaseException) -> bool:
    """Whether Ctrl-C caused an error, or came within a second."""
    global _last
    # pybind11 makes another error of Ctrl-C, without it as the cause.
    is_stopped = handle_if_ctrl_c(error) or _waits or time.monotonic() - _raised < _TOGETHER
    if is_stopped:
        _last = time.monotonic()
    return is_stopped


def interruption_place(error: BaseException | None) -> str:
    """Words for where the work stopped; "stopped" if unknown."""
    while error is not None and not _has_place_as_message(error):
        error = error.__cause__ or error.__context__
    return "stopped" if error is None else error.args[0]


def _has_place_as_message(error: BaseException) -> bool:
    is_python = isinstance(error.__cause__, KeyboardInterrupt)
    return isinstance(error, KeyboardInterrupt) and bool(error.args) and not is_python


def is_repeated_signal() -> bool:
    """Whether a signal now follows another within a second; notes it if not."""
    global _last
    now = time.monotonic()
    if now - _last < _TOGETHER:
        return True
    _last = now
    return False


def raise_unless_repeated(number: int, frame: FrameType | None) -> None:
    """Raise ``Interruption``, in ``delay_ctrl_c`` at its end."""
    global _raised, _waits, _number
    if is_repeated_signal():
        return
    _number = signal.Signals(number)
    if _blocks:
        _waits = True
        return
    _raised = _last
    raise Interruption


def install_handlers() -> None:
    """Let SIGINT and SIGTERM raise ``KeyboardInterrupt``, once a second."""
    _set_handlers(raise_unless_repeated)
    sys.meta_path.insert(0, _WholeImports())
    sys.unraisablehook = _print_unless_ctrl_c
    # The interpreter takes handlers away while it ends; what ignores signals stays.
    atexit.register(_set_handlers, signal.SIG_IGN)


def exit_at_next_signal(exit_code: int) -> None:
    """End the process with ``exit_code`` at the next signal."""
    is_repeated_signal()
    # Python remembers a KeyboardInterrupt that left exec(), as in dataclasses, until the next call,
    # and would end itself by SIGINT.
    exec("")
    _set_handlers(lambda number, frame: None if is_repeated_signal() else os._exit(exit_code))


@contextmanager
def block_in_children() -> Iterator[None]:
    """Keep Ctrl-C from processes that start in the block."""
    if sys.platform == "win32":
        yield
        return
    # Started in the block, it would end it.
    import_module("multiprocessing.resource_tracker").ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C in a child process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class _WholeImports:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _WHOLE:
            return None
        for finder in sys.meta_path:
            # A process in which several commands run has one for each.
            is_own = isinstance(finder, _WholeImports)
            spec = None if is_own else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = partial(_import_whole, spec.loader.exec_module)
                return spec
        return None


def _import_whole(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    with delay_ctrl_c():
        execute(module)


@contextmanager
def delay_ctrl_c() -> Iterator[None]:
    """Delay Ctrl-C to the end of a block."""
    global _blocks, _waits
    own = signal.default_int_handler
    is_main = threading.current_thread() is threading.main_thread()
    # In a user's program Python's own handler raises it.
    is_plain = is_main and signal.getsignal(signal.SIGINT) is own
    _blocks += 1
    try:
        try:
            if is_plain:
                signal.signal(signal.SIGINT, raise_unless_repeated)
            yield
        finally:
            if is_plain:
                signal.signal(signal.SIGINT, own)
    finally:
        _blocks -= 1
        if _waits and not _blocks:
            _waits = False
            _raise_again()


def _set_handlers(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in the background of a script
            signal.signal(number, handler)


def _print_unless_ctrl_c(lost: "sys.UnraisableHookArgs") -> None:
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)


def _raise_again() -> None:
    global _last
    import _thread

    def press() -> None:
        # A signal to the thread itself ends what it waits for; Windows has none.
        if sys.platform == "win32":
            _thread.interrupt_main(_number)
        else:
            signal.pthread_kill(threading.main_thread().ident or 0, _number)

    _last = -math.inf
    threading.Timer(0.01, press).start()
