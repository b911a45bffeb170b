"""Commands of another Python, of a user's clone or of a reader's environment."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rilievo.io.files.names import printable


def run_other_python(
    command: Sequence[str],
    *,
    longest: float,
    folder: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command without the settings of this Python.

    rilievo of this environment must not be imported there, nor what ``PYTHONPATH`` names.

    Args:
        command: The program and its arguments.
        longest: Seconds that it may take.
        folder: Folder that it runs in.
        settings: Variables of the environment besides.

    Raises:
        subprocess.TimeoutExpired: If it takes longer.
        OSError: If it cannot be started.
    """
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command,
        cwd=folder,
        env={**inherited, **(settings or {})},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=longest,
        check=False,
    )


def reason_of_failure(done: subprocess.CompletedProcess[str]) -> str:
    """Last line that a failed command wrote, which is Python's error."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return printable(lines[-1])[:300] if lines else f"it ended with code {done.returncode}"
