"""A comparison as Markdown, CSV and LaTeX, and written by the ending of its file."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.errors import OptionError, RilievoError
from rilievo.evaluation.results.per_image_table import cell_text
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.comparison import Cell, Column, Comparison, Row
from rilievo.evaluation.tables.report_charts import image_by_image, standing
from rilievo.evaluation.tables.wording import aligned, headline, quantity
from rilievo.io.checks.checksums import beside, write_beside
from rilievo.io.files.atomic import remove
from rilievo.pages.charts import Chart
from rilievo.pages.document import text_of, write_page, write_text
from rilievo.pages.pictures import Item, answer_panels, error_end, photo_panel, truth_panels

T = TypeVar("T")

MOST_DISAGREED = 20
"""Images that the page lists, of those on which the runs disagree."""
MOST_SHOWN = 8
"""Images of which the page has pictures."""
_COLUMNS = (
    *("model", "published", "alignment", "metric", "unit", "better", "value", "low", "high"),
    *("rank", "best", "reference", "difference", "difference_low", "difference_high", "p"),
    *("images", "source", "quote"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One image.

    Attributes:
        values: Values of the leading metric, in the order of the runs' rows.
    """

    id: str
    values: tuple[float, ...]
    spread: float


def write_comparison_page(
    comparison: Comparison, path: Path, pictures: Mapping[str, ReportPictures] | None = None
) -> None:
    """Write a comparison as one page that loads nothing from elsewhere.

    Args:
        comparison: Comparison to write.
        path: The file.
        pictures: Pictures of the runs, by the names of their rows; None for a page without.
    """
    leading = comparison.columns[0]
    disagreed = disagreements(comparison, leading)
    known = {column.metric: column for column in comparison.columns}
    write_page(
        path,
        "comparison.html",
        words=wording,
        comparison=comparison,
        leading=leading,
        headline=[known[name] for name in headline([*known])],
        alignments=alignments(comparison),
        standing=standing(comparison, leading),
        pairs=_pairs(comparison, leading),
        disagreements=disagreed,
        items=list(_items(comparison, leading, disagreed, pictures)) if pictures else [],
    )


def alignments(comparison: Comparison) -> tuple[str, ...]:
    """Alignments of the runs' predictions, each once."""
    said = [aligned(row.alignment) for row in comparison.runs]
    return tuple(dict.fromkeys(each for each in said if each is not None))


def _items(
    comparison: Comparison,
    column: Column,
    disagreed: tuple[Disagreement, ...],
    pictures: Mapping[str, ReportPictures],
) -> Iterator[Item]:
    """Pictures of the images on which the runs disagree most, or the first where there is one."""
    names = [row.name for row in comparison.runs if row.name in pictures]
    values = [column.values[name] for name in names]
    end = error_end([float(np.median(each)) for each in values if column.metric == "abs_rel"])
    places = [column.ids.index(each.id) for each in disagreed] or range(len(column.ids))
    for place in places[:MOST_SHOWN]:
        id = column.ids[place]
        numbers = [
            (name, quantity(each[place], column.unit))
            for name, each in zip(names, values, strict=True)
        ]
        spread = max(each[place] for each in values) - min(each[place] for each in values)
        panels, fault = [], None
        try:
            first = pictures[names[0]]
            truth = first.truth(id)
            on_normals = first.depth(id) is None
            panels = [photo_panel(first.photo(id))]
            panels += truth_panels(truth, depth=not on_normals, normals=on_normals)
            for name in names:
                one = pictures[name]
                panels += answer_panels(name, one.depth(id), one.normals(id), truth, end)
        except RilievoError as error:
            panels, fault = [], str(error)
        yield Item(
            name=id,
            label="apart by",
            value=quantity(spread, column.unit),
            numbers=tuple(numbers),
            panels=tuple(panels),
            fault=fault,
        )


def _pairs(comparison: Comparison, column: Column) -> list[Chart]:
    """A chart for every run but the reference."""
    others = [row.name for row in comparison.runs if row.name != column.reference]
    return [image_by_image(column, name) for name in others] if column.ids else []


def disagreements(comparison: Comparison, column: Column) -> tuple[Disagreement, ...]:
    """The images on which the runs disagree most, those first."""
    runs = comparison.runs
    if len(runs) < 2 or not column.ids:
        return ()
    values = np.array([column.values[row.name] for row in runs])
    spreads = values.max(axis=0) - values.min(axis=0)
    return tuple(
        Disagreement(
            id=column.ids[index],
            values=tuple(values[:, index].tolist()),
            spread=float(spreads[index]),
        )
        for index in np.argsort(-spreads, kind="stable")[:MOST_DISAGREED].tolist()
    )


def write_comparison(
    comparison: Comparison, path: Path, pictures: Mapping[str, ReportPictures] | None = None
) -> None:
    """Write a comparison in the format that the file's ending names, and its checksum beside it.

    Args:
        comparison: Comparison to write.
        path: Ends in ``.md``, ``.csv``, ``.tex`` or ``.html``.
        pictures: Pictures of the runs for a page, by the names of their rows; None for none.
    """
    texts = {".md": markdown, ".csv": comma_separated, ".tex": latex}
    page = partial(write_comparison_page, comparison, path, pictures)
    write_by_ending(path, comparison, texts, page)


def write_by_ending(
    path: Path, made: T, texts: Mapping[str, Callable[[T], str]], page: Callable[[], None]
) -> None:
    """Write the text of the file's ending, or the page, and its checksum beside it."""
    check_ending(path)
    remove(beside(path))  # of what is replaced now
    ending = path.suffix.lower()
    if ending == ".html":
        page()
    else:
        write_text(path, texts[ending](made))
    write_beside(path)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format."""
    known = (".md", ".csv", ".tex", ".html")
    if path.suffix.lower() not in known:
        raise OptionError(
            f"{path}: a comparison is written as {', '.join(known)}, by the file's "
            f"ending, not as '{path.suffix}'"
        )


def markdown(comparison: Comparison) -> str:
    """Two tables, values and differences, and the notes."""
    return text_of("comparison.md", comparison=comparison, words=wording)


def comma_separated(comparison: Comparison) -> str:
    """One line a row and metric; no text in it is a formula."""
    return csv_text(
        _COLUMNS,
        (
            _cells(row, column, row.cells[column.metric])
            for row in comparison.rows
            for column in comparison.columns
            if column.metric in row.cells
        ),
    )


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as lines of CSV, under a header."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue()


def _cells(row: Row, column: Column, cell: Cell) -> list[object]:
    each, ours = cell.difference, not row.is_published
    cells: list[object] = [cell_text(row.name), row.is_published, row.alignment]
    cells += [cell_text(column.metric), column.unit, column.better]
    cells += [cell.value, cell.low, cell.high, cell.rank, cell.is_best]
    cells += [cell_text(column.reference) if ours else None]
    cells += [None] * 4 if each is None else [each.mean, each.low, each.high, each.p]
    cells += [len(column.ids) if ours else None, cell_text(row.source or "")]
    return [*cells, cell_text(row.quote)]


def latex(comparison: Comparison) -> str:
    """A table for ``booktabs``, with its notes under it."""
    return text_of("comparison.tex", comparison=comparison, words=wording)
