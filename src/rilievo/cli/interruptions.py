"""Signals that stop a command: those that follow within a second belong to the first.

Users press Ctrl-C several times. The first one raises ``KeyboardInterrupt``. What tidies up after
it is not interrupted, nor is the end of the interpreter, which would abort.
"""

import atexit
import math
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

_TOGETHER = 1.0
"""Seconds in which signals are one."""
_last = -math.inf


def follows() -> bool:
    """Whether a signal that came now follows another one within a second."""
    global _last
    now = time.monotonic()
    if now - _last < _TOGETHER:
        return True
    _last = now
    return False


def raise_once(number: int, frame: FrameType | None) -> None:
    """Raise ``KeyboardInterrupt``, unless the signal belongs to an earlier one."""
    if not follows():
        raise KeyboardInterrupt


def begin() -> None:
    """Let SIGINT and SIGTERM raise ``KeyboardInterrupt``, once."""
    _install(raise_once)
    sys.unraisablehook = _raise_again
    # The interpreter takes handlers away while it ends; what ignores signals stays.
    atexit.register(_install, signal.SIG_IGN)


def end(exit_code: int) -> None:
    """Let the process end; a signal after a second ends it by force."""
    follows()
    # Python remembers a KeyboardInterrupt that left exec(), as in dataclasses, until the next call,
    # and would end itself by SIGINT.
    exec("")
    _install(lambda number, frame: None if follows() else os._exit(exit_code))


def _install(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in the background of a script
            signal.signal(number, handler)


def _raise_again(lost: "sys.UnraisableHookArgs") -> None:
    """Send the signal again if its exception came where Python ignores exceptions."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    global _last
    import _thread
    import threading

    _last = -math.inf
    threading.Timer(0.01, _thread.interrupt_main).start()
