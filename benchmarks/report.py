"""What a benchmark found, as Markdown for people and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What was promised, and whether it holds.

    Attributes:
        promise: In words, with its number and unit.
        measured: In words.
        kept: Whether it holds.
    """

    promise: str
    measured: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells; the first column names what was measured."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a benchmark found.

    Attributes:
        name: Of the benchmark.
        about: What was measured, and how, in a sentence or two.
        tables: The figures.
        bars: What was promised of them.
    """

    name: str
    about: str
    tables: tuple[Table, ...]
    bars: tuple[Bar, ...] = ()


def to_markdown(report: Report, machine: Machine, *, quick: bool) -> str:
    """A section of a Markdown page."""
    parts = [f"## {report.name}", report.about, f"Measured on {machine}."]
    if quick:
        parts.append("**A quick run, to see that everything works: the figures mean little.**")
    parts += [_markdown_table(table) for table in report.tables]
    parts += [
        f"- {'kept' if bar.kept else '**missed**'}: {bar.promise}; measured: {bar.measured}"
        for bar in report.bars
    ]
    return "\n\n".join(parts) + "\n"


def write_json(report: Report, machine: Machine, path: Path, *, quick: bool) -> None:
    """The same for programs."""
    data = {"quick": quick, "machine": asdict(machine), **asdict(report)}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _markdown_table(table: Table) -> str:
    rule = tuple("---" if column == 0 else "---:" for column in range(len(table.columns)))
    return "\n".join(f"| {' | '.join(row)} |" for row in (table.columns, rule, *table.rows))
