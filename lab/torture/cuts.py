"""The part of power cuts: the power fails at a random moment, and what was not synced is damaged.

``honest`` damages what a file system may damage (see ``lab.torture.power``); the same work started
again must then end well and leave the bytes of an undisturbed run. If it had ended before the cut,
nothing may be missing at all. ``crude`` damages files that were written in the last second even if
they were synced, as a bad disk may: what is damaged must be made anew, or refused in one line (of a
folder, one for each file that rilievo did not write; of a sweep, one for each run that cannot go
on), or made anew with a number beside files that nothing marks as ours, or found by ``rilievo
verify``.
"""

import math
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from lab.torture.findings import Findings, table_of
from lab.torture.jobs import JOBS, RILIEVO, Job
from lab.torture.leavings import (
    faults,
    files_of,
    list_of,
    lost_list,
    numbered,
    parts_of,
    unmarked_result,
)
from lab.torture.plants import planted
from lab.torture.power import DIES_AT, JOURNAL, ROOT, Recorder, calls_of, cut, damage, remove
from lab.torture.rounds import run_rounds, shared_tries
from lab.torture.settings import Settings
from lab.torture.warm import LONGEST, SECONDS, Warm

_SECOND = 1.0
_MOST_FAULTS = 10
_AFTER_THE_END = 0.1
"""Share of the cuts that come when the work is done, beside the first of each job."""
_FAILED = ("rilievo: ", "failed: ", "skipped: ")
_LEFT_ALONE = (
    "rilievo did not write",
    "not a JSON file that rilievo wrote",
    "to restart training",
    "to restart its training",
    "to score the cell again",
)
"""Words of messages on a file that rilievo leaves alone, because nothing marks it as its own."""
_HEADER = ("work", "damage", "cuts", "after the end", "files and names damaged")
_HEADER += ("refused in a line", "found by `verify`", "lost")


@dataclass(slots=True, kw_only=True)
class Tally:
    """Results of one job.

    Attributes:
        cuts: Number of power cuts.
        ended: Number of cuts after the work had finished.
        damaged: Number of damaged files and names.
        refused: Number of times the work refused to continue with one line; crude damage only.
        found: Number of times only ``rilievo verify`` found the damage; crude damage only.
        lost: Losses, one line each.
    """

    cuts: int = 0
    ended: int = 0
    damaged: int = 0
    refused: int = 0
    found: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of the table."""
        return self.cuts, self.ended, self.damaged, self.refused, self.found, len(self.lost)


def names() -> list[str]:
    """Names of all jobs."""
    return [job.name for job in JOBS]


def run(settings: Settings) -> Findings:
    """Cut the power of every job, in both ways, in rounds."""
    jobs = [job for job in JOBS if settings.asks_for(job.name)]
    pairs = [(job, way) for job in jobs for way in ("honest", "crude")]
    cuts = shared_tries(settings.cuts, [job.share for job, _ in pairs])
    works = {
        (job.name, way): _Work(job, wanted, settings, crude=way == "crude")
        for (job, way), wanted in zip(pairs, cuts, strict=True)
    }
    try:
        run_rounds([*works.values()], settings)
    finally:
        for work in works.values():
            work.close()
    tallies = {name: work.tally for name, work in works.items()}
    counts = {name: tally.counts for name, tally in tallies.items()}
    sums = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [(*name, *row) for name, row in counts.items()]
    findings = Findings(
        table=table_of(_HEADER, [*rows, ("**all**", "", *sums)], words=2),
        bad=tuple(
            f"{name}, {way}: {line}"
            for (name, way), tally in tallies.items()
            for line in tally.lost
        ),
        untried=tuple(
            f"{name} ({way} cuts)"
            for (name, way), tally in tallies.items()
            if not tally.cuts and not tally.lost
        ),
    )
    findings.show()
    return findings


def _is_refusal(code: int, said: str) -> bool:
    """Whether failed work gave a reason, and left alone only files that nothing marks as ours.

    A sweep passes over runs that can neither be read nor go on, and says how to train them anew.
    """
    if code < 0 or not said or "Traceback" in said:
        return False
    failed = [line for line in said.splitlines() if line.startswith(_FAILED)]
    return "\n" not in said or (
        bool(failed) and all(any(words in line for words in _LEFT_ALONE) for line in failed)
    )


class _Work:
    """One job on one disk, which loses its power again and again."""

    def __init__(self, job: Job, cuts: int, settings: Settings, *, crude: bool) -> None:
        self.tally = Tally()
        self._job, self._cuts, self._settings, self._crude = job, cuts, settings, crude
        self._way = "crude" if crude else "honest"
        self._base = settings.work / f"cuts-{self._way}-{job.name.replace(' ', '-')}"
        self._disk, self._journal = self._base / "disk", self._base / "journal"
        self._output = self._disk / "out"
        self._chance = Random()
        self._attempts = 0
        self._calls = 0
        """Number of calls of undisturbed work that change files."""
        self._wanted: Mapping[str, bytes] | None = None
        """Files that undisturbed work leaves; None until it has ended well."""
        self._is_broken = False
        self._lost_lists = set[str]()
        """Names of results whose list can no longer be told to be ours."""
        self._damaged_lists = set[str]()
        """Names of results whose list is damaged."""
        self._unmarked_results = set[str]()
        """Names of results with a damaged file that can no longer be told to be ours."""
        self._process: Warm | None = None

    @property
    def wants_more(self) -> bool:
        """Whether the power is to be cut again."""
        is_cancelled = self._is_broken or len(self.tally.lost) >= _MOST_FAULTS
        return self.tally.cuts < self._cuts and not is_cancelled

    def attempt(self) -> None:
        """Begin the work and cut the power, by chance several times in a row.

        Moments only depend on the seed, the job, the way and the try.
        """
        if self._wanted is None:
            self._wanted = self._undisturbed()
        if self._wanted is None or self._settings.is_over:
            return
        self._chance = Random(
            f"{self._settings.seed}/{self._job.name}/{self._way}/{self._attempts}"
        )
        self._attempts += 1
        self._fresh()
        while self._one(self._calls, self._wanted):
            pass

    def close(self) -> None:
        """End the process that runs the work, and remove its folder."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        remove(self._base)

    @property
    def _warm(self) -> Warm:
        if self._process is None:
            self._process = Warm(self._base)
        return self._process

    def _undisturbed(self) -> Mapping[str, bytes] | None:
        """Files of work that nothing disturbs; None where there is no time or it fails."""
        if not self._base.exists():
            self._base.mkdir()
            self._job.prepare(self._base / "in")
        self._fresh()
        code, said = self._go(longest=self._settings.left)
        if self._settings.is_over and code in (0, -signal.SIGALRM):
            return None
        if not code and self._crude:
            code, said = self._verify()
        if code:
            self._is_broken = True
            self._lose(f"undisturbed: ended with {code}: {said[-600:]}")
            return None
        self._calls = calls_of(self._journal)
        return files_of(self._output)

    def _one(self, calls: int, wanted: Mapping[str, bytes]) -> bool:
        """Run until the power fails; returns whether the next round continues from there."""
        self._restarted()
        is_late = not self.tally.cuts or self._chance.random() < _AFTER_THE_END
        code, said = self._go(dies_at=0 if is_late else self._chance.randint(1, max(calls, 2)))
        died = code == -signal.SIGKILL
        if not died and code:
            if self._crude and _is_refusal(code, said):
                self.tally.refused += 1
            else:
                self._lose(f"ended with {code}: {said[-600:]}")
            return False
        self.tally.cuts += 1
        self.tally.ended += not died
        harm = self._harm()
        self.tally.damaged += len(harm)
        if not died and not self._crude:
            wrong = self._wrong(wanted, after_cut=True)
            if wrong:
                self._lose(f"after the end: {'; '.join(wrong[:3])}", harm)
                return False
        # Half of the time the power fails again in the resumed work.
        if died and self._chance.random() < 0.5:
            return True
        self._resume(wanted, harm)
        return False

    def _harm(self) -> list[str]:
        if not self._crude:
            return cut(self._disk, self._journal, self._chance)
        since, harm = time.time() - _SECOND, []
        for path in sorted(self._disk.rglob("*")):
            if path.is_symlink() or not path.is_file() or path.stat().st_ctime < since:
                continue
            what = damage(path, self._chance)
            if not what and self._chance.random() < 0.3:
                path.unlink()
                what = "gone"
            if what:
                self._lost_lists |= {lost_list(path)} - {""}
                self._damaged_lists |= {list_of(path)} - {""}
                self._unmarked_results |= {unmarked_result(path)} - {""}
                harm.append(f"{path.relative_to(self._disk)}: {what}")
        return harm

    @property
    def _unmarked(self) -> set[str]:
        """Names of results of which rilievo may find nothing that marks them as its own."""
        return self._lost_lists | (self._damaged_lists & self._unmarked_results)

    def _resume(self, wanted: Mapping[str, bytes], harm: list[str]) -> None:
        """Resume the work and check what it leaves."""
        self._restarted()
        code, said = self._go()
        if code and self._crude and _is_refusal(code, said):
            self.tally.refused += 1
        elif code:
            self._lose(f"resumed: ended with {code}: {said[-600:]}", harm)
        elif wrong := self._wrong(wanted, after_cut=False):
            code = self._verify()[0] if self._crude else None
            if code == 1:
                self.tally.found += 1
            elif code == 0 and not self._wrong(wanted, after_cut=False, or_numbered=True):
                self.tally.refused += 1
            else:
                self._lose(f"resumed: {'; '.join(wrong[:3])}", harm)

    def _wrong(
        self, wanted: Mapping[str, bytes], *, after_cut: bool, or_numbered: bool = False
    ) -> list[str]:
        found = files_of(self._output) if self._output.exists() else {}
        beside = numbered(found, wanted, self._unmarked) if or_numbered else set()
        found, wanted = (
            {name: content for name, content in files.items() if name not in beside}
            for files in (found, wanted)
        )
        wrong = faults(found, wanted, self._job.volatile, is_whole=True)
        parts = parts_of(self._output)
        if after_cut:
            # A notice of files about to be renamed: the next run removes it, and a removal that was
            # not synced may be undone.
            parts = [name for name in parts if not name.endswith((".pending", ".lock"))]
        if beside:
            # The lock of the process that died, on a name that is left alone.
            locks = {f".{stem}.json.lock" for stem in self._unmarked}
            parts = [name for name in parts if name not in locks]
        return wrong + [f"{name} was left behind" for name in parts]

    def _verify(self) -> tuple[int, str]:
        return self._warm.run((*RILIEVO, "verify", str(self._output)), {})

    def _lose(self, what: str, harm: Sequence[str] = ()) -> None:
        self._settings.fault.set()
        self.tally.lost.append(f"cut {self.tally.cuts}: {what} [{'; '.join(harm[:6])}]")

    def _fresh(self) -> None:
        remove(self._disk)
        for names in (self._lost_lists, self._damaged_lists, self._unmarked_results):
            names.clear()
        self._disk.mkdir(parents=True)
        # A folder that some commands need exists before, so it survives the cut.
        self._job.command(self._base / "in", self._output)
        self._restarted()

    def _restarted(self) -> None:
        """Mark everything on the disk as durable."""
        shutil.rmtree(self._journal, ignore_errors=True)
        self._journal.mkdir()
        Recorder(self._disk, self._journal).all()

    def _go(self, *, dies_at: int = 0, longest: float = LONGEST) -> tuple[int, str]:
        """Run the work to its end; returns its exit code and its output.

        After ``longest`` seconds it is ended by SIGALRM.
        """
        environment = {
            "RILIEVO_CACHE": str(self._disk / "cache"),
            ROOT: str(self._disk),
            JOURNAL: str(self._journal),
            DIES_AT: str(dies_at),
            # Rounded up: the alarm of work that has the time that is left rings when it is over.
            SECONDS: str(max(1, math.ceil(min(longest, LONGEST)))),
        }
        command = planted(self._job.command(self._base / "in", self._output))
        return self._warm.run(command, environment)
