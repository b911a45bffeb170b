"""Text of comparisons and standings for the terminal."""

from collections.abc import Iterator

from rilievo.cli.tables import table
from rilievo.evaluate.comparison import Cell, Comparison, Row
from rilievo.evaluate.standings import Standings
from rilievo.evaluate.standings_tables import has_ranks, rank_text
from rilievo.evaluate.wording import (
    NOTHING,
    aligned,
    bounds,
    column_head,
    count,
    number,
    p_value,
    signed,
)
from rilievo.io.limits import printable


def lines_of(comparison: Comparison) -> Iterator[str]:
    """Yield the lines with values, differences and notes."""
    yield f"{comparison.benchmark}: {comparison.title}".removesuffix(": ")
    yield f"{comparison.dataset}: {count(comparison.images)} images"
    yield ""
    heads = [column_head(each.label, each.unit, each.better) for each in comparison.columns]
    metrics = [column.metric for column in comparison.columns]
    rows = [
        [_name(comparison, row), *(_cell(row.cells.get(metric)) for metric in metrics)]
        for row in comparison.rows
    ]
    yield table(["model", *heads], rows)
    yield ""
    if differences := list(_differences(comparison)):
        yield table(["model", "metric", "difference", "95 % interval", "p (Holm)"], differences)
        yield ""
    for row in comparison.runs:
        if (said := aligned(row.alignment)) is not None:
            yield f"{printable(row.name)}: {said}"
    yield from (printable(note) for note in comparison.notes)
    yield from (f"[{index}] {printable(each)}" for each, index in comparison.sources.items())


def standing_lines(standings: Standings) -> Iterator[str]:
    """A table for each benchmark, then the mean ranks and the notes."""
    for event in standings.events:
        columns = event.comparison.columns
        yield f"{event.label}: {event.comparison.title}".removesuffix(": ")
        yield f"{event.comparison.dataset}: {count(event.comparison.images)} images"
        heads = [column_head(each.label, each.unit, each.better) for each in columns]
        rows = [
            [_name(event.comparison, row), *(_cell(row.cells.get(each.metric)) for each in columns)]
            for row in event.comparison.rows
        ]
        yield table(["model", *heads], rows)
        yield ""
    if has_ranks(standings):
        rows = [[printable(each.name), rank_text(each)] for each in standings.models]
        yield table(["model", "mean rank (95 % interval)"], rows)
        yield ""
    yield from (printable(note) for note in standings.notes)


def _name(comparison: Comparison, row: Row) -> str:
    source = f" [{comparison.sources[row.source]}]" if row.source else ""
    return printable(row.name) + source


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return NOTHING
    return number(cell.value) + ("*" if cell.is_marked else "") + ("!" if cell.is_best else "")


def _differences(comparison: Comparison) -> Iterator[list[str]]:
    for row, column, each in comparison.differences():
        yield [
            f"{printable(row.name)} - {printable(column.reference)}",
            column.label,
            signed(each.mean),
            bounds(each.low, each.high),
            p_value(each.p),
        ]
