"""Tables of the campaign on their page, docs/reliability.md.

    python -m lab.torture.page

A table stands between ``<!-- campaign PART COMMIT -->`` and ``<!-- end -->``. COMMIT is the one
that was measured. The last line of the table says whether only generated files and pages have
changed since; this command writes the line, ``make docs`` calls it, and a test sees that it is
true.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from lab.torture.findings import Findings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
SOURCES = ("lab/torture", "src/rilievo/io")
"""Folders of the code whose hash says which inputs of a stopped campaign are not tried again."""
_GENERATED = (
    "docs/*",
    "*.md",
    "requirements/tested-*.txt",  # make pin
    "tests/journeys/expected/*",  # make journeys UPDATE=1
    "tests/mutants.json",  # python -m lab.prove.mutants
)
"""Patterns of the paths of pages and generated files, which change nothing that is measured."""
CURRENT = "Since commit `{commit}`, only generated files and pages have changed."
STALE = (
    "**Measured before the last changes**: the code has changed since commit `{commit}`, "
    "from which these figures are."
)
_REGION = re.compile(
    r"<!-- campaign (?P<part>\w+) (?P<commit>\w+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL
)
_SUFFIXES = (".py", ".toml")
_MOST_NAMES = 6
_MOST_ROWS, _DEAREST = 30, 5
"""Most rows of a table, and rows that stay of a longer one."""


def source_hash(root: Path = ROOT) -> str:
    """Hash of the names and contents of the modules and tables of the campaign and the readers."""
    digest = hashlib.sha256()
    files = (path for folder in SOURCES for path in (root / folder).rglob("*"))
    names = {path.relative_to(root).as_posix(): path for path in files if path.suffix in _SUFFIXES}
    for name, path in sorted(names.items()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\n{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def head_commit(root: Path = ROOT) -> str:
    """First digits of the last commit."""
    return _git(root, "rev-parse", "--short=12", "HEAD").strip()


def changed_since(commit: str, root: Path = ROOT) -> list[str] | None:
    """Files that differ from a commit, committed since or not, without pages and generated files.

    None where git is missing or does not know the commit, as in a copy of a part of the history.
    """
    try:
        names = _git(root, "diff", "--name-only", "--no-renames", commit).splitlines()
        names += _git(root, "ls-files", "--others", "--exclude-standard").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None
    return sorted(
        name for name in names if not any(fnmatchcase(name, pattern) for pattern in _GENERATED)
    )


def is_current(commit: str, root: Path = ROOT) -> bool | None:
    """Whether only pages and generated files have changed since a commit; None if unknown."""
    changed = changed_since(commit, root)
    return None if changed is None else not changed


def _git(root: Path, *words: str) -> str:
    command = ("git", "-c", "core.quotePath=false", *words)
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


def with_findings(text: str, part: str, findings: Findings, *, command: str, commit: str) -> str:
    """The page with the table of a part; the same page where it has no place for it.

    Args:
        text: Text of the page.
        part: Name of the part.
        findings: Results of the part.
        command: Command that measured them.
        commit: First digits of the commit that was measured.
    """
    day = datetime.now(UTC)
    measured = f"{day.day} {day:%B %Y}, commit `{commit}`: `{command}`."
    if findings.untried:
        names = "; ".join(findings.untried[:_MOST_NAMES])
        more = len(findings.untried) - _MOST_NAMES
        measured += f" Not tried: {names}{f' and {more} more' if more > 0 else ''}."
    body = f"{shortened(findings.table)}\n\n({measured})\n"
    region = f"<!-- campaign {part} {commit} -->\n{body}<!-- end -->"
    return _REGION.sub(lambda match: region if match["part"] == part else match[0], text)


def shortened(table: str) -> str:
    """Table of many rows with a sum: its dearest rows, those with faults in the fifth column, all.

    The campaign prints every row.
    """
    head, rows, total = table.split("\n")[:2], table.split("\n")[2:-1], table.split("\n")[-1]
    if len(rows) <= _MOST_ROWS or not total.startswith("| **all**"):
        return table
    cells = {row: [cell.strip() for cell in row.strip("|").split("|")] for row in rows}
    by_cost = sorted(rows, key=lambda row: -int(cells[row][-1].removesuffix("%")))
    kept = {*by_cost[:_DEAREST], *(row for row in rows if cells[row][4] != "0")}
    return "\n".join([*head, *(row for row in rows if row in kept), total])


def with_age(text: str, is_current: Callable[[str], bool | None]) -> str:
    """The page with the last line of each table, which says what has changed since its commit.

    Args:
        text: Text of the page.
        is_current: Function that says of a commit whether only generated files and pages have
            changed since. Where it does not know, the line stays as it is.
    """

    def aged(match: re.Match[str]) -> str:
        commit = match["commit"]
        answer = is_current(commit)
        if answer is None:
            return match[0]
        current, stale = (f"\n\n{line.format(commit=commit)}\n" for line in (CURRENT, STALE))
        body = match["body"].removesuffix(current).removesuffix(stale).rstrip("\n")
        line = current if answer else stale
        return f"<!-- campaign {match['part']} {commit} -->\n{body}{line}<!-- end -->"

    return _REGION.sub(aged, text)


def main() -> int:
    """Write the lines of the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_age(text, is_current), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
