"""Plots of a sweep: scores against cost, and scores of single layers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rilievo.pages.charts import SERIES, Chart, drawing
from rilievo.sweep.table import PUBLISHED, Column, Row, Table

_WIDE = 20.0
_MARKERS = "os^Dv"


def plots_of(table: Table) -> Mapping[str, Chart]:
    """Plots that the table's rows allow, of each benchmark's leading metric, by their names.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    first: dict[str, Column] = {}
    for column in table.columns:
        first.setdefault(column.benchmark, column)
    ours = [row for row in table.rows if row.probe != PUBLISHED]
    drawn: dict[str, Chart] = {}
    for column in first.values():
        name = f"{column.benchmark}-{column.metric}"
        scored = [row for row in ours if column in row.scores]
        if whole := [row for row in scored if not row.alone]:
            cost = "CPU milliseconds an image, backbone and probe"
            drawn[f"{name}-cost"] = _plot(column, cost, _by_cost(whole), "o")
        if layers := [row for row in scored if row.alone]:
            drawn[f"{name}-layers"] = _plot(column, "layer, alone", _by_layer(layers), "o-")
    return drawn


def _by_cost(rows: Sequence[Row]) -> Iterator[tuple[str, list[tuple[float, Row]]]]:
    several = len({row.probe for row in rows}) > 1
    for row in rows:
        name = f"{row.title}, {row.probe}" if several else row.title
        yield name, [(1000 * (row.cpu_seconds or 0.0), row)]


def _by_layer(rows: Sequence[Row]) -> Iterator[tuple[str, list[tuple[float, Row]]]]:
    lines: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        lines.setdefault(f"{row.title}, {row.probe}", []).append((row.layers[0], row))
    for name, points in lines.items():
        yield name, sorted(points, key=lambda point: point[0])


def _plot(
    column: Column, x: str, lines: Iterator[tuple[str, list[tuple[float, Row]]]], how: str
) -> Chart:
    with drawing(width=6.4, height=3.8) as canvas:
        [axes] = canvas.axes
        places: list[float] = []
        for number, (name, points) in enumerate(lines):
            _line(axes, column, number, name, points, how)
            places += [place for place, _ in points]
        # A logarithmic axis over a small range has hardly any tick labels.
        if how == "o" and min(places) > 0 and max(places) / min(places) > _WIDE:
            axes.set_xscale("log")
        elif how == "o":
            axes.set_xlim(left=0)
        axes.margins(y=0.15)
        axes.set_xlabel(x)
        axes.set_ylabel(f"{column.heading} ({column.benchmark})", parse_math=False)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    caption = f"{column.heading} under {column.benchmark} against {x}; bars: spread over seeds"
    return Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)


def _line(
    axes: Any,
    column: Column,
    number: int,
    name: str,
    points: Sequence[tuple[float, Row]],
    how: str,
) -> None:
    scores = [row.scores[column] for _, row in points]
    axes.errorbar(
        [place for place, _ in points],
        [column.shown(score.mean) for score in scores],
        yerr=[column.shown(score.spread or 0.0) for score in scores],
        fmt=how.replace("o", _MARKERS[number // len(SERIES) % len(_MARKERS)]),
        color=SERIES[number % len(SERIES)],
        capsize=3,
        label=name,
    )
