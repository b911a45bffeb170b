"""The table of a sweep as readers see it; its plots."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rilievo.pages import tables
from rilievo.pages.charts import SERIES, Chart, drawing
from rilievo.training.sweep.sweep_table import PUBLISHED, Column, Row, Score, Table

NOT_THERE = "-"
_WIDE = 20.0
_MARKERS = "os^Dv"


def shown_table(table: Table) -> tables.Table:
    """The table to read, with the sources of published rows below."""
    ours = [row for row in table.rows if row.probe != PUBLISHED]
    theirs = [row for row in table.rows if row.probe == PUBLISHED]
    return tables.Table(
        title=table.title,
        caption=table.title,
        heads=tables.heads(*heads_of(table), words=["probe"]),
        rows=tuple(tuple(cells_of(row, table.columns)) for row in (*ours, *theirs)),
        parted=len(ours),
        notes=tuple(notes_of(table)),
        is_sortable=True,
    )


def full_table(table: Table) -> tables.Table:
    """The table with six significant digits; means and spreads have columns of their own."""
    names = [
        f"{each.benchmark}/{each.metric}"
        + ("" if each.images is None else f" ({each.images} common images)")
        for each in table.columns
    ]
    pairs = [name for each in names for name in (each, f"{each} spread")]
    facts = ("seeds", "parameters", "probe_parameters", "cpu_seconds")
    return tables.Table(
        heads=tables.heads("backbone", "probe", "layers", *facts, *pairs, "source"),
        rows=tuple(_full(row, table.columns) for row in table.rows),
    )


def _full(row: Row, columns: Sequence[Column]) -> tuple[str, ...]:
    facts = (row.seeds or None, row.parameters, row.probe_parameters, row.cpu_seconds)
    scores = [row.scores.get(column) for column in columns]
    return (
        *(row.title, row.probe, " ".join(map(str, row.layers))),
        *("" if each is None else f"{each:.6g}" for each in facts),
        *(cell for each in scores for cell in _numbers(each)),
        row.source or "",
    )


def heads_of(table: Table) -> list[str]:
    """Headings of the table."""
    several = len({each.benchmark for each in table.columns}) > 1
    names = [
        f"{each.benchmark}: {each.heading}" if several else each.heading for each in table.columns
    ]
    return ["backbone", "probe", *names, "parameters", "CPU s / image"]


def cells_of(row: Row, columns: Sequence[Column]) -> list[str]:
    """Texts of one row of the table."""
    title = f"{row.title}, layer {row.layers[0]} alone" if row.alone else row.title
    if row.probe != PUBLISHED and row.seeds < 2:
        title += " (one seed)"
    return [
        title,
        row.probe,
        *(_words(row.scores.get(column), column) for column in columns),
        NOT_THERE if row.parameters is None else _millions(row.parameters),
        NOT_THERE if row.cpu_seconds is None else f"{row.cpu_seconds:.3f}",
    ]


def _millions(parameters: int) -> str:
    """Millions of parameters; small networks show three digits, so that none shows zero."""
    return f"{parameters / 1e6:.{1 if parameters >= 1e6 else 3}f} M"


def _words(score: Score | None, column: Column) -> str:
    if score is None:
        return NOT_THERE
    mean = column.shown(score.mean)
    digits = 3 if column.unit and column.unit != "°" and abs(mean) < 10 else 1
    if score.spread is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {column.shown(score.spread):.{digits}f}"


def _numbers(score: Score | None) -> tuple[str, str]:
    if score is None:
        return "", ""
    return f"{score.mean:.6g}", "" if score.spread is None else f"{score.spread:.6g}"


def notes_of(table: Table) -> list[str]:
    """Notes below the table."""
    seeds = sorted({row.seeds for row in table.rows if row.probe != PUBLISHED})
    notes = [
        f"± is the standard deviation over seeds ({', '.join(map(str, seeds))} of each row). "
        "CPU s / image is from photograph to answer, backbone and probe together."
    ]
    cut = {each.benchmark: each.images for each in table.columns if each.images is not None}
    notes += [
        f"{benchmark}: some rows have no score for some images, so every number of ours is a mean "
        f"over the {images} images that all rows have, not the benchmark's own."
        for benchmark, images in cut.items()
    ]
    sources = sorted({row.source for row in table.rows if row.source is not None})
    notes += [each for row in table.rows for each in row.gaps]
    return [*notes, *(f"'{PUBLISHED}': {source}." for source in sources)]


def plots_of(table: Table) -> Mapping[str, Chart]:
    """Plots that the table's rows allow, of each benchmark's leading metric, by their names."""
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
