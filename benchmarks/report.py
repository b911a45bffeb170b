"""Results of a benchmark, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A promise and its measurement.

    Attributes:
        promise: The promise, with its number and unit.
        measured: The measured value.
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
    """Results of a benchmark.

    Attributes:
        name: Name of the benchmark.
        about: Description of what was measured, and how, in a sentence or two.
        tables: The figures.
        bars: Promises about them.
    """

    name: str
    about: str
    tables: tuple[Table, ...]
    bars: tuple[Bar, ...] = ()


def to_markdown(report: Report, machine: Machine, *, quick: bool) -> str:
    """Format a section of a Markdown page."""
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
    """Write the results as JSON."""
    data = {"quick": quick, "machine": asdict(machine), **asdict(report)}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _markdown_table(table: Table) -> str:
    rule = tuple("---" if column == 0 else "---:" for column in range(len(table.columns)))
    return "\n".join(f"| {' | '.join(row)} |" for row in (table.columns, rule, *table.rows))
