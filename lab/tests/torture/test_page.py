"""The page of the campaign has its tables, and says of which code they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.torture.__main__ import PARTS
from lab.torture.findings import Findings, table_of
from lab.torture.page import PAGE, SOURCES, STALE, shortened, source_hash, with_age, with_findings

TABLE = table_of(("work", "kills"), [("a job", 1200)])
BEFORE = """\
# A page

<!-- campaign kills 000000000000 -->
nothing yet
<!-- end -->

Between.

<!-- campaign cuts 000000000000 -->
nothing yet
<!-- end -->
"""


def tree(folder: Path) -> Path:
    for source in SOURCES:
        (folder / source / "below").mkdir(parents=True)
        (folder / source / "one.py").write_bytes(b"a = 1\nb = 2\n")
        (folder / source / "below" / "two.toml").write_bytes(b"c = 3\n")
    return folder


def rename(root: Path) -> None:
    (root / SOURCES[1] / "one.py").rename(root / SOURCES[1] / "other.py")


def change(root: Path) -> None:
    (root / SOURCES[0] / "one.py").write_bytes(b"a = 1\nb = 3\n")


def change_below(root: Path) -> None:
    (root / SOURCES[1] / "below" / "two.toml").write_bytes(b"c = 4\n")


def add(root: Path) -> None:
    (root / SOURCES[0] / "three.py").write_bytes(b"")


def write_line_ends(root: Path) -> None:
    (root / SOURCES[0] / "one.py").write_bytes(b"a = 1\r\nb = 2\r\n")


def compile_one(root: Path) -> None:
    (root / SOURCES[0] / "__pycache__").mkdir()
    (root / SOURCES[0] / "__pycache__" / "one.cpython-311.pyc").write_bytes(b"x")


@pytest.mark.parametrize("step", [rename, change, change_below, add])
def test_a_hash_changes_with_names_and_contents(
    step: Callable[[Path], None], tmp_path: Path
) -> None:
    before = source_hash(tree(tmp_path))
    step(tmp_path)
    assert source_hash(tmp_path) != before


@pytest.mark.parametrize("step", [write_line_ends, compile_one])
def test_a_hash_is_the_same_on_another_machine(
    step: Callable[[Path], None], tmp_path: Path
) -> None:
    before = source_hash(tree(tmp_path / "one"))
    assert source_hash(tree(tmp_path / "other")) == before
    step(tmp_path / "other")
    assert source_hash(tmp_path / "other") == before


def test_a_part_replaces_its_own_table_alone() -> None:
    findings = Findings(table=TABLE, untried=("export (kills)", "mcp (kills)"))
    text = with_findings(BEFORE, "kills", findings, command="make it", code="abc")
    assert "<!-- campaign kills abc -->\n| work | kills |" in text
    assert "| a job | 1,200 |" in text
    assert ": `make it`, code `abc`. Not tried: export (kills); mcp (kills).)" in text
    assert text.count("nothing yet") == 1
    assert text.startswith("# A page\n\n<!-- campaign kills abc -->")
    assert with_findings(text, "fuzz", findings, command="make it", code="abc") == text


def test_tables_of_other_code_say_so_until_they_are_measured_again() -> None:
    measured = with_findings(BEFORE, "kills", Findings(table=TABLE), command="make it", code="abc")
    aged = with_age(measured, "abc")
    assert aged.count(STALE) == 1
    assert aged.index(STALE) > aged.index("campaign cuts")
    assert with_age(measured, "other").count(STALE) == 2
    assert with_age(with_age(measured, "other"), "other").count(STALE) == 2
    again = with_findings(aged, "cuts", Findings(table=TABLE), command="make it", code="abc")
    assert STALE not in with_age(again, "abc")


def test_the_page_has_a_table_of_each_part_and_says_which_are_old() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for part in PARTS:
        assert text.count(f"<!-- campaign {part} ") == (part != "fuzz")
    assert with_age(text, source_hash()) == text, "run: python -m lab.torture.page"


def test_a_long_table_keeps_its_dearest_rows_and_its_faults() -> None:
    header = ("reader", "inputs", "read", "refused", "bad", "dearest", "of what is allowed")
    rows = [(f"reader {n}", 9, 8, 1, int(n == 3), "0.1 CPU-s", f"{n} %") for n in range(40)]
    total = ("**all**", 360, 320, 40, 1, "", "")
    short = shortened(table_of(header, [*rows, total])).splitlines()
    assert [line.split("|")[1].strip() for line in short[2:]] == [
        "reader 3",
        *(f"reader {n}" for n in range(35, 40)),
        "**all**",
    ]
    assert shortened(table_of(header, [*rows[:30], total])).count("\n") == 32
