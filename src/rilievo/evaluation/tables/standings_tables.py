"""Standings as tables and a leaderboard."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from rilievo.evaluation.tables.comparison import Column, Comparison
from rilievo.evaluation.tables.comparison_tables import entry_of, values_table
from rilievo.evaluation.tables.standings import Standing, Standings
from rilievo.evaluation.tables.wording import NOTHING, column_head, number
from rilievo.pages.charts import Chart, Mark, intervals
from rilievo.pages.document import write_page
from rilievo.pages.tables import Entry, Head, Table, heads

Links = Mapping[str, Mapping[str, str]]
"""Addresses of reports by benchmark and model."""


def has_ranks(standings: Standings) -> bool:
    """Whether there is a mean rank to show: of several models, on benchmarks that all have."""
    return len(standings.models) > 1 and bool(standings.shared)


def _columns_of(standings: Standings) -> Iterator[tuple[Comparison, Column]]:
    """The columns of one wide table: the metrics of the first benchmark, then the next."""
    for comparison in standings.comparisons:
        for column in comparison.columns:
            yield comparison, column


def ranks_table(standings: Standings) -> Table:
    """Mean ranks alone."""
    return Table(
        heads=heads("model", "mean rank (95 % interval)"),
        rows=tuple(
            (name, f"{rank.text} ({rank.interval})" if rank.interval else rank)
            for name, rank in ((model.name, _rank(model)) for model in standings.models)
        ),
    )


def changes_table(standings: Standings) -> Table:
    """Ranks of several models under each of several benchmarks."""
    models = standings.models
    rows = [
        (
            comparison.label,
            *(
                f"{model.ranks[comparison.label]:g}" if comparison.label in model.ranks else NOTHING
                for model in models
            ),
        )
        for comparison in standings.comparisons
    ]
    reaches = [(min(standing.ranks.values()), max(standing.ranks.values())) for standing in models]
    rows.append(("from best to worst", *(f"{low:g} to {high:g}" for low, high in reaches)))
    several = len(models) > 1 and len(standings.comparisons) > 1
    return Table(
        heads=heads("rank by benchmark", *(model.name for model in models)),
        rows=tuple(rows) if several else (),
    )


def pairs_table(standings: Standings) -> Table:
    """Every two models over all benchmarks; nothing of one benchmark, which has its own table."""
    rows = [
        (
            pair.first,
            pair.second,
            f"{_percent(pair.ratio)} ({_percent(pair.low)} to {_percent(pair.high)})",
            f"{pair.p:.4f}",
            "yes" if pair.is_claimed else "not shown",
        )
        for pair in standings.pairs
    ]
    return Table(
        heads=heads(
            *("model", "against", "error over all benchmarks (95 %, all pairs together)"),
            *("p", "better"),
        ),
        rows=tuple(rows),
    )


def _percent(ratio: float) -> str:
    """Difference of an error from another, in percent."""
    return f"{100 * (ratio - 1):+.1f} %" if ratio < 10 else f"x {ratio:.3g}"


def means_table(standings: Standings) -> Table:
    """Means over sets alone."""
    columns = [Head(text=column_head(mean.metric), group=mean.label) for mean in standings.means]
    rows = [
        (model.name, *(number(mean.values.get(model.name)) for mean in standings.means))
        for model in standings.models
    ]
    return Table(heads=(Head(text="model"), *columns), rows=tuple(rows))


def wide_table(standings: Standings, links: Links | None = None) -> Table:
    """A row a model: mean ranks, the benchmarks side by side, and means over sets.

    Args:
        standings: Standings to show.
        links: Addresses of reports by benchmark and model, for a page, which has ranks too.
    """
    ranked, pairs = has_ranks(standings), list(_columns_of(standings))
    columns = [Head(text="mean rank ↓")] if ranked else []
    columns += [Head(text=column_head(item), group=comparison.label) for comparison, item in pairs]
    means, rows = means_table(standings), []
    for model, (_, *averages) in zip(standings.models, means.rows, strict=True):
        cells = [_rank(model)] if ranked else []
        cells += [_entry(standings, model, *item, links) for item in pairs]
        rows.append((model.name, *cells, *averages))
    caption = "Bold: significantly better than every other run"
    return Table(
        heads=(Head(text="model"), *columns, *means.heads[1:]),
        rows=tuple(rows),
        caption=f"{caption}; mean rank over {len(standings.shared)} benchmarks."
        if ranked
        else f"{caption}.",
        notes=standings.notes,
        is_sortable=True,
    )


def _rank(model: Standing) -> Entry:
    """A mean rank with its interval."""
    if model.mean_rank is None:
        return Entry(text=NOTHING)
    has_interval = model.low is not None and model.high is not None
    reach = f"{model.low:.2f} to {model.high:.2f}" if has_interval else ""
    return Entry(text=f"{model.mean_rank:.2f}", interval=reach)


def _entry(
    standings: Standings,
    model: Standing,
    comparison: Comparison,
    column: Column,
    links: Links | None,
) -> Entry:
    cell = column.cells.get(model.name)
    entry = entry_of(cell)
    if links is None or cell is None or column is not comparison.leading:
        return entry if links is None else replace(entry, interval="")
    several = len(standings.models) > 1
    return replace(
        entry,
        interval="",
        minor=(f"rank {model.ranks[comparison.label]:g}",) if several else (),
        link=links[comparison.label].get(model.name, ""),
    )


def write_leaderboard(standings: Standings, path: Path) -> None:
    """Write standings as one page that loads nothing from elsewhere.

    It links to the reports of the runs, by the way from its own folder to theirs.
    """
    links = {
        comparison.label: {
            name: quote(os.path.relpath(report, path.parent)).replace("\\", "/")
            for name, report in comparison.reports.items()
        }
        for comparison in standings.comparisons
    }
    write_page(
        path,
        "leaderboard.html",
        standings=standings,
        has_ranks=has_ranks(standings),
        wide=wide_table(standings, links),
        changes=changes_table(standings),
        pairs=pairs_table(standings),
        tables={
            comparison.label: values_table(comparison, on_page=True)
            for comparison in standings.comparisons
        },
        chart=_chart(standings) if has_ranks(standings) else None,
    )


def _chart(standings: Standings) -> Chart:
    """Mean ranks with their intervals, the best on top."""
    marks = [
        Mark(name=model.name, value=model.mean_rank, low=model.low, high=model.high)
        for model in standings.models
        if model.mean_rank is not None
    ]
    caption = (
        f"Mean rank over {len(standings.shared)} benchmarks, 1 for the best; lines: 95 % "
        "intervals, by drawing images anew"
    )
    return intervals(marks, "mean rank", caption)
