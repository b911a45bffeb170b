"""Runs of a job: begun, ended, and the one that nobody disturbs."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.torture.jobs import Job
from lab.torture.leavings import files_of
from lab.torture.plants import planted
from lab.torture.settings import Settings

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """A job's run that nobody disturbs.

    Attributes:
        input: Folder of its input, for other runs too.
        files: Files that it leaves.
        seconds: Duration.
        fault: End of a run, where not well; "" otherwise.
    """

    input: Path
    files: Mapping[str, bytes]
    seconds: float
    fault: str = ""


def start(
    job: Job,
    input: Path,
    output: Path,
    *,
    prefix: tuple[str, ...] = (),
    limits: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start or resume a job in a process group of its own."""
    usual = {"RILIEVO_CACHE": str(input.parent / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        (*prefix, *planted(job.command(input, output))),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **usual, **(environment or {})},
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=limits,
    )


def ending(code: int, said: bytes) -> str:
    """End of a run: "" where well, else its code and its last words."""
    text = said.decode(errors="replace").strip()
    if code == 0 and "Traceback" not in text:
        return ""
    return f"ended with {code}: {text[-600:]}"


def undisturbed(job: Job, settings: Settings) -> Undisturbed | None:
    """Run a job to its end once for all parts; None where the time is over before."""
    key = settings.work, job.name
    if key not in _DONE:
        base = settings.work / "undisturbed" / job.name.replace(" ", "-")
        if not (base / "in").exists():
            job.prepare(base / "in")
        shutil.rmtree(base / "out", ignore_errors=True)
        begun = time.monotonic()
        process = start(job, base / "in", base / "out")
        try:
            _, said = process.communicate(timeout=settings.left)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        _DONE[key] = Undisturbed(
            input=base / "in",
            files=files_of(base / "out") if (base / "out").exists() else {},
            seconds=time.monotonic() - begun,
            fault=ending(process.returncode, said),
        )
    return _DONE[key]


_DONE: dict[tuple[Path, str], Undisturbed] = {}
