"""Standings as a leaderboard: a page of HTML in the look of the report."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rilievo.evaluate import wording
from rilievo.evaluate.standings import Standings
from rilievo.pages.charts import Chart, Mark, intervals
from rilievo.pages.document import write_page


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Contents that the template shows besides the standings."""

    has_ranks: bool
    chart: Chart | None
    links: Mapping[str, Mapping[str, str]]


def write_leaderboard(standings: Standings, path: Path) -> None:
    """Write standings as one page that loads nothing from elsewhere.

    It links to the reports of the runs, by the way from its own folder to theirs.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    ranked = len(standings.models) > 1 and bool(standings.shared)
    links = {
        event.label: {
            name: quote(os.path.relpath(report, path.parent)).replace("\\", "/")
            for name, report in event.reports.items()
        }
        for event in standings.events
    }
    page = _Page(has_ranks=ranked, chart=_chart(standings) if ranked else None, links=links)
    write_page(path, "leaderboard.html", standings=standings, page=page, words=wording)


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
