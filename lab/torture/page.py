"""Tables of the campaign on their page, docs/reliability.md.

    python -m lab.torture.page

A table stands between ``<!-- campaign PART HASH -->`` and ``<!-- end -->``. HASH is that of the
campaign and the readers as they were measured. Where they have changed since, a line below the
table says so; this command writes the line, ``make docs`` calls it, and a test sees that no line is
missing.
"""

import hashlib
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from lab.torture.findings import Findings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
SOURCES = ("lab/torture", "src/rilievo/io")
STALE = "\n**Measured before the last change** of `lab/torture` or `src/rilievo/io`.\n"
_REGION = re.compile(
    r"<!-- campaign (?P<part>\w+) (?P<hash>\w+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL
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


def with_findings(text: str, part: str, findings: Findings, *, command: str, code: str) -> str:
    """The page with the table of a part; the same page where it has no place for it.

    Args:
        text: Text of the page.
        part: Name of the part.
        findings: Results of the part.
        command: Command that measured them.
        code: Hash of the code that was measured.
    """
    day = datetime.now(UTC)
    body = f"{shortened(findings.table)}\n\n({day.day} {day:%B %Y}: `{command}`, code `{code}`."
    if findings.untried:
        names = "; ".join(findings.untried[:_MOST_NAMES])
        more = len(findings.untried) - _MOST_NAMES
        body += f" Not tried: {names}{f' and {more} more' if more > 0 else ''}."
    region = f"<!-- campaign {part} {code} -->\n{body})\n<!-- end -->"
    return _REGION.sub(lambda match: region if match["part"] == part else match[0], text)


def shortened(table: str) -> str:
    """Table of many rows with a sum: its dearest rows, those with faults in the fifth column, all.

    The campaign prints every row.
    """
    head, rows, total = table.split("\n")[:2], table.split("\n")[2:-1], table.split("\n")[-1]
    if len(rows) <= _MOST_ROWS or not total.startswith("| **all**"):
        return table
    cells = {row: [cell.strip() for cell in row.strip("|").split("|")] for row in rows}
    by_cost = sorted(rows, key=lambda row: -int(cells[row][-1].removesuffix(" %")))
    kept = {*by_cost[:_DEAREST], *(row for row in rows if cells[row][4] != "0")}
    return "\n".join([*head, *(row for row in rows if row in kept), total])


def with_age(text: str, code: str) -> str:
    """The page with a line below each table that was measured with other code than this."""

    def aged(match: re.Match[str]) -> str:
        body = match["body"].replace(STALE, "") + ("" if match["hash"] == code else STALE)
        return f"<!-- campaign {match['part']} {match['hash']} -->\n{body}<!-- end -->"

    return _REGION.sub(aged, text)


def main() -> int:
    """Write the lines of the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_age(text, source_hash()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
