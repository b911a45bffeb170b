"""Standings as a leaderboard: a page of HTML in the look of the report."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rilievo.evaluate.charts import ACCENT, INK, Chart, drawing
from rilievo.evaluate.pages import write_page
from rilievo.evaluate.standings import Standings
from rilievo.io.limits import printable

_LONGEST_NAME = 28


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
        MissingExtraError: If Jinja or matplotlib is not installed.
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
    write_page(path, "leaderboard.html", standings=standings, page=page)


def _chart(standings: Standings) -> Chart:
    """Mean ranks with their intervals, the best on top."""
    models = [each for each in standings.models if each.mean_rank is not None][::-1]
    with drawing(width=4.6, height=0.9 + 0.27 * len(models)) as canvas:
        axes = canvas.axes[0]
        for place, model in enumerate(models):
            if model.low is not None and model.high is not None:
                axes.plot([model.low, model.high], [place, place], color=ACCENT, linewidth=2)
            axes.plot([model.mean_rank], [place], "o", markersize=5.5, color=ACCENT)
        names = [printable(each.name)[:_LONGEST_NAME] for each in models]
        axes.set_yticks(range(len(models)), labels=names, parse_math=False, color=INK)
        axes.set_ylim(-0.6, len(models) - 0.4)
        axes.set_xlabel("mean rank")
    listed = ", ".join(f"{printable(each.name)} {each.mean_rank:.2f}" for each in models[::-1])
    caption = f"Mean rank over {len(standings.shared)} benchmarks, 1 for the best"
    return Chart(
        svg=canvas.svg,
        words=f"{caption}: {listed}.",
        caption=f"{caption}; lines: 95 % intervals, by drawing images anew",
    )
