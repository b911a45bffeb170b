"""Benchmarks run, each in a process of its own, and their page says how each figure was made."""

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import apart, figures
from benchmarks.apart import Outcome, outcome_from, run_apart, write_outcome
from benchmarks.figures import measured, page_of
from benchmarks.marks import MISSED, marked, name_of, sections_of, shipped_networks
from benchmarks.measure import Machine
from benchmarks.names import BENCHMARKS
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import SHIPPED

ROOT = Path(__file__).parents[2]
OF_NETWORKS = r"(, `\w+\.onnx` [0-9a-f]{12}( and `\w+\.onnx` [0-9a-f]{12})?)?"
MACHINE = Machine(processor="a processor", cores=2, python="3.11.7", load=0.25)
REPORT = Report(
    name="folder",
    about="What was measured.",
    tables=(Table(columns=("what", "ms"), rows=[("one", "1.0"), ("two", "2.0")]),),
    bars=(Bar(promise="at most 3 ms", measured="2.0 ms", kept=True),),
)


def outcome(name: str = "folder", report: Report | None = REPORT, reason: str = "") -> Outcome:
    return Outcome(
        name=name,
        status="failed" if report is None else "done",
        reason=reason,
        quick=False,
        machine=MACHINE,
        date="2026-01-02T03:04:05+00:00",
        seconds=1.5,
        report=report,
    )


COMMAND = re.compile(r"\n\n```\npython -m benchmarks (?:--quick )?(\w+)\n```\n\n")


def without_command(page: str) -> list[str]:
    """Sections with figures that do not begin with the command of their own benchmark."""
    sections = {name_of(section): section for section in sections_of(page)[1:]}
    commands = {name: COMMAND.search(section) for name, section in sections.items()}
    assert commands, "no sections at all"
    return [
        name
        for name, match in commands.items()
        if name not in (MISSED, "Not measured")
        and not (match and match[1] == name and match.start() == len(f"## {name}"))
    ]


def unknown_in(page: str) -> list[str]:
    """Rows of the tables over all benchmarks whose first cell names none."""
    rows = [
        line
        for section in sections_of(page)[1:]
        if name_of(section) in (MISSED, "Not measured")
        for line in section.splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| benchmark |"))
    ]
    return [row for row in rows if row.split(" | ")[0].removeprefix("| ") not in BENCHMARKS]


def test_every_section_of_the_page_has_its_command() -> None:
    page = (ROOT / "docs" / "reference" / "benchmarks.md").read_text(encoding="utf-8")
    assert not without_command(page)
    assert not unknown_in(page)
    head = page.partition("\n## ")[0]
    assert re.search(r"Commit `[0-9a-f]{7,}[^`]*`, \d+ cores of .+, Python 3\S+, 20\d\d-", head)


def test_each_section_says_what_it_measured_and_whether_that_is_shipped() -> None:
    page = (ROOT / "docs" / "reference" / "benchmarks.md").read_text(encoding="utf-8")
    assert marked(page, shipped_networks()) == page, "python -m benchmarks.figures --mark"
    for section in sections_of(page)[1:]:
        if name_of(section) not in (MISSED, "Not measured"):
            line = rf"^Measured at commit `[0-9a-f]{{12}}`, 20\d\d-\d\d-\d\d{OF_NETWORKS}\.$"
            assert re.search(line, section, re.MULTILINE), name_of(section)


def test_a_section_of_another_network_is_marked_until_it_is_measured_again() -> None:
    page, shipped = page_of([outcome()], "0123456789ab"), shipped_networks()
    assert f"2026-01-02, `base.onnx` {shipped['base.onnx']} and `small.onnx`" in page
    assert marked(page, shipped) == page
    stale = marked(page, {**shipped, "base.onnx": "0" * 12})
    assert "earlier network.** The package now contains `base.onnx` 000000000000." in stale
    assert marked(stale, shipped) == page != stale
    assert page_of([outcome()], "0123456789ab", before=stale) == page


def test_other_sections_stay_and_missed_promises_come_first() -> None:
    bar = Bar(promise="at most 1 MB", measured="2 MB", kept=False)
    late = Report(name="memory", about="Memory.", tables=REPORT.tables, bars=(bar,))
    first = page_of([outcome()], "0123456789ab")
    page = page_of([outcome("memory", late)], "ba9876543210", before=first)
    names = [name_of(section) for section in sections_of(page)[1:]]
    assert names == [MISSED, "folder", "memory"]
    assert "| memory | at most 1 MB | 2 MB |" in page
    assert sections_of(first)[1].strip() in page
    assert not without_command(page)
    assert not unknown_in(page)
    assert page_of([outcome("memory")], "ba9876543210", before=page).count("1 MB") == 0


def test_a_page_has_figures_with_commands_and_what_was_not_measured_with_its_reason() -> None:
    broken = outcome("memory", None, "Traceback\n  ...\nValueError: no | such thing")
    page = page_of([outcome(), broken], "0123456789ab")
    assert not without_command(page)
    assert not unknown_in(page)
    assert "Commit `0123456789ab`, 2 cores of a processor, Python 3.11.7, 2026-01-02." in page
    assert "| two | 2.0 |" in page
    assert "| at most 3 ms | 2.0 ms | yes |" in page
    assert "| memory | failed: ValueError: no / such thing |" in page
    assert without_command(page.replace("benchmarks folder\n", "benchmarks loop\n")) == ["folder"]
    assert unknown_in(page.replace("| memory |", "| memories |"))


def test_a_list_in_a_text_stays_a_list() -> None:
    about = f"Two things:\n\n- {'one ' * 40}\n- two"
    page = page_of([outcome(report=replace(REPORT, about=about))], "abc")
    assert re.search(r"\n\n- one [^\n]+\n  one [^\n]+\n- two\n\nThe load average", page)


def test_what_was_done_at_a_commit_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "folder.json"
    assert measured(path, "abc", quick=False) is None
    write_outcome(outcome(), path, commit="abc")
    assert measured(path, "abc", quick=False) == outcome()
    assert measured(path, "abd", quick=False) is None
    assert measured(path, "abc", quick=True) is None
    write_outcome(outcome(report=None), path, commit="abc")
    assert measured(path, "abc", quick=False) is None


def test_a_failure_is_told_on_the_page_and_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run(name: str, **_: object) -> Outcome:
        ran.append(name)
        return outcome(name, None if name == "hub" and len(ran) < 3 else REPORT, "no torch")

    monkeypatch.setattr(figures, "run_apart", run)
    page = tmp_path / "page.md"
    places = ["--folder", str(tmp_path / "kept"), "--page", str(page)]
    monkeypatch.setattr(sys, "argv", ["figures", "folder", "hub", "loop", *places])
    assert figures.main() == 1
    assert ran == ["folder", "hub", "loop"]
    assert "| hub | failed: no torch |" in page.read_text()
    assert figures.main() == 0
    assert ran[3:] == ["hub"]
    assert "Not measured" not in page.read_text()


def test_no_benchmark_begins_when_no_time_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    places = ["--folder", str(tmp_path / "kept"), "--page", str(page), "--minutes", "0"]
    monkeypatch.setattr(sys, "argv", ["figures", "folder", "hub", *places])
    assert figures.main() == 0
    assert page.read_text().count("skipped: no time was left") == 2


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("raise BenchmarkError('it broke')", "failed", "it broke"),
        ("raise NotHereError('no browser')", "skipped", "no browser"),
        ("import a_package_that_is_not_there", "skipped", "a_package_that_is_not_there"),
        ("assert 1 == 2, 'so it is'", "failed", "so it is"),
        ("import os; os._exit(3)", "failed", "ended with 3"),
        ("import time; time.sleep(600)", "failed", "stopped after"),
        ("return Report(name='planted', about=str(settings.quick), tables=())", "done", ""),
    ],
)
def test_whatever_becomes_of_a_benchmark_is_an_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, status: str, reason: str
) -> None:
    package = tmp_path / "benchmarks"
    package.mkdir()
    for path in (ROOT / "benchmarks").glob("*.py"):
        (package / path.name).write_bytes(path.read_bytes())
    (package / "planted.py").write_text(
        "from benchmarks.measure import BenchmarkError, NotHereError\n"
        f"from benchmarks.report import Report\ndef run(settings):\n    {body}\n"
    )
    monkeypatch.setattr(apart, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    limit = 5 if "sleep" in body else None
    start = time.monotonic()
    found = run_apart("planted", weights=SHIPPED, quick=True, limit=limit)
    assert (found.status, reason in found.reason) == (status, True), found.reason
    assert time.monotonic() - start < 500
    if status == "done":
        assert found.report == Report(name="planted", about="True", tables=())


def test_an_outcome_comes_back_from_its_file(tmp_path: Path) -> None:
    for each in (outcome(), outcome(report=None, reason="none")):
        write_outcome(each, tmp_path / "a.json", commit="abc")
        assert outcome_from(json.loads((tmp_path / "a.json").read_text())) == each


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs(name: str) -> None:
    found = run_apart(name, weights=SHIPPED, quick=True, limit=1500)
    if found.status == "skipped":
        pytest.skip(found.reason)
    assert found.status == "done", found.reason
    assert found.report is not None
    assert found.report.tables
