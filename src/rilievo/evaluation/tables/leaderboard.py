"""Tables and the leaderboard of a comparison on several benchmarks."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from rilievo.evaluation.tables.comparison import Column, ColumnGroup, Comparison, Standing
from rilievo.evaluation.tables.comparison_tables import cell_entry, values_table
from rilievo.evaluation.tables.wording import column_head, number
from rilievo.pages.charts import Chart, Mark, draw_intervals
from rilievo.pages.document import write_page
from rilievo.pages.tables import NOTHING, Entry, Head, Table, make_heads

Links = Mapping[str, Mapping[str, str]]


def _group_column_pairs(comparison: Comparison) -> Iterator[tuple[ColumnGroup, Column]]:
    for group in comparison.groups:
        for column in group.columns:
            yield group, column


def ranks_table(comparison: Comparison) -> Table:
    """Mean ranks alone; no row where there are none."""
    rows = [
        (name, f"{rank.text} ({rank.interval})" if rank.interval else rank)
        for name, rank in ((model.name, _mean_rank_entry(model)) for model in comparison.models)
    ]
    return Table(
        heads=make_heads("model", "mean rank (95 % interval)"),
        rows=tuple(rows) if comparison.has_ranks else (),
    )


def ranks_by_benchmark_table(comparison: Comparison) -> Table:
    """Row a benchmark, column a model."""
    models = comparison.models
    rows = [
        (
            group.label,
            *(
                f"{model.ranks[group.label]:g}" if group.label in model.ranks else NOTHING
                for model in models
            ),
        )
        for group in comparison.groups
    ]
    reaches = [(min(standing.ranks.values()), max(standing.ranks.values())) for standing in models]
    rows.append(("from best to worst", *(f"{low:g} to {high:g}" for low, high in reaches)))
    several = len(models) > 1 and comparison.is_of_several
    return Table(
        heads=make_heads("rank by benchmark", *(model.name for model in models)),
        rows=tuple(rows) if several else (),
    )


def model_pairs_table(comparison: Comparison) -> Table:
    """Every two models over all benchmarks."""
    rows = [
        (
            pair.first,
            pair.second,
            f"{_ratio_as_change(pair.ratio)} "
            f"({_ratio_as_change(pair.low)} to {_ratio_as_change(pair.high)})",
            f"{pair.p:.4f}",
            "yes" if pair.is_claimed else "not shown",
        )
        for pair in comparison.pairs
    ]
    return Table(
        heads=make_heads(
            *("model", "against", "error over all benchmarks (95 %, all pairs together)"),
            *("p", "better"),
        ),
        rows=tuple(rows),
    )


def _ratio_as_change(ratio: float) -> str:
    """Text "+3.2 %", or "x 12" from tenfold."""
    return f"{100 * (ratio - 1):+.1f} %" if ratio < 10 else f"x {ratio:.3g}"


def set_means_table(comparison: Comparison) -> Table:
    """Row a model, column a mean."""
    columns = [Head(text=column_head(mean.metric), group=mean.label) for mean in comparison.means]
    rows = [
        (model.name, *(number(mean.values.get(model.name)) for mean in comparison.means))
        for model in comparison.models
    ]
    return Table(heads=(Head(text="model"), *columns), rows=tuple(rows))


def wide_table(comparison: Comparison, links: Links | None = None) -> Table:
    """A row a model: mean ranks, the benchmarks side by side, and means over sets."""
    ranked, pairs = comparison.has_ranks, list(_group_column_pairs(comparison))
    columns = [Head(text="mean rank ↓")] if ranked else []
    columns += [Head(text=column_head(item), group=group.label) for group, item in pairs]
    means, rows = set_means_table(comparison), []
    for model, (_, *averages) in zip(comparison.models, means.rows, strict=True):
        cells = [_mean_rank_entry(model)] if ranked else []
        cells += [_leaderboard_entry(comparison, model, *item, links) for item in pairs]
        rows.append((model.name, *cells, *averages))
    caption = "Bold: significantly better than every other run"
    return Table(
        heads=(Head(text="model"), *columns, *means.heads[1:]),
        rows=tuple(rows),
        caption=f"{caption}; mean rank over {len(comparison.shared)} benchmarks."
        if ranked
        else f"{caption}.",
        notes=comparison.notes,
        is_sortable=True,
    )


def _mean_rank_entry(model: Standing) -> Entry:
    if model.mean_rank is None:
        return Entry(text=NOTHING)
    has_interval = model.low is not None and model.high is not None
    reach = f"{model.low:.2f} to {model.high:.2f}" if has_interval else ""
    return Entry(text=f"{model.mean_rank:.2f}", interval=reach)


def _leaderboard_entry(
    comparison: Comparison,
    model: Standing,
    group: ColumnGroup,
    column: Column,
    links: Links | None,
) -> Entry:
    cell = column.cells.get(model.name)
    entry = cell_entry(cell)
    if links is None or cell is None or column is not group.leading:
        return entry if links is None else replace(entry, interval="")
    several = len(comparison.models) > 1
    return replace(
        entry,
        interval="",
        minor=(f"rank {model.ranks[group.label]:g}",) if several else (),
        link=links[group.label].get(model.name, ""),
    )


def write_leaderboard(comparison: Comparison, path: Path) -> None:
    """Write a page that links to the runs' reports."""
    links = {
        group.label: {
            name: quote(os.path.relpath(report, path.parent)).replace("\\", "/")
            for name, report in group.reports.items()
        }
        for group in comparison.groups
    }
    write_page(
        path,
        "leaderboard.html",
        comparison=comparison,
        wide=wide_table(comparison, links),
        changes=ranks_by_benchmark_table(comparison),
        pairs=model_pairs_table(comparison),
        tables={group.label: values_table(group, on_page=True) for group in comparison.groups},
        chart=_mean_rank_chart(comparison) if comparison.has_ranks else None,
    )


def _mean_rank_chart(comparison: Comparison) -> Chart:
    marks = [
        Mark(name=model.name, value=model.mean_rank, low=model.low, high=model.high)
        for model in comparison.models
        if model.mean_rank is not None
    ]
    caption = (
        f"Mean rank over {len(comparison.shared)} benchmarks, 1 for the best; lines: 95 % "
        "intervals, by drawing images anew"
    )
    return draw_intervals(marks, "mean rank", caption)
