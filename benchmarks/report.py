"""Results of a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Cost, peak_of, spread


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
        about: What was measured, and how, in paragraphs with a blank line between them; items of
            lists begin with ``- ``.
        tables: The figures.
        bars: Promises about them.
    """

    name: str
    about: str
    tables: tuple[Table, ...]
    bars: tuple[Bar, ...] = ()


def report_from(data: Mapping[str, Any] | None) -> Report | None:
    """Read a report from JSON, or from the absence of one."""
    if data is None:
        return None
    tables = (
        Table(columns=tuple(each["columns"]), rows=[tuple(row) for row in each["rows"]])
        for each in data["tables"]
    )
    bars = (Bar(**each) for each in data["bars"])
    return Report(name=data["name"], about=data["about"], tables=tuple(tables), bars=tuple(bars))


def markdown_table(table: Table) -> str:
    """Format a table of Markdown; the first column to the left, the others to the right."""
    rule = tuple("---" if column == 0 else "---:" for column in range(len(table.columns)))
    return "\n".join(f"| {' | '.join(row)} |" for row in (table.columns, rule, *table.rows))


def cost_table(first: str, costs: Mapping[str, Sequence[Cost]], *, peak: bool = True) -> Table:
    """Tabulate wall time, CPU time and, unless left out, the highest peak of commands.

    Args:
        first: Heading of the first column.
        costs: Costs of each command, by its name.
        peak: Whether there is a column of peaks.
    """
    rows = [
        (
            name,
            str(spread([cost.wall for cost in runs])),
            str(spread([cost.cpu for cost in runs])),
            *([f"{max(map(peak_of, runs)):.0f}"] if peak else []),
        )
        for name, runs in costs.items()
    ]
    return Table(columns=(first, "wall s", "CPU s", *(["peak MB"] if peak else [])), rows=rows)
