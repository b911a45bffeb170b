"""A child process that is killed at one of its changes of files."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = ("open", "os.rename", "os.remove")


def die_at(number: int, folder: Path, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed at its n-th change of files; whether it was killed."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    count = 0

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _CHANGES or str(folder) not in str(arguments[0]):
            return
        if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(heard)
        work()
    finally:
        os._exit(0)
