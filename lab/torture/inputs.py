"""The first part: thousands of broken files, each read by the reader that it is for."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from lab.torture.costs import cost_of
from lab.torture.findings import Findings, table_of
from lab.torture.minimise import minimised
from lab.torture.page import source_hash
from lab.torture.pool import Chunk, Worker, run_all
from lab.torture.reader import Reader
from lab.torture.readers import all_readers
from lab.torture.rounds import portions, shared_tries
from lab.torture.settings import Settings
from lab.torture.worker import BAD, FINE, REFUSED, Outcome

_SECOND, _LATER = 9, 60
"""Cases of each reader in the second round, and in those after it; in the first it has one."""
_HEADER = ("reader", "inputs", "read", "refused in one line", "bad")
_HEADER += ("dearest", "of what is allowed")


class Journal:
    """Results so far, in a file, so that a stopped campaign can be continued."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.done: defaultdict[str, set[int]] = defaultdict(set)
        self.bad: dict[tuple[str, str], list[Outcome]] = {}
        self.dearest: dict[str, tuple[float, float]] = {}
        """Most CPU seconds of a reader, and the largest part of what it is allowed."""
        for line in path.read_text().splitlines() if path.exists() else ():
            entry = json.loads(line)
            self._count(entry.pop("reader"), Outcome(**entry))

    def add(self, reader: str, outcome: Outcome) -> None:
        """Write down one outcome."""
        with self._path.open("a") as file:
            file.write(json.dumps({"reader": reader, **asdict(outcome)}) + "\n")
        self._count(reader, outcome)

    def _count(self, reader: str, outcome: Outcome) -> None:
        if outcome.case in self.done[reader]:
            return
        self.done[reader].add(outcome.case)
        self.counts[reader][outcome.verdict] += 1
        seconds, part = self.dearest.get(reader, (0.0, 0.0))
        allowed = cost_of(reader).allowed(outcome.pixels, outcome.bytes)
        self.dearest[reader] = max(seconds, outcome.cpu), max(part, outcome.cpu / allowed)
        if outcome.verdict == BAD:
            self.bad.setdefault((reader, outcome.where), []).append(outcome)


def names() -> list[str]:
    """Names of all readers."""
    return [*all_readers()]


def run(settings: Settings) -> Findings:
    """Try all readers, in rounds."""
    readers = [each for each in all_readers().values() if settings.asks_for(each.name)]
    # What was measured with other code is not resumed.
    journal = Journal(settings.output / f"inputs-{settings.seed}-{source_hash()}.jsonl")

    def report(reader: Reader, outcome: Outcome) -> None:
        journal.add(reader.name, outcome)
        if outcome.verdict == BAD:
            settings.fault.set()

    run_all(
        _chunks(readers, journal, settings),
        report,
        workers=settings.workers,
        folder=settings.work,
        seed=settings.seed,
        is_over=lambda: settings.is_over,
    )
    findings = Findings(
        table=_table(readers, journal),
        bad=tuple(
            f"{name}#{outcomes[0].case} ({len(outcomes)} times): {where}: {outcomes[0].said!r}"
            for (name, where), outcomes in journal.bad.items()
        ),
        untried=tuple(f"{each.name} (inputs)" for each in readers if not journal.counts[each.name]),
    )
    findings.show()
    _keep(journal, settings)
    return findings


def run_again(case: str, settings: Settings) -> int:
    """Repeat one case by its reader and number, keep its files and print its output."""
    name, _, number = case.rpartition("#")
    reader = all_readers()[name]
    found: list[Outcome] = []
    worker = Worker(settings.work / "w", settings.seed)
    chunk = Chunk(reader=reader, first=int(number), last=int(number) + 1)
    worker.run(chunk, lambda _, outcome: found.append(outcome))
    worker.stop()
    print(f"{found[0].verdict}: {found[0].said}\n{found[0].trace}")
    return 1 if found[0].verdict == BAD else 0


def _chunks(readers: list[Reader], journal: Journal, settings: Settings) -> Iterator[Chunk]:
    """All cases that are not done yet, some of each reader in turn."""
    wanted = shared_tries(settings.inputs, [each.share for each in readers])
    for first, last in portions(_SECOND, _LATER, max(wanted, default=0)):
        for reader, total in zip(readers, wanted, strict=True):
            if settings.is_over:
                return
            end = min(last, total)
            if not journal.done[reader.name].issuperset(range(first, end)):
                yield Chunk(reader=reader, first=first, last=end)


def _table(readers: list[Reader], journal: Journal) -> str:
    total: Counter[str] = Counter()
    rows = []
    for reader in readers:
        counts = journal.counts[reader.name]
        total.update(counts)
        rows.append(_row(reader.name, counts, journal.dearest.get(reader.name, ())))
    return table_of(_HEADER, [*rows, _row("**all**", total, ())])


def _row(name: str, counts: Counter[str], dearest: Sequence[float]) -> Sequence[object]:
    cells = (counts.total(), counts[FINE], counts[REFUSED], counts[BAD])
    said = (f"{dearest[0]:.2f} CPU-s", f"{100 * dearest[1]:.0f}%") if dearest else ("", "")
    return name, *cells, *said


def _keep(journal: Journal, settings: Settings) -> None:
    """Keep the smallest file of each defect."""
    for (name, _), outcomes in journal.bad.items():
        first = outcomes[0]
        folder = settings.output / f"bad-{settings.seed}" / f"{name}-{first.case}".replace("/", "-")
        if folder.exists() or settings.is_over:
            continue
        folder.mkdir(parents=True)
        (folder / "outcome.txt").write_text(
            f"{first.said}\n\n{first.trace}\n", encoding="utf-8", errors="backslashreplace"
        )
        os.environ["TORTURE_MARKER"] = str(settings.work / "executed")
        for file, content in minimised(all_readers()[name], first, settings).items():
            (folder / file.replace("/", "__")).write_bytes(content)
