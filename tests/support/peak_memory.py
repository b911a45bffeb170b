"""Most memory that a command had."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAM = """
import sys
from rilievo.cli import main
code = main(sys.argv[2:])
line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
open(sys.argv[1], "w").write(line.split()[1])
sys.exit(code)
"""
"""VmHWM counts from the start of a program; ru_maxrss has what its parent held too."""


def peak_memory(words: Sequence[str], report: Path, codes: Sequence[int] = (0,)) -> int:
    """Most memory that a command had [bytes].

    Args:
        words: The command, without ``rilievo``.
        report: File for the figure.
        codes: Statuses with which the command may end.
    """
    # As much freed memory as can be goes back, so that what is counted is in use.
    settings = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_ARENA_MAX": "1"}
    line = [sys.executable, "-c", PROGRAM, str(report), *words]
    assert subprocess.run(line, env=os.environ | settings, check=False).returncode in codes
    return int(report.read_text()) * 1024
