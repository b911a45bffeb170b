"""Every benchmark in a process of its own, and docs/reference/benchmarks.md: ``make figures``.

What was measured at this commit already is not measured again, so a run that was stopped goes on
where it was. Whatever could not be measured stands on the page with its reason. Sections of other
benchmarks than the named ones stay. Each section states its commit and its networks; ``--mark``
measures nothing and marks those of networks that are not shipped any more.
"""

import argparse
import json
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.apart import Outcome, outcome_from, run_apart, write_outcome
from benchmarks.marks import (
    MISSED,
    marked,
    measured_line,
    name_of,
    sections_of,
    shipped_networks,
)
from benchmarks.measure import ROOT, this_machine
from benchmarks.names import BENCHMARKS
from benchmarks.report import Table, markdown_table
from benchmarks.settings import SHIPPED

PAGE, FOLDER = ROOT / "docs" / "reference" / "benchmarks.md", ROOT / ".figures"
LIMIT = 600.0
"""Most seconds of one benchmark; on two quiet cores `hub` takes the longest."""
LEAST = 5.0
"""Seconds below which a benchmark is not begun."""
_MISSING = "Not measured"
HEAD = """\
# Benchmarks

This page shows how fast rilievo is, and how much memory and disk space it needs. Each section
describes one benchmark and starts with the command that you run to repeat it. Before you run a
command, clone the repository and run `pip install -e . --group benchmark` in it.

If you run `python -m benchmarks.figures NAME`, rilievo measures one section again and replaces it
on this page.

The tables use the following words and conventions:

- Every figure is a median over several runs. The smallest and the largest value follow in brackets.
- *Wall* is the time that passes on a clock. *CPU* is the computing time, added up over all cores.
- *Load average* is the number of programs that were running or waiting for a core when the
  benchmark started. If it is above 0.5, another program was using the machine, and the times on
  this page are too long.

If a benchmark compares several programs or versions, it runs them alternately.

Results depend on the network that was measured. So each section that uses our networks lists their
files with the first digits of their SHA-256, which identifies the exact version. If the newest
version of rilievo contains other networks, a note in the section says so.
"""
_MEASURED_AND_SCOPE = """\
Commit `{commit}`, {cores} cores of {processor}, Python {python}, {date}.

This page is about speed and size only. For the quality of depth, see the [record of
training](training-record.md) and the model cards (`rilievo models rilievo/small`).
"""


def main() -> int:
    """Measure what is not measured yet, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks; all by default")
    parser.add_argument("--quick", action="store_true", help="small counts; figures mean little")
    parser.add_argument("--minutes", type=float, default=50, help="most minutes (default: 50)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="figures as JSON, kept")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--mark", action="store_true", help="only mark sections of old networks")
    given = parser.parse_args()
    before = given.page.read_text(encoding="utf-8") if given.page.is_file() else ""
    if given.mark:
        given.page.write_text(marked(before, shipped_networks()), encoding="utf-8")
        return 0
    end = time.monotonic() + 60 * given.minutes
    commit = this_commit()
    outcomes = []
    for name in given.names or BENCHMARKS:
        outcome = measured(given.folder / f"{name}.json", commit, quick=given.quick)
        if outcome is None:
            print(f"{name} ...", flush=True)
            outcome = measure(name, end - time.monotonic(), quick=given.quick)
            write_outcome(outcome, given.folder / f"{name}.json", commit=commit)
        print(f"{name}: {outcome.status} ({outcome.seconds:.0f} s) {outcome.reason}", flush=True)
        outcomes.append(outcome)
    kept = before if given.names else ""
    given.page.write_text(page_of(outcomes, commit, before=kept), encoding="utf-8")
    failed = [each.name for each in outcomes if each.status == "failed"]
    print(f"{given.page}: {len(outcomes)} benchmarks, failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def measured(path: Path, commit: str, *, quick: bool) -> Outcome | None:
    """Outcome of an earlier run at the same commit, if it was done."""
    if not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    outcome = outcome_from(data)
    same = data["commit"] == commit and outcome.quick == quick
    return outcome if same and outcome.status == "done" else None


def measure(name: str, left: float, *, quick: bool) -> Outcome:
    """Run one benchmark in what is left of the time [s]; almost none is enough for none."""
    if left < LEAST:
        reason = "no time was left; `make figures` again measures the rest"
        return Outcome(
            name=name,
            status="skipped",
            reason=reason,
            quick=quick,
            machine=this_machine(),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=0.0,
            report=None,
        )
    return run_apart(name, weights=SHIPPED, quick=quick, limit=min(LIMIT, left))


def this_commit() -> str:
    """Commit of the working tree, and whether files differ from it."""
    described = ("git", "describe", "--always", "--abbrev=12", "--exclude=*")
    elsewhere = f":!{PAGE.relative_to(ROOT).as_posix()}"
    changed = ("git", "status", "--porcelain", "--untracked-files=no", "--", elsewhere)
    try:
        commit, changes = (
            subprocess.run(each, cwd=ROOT, capture_output=True, text=True, check=True).stdout
            for each in (described, changed)
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.strip() + (" with changes" if changes else "")


def page_of(outcomes: Sequence[Outcome], commit: str, *, before: str = "") -> str:
    """Format the page: what was measured, in order, and what was not.

    Args:
        outcomes: Outcomes of benchmarks.
        commit: Commit that they measured.
        before: Page whose other sections are kept; none by default.
    """
    networks = shipped_networks()
    old_head, *old = sections_of(before)
    sections = {name_of(section): section for section in old if name_of(section) != MISSED}
    rows = [
        (result.name, f"{result.status}: {_brief(result.reason)}")
        for result in outcomes
        if result.report is None
    ]
    sections.pop(_MISSING, None)
    for result in outcomes:
        if result.report is not None:
            sections[result.name] = f"{_section(result, commit, networks)}\n"
    if rows:
        table = Table(columns=("benchmark", "why"), rows=rows)
        sections[_MISSING] = f"## {_MISSING}\n\n{markdown_table(table)}\n"
    order = [name for name in (*BENCHMARKS, _MISSING) if name in sections]
    head = old_head if old else f"{_head(outcomes, commit)}\n"
    return marked(head + "".join(sections[name] for name in order), networks)


def _head(outcomes: Sequence[Outcome], commit: str) -> str:
    first, last = outcomes[0], max(outcome.date for outcome in outcomes)
    measured_and_scope = _MEASURED_AND_SCOPE.format(
        commit=commit,
        cores=first.machine.cores,
        processor=first.machine.processor,
        python=first.machine.python,
        date=last[:10],
    )
    return f"{_filled(HEAD)}\n\n{measured_and_scope}"


def _section(outcome: Outcome, commit: str, networks: Mapping[str, str]) -> str:
    report = outcome.report
    assert report is not None, "asked before"
    about = f"{report.about}\n\nThe load average at the start was {outcome.machine.load:.1f}."
    command = f"python -m benchmarks {'--quick ' if outcome.quick else ''}{outcome.name}"
    parts = [f"## {report.name}", f"```\n{command}\n```", _filled(about)]
    parts.append(measured_line(outcome.name, commit, outcome.date, networks))
    if outcome.quick:
        parts.append("**A quick run, to see that everything works: the figures mean little.**")
    parts += map(markdown_table, report.tables)
    if report.bars:
        rows = [(bar.promise, bar.measured, "yes" if bar.kept else "**no**") for bar in report.bars]
        parts.append(markdown_table(Table(columns=("promise", "measured", "kept"), rows=rows)))
    return "\n\n".join(parts) + "\n"


def _filled(text: str) -> str:
    """Fill paragraphs and the items of lists, which begin with ``- ``, to the page's width."""
    paragraphs = [re.split(r"\n(?=- )", each) for each in text.strip().split("\n\n")]
    return "\n\n".join("\n".join(map(_filled_item, items)) for items in paragraphs)


def _filled_item(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    words = " ".join(text.split())
    return textwrap.fill(words, 118, subsequent_indent=indent, break_on_hyphens=False)


def _brief(reason: str) -> str:
    """The last line of a traceback or message, as a cell of a table."""
    line = reason.strip().splitlines()[-1] if reason.strip() else "no reason given"
    return textwrap.shorten(line.replace("|", "/"), 200)


if __name__ == "__main__":
    sys.exit(main())
