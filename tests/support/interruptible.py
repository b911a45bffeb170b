"""Processes that Ctrl-C reaches, however the tests themselves were started."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def start_process(
    command: Sequence[str], folder: Path | None = None, **more: Any
) -> subprocess.Popen[str]:
    """Start a process with the usual answer to SIGINT: a shell's background jobs ignore it."""
    return subprocess.Popen(
        list(command), stderr=subprocess.PIPE, text=True, cwd=folder, preexec_fn=_listen, **more
    )


def _listen() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
