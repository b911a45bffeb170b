"""The part of kills: work killed with SIGKILL at random moments, looked at, and resumed.

A run is killed again and again until it gets to its end between two kills; then another begins.
After every kill whatever has its final name must be whole and right, and what was there before
must be there still, untouched; at the end all must be as an undisturbed run leaves it.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from lab.torture.findings import Findings, table_of
from lab.torture.jobs import JOBS, Job
from lab.torture.leavings import faults, files_of, fits, parts_of
from lab.torture.rounds import run_rounds, shared_tries
from lab.torture.runs import Undisturbed, ending, start, undisturbed
from lab.torture.settings import Settings
from rilievo.errors import InputError
from rilievo.io.checksums import (
    BLANK,
    CHANGED,
    CHECKSUMS,
    EMPTY,
    CheckLevel,
    first_fault,
    read_sums,
)
from rilievo.io.verification import verify

_HEADER = ("work", "kills", "while a file was written", "ends", "half, lost or different")
_MOST_FAULTS = 10
_DAMAGE = (CHANGED, BLANK, EMPTY, "were written", "has no content", "is broken")
"""Words with which ``rilievo verify`` reports a damaged file."""


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


def names() -> list[str]:
    """Names of all jobs."""
    return [job.name for job in JOBS]


def run(settings: Settings) -> Findings:
    """Kill every job, in rounds."""
    jobs = [job for job in JOBS if settings.asks_for(job.name)]
    kills = shared_tries(settings.kills, [job.share for job in jobs])
    victims = [_Victim(job, wanted, settings) for job, wanted in zip(jobs, kills, strict=True)]
    run_rounds(victims, settings)
    with ThreadPoolExecutor(settings.workers) as pool:
        for _ in pool.map(_Victim.finish, victims):
            pass
    tallies = {victim.job.name: victim.tally for victim in victims}
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
            if not tally.kills and not tally.faults
        ),
    )
    findings.show()
    return findings


class _Victim:
    """A job whose work is killed again and again, until it gets to its end between two kills."""

    def __init__(self, job: Job, kills: int, settings: Settings) -> None:
        self.job, self.tally = job, Tally()
        self._kills, self._settings = kills, settings
        self._output = settings.work / job.name.replace(" ", "-")
        self._whole: Undisturbed | None = None
        self._attempts = 0
        self._found: dict[str, bytes] | None = None
        """Files after the last kill; None where no killed work waits to be resumed."""

    @property
    def wants_more(self) -> bool:
        """Whether it is to be killed again."""
        return self.tally.kills < self._kills and not self._is_given_up

    @property
    def _is_given_up(self) -> bool:
        is_broken = self._whole is not None and bool(self._whole.fault)
        return is_broken or len(self.tally.faults) >= _MOST_FAULTS

    def attempt(self) -> None:
        """Kill the work once, at a moment that only depends on the seed, the job and the try."""
        whole = self._undisturbed()
        if whole is None or self._settings.is_over:
            return
        chance = Random(f"{self._settings.seed}/{self.job.name}/{self._attempts}")
        self._attempts += 1
        kills, faults = self.tally.kills, len(self.tally.faults)
        while self.tally.kills == kills and len(self.tally.faults) == faults:
            # Some moments lie before anything is written, most in the work.
            self._run_until(whole, chance.uniform(0.1, 1.0) * whole.seconds)
            if self._settings.is_over:
                break
        if len(self.tally.faults) > faults:
            self._settings.fault.set()

    def finish(self) -> None:
        """Let work that was killed get to its end, and look at what it leaves."""
        if self._whole is None or self._found is None or self._settings.is_stopped:
            return
        self._run_until(self._whole, None)

    def _undisturbed(self) -> Undisturbed | None:
        """The run that nobody kills; None where there is no time or it fails, which is a fault."""
        if self._whole is None:
            self._whole = undisturbed(self.job, self._settings)
            if self._whole is not None and self._whole.fault:
                self.tally.faults.append(f"undisturbed: {self._whole.fault}")
                self._settings.fault.set()
        return None if self._whole is None or self._whole.fault else self._whole

    def _run_until(self, whole: Undisturbed, moment: float | None) -> None:
        """Begin or resume the work, kill it after so many seconds, and look at its files."""
        if self._found is None:
            shutil.rmtree(self._output, ignore_errors=True)
        stopped = _killed(self.job, whole.input, self._output, moment)
        if stopped is None:
            self._look_after_kill(whole)
        else:
            self._look_at_end(whole, stopped)

    def _look_after_kill(self, whole: Undisturbed) -> None:
        job, tally, output = self.job, self.tally, self._output
        tally.kills += 1
        tally.parts += bool(output.exists() and parts_of(output))
        found = files_of(output) if output.exists() else {}
        placed = {name: each for name, each in found.items() if not fits(name, job.replaced)}
        tally.faults += faults(placed, dict(whole.files), job.volatile, is_whole=False)
        tally.faults += lost_files(self._found or {}, found, job, output)
        tally.faults += false_alarms(output)
        self._found = found

    def _look_at_end(self, whole: Undisturbed, stopped: str) -> None:
        job, tally, output = self.job, self.tally, self._output
        tally.ends += 1
        tally.faults += [stopped] if stopped else []
        tally.faults += faults(files_of(output), dict(whole.files), job.volatile, is_whole=True)
        tally.faults += [f"{name} was left behind" for name in parts_of(output)]
        self._found = None


def lost_files(
    before: Mapping[str, bytes], found: Mapping[str, bytes], job: Job, output: Path
) -> list[str]:
    """Files that were there at the kill before and are lost, one line each.

    A checkpoint goes when its run is finished, that is, when its results have their checksums.
    """
    return [
        f"{name} was there and is lost"
        for name in sorted(before.keys() - found.keys())
        if not (fits(name, job.checkpoints) and _is_finished((output / name).parent))
    ]


def _is_finished(folder: Path) -> bool:
    """Whether a folder has checksums, and every file that they list is whole."""
    sums = read_sums(folder / CHECKSUMS)
    return bool(sums) and first_fault(folder, sums, CheckLevel.HASHES) is None


def false_alarms(output: Path) -> list[str]:
    """Damage that ``rilievo verify`` reports; a kill damages nothing, so there is none."""
    try:
        found = verify(output).faults if output.exists() else ()
    except InputError:  # nothing is there that could be verified
        return []
    return [
        f"'rilievo verify' says of whole files: {fault}"
        for fault in found
        if any(words in fault.what for words in _DAMAGE)
    ]


def _killed(job: Job, input: Path, output: Path, moment: float | None) -> str | None:
    """Start the work and kill it; returns None, or how it ended before: "" for success."""
    process = start(job, input, output)
    try:
        _, said = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    return ending(process.returncode, said)
