"""Plots of a sweep as SVG and PNG: scores against cost, and scores of single layers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rilievo.errors import MissingExtraError
from rilievo.io.atomic import replacing
from rilievo.sweep.table import PUBLISHED, Column, Row, Table

FORMATS = ("svg", "png")
_SIZE = (8.0, 4.6)
_WIDE = 20.0


def leading_columns(table: Table) -> tuple[Column, ...]:
    """The leading metric of each benchmark."""
    first: dict[str, Column] = {}
    for column in table.columns:
        first.setdefault(column.benchmark, column)
    return tuple(first.values())


def draw_plots(table: Table, folder: Path) -> tuple[Path, ...]:
    """Draw the plots that the table's rows allow; returns the written files.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputError: If a file cannot be written.
    """
    ours = [row for row in table.rows if row.probe != PUBLISHED]
    alone = [row for row in ours if row.alone]
    written: list[Path] = []
    for column in leading_columns(table):
        whole = [row for row in ours if not row.alone and column in row.scores]
        if whole:
            path = folder / f"{column.benchmark}-{column.metric}-cost"
            written += _draw(lambda axes, c=column, r=whole: _against_cost(axes, c, r), path)
        layers = [row for row in alone if column in row.scores]
        if layers:
            path = folder / f"{column.benchmark}-{column.metric}-layers"
            written += _draw(lambda axes, c=column, r=layers: _of_layers(axes, c, r), path)
    return tuple(written)


def _draw(plot: Callable[[Any], None], path: Path) -> list[Path]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("plots of a sweep", "evaluate") from error
    # A fixed hash salt makes the ids in an SVG file reproducible.
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        plot(figure.add_subplot())
        written = []
        for ending in FORMATS:
            target = path.with_name(f"{path.name}.{ending}")
            metadata = {"Date": None} if ending == "svg" else {}
            with replacing(target) as part:
                figure.savefig(part, format=ending, dpi=150, metadata=metadata)
            written.append(target)
    return written


def _against_cost(axes: Any, column: Column, rows: Sequence[Row]) -> None:
    several = len({row.probe for row in rows}) > 1
    costs = [1000 * (row.cpu_seconds or 0.0) for row in rows]
    for row, cost in zip(rows, costs, strict=True):
        score = row.scores[column]
        spread = None if score.spread is None else column.shown(score.spread)
        axes.errorbar(
            cost,
            column.shown(score.mean),
            yerr=spread,
            fmt="o",
            capsize=3,
            label=f"{row.title}, {row.probe}" if several else row.title,
        )
    # A logarithmic axis over a small range has hardly any tick labels.
    if min(costs) > 0 and max(costs) / min(costs) > _WIDE:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel("CPU milliseconds an image, backbone and probe")
    axes.margins(y=0.15)
    axes.figure.legend(loc="outside right upper", fontsize=8)
    _finish(axes, column)


def _of_layers(axes: Any, column: Column, rows: Sequence[Row]) -> None:
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        lines.setdefault((row.title, row.probe), []).append(row)
    for (title, probe), each in lines.items():
        each.sort(key=lambda row: row.layers)
        spreads = [row.scores[column].spread for row in each]
        axes.errorbar(
            [row.layers[0] for row in each],
            [column.shown(row.scores[column].mean) for row in each],
            yerr=[column.shown(spread or 0.0) for spread in spreads],
            fmt="o-",
            capsize=3,
            label=f"{title}, {probe}",
        )
    axes.set_xlabel("layer, alone")
    axes.legend(fontsize=8)
    _finish(axes, column)


def _finish(axes: Any, column: Column) -> None:
    axes.set_ylabel(f"{column.heading} ({column.benchmark})")
    axes.grid(alpha=0.3)
