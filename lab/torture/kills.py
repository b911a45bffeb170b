"""The second part: work killed with SIGKILL at random moments, looked at, and resumed.

A run is killed again and again until it gets to its end between two kills; then another begins.
After every kill whatever has its final name must be whole and right, and what was there before
must be there still, untouched; at the end all must be as an undisturbed run leaves it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random

from lab.torture.jobs import JOBS, Job
from lab.torture.leavings import faults, files_of, parts_of
from lab.torture.settings import Settings, Shares


@dataclass(slots=True, kw_only=True)
class Tally:
    """Results of one job.

    Attributes:
        kills: Number of kills.
        parts: Number of kills while a file was being written.
        ends: Number of finished runs.
        faults: Faults, one line each.
    """

    kills: int = 0
    parts: int = 0
    ends: int = 0
    faults: list[str] = field(default_factory=list)


def run(settings: Settings) -> bool:
    """Kill every job; returns whether there were no faults."""
    jobs = [job for job in JOBS if settings.asks_for(job.name)]
    total = sum(job.share for job in jobs)
    wanted = {job.name: round(settings.kills * job.share / total) for job in jobs}
    with ThreadPoolExecutor(settings.workers) as pool:
        shares = Shares(settings, len(jobs))
        pending = {job.name: pool.submit(_tried, job, wanted[job.name], shares) for job in jobs}
        tallies = {name: each.result() for name, each in pending.items()}
    print("| work | kills | while a file was written | ends | half, lost or different |")
    print("|---|---:|---:|---:|---:|")
    for name, tally in tallies.items():
        print(f"| {name} | {tally.kills} | {tally.parts} | {tally.ends} | {len(tally.faults)} |")
    for name, tally in tallies.items():
        for fault in tally.faults:
            print(f"BAD {name}: {fault}")
        if not tally.kills and wanted[name]:
            print(f"no time left for {name}: give more --minutes")
    return not any(tally.faults for tally in tallies.values())


def _tried(job: Job, kills: int, shares: Shares) -> Tally:
    settings, tally = shares.next(), Tally()
    if settings.is_over:
        return tally
    base = settings.work / job.name.replace(" ", "-")
    job.prepare(base / "in")
    chance = Random(f"{settings.seed}/{job.name}")
    begun = time.monotonic()
    said = _killed(job, base / "in", base / "wanted", settings.left)
    if said is None:  # its time was over before it had ended once
        return tally
    seconds = time.monotonic() - begun
    if said:
        tally.faults.append(f"undisturbed: {said}")
        return tally
    wanted = files_of(base / "wanted")
    while tally.kills < kills and not settings.is_over and len(tally.faults) < 10:
        _one_run(job, base, wanted, Killer(chance=chance, seconds=seconds, kills=kills), tally)
    return tally


@dataclass(slots=True, kw_only=True)
class Killer:
    """Random moments of kills."""

    chance: Random
    seconds: float
    kills: int

    def moment(self) -> float:
        """Seconds from the start: some before anything is written, most during the work."""
        return self.chance.uniform(0.1, 1.0) * self.seconds


def _one_run(
    job: Job, base: Path, wanted: Mapping[str, bytes], killer: Killer, tally: Tally
) -> None:
    output = base / "out"
    shutil.rmtree(output, ignore_errors=True)
    before: dict[str, bytes] = {}
    while tally.kills < killer.kills:
        stopped = _killed(job, base / "in", output, killer.moment())
        if stopped is not None:
            tally.faults += [stopped] if stopped else []
            break
        tally.kills += 1
        tally.parts += bool(output.exists() and parts_of(output))
        found = files_of(output) if output.exists() else {}
        placed = {name: each for name, each in found.items() if not _is_replaced(name, job)}
        tally.faults += faults(placed, dict(wanted), job.volatile, is_whole=False)
        # A page is written when the work is done, and its checkpoint gone.
        needed = wanted.keys() - set(job.volatile)
        passing = job.passing if needed <= found.keys() else ()
        lost = before.keys() - found.keys() - set(passing)
        tally.faults += [f"{name} was there and is lost" for name in sorted(lost)]
        before = found
    else:
        tally.faults += [each for each in [_whole(job, base / "in", output)] if each]
    tally.ends += 1
    tally.faults += faults(files_of(output), dict(wanted), job.volatile, is_whole=True)
    tally.faults += [f"{name} was left behind" for name in parts_of(output)]


def _is_replaced(name: str, job: Job) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in job.replaced)


def _killed(job: Job, input: Path, output: Path, moment: float) -> str | None:
    """Start the work and kill it; returns None, or how it ended before: "" for success."""
    process = _started(job, input, output)
    try:
        _, said = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    return _ending(process.returncode, said)


def _whole(job: Job, input: Path, output: Path) -> str:
    """Let the work finish; returns "" on success."""
    process = _started(job, input, output)
    _, said = process.communicate()
    return _ending(process.returncode, said)


def _started(job: Job, input: Path, output: Path) -> subprocess.Popen[bytes]:
    environment = {"RILIEVO_CACHE": str(input.parent / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        job.command(input, output),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )


def _ending(code: int, said: bytes) -> str:
    text = said.decode(errors="replace").strip()
    if code == 0 and "Traceback" not in text:
        return ""
    return f"ended with {code}: {text[-600:]}"
