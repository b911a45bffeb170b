"""Files of a comparison: Markdown, CSV, LaTeX and a page.

Comparisons as one long table, numbers in full.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables.comparison import Column, ColumnGroup, Comparison, Row
from rilievo.evaluation.tables.comparison_tables import (
    changes_table,
    differences_table,
    pairs_table,
    values_table,
    wide_table,
    write_comparison_page,
    write_leaderboard,
)
from rilievo.frozen import frozen
from rilievo.io.checksums import beside, write_checksum
from rilievo.io.files.atomic import remove
from rilievo.pages.document import write_text
from rilievo.pages.tables import Table, comma_separated, heads, latex, markdown


@frozen
class LongRow:
    """One model, benchmark and metric; the fields are the columns, in their order.

    Attributes:
        published: None for a mean over sets.
        paired: Number of images that the difference rests on.
        benchmark_rank: Rank by the leading metric, where equal numbers share the mean.
    """

    model: str
    published: bool | None
    alignment: str | None
    benchmark: str
    metric: str
    unit: str
    better: str
    value: float
    low: float | None = None
    high: float | None = None
    rank: int | None = None
    best: bool | None = None
    reference: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    images: int | None = None
    paired: int | None = None
    source: str = ""
    quote: str = ""
    benchmark_rank: float | None = None
    in_mean_rank: bool | None = None
    mean_rank: float | None = None
    mean_rank_low: float | None = None
    mean_rank_high: float | None = None


def long_table(comparison: Comparison) -> Table:
    """Make a table of one line a row, benchmark and metric."""
    columns = [field.name for field in fields(LongRow)]
    return Table(
        heads=heads(*columns),
        rows=tuple(tuple(getattr(row, name) for name in columns) for row in _rows_of(comparison)),
    )


def _rows_of(comparison: Comparison) -> Iterator[LongRow]:
    models = {model.name: model for model in comparison.models}
    for group in comparison.groups:
        for row in group.rows:
            model = None if row.is_published else models.get(row.name)
            for column in group.columns:
                if column.metric not in row.cells:
                    continue
                long_row = _long_row(group, row, column)
                if model is not None:
                    long_row = replace(
                        long_row,
                        benchmark_rank=model.ranks.get(group.label),
                        in_mean_rank=group.label in comparison.shared,
                        mean_rank=model.mean_rank,
                        mean_rank_low=model.low,
                        mean_rank_high=model.high,
                    )
                yield long_row
    for mean in comparison.means:
        for name, value in mean.values.items():
            metric, model = mean.metric, models[name]
            yield LongRow(
                model=name,
                published=None,
                alignment=None,
                benchmark=mean.label,
                metric=metric.metric,
                unit=metric.unit,
                better=metric.better,
                value=value,
                in_mean_rank=False,
                mean_rank=model.mean_rank,
                mean_rank_low=model.low,
                mean_rank_high=model.high,
            )


def _long_row(group: ColumnGroup, row: Row, column: Column) -> LongRow:
    cell, is_run = row.cells[column.metric], not row.is_published
    shift = cell.difference
    return LongRow(
        model=row.name,
        published=row.is_published,
        alignment=row.alignment,
        benchmark=group.label,
        metric=column.metric,
        unit=column.unit,
        better=column.better,
        value=cell.value,
        low=cell.low,
        high=cell.high,
        rank=cell.rank,
        best=cell.is_best,
        reference=column.reference if is_run else None,
        difference=None if shift is None else shift.mean,
        difference_low=None if shift is None else shift.low,
        difference_high=None if shift is None else shift.high,
        p=None if shift is None else shift.p,
        images=group.images if is_run else None,
        paired=len(column.ids) if is_run else None,
        source=row.source or "",
        quote=row.quote,
    )


def write_comparison(
    comparison: Comparison,
    path: Path,
    pictures: Mapping[str, ReportPictures] | None = None,
) -> None:
    """Write a ``.md``, ``.csv``, ``.tex`` or ``.html`` file, and its checksum beside it.

    LaTeX has the first table alone; pictures are for the page of one benchmark.
    """
    check_ending(path)
    remove(beside(path))  # of what is replaced now
    ending = path.suffix.lower()
    if ending == ".csv":
        write_text(path, comma_separated(long_table(comparison)))
    elif ending == ".md":
        write_text(path, markdown(*tables_of(comparison)))
    elif ending == ".tex":
        write_text(path, latex(tables_of(comparison)[0]))
    elif comparison.is_of_several:
        write_leaderboard(comparison, path)
    else:
        write_comparison_page(comparison, path, pictures)
    write_checksum(path)


def tables_of(comparison: Comparison) -> tuple[Table, ...]:
    """The tables to read, the first of all models."""
    if comparison.is_of_several:
        return wide_table(comparison), changes_table(comparison), pairs_table(comparison)
    [group] = comparison.groups
    return values_table(group), differences_table(group)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format."""
    endings = (".md", ".csv", ".tex", ".html")
    if path.suffix.lower() not in endings:
        raise OptionError(
            f"{path}: a comparison is written as {', '.join(endings)}, by the file's "
            f"ending, not as '{path.suffix}'"
        )
