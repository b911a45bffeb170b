"""Marks on the page of benchmarks: promises that are missed, sections of networks before these."""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from benchmarks.names import NETWORKS
from benchmarks.report import Table, markdown_table
from benchmarks.settings import FAST, SHIPPED

MISSED = "Missed promises"
_DIGITS = 12
_ABOUT_MISSED = """\
A promise is a limit that we set for a benchmark, for example the most seconds that a command may
take. The following promises are not kept at the moment. Each section lists all its promises."""
_STALE = "**These figures are for an earlier network.**"
_MEASURED = re.compile(r"^Measured at commit `[^`]+`, \d{4}-\d\d-\d\d.*\.$", re.MULTILINE)
_NETWORK = re.compile(r"`([\w.]+\.onnx)` ([0-9a-f]+)")
_BAR = re.compile(r"^\| (.+?) \| (.+?) \| \*\*no\*\* \|$", re.MULTILINE)


def shipped_networks() -> dict[str, str]:
    """First digits of the sha256 of the networks inside the package, by file name."""
    return {path.name: _digits(path) for path in (SHIPPED, FAST)}


def measured_line(name: str, commit: str, date: str, networks: Mapping[str, str]) -> str:
    """State commit and date of a benchmark, and the networks that it measures."""
    own = [f"`{file}` {networks[file]}" for file in NETWORKS.get(name, ()) if file in networks]
    return f"Measured at commit `{commit}`, {date[:10]}{', ' if own else ''}{' and '.join(own)}."


def marked(page: str, networks: Mapping[str, str]) -> str:
    """Write the marks of a page anew, whatever they are now.

    Args:
        page: The page, whose sections state what they measured.
        networks: First digits of the sha256 of the networks that are shipped now.
    """
    head, *sections = sections_of(page)
    sections = [_with_mark(section, networks) for section in sections if name_of(section) != MISSED]
    missed = [(name_of(section), *row) for section in sections for row in _BAR.findall(section)]
    if missed:
        table = Table(columns=("benchmark", "promise", "measured"), rows=missed)
        about = f"{_ABOUT_MISSED}\n\n{markdown_table(table)}"
        sections.insert(0, f"## {MISSED}\n\n{about}\n\n")
    return head + "".join(sections).rstrip("\n") + "\n"


def sections_of(page: str) -> list[str]:
    """Split a page into its head and its sections."""
    return re.split(r"^(?=## )", page, flags=re.MULTILINE)


def name_of(section: str) -> str:
    """Heading of a section."""
    return section.partition("\n")[0].removeprefix("## ")


def _with_mark(section: str, networks: Mapping[str, str]) -> str:
    section = re.sub(rf"^{re.escape(_STALE)}.*\n\n", "", section, flags=re.MULTILINE)
    line = _MEASURED.search(section)
    others = list(_others(line[0], networks)) if line is not None else []
    if line is None or not others:
        return section
    mark = f"{_STALE} The package now contains {' and '.join(others)}."
    return f"{section[: line.end()]}\n\n{mark}{section[line.end() :]}"


def _others(line: str, networks: Mapping[str, str]) -> Iterator[str]:
    for file, digits in _NETWORK.findall(line):
        if networks.get(file) != digits:
            yield f"`{file}` {networks.get(file, 'no more')}"


def _digits(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:_DIGITS]
