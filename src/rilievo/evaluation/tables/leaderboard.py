"""Tables and page of a comparison on several benchmarks: the leaderboard."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from rilievo.errors.messages import count_text
from rilievo.evaluation.tables.comparison import (
    BenchmarkComparison,
    ComparedMetric,
    Comparison,
    Standing,
)
from rilievo.evaluation.tables.comparison_tables import cell_entry, values_table
from rilievo.evaluation.tables.wording import column_head, number
from rilievo.pages.charts import Chart, IntervalPoint, draw_intervals
from rilievo.pages.document import write_page
from rilievo.pages.tables import EMPTY_CELL, Entry, Heading, Table, make_headings

Links = Mapping[str, Mapping[str, str]]
"""Address of each model's report, by benchmark and model."""
_MAX_PERCENT_RATIO = 10
"""Ratio of errors from which on it is written as a factor, and not in per cent."""


def ranks_table(comparison: Comparison) -> Table:
    """Table of the mean ranks; it has no rows if the comparison has no mean ranks."""
    rows = []
    for model in comparison.standings if comparison.has_ranks else ():
        entry = _mean_rank_entry(model)
        rank = f"{entry.text} ({entry.interval})" if entry.interval else entry
        rows.append((model.name, rank))
    return Table(headings=make_headings("model", "mean rank (95% interval)"), rows=tuple(rows))


def ranks_by_benchmark_table(comparison: Comparison) -> Table:
    """Table with a row for each benchmark and a column for each model.

    Its last row has the best and the worst rank of each model. It has no rows for a single model or
    benchmark.
    """
    models = comparison.standings
    headings = make_headings("rank by benchmark", *(model.name for model in models))
    if len(models) < 2 or not comparison.has_several_benchmarks:
        return Table(headings=headings, rows=())
    rows = []
    for group in comparison.groups:
        ranks = [model.ranks.get(group.label) for model in models]
        rank_texts = [EMPTY_CELL if rank is None else f"{rank:g}" for rank in ranks]
        rows.append((group.label, *rank_texts))
    rank_ranges = [
        f"{min(model.ranks.values()):g} to {max(model.ranks.values()):g}" for model in models
    ]
    rows.append(("best to worst rank", *rank_ranges))
    return Table(headings=headings, rows=tuple(rows))


def model_pairs_table(comparison: Comparison) -> Table:
    """Table of all pairs of models, with the ratio of their errors over all benchmarks."""
    rows = []
    for pair in comparison.pairs:
        low, high = _ratio_as_change(pair.low), _ratio_as_change(pair.high)
        rows.append(
            (
                pair.better,
                pair.worse,
                f"{_ratio_as_change(pair.ratio)} ({low} to {high})",
                f"{pair.p:.4f}",
                "yes" if pair.is_claimed else "no",
            )
        )
    error_heading = "error over all benchmarks (joint 95% interval)"
    return Table(
        headings=make_headings("model", "against", error_heading, "p", "significantly better"),
        rows=tuple(rows),
    )


def _ratio_as_change(ratio: float) -> str:
    """Text such as "+3.2%", or "x 12" from a tenfold error on."""
    if ratio < _MAX_PERCENT_RATIO:
        return f"{100 * (ratio - 1):+.1f}%"
    return f"x {ratio:.3g}"


def set_means_table(comparison: Comparison) -> Table:
    """Table with a row for each model and a column for each mean over datasets."""
    headings = [
        Heading(text=column_head(mean.metric), group=mean.label) for mean in comparison.means
    ]
    rows = [
        (model.name, *(number(mean.values.get(model.name)) for mean in comparison.means))
        for model in comparison.standings
    ]
    return Table(headings=(Heading(text="model"), *headings), rows=tuple(rows))


def wide_table(comparison: Comparison, links: Links | None = None) -> Table:
    """Table with a row for each model: mean rank, all benchmarks, and means over datasets.

    With ``links`` it is for a page, where leading metrics lead to the models' reports.
    """
    has_ranks = comparison.has_ranks
    columns = [(group, column) for group in comparison.groups for column in group.columns]
    headings = [Heading(text="mean rank ↓")] if has_ranks else []
    headings += [Heading(text=column_head(column), group=group.label) for group, column in columns]
    means_table = set_means_table(comparison)

    rows = []
    for model, (_, *mean_cells) in zip(comparison.standings, means_table.rows, strict=True):
        entries = [_mean_rank_entry(model)] if has_ranks else []
        for group, column in columns:
            if links is None:
                entries.append(cell_entry(column.cells.get(model.name)))
            else:
                entries.append(_leaderboard_entry(comparison, model, group, column, links))
        rows.append((model.name, *entries, *mean_cells))

    caption = "Bold marks a run that is significantly better than every other run."
    if has_ranks:
        num_benchmarks = count_text(len(comparison.shared_benchmarks), "benchmark")
        caption += f" The mean rank is over {num_benchmarks}."
    return Table(
        headings=(Heading(text="model"), *headings, *means_table.headings[1:]),
        rows=tuple(rows),
        caption=caption,
        notes=comparison.notes,
        is_sortable=True,
    )


def _mean_rank_entry(model: Standing) -> Entry:
    if model.mean_rank is None:
        return Entry(text=EMPTY_CELL)
    interval = ""
    if model.low is not None and model.high is not None:
        interval = f"{model.low:.2f} to {model.high:.2f}"
    return Entry(text=f"{model.mean_rank:.2f}", interval=interval)


def _leaderboard_entry(
    comparison: Comparison,
    model: Standing,
    group: BenchmarkComparison,
    column: ComparedMetric,
    links: Links,
) -> Entry:
    """Entry for a page, without interval; in the leading metric with rank and link to a report."""
    cell = column.cells.get(model.name)
    entry = replace(cell_entry(cell), interval="")
    if cell is None or column is not group.leading:
        return entry
    rank = (f"rank {model.ranks[group.label]:g}",) if len(comparison.standings) > 1 else ()
    return replace(entry, small_print=rank, link=links[group.label].get(model.name, ""))


def write_leaderboard(comparison: Comparison, path: Path) -> None:
    """Write a comparison on several benchmarks as a page that links to the runs' reports."""
    links = {
        group.label: {
            name: quote(Path(os.path.relpath(report, path.parent)).as_posix())
            for name, report in group.reports.items()
        }
        for group in comparison.groups
    }
    write_page(
        path,
        "leaderboard.html",
        comparison=comparison,
        wide_table=wide_table(comparison, links),
        rank_table=ranks_by_benchmark_table(comparison),
        pair_table=model_pairs_table(comparison),
        tables_by_benchmark={
            group.label: values_table(group, on_page=True) for group in comparison.groups
        },
        rank_chart=_mean_rank_chart(comparison) if comparison.has_ranks else None,
    )


def _mean_rank_chart(comparison: Comparison) -> Chart:
    marks = [
        IntervalPoint(name=model.name, value=model.mean_rank, low=model.low, high=model.high)
        for model in comparison.standings
        if model.mean_rank is not None
    ]
    caption = (
        f"Mean rank over {count_text(len(comparison.shared_benchmarks), 'benchmark')}, where 1 is "
        "the best. The lines are 95% intervals from resampling images or scenes"
    )
    return draw_intervals(marks, "mean rank", caption)
