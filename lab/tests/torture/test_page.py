"""The page of the campaign has its tables, and says what has changed since their commits."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.torture.__main__ import PARTS
from lab.torture.findings import Findings, table_of
from lab.torture.page import (
    CURRENT,
    PAGE,
    SOURCES,
    STALE,
    changed_since,
    head_commit,
    is_current,
    shortened,
    source_hash,
    with_age,
    with_findings,
)

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
    text = with_findings(BEFORE, "kills", findings, command="make it", commit="abc")
    assert "<!-- campaign kills abc -->\n| work | kills |" in text
    assert "| a job | 1,200 |" in text
    assert ", commit `abc`: `make it`. Not tried: export (kills); mcp (kills).)" in text
    assert text.count("nothing yet") == 1
    assert text.startswith("# A page\n\n<!-- campaign kills abc -->")
    assert with_findings(text, "fuzz", findings, command="make it", commit="abc") == text


def test_the_last_line_of_each_table_says_what_has_changed_since_its_commit() -> None:
    findings = Findings(table=TABLE)
    text = with_findings(BEFORE, "kills", findings, command="make it", commit="abc")
    text = with_age(text, lambda commit: commit == "abc")
    kills, cuts = (part.rstrip("\n") for part in text.split("<!-- end -->")[:2])
    assert kills.endswith(f"\n\n{CURRENT.format(commit='abc')}")
    assert cuts.endswith(f"\n\n{STALE.format(commit='000000000000')}")
    assert with_age(text, lambda commit: commit == "abc") == text
    changed = with_age(text, lambda _: False)
    assert CURRENT.format(commit="abc") not in changed
    assert STALE.format(commit="abc") in changed
    assert with_age(changed, lambda commit: commit == "abc") == text
    assert with_age(text, lambda _: None) == text


def test_the_page_has_a_table_of_each_part_and_says_what_has_changed_since() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for part in PARTS:
        assert text.count(f"<!-- campaign {part} ") == (part != "fuzz")
    commits = re.findall(r"<!-- campaign \w+ (\w+) -->", text)
    for commit in commits:
        assert text.count(f", commit `{commit}`: ") == commits.count(commit)
        assert text.count(f"since commit `{commit}`, ") + text.count(
            f"Since commit `{commit}`, "
        ) == commits.count(commit)
    if any(is_current(commit) is None for commit in commits):
        pytest.skip("this checkout has a part of the history only, without a commit of the tables")
    assert with_age(text, is_current) == text, "run: python -m lab.torture.page"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
    git(tmp_path, "init", "--quiet")
    for name in ("src/a.py", "docs/page.md", "README.md", "tests/journeys/expected/x.json"):
        write(tmp_path / name, "before\n")
    commit_all(tmp_path)
    return tmp_path


def git(folder: Path, *words: str) -> None:
    subprocess.run(("git", *words), cwd=folder, check=True, capture_output=True)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def commit_all(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "a change")


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("docs/page.md", False),
        ("docs/pictures/new.png", False),
        ("README.md", False),
        ("src/rilievo/README.md", False),
        ("tests/journeys/expected/x.json", False),
        ("src/a.py", True),
        ("src/new.py", True),
        ("tests/test_new.py", True),
        ("pyproject.toml", True),
    ],
)
def test_only_pages_and_generated_files_may_change_after_a_table(
    name: str, counts: bool, is_committed: bool, checkout: Path
) -> None:
    before = head_commit(checkout)
    assert changed_since(before, checkout) == []
    write(checkout / name, "after\n")
    if is_committed:
        commit_all(checkout)
    assert changed_since(before, checkout) == ([name] if counts else [])
    assert is_current(before, checkout) is not counts


def test_a_module_that_became_a_page_or_went_is_a_change(checkout: Path) -> None:
    before = head_commit(checkout)
    (checkout / "src" / "a.py").rename(checkout / "docs" / "a.md")
    commit_all(checkout)
    assert changed_since(before, checkout) == ["src/a.py"]


def test_a_commit_that_is_not_there_says_nothing(checkout: Path, tmp_path: Path) -> None:
    assert is_current("0123456789ab", checkout) is None


def test_a_long_table_keeps_its_dearest_rows_and_its_faults() -> None:
    header = ("reader", "inputs", "read", "refused", "bad", "dearest", "of what is allowed")
    rows = [(f"reader {n}", 9, 8, 1, int(n == 3), "0.1 CPU-s", f"{n}%") for n in range(40)]
    total = ("**all**", 360, 320, 40, 1, "", "")
    short = shortened(table_of(header, [*rows, total])).splitlines()
    assert [line.split("|")[1].strip() for line in short[2:]] == [
        "reader 3",
        *(f"reader {n}" for n in range(35, 40)),
        "**all**",
    ]
    assert shortened(table_of(header, [*rows[:30], total])).count("\n") == 32
