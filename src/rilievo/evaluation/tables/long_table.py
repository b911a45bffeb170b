"""Comparison as one long table for other programs, with unrounded numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from rilievo.evaluation.tables.comparison import (
    BenchmarkComparison,
    ComparedMetric,
    ComparedResult,
    Comparison,
    Standing,
)
from rilievo.pages.tables import Table, make_headings


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTableRow:
    """Value of one model in one metric of one benchmark; the fields are the table's columns.

    Attributes:
        published: Whether it is a published result; None for a mean over datasets.
        value: The model's value, with its 95% interval from ``low`` to ``high``.
        rank: Rank among the runs in this metric, 1 for the best.
        best: Whether the run is significantly better than every other run.
        reference: Run that the value is compared with.
        difference: Mean of value minus the reference's value, with its 95% interval from
            ``difference_low`` to ``difference_high``; None for the reference.
        p: P-value of the difference, with Holm's correction.
        images: Number of images that all runs have.
        paired: Number of images that the difference rests on.
        source: Paper of a published result; ``quote`` is its row in the paper.
        benchmark_rank: Rank by the leading metric; equal numbers share the mean rank.
        in_mean_rank: Whether the benchmark counts in the mean rank.
        mean_rank: Mean of the model's ranks over the benchmarks that all models have, with its 95%
            interval from ``mean_rank_low`` to ``mean_rank_high``.
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
    columns = [field.name for field in fields(LongTableRow)]
    return Table(
        headings=make_headings(*columns),
        rows=tuple(tuple(getattr(row, name) for name in columns) for row in _long_rows(comparison)),
    )


def _long_rows(comparison: Comparison) -> Iterator[LongTableRow]:
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
            long_row = LongTableRow(
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


def _with_mean_rank(row: LongTableRow, standing: Standing) -> LongTableRow:
    """Fill in a model's mean rank and its interval."""
    return replace(
        row,
        mean_rank=standing.mean_rank,
        mean_rank_low=standing.low,
        mean_rank_high=standing.high,
    )


def _long_row(
    group: BenchmarkComparison, row: ComparedResult, column: ComparedMetric
) -> LongTableRow:
    """Row of one metric on one benchmark, without ranks over several benchmarks."""
    cell = row.cells[column.metric]
    long_row = LongTableRow(
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
