"""The fourth part: the power fails at a random moment, and what was not synced is damaged.

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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from lab.torture.findings import Findings, table_of
from lab.torture.jobs import JOBS, RILIEVO, Job
from lab.torture.leavings import faults, files_of, lost_list, numbered, parts_of
from lab.torture.plants import planted
from lab.torture.power import DIES_AT, JOURNAL, ROOT, Recorder, calls_of, cut, damage, remove
from lab.torture.settings import Settings, Shares
from lab.torture.warm import LONGEST, SECONDS, Warm

_SECOND = 1.0
_MOST_FAULTS = 10
_AFTER_THE_END = 0.1
"""Share of the cuts that come when the work is done, beside the first of each job."""
_FAILED = ("rilievo: ", "failed: ", "skipped: ")
_LEFT_ALONE = ("rilievo did not write this file", "is not ours")
_LEFT_ALONE += ("to train anew", "to score it anew")
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


def run(settings: Settings) -> Findings:
    """Cut the power of every job, in both ways."""
    jobs = [job for job in JOBS if settings.asks_for(job.name)]
    total = sum(job.share for job in jobs)
    with ThreadPoolExecutor(settings.workers) as pool:
        shares = Shares(settings, 2 * len(jobs))
        pending = {
            (job.name, way): pool.submit(
                _Work(job, shares, settings, crude=way == "crude").tried,
                math.ceil(settings.cuts * job.share / total / 2),
            )
            for job in jobs
            for way in ("honest", "crude")
        }
        tallies = {name: future.result() for name, future in pending.items()}
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
            if settings.cuts and not tally.cuts and not tally.lost
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
    """One job on one disk, which loses its power repeatedly."""

    def __init__(self, job: Job, shares: Shares, settings: Settings, *, crude: bool) -> None:
        self._job, self._settings, self._crude = job, settings, crude
        self._shares = shares
        way = "crude" if crude else "honest"
        self._base = settings.work / f"cuts-{way}-{job.name.replace(' ', '-')}"
        self._disk, self._journal = self._base / "disk", self._base / "journal"
        self._output = self._disk / "out"
        self._chance = Random(f"{settings.seed}/{job.name}/{way}")
        self._tally = Tally()
        self._unlisted = set[str]()
        """Names of results whose list the damage took."""
        self._base.mkdir()
        self._warm = Warm(self._base)

    def tried(self, cuts: int) -> Tally:
        """Run the work once undisturbed, then with power cuts."""
        part, self._settings = self._settings, self._shares.next()
        try:
            if self._settings.is_over:
                return self._tally
            self._job.prepare(self._base / "in")
            self._fresh()
            # It may take more than its share: nothing can be cut that never ended.
            code, said = self._go(longest=part.left)
            if part.is_over and code in (0, -signal.SIGALRM):
                return self._tally
            if not code and self._crude:
                code, said = self._verify()
            if code:
                self._lose(f"undisturbed: ended with {code}: {said[-600:]}")
            else:
                self._try(cuts, calls_of(self._journal), files_of(self._output))
        finally:
            self._warm.stop()
            remove(self._base)
        return self._tally

    def _try(self, cuts: int, calls: int, wanted: Mapping[str, bytes]) -> None:
        tally = self._tally
        while tally.cuts < cuts and len(tally.lost) < _MOST_FAULTS:
            self._fresh()
            while self._one(calls, wanted):
                pass
            if self._settings.is_over:
                break

    def _one(self, calls: int, wanted: Mapping[str, bytes]) -> bool:
        """Run until the power fails; returns whether the next round continues from there."""
        self._restarted()
        is_late = not self._tally.cuts or self._chance.random() < _AFTER_THE_END
        code, said = self._go(dies_at=0 if is_late else self._chance.randint(1, max(calls, 2)))
        died = code == -signal.SIGKILL
        if not died and code:
            if self._crude and _is_refusal(code, said):
                self._tally.refused += 1
            else:
                self._lose(f"ended with {code}: {said[-600:]}")
            return False
        self._tally.cuts += 1
        self._tally.ended += not died
        harm = self._harm()
        self._tally.damaged += len(harm)
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
            if what and (stem := lost_list(path)):
                self._unlisted.add(stem)
            harm += [f"{path.relative_to(self._disk)}: {what}"] if what else []
        return harm

    def _resume(self, wanted: Mapping[str, bytes], harm: list[str]) -> None:
        """Resume the work and check what it leaves."""
        self._restarted()
        code, said = self._go()
        if code and self._crude and _is_refusal(code, said):
            self._tally.refused += 1
        elif code:
            self._lose(f"resumed: ended with {code}: {said[-600:]}", harm)
        elif wrong := self._wrong(wanted, after_cut=False):
            code = self._verify()[0] if self._crude else None
            if code == 1:
                self._tally.found += 1
            elif code == 0 and not self._wrong(wanted, after_cut=False, or_numbered=True):
                self._tally.refused += 1
            else:
                self._lose(f"resumed: {'; '.join(wrong[:3])}", harm)

    def _wrong(
        self, wanted: Mapping[str, bytes], *, after_cut: bool, or_numbered: bool = False
    ) -> list[str]:
        found = files_of(self._output) if self._output.exists() else {}
        beside = numbered(found, wanted, self._unlisted) if or_numbered else set()
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
            locks = {f".{stem}.json.lock" for stem in self._unlisted}
            parts = [name for name in parts if name not in locks]
        return wrong + [f"{name} was left behind" for name in parts]

    def _verify(self) -> tuple[int, str]:
        return self._warm.run((*RILIEVO, "verify", str(self._output)), {})

    def _lose(self, what: str, harm: Sequence[str] = ()) -> None:
        self._settings.fault.set()
        self._tally.lost.append(f"cut {self._tally.cuts}: {what} [{'; '.join(harm[:6])}]")

    def _fresh(self) -> None:
        remove(self._disk)
        self._unlisted.clear()
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
