"""Standings as Markdown, CSV, LaTeX or a leaderboard, by the ending of their file."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rilievo.evaluation.results.per_image_table import cell_text
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.comparison import Column
from rilievo.evaluation.tables.comparison_tables import csv_text, write_by_ending
from rilievo.evaluation.tables.standings import Event, Standing, Standings
from rilievo.evaluation.tables.wording import NOTHING
from rilievo.pages.charts import Chart, Mark, intervals
from rilievo.pages.document import text_of, write_page

_COLUMNS = (
    *("model", "mean_rank", "mean_rank_low", "mean_rank_high", "benchmark", "rank"),
    *("in_mean_rank", "metric", "unit", "better", "value", "low", "high", "images"),
)


def write_standings(standings: Standings, path: Path) -> None:
    """Write standings in the format that the file's ending names, and their checksum beside them.

    Args:
        standings: Standings to write.
        path: Ends in ``.md``, ``.csv``, ``.tex`` or ``.html``; the last is a leaderboard.
    """
    texts = {".md": markdown, ".csv": comma_separated, ".tex": latex}
    page = partial(write_leaderboard, standings, path)
    write_by_ending(path, standings, texts, page)


def has_ranks(standings: Standings) -> bool:
    """Whether there is a mean rank to show: of several models, on benchmarks that all have."""
    return len(standings.models) > 1 and bool(standings.shared)


def columns_of(standings: Standings) -> Iterator[tuple[Event, Column]]:
    """The columns of one wide table: the metrics of the first benchmark, then the next."""
    for event in standings.events:
        for column in event.comparison.columns:
            yield event, column


def rank_text(model: Standing) -> str:
    """A mean rank with its interval."""
    if model.mean_rank is None:
        return NOTHING
    text = f"{model.mean_rank:.2f}"
    if model.low is None or model.high is None:
        return text
    return f"{text} ({model.low:.2f} to {model.high:.2f})"


def markdown(standings: Standings) -> str:
    """One wide table, and the notes."""
    return text_of("standings.md", **_content(standings))


def comma_separated(standings: Standings) -> str:
    """One line a model, benchmark and metric; no text in it is a formula."""
    rows: list[list[object]] = []
    for model in standings.models:
        for event, column in columns_of(standings):
            cell = event.cell(model.name, column.metric)
            if cell is not None:
                row: list[object] = [cell_text(model.name), model.mean_rank, model.low, model.high]
                row += [cell_text(event.label), model.ranks[event.label]]
                row += [event.label in standings.shared, cell_text(column.metric), column.unit]
                row += [column.better, cell.value, cell.low, cell.high, event.comparison.images]
                rows.append(row)
    return csv_text(_COLUMNS, rows)


def latex(standings: Standings) -> str:
    """A table for ``booktabs`` as papers print it: benchmarks side by side."""
    rules, at = [], 2
    for event in standings.events:
        width = len(event.comparison.columns)
        rules.append(f"{at}-{at + width - 1}")
        at += width
    return text_of("standings.tex", **_content(standings), rules=rules)


def _content(standings: Standings) -> dict[str, Any]:
    """Facts that both tables show."""
    return {
        "words": wording,
        "standings": standings,
        "columns": list(columns_of(standings)),
        "ranked": has_ranks(standings),
        "rank_text": rank_text,
    }


def write_leaderboard(standings: Standings, path: Path) -> None:
    """Write standings as one page that loads nothing from elsewhere.

    It links to the reports of the runs, by the way from its own folder to theirs.
    """
    links = {
        event.label: {
            name: quote(os.path.relpath(report, path.parent)).replace("\\", "/")
            for name, report in event.reports.items()
        }
        for event in standings.events
    }
    write_page(
        path,
        "leaderboard.html",
        standings=standings,
        words=wording,
        has_ranks=has_ranks(standings),
        chart=_chart(standings) if has_ranks(standings) else None,
        links=links,
    )


def _chart(standings: Standings) -> Chart:
    """Mean ranks with their intervals, the best on top."""
    marks = [
        Mark(name=each.name, value=each.mean_rank, low=each.low, high=each.high)
        for each in standings.models
        if each.mean_rank is not None
    ]
    caption = (
        f"Mean rank over {len(standings.shared)} benchmarks, 1 for the best; lines: 95 % "
        "intervals, by drawing images anew"
    )
    return intervals(marks, "mean rank", caption)
