"""Comparisons as one long table, numbers in full."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from rilievo.evaluation.tables.comparison import Column, ColumnGroup, Comparison, Row
from rilievo.pages.tables import Table, make_heads


@dataclass(frozen=True, slots=True, kw_only=True)
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
        heads=make_heads(*columns),
        rows=tuple(tuple(getattr(row, name) for name in columns) for row in _long_rows(comparison)),
    )


def _long_rows(comparison: Comparison) -> Iterator[LongRow]:
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
