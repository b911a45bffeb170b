"""Comparison as one long table for other programs, with unrounded numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from rilievo.evaluation.tables.comparison import Column, ColumnGroup, Comparison, Row, Standing
from rilievo.pages.tables import Table, make_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRow:
    """One model, benchmark and metric; the fields are the columns, in their order.

    Attributes:
        published: Whether it is a published result; None for a mean over datasets.
        reference: Run that the value is compared with.
        difference: Mean of value minus the reference's value; None for the reference.
        p: P-value of the difference, with Holm's correction.
        paired: Number of images that the difference rests on.
        benchmark_rank: Rank by the leading metric; equal numbers share the mean rank.
        in_mean_rank: Whether the benchmark counts in the mean rank.
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
    """Table with a line for each model, benchmark and metric."""
    columns = [field.name for field in fields(LongRow)]
    return Table(
        heads=make_heads(*columns),
        rows=tuple(tuple(getattr(row, name) for name in columns) for row in _long_rows(comparison)),
    )


def _long_rows(comparison: Comparison) -> Iterator[LongRow]:
    """Yield the rows of all benchmarks, then those of the means over datasets."""
    standing_by_model = {model.name: model for model in comparison.standings}
    for group in comparison.groups:
        for row in group.rows:
            standing = None if row.is_published else standing_by_model.get(row.name)
            for column in group.columns:
                if column.metric not in row.cells:
                    continue
                long_row = _long_row(group, row, column)
                if standing is not None:
                    is_shared = group.label in comparison.shared_benchmarks
                    rank = standing.ranks.get(group.label)
                    long_row = replace(long_row, benchmark_rank=rank, in_mean_rank=is_shared)
                    long_row = _with_mean_rank(long_row, standing)
                yield long_row
    for mean in comparison.means:
        for name, value in mean.values.items():
            long_row = LongRow(
                model=name,
                published=None,
                alignment=None,
                benchmark=mean.label,
                metric=mean.metric.metric,
                unit=mean.metric.unit,
                better=mean.metric.better,
                value=value,
                in_mean_rank=False,
            )
            yield _with_mean_rank(long_row, standing_by_model[name])


def _with_mean_rank(row: LongRow, standing: Standing) -> LongRow:
    """Fill in a model's mean rank and its interval."""
    return replace(
        row,
        mean_rank=standing.mean_rank,
        mean_rank_low=standing.low,
        mean_rank_high=standing.high,
    )


def _long_row(group: ColumnGroup, row: Row, column: Column) -> LongRow:
    """Row of one metric on one benchmark, without ranks over several benchmarks."""
    cell = row.cells[column.metric]
    long_row = LongRow(
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
        source=row.source or "",
        quote=row.quote,
    )
    if not row.is_published:
        long_row = replace(
            long_row, reference=column.reference, images=group.image_count, paired=len(column.ids)
        )
    difference = cell.difference
    if difference is not None:
        long_row = replace(
            long_row,
            difference=difference.mean,
            difference_low=difference.low,
            difference_high=difference.high,
            p=difference.p,
        )
    return long_row
