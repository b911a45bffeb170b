"""A comparison as Markdown, CSV and LaTeX, and written by the ending of its file."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluate import wording
from rilievo.evaluate.comparison import Cell, Column, Comparison, Row
from rilievo.evaluate.comparison_page import write_comparison_page
from rilievo.evaluate.pictures import Pictures
from rilievo.evaluate.table import cell_text
from rilievo.io.atomic import remove
from rilievo.io.checksums import beside, write_beside
from rilievo.io.limits import printable
from rilievo.pages.document import text_of, write_text

_CSV_HEADER = (
    "model",
    "published",
    "alignment",
    "metric",
    "unit",
    "better",
    "value",
    "low",
    "high",
    "rank",
    "best",
    "reference",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "images",
    "source",
)


def write_comparison(
    comparison: Comparison, path: Path, pictures: Mapping[str, Pictures] | None = None
) -> None:
    """Write a comparison in the format that the file's ending names, and its checksum beside it.

    Args:
        comparison: Comparison to write.
        path: Ends in ``.md``, ``.csv``, ``.tex`` or ``.html``.
        pictures: Pictures of the runs for a page, by the names of their rows; None for none.

    Raises:
        OptionError: If it ends otherwise.
        MissingExtraError: If a page is asked for, and matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    check_ending(path)
    ending = path.suffix.lower()
    remove(beside(path))  # of what is replaced now
    if ending == ".html":
        write_comparison_page(comparison, path, pictures)
    else:
        write_text(path, _TEXTS[ending](comparison))
    write_beside(path)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format.

    Raises:
        OptionError: If it does not.
    """
    known = (*_TEXTS, ".html")
    if path.suffix.lower() not in known:
        raise OptionError(
            f"{printable(path)}: a comparison is written as {', '.join(known)}, by the file's "
            f"ending, not as '{printable(path.suffix)}'"
        )


def markdown(comparison: Comparison) -> str:
    """Two tables, values and differences, and the notes."""
    return text_of("comparison.md", comparison=comparison, words=wording)


def comma_separated(comparison: Comparison) -> str:
    """One line a row and metric; no text in it is a formula."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_CSV_HEADER)
    for row in comparison.rows:
        for column in comparison.columns:
            cell = row.cells.get(column.metric)
            if cell is not None:
                table.writerow(_csv_row(row, column, cell))
    return file.getvalue()


def _csv_row(row: Row, column: Column, cell: Cell) -> tuple[object, ...]:
    each = cell.difference
    return (
        cell_text(row.name),
        row.is_published,
        row.alignment,
        cell_text(column.metric),
        column.unit,
        column.better,
        cell.value,
        cell.low,
        cell.high,
        cell.rank,
        cell.is_best,
        None if row.is_published else cell_text(column.reference),
        *((None,) * 4 if each is None else (each.mean, each.low, each.high, each.p)),
        None if row.is_published else len(column.ids),
        cell_text(row.source or ""),
    )


def latex(comparison: Comparison) -> str:
    """A table for ``booktabs``, with its notes under it."""
    return text_of("comparison.tex", comparison=comparison, words=wording)


_TEXTS: Mapping[str, Callable[[Comparison], str]] = {
    ".md": markdown,
    ".csv": comma_separated,
    ".tex": latex,
}
