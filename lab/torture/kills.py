"""The second part: work killed with SIGKILL at random moments, looked at, and resumed.

A run is killed again and again until it gets to its end between two kills; then another begins.
After every kill whatever has its final name must be whole and right, and what was there before
must be there still, untouched; at the end all must be as an undisturbed run leaves it.
"""

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from lab.torture.findings import Findings, table_of
from lab.torture.jobs import JOBS, Job
from lab.torture.leavings import faults, files_of, fits, parts_of
from lab.torture.runs import Undisturbed, ending, start, undisturbed
from lab.torture.settings import Settings, Shares

_HEADER = ("work", "kills", "while a file was written", "ends", "half, lost or different")
_MOST_FAULTS = 10


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


def run(settings: Settings) -> Findings:
    """Kill every job."""
    jobs = [job for job in JOBS if settings.asks_for(job.name)]
    total = sum(job.share for job in jobs)
    kills = {job.name: round(settings.kills * job.share / total) for job in jobs}
    with ThreadPoolExecutor(settings.workers) as pool:
        shares = Shares(settings, len(jobs))
        pending = {
            job.name: pool.submit(_tried, job, kills[job.name], shares, settings) for job in jobs
        }
        tallies = {name: future.result() for name, future in pending.items()}
    rows = [
        (name, tally.kills, tally.parts, tally.ends, len(tally.faults))
        for name, tally in tallies.items()
    ]
    columns = [*zip(*rows, strict=True)][1:]
    findings = Findings(
        table=table_of(_HEADER, [*rows, ("**all**", *map(sum, columns))]),
        bad=tuple(f"{name}: {fault}" for name, tally in tallies.items() for fault in tally.faults),
        untried=tuple(
            f"{name} (kills)"
            for name, tally in tallies.items()
            if kills[name] and not tally.kills and not tally.faults
        ),
    )
    findings.show()
    return findings


def _tried(job: Job, kills: int, shares: Shares, part: Settings) -> Tally:
    settings, tally = shares.next(), Tally()
    if settings.is_over or not kills:
        return tally
    # It may take more than its share: work that never ended is not killed.
    whole = undisturbed(job, part)
    if whole is None or part.is_over:
        return tally
    if whole.fault:
        tally.faults.append(f"undisturbed: {whole.fault}")
        return tally
    chance = Random(f"{settings.seed}/{job.name}")
    output = settings.work / job.name.replace(" ", "-")
    while tally.kills < kills and len(tally.faults) < _MOST_FAULTS:
        killer = Killer(chance=chance, seconds=whole.seconds, kills=kills)
        _one_run(job, whole, output, killer, tally)
        if tally.faults:
            settings.fault.set()
        if settings.is_over:
            break
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


def _one_run(job: Job, whole: Undisturbed, output: Path, killer: Killer, tally: Tally) -> None:
    shutil.rmtree(output, ignore_errors=True)
    wanted = dict(whole.files)
    before: dict[str, bytes] = {}
    while tally.kills < killer.kills:
        stopped = _killed(job, whole.input, output, killer.moment())
        if stopped is not None:
            tally.faults += [stopped] if stopped else []
            break
        tally.kills += 1
        tally.parts += bool(output.exists() and parts_of(output))
        found = files_of(output) if output.exists() else {}
        placed = {name: each for name, each in found.items() if not fits(name, job.replaced)}
        tally.faults += faults(placed, wanted, job.volatile, is_whole=False)
        lost = [name for name in before.keys() - found.keys() if not has_passed(name, job, output)]
        tally.faults += [f"{name} was there and is lost" for name in sorted(lost)]
        before = found
    else:
        tally.faults += [each for each in [_whole(job, whole.input, output)] if each]
    tally.ends += 1
    tally.faults += faults(files_of(output), wanted, job.volatile, is_whole=True)
    tally.faults += [f"{name} was left behind" for name in parts_of(output)]


def has_passed(name: str, job: Job, output: Path) -> bool:
    """Whether a file is one that goes while the result beside it is whole, or is written anew."""
    path = output / name
    beside = ("weights.safetensors", "evaluation.json", f".{path.name}.pending")
    return fits(name, job.passing) and any(path.with_name(other).exists() for other in beside)


def _killed(job: Job, input: Path, output: Path, moment: float) -> str | None:
    """Start the work and kill it; returns None, or how it ended before: "" for success."""
    process = start(job, input, output)
    try:
        _, said = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    return ending(process.returncode, said)


def _whole(job: Job, input: Path, output: Path) -> str:
    """Let the work finish; returns "" on success."""
    process = start(job, input, output)
    _, said = process.communicate()
    return ending(process.returncode, said)
