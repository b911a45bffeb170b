"""Report of a comparison: tables, and files of Markdown, CSV, LaTeX and HTML."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from rilievo.errors import OptionError, RilievoError
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.comparison import (
    Cell,
    Column,
    ColumnGroup,
    Comparison,
    Row,
    Standing,
)
from rilievo.evaluation.tables.report_charts import scatter_against_reference, standing_chart
from rilievo.evaluation.tables.wording import (
    alignment_text,
    bounds,
    column_head,
    headline,
    number,
    quantity,
)
from rilievo.io.checksums import checksum_path, write_checksum
from rilievo.io.files.atomic import remove
from rilievo.pages.charts import Chart, Mark, draw_intervals
from rilievo.pages.document import write_page, write_text
from rilievo.pages.pictures import (
    Answer,
    Item,
    Panel,
    comparison_panels,
    end_of_error_colours,
    photo_panel,
)
from rilievo.pages.tables import (
    NOTHING,
    Entry,
    Head,
    Table,
    make_heads,
    table_as_csv,
    table_as_latex,
    tables_as_markdown,
)

MOST_DISAGREED = 20
MOST_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One image, with the runs' values in the leading metric."""

    id: str
    values: tuple[float, ...]
    spread: float


def write_comparison_page(
    comparison: Comparison, path: Path, pictures: Mapping[str, ReportPictures] | None = None
) -> None:
    """Write a comparison on one benchmark as one page that loads nothing from elsewhere."""
    [group] = comparison.groups
    leading = group.leading
    disagreed = disagreements(group, leading)
    columns = {column.metric: column for column in group.columns}
    shown = tuple(columns[name] for name in headline([*columns]))
    result = values_table(replace(group, rows=group.runs, columns=shown))
    write_page(
        path,
        "comparison.html",
        words=wording,
        group=group,
        leading=leading,
        result=result,
        values=values_table(group, on_page=True),
        differences=differences_table(group),
        disagreements=_disagreement_table(group, disagreed),
        alignments=alignment_texts(group),
        standing=standing_chart(group, leading),
        pairs=[
            scatter_against_reference(leading, row.name)
            for row in group.runs
            if leading.ids and row.name != leading.reference
        ],
        items=list(_disputed_items(group, leading, disagreed, pictures)) if pictures else [],
    )


def alignment_texts(group: ColumnGroup) -> tuple[str, ...]:
    """Alignments of the runs' predictions, each once."""
    texts = [alignment_text(row.alignment) for row in group.runs]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _disputed_items(
    group: ColumnGroup,
    column: Column,
    disagreed: tuple[Disagreement, ...],
    pictures: Mapping[str, ReportPictures],
) -> Iterator[Item]:
    names = [row.name for row in group.runs if row.name in pictures]
    if not column.ids:
        return
    values = np.array([column.values[name] for name in names])
    usual = np.median(values, axis=1).tolist() if column.metric == "abs_rel" else []
    means = values.mean(axis=0)
    median = int(np.argsort(badness(means, column.better), kind="stable")[means.size // 2])
    places = [column.ids.index(item.id) for item in disagreed] or range(len(column.ids))
    chosen = [place for place in places if place != median][: MOST_SHOWN - 1]
    for place in (median, *chosen):
        apart = disagreed and place != median
        shown = np.ptp(values[:, place]) if apart else means[place]
        panels, fault = (), None
        try:
            own = {name: pictures[name] for name in names}
            panels = image_panels(column.ids[place], own, usual)
        except RilievoError as error:
            fault = str(error)
        yield Item(
            name=column.ids[place],
            label="apart by" if apart else "median" if place == median else column.label,
            value=quantity(float(shown), column.unit),
            numbers=tuple(
                (name, quantity(item, column.unit))
                for name, item in zip(names, values[:, place].tolist(), strict=True)
            ),
            panels=panels,
            fault=fault,
        )


def image_panels(
    id: str,
    pictures: Mapping[str, ReportPictures],
    usual: list[float],
    *,
    normals: bool | None = None,
) -> tuple[Panel, ...]:
    """Photograph, truth and answers of one image."""
    answers = {
        name: Answer(depth=picture.depth(id), normals=picture.normals(id), sky=picture.sky(id))
        for name, picture in pictures.items()
    }
    first = next(iter(pictures.values()))
    if normals is None:
        normals = answers[next(iter(pictures))].depth is None
    shown = comparison_panels(
        first.truth(id), answers, end_of_error_colours(usual), depth=not normals, normals=normals
    )
    return (photo_panel(first.photo(id)), *shown)


def disagreements(group: ColumnGroup, column: Column) -> tuple[Disagreement, ...]:
    """The images on which the runs disagree most."""
    runs = group.runs
    if len(runs) < 2 or not column.ids:
        return ()
    values = np.array([column.values[row.name] for row in runs])
    spreads = values.max(axis=0) - values.min(axis=0)
    return tuple(
        Disagreement(
            id=column.ids[index],
            values=tuple(values[:, index].tolist()),
            spread=float(spreads[index]),
        )
        for index in np.argsort(-spreads, kind="stable")[:MOST_DISAGREED].tolist()
    )


def values_table(group: ColumnGroup, *, on_page: bool = False) -> Table:
    """A row a model; a page has ranks and alignments too."""
    ranked = on_page and len(group.runs) > 1
    rows = []
    for row in group.rows:
        cells = [row.cells.get(column.metric) for column in group.columns]
        source = group.sources[row.source] if row.source else None
        entries = [Entry(text=row.name, source=source)]
        entries += [cell_entry(cell, ranked=ranked) for cell in cells]
        entries += [Entry(text=alignment_text(row.alignment) or NOTHING)] if on_page else []
        rows.append(tuple(entries))
    columns = [Head(text=column_head(metric_column)) for metric_column in group.columns]
    method = [Head(text="aligned by", is_text=True)] if on_page else []
    images = f"{group.images:,} images"
    return Table(
        title=group.benchmark,
        lead=(
            *([f"{group.title}."] if group.title else []),
            f"{group.dataset}: {images}.",
        ),
        caption=f"{group.benchmark}, {group.dataset}: {images}",
        heads=(Head(text="model"), *columns, *method),
        rows=tuple(rows),
        parted=len(group.runs),
        notes=(
            *(() if on_page else _alignment_note(group)),
            *group.notes,
            *_interval_note(rows),
        ),
        sources=tuple(group.sources),
    )


def _alignment_note(group: ColumnGroup) -> Iterator[str]:
    texts = alignment_texts(group)
    if len(texts) == 1 and len({row.alignment for row in group.runs}) == 1:
        yield f"Predictions of every run: {texts[0]}."


def _interval_note(rows: Sequence[tuple[Entry, ...]]) -> Iterator[str]:
    if any(entry.interval for row in rows for entry in row):
        yield "The range beside or below a number is its 95 % interval."


def cell_entry(cell: Cell | None, *, ranked: bool = False) -> Entry:
    """Table entry; a dash for no cell."""
    if cell is None:
        return Entry(text=NOTHING)
    reach = "" if cell.low is None else bounds(cell.low, cell.high)
    return Entry(
        text=number(cell.value),
        interval=reach,
        minor=(f"rank {cell.rank}",) if ranked and cell.rank is not None else (),
        is_best=cell.is_best,
        is_marked=cell.is_marked,
    )


def differences_table(group: ColumnGroup) -> Table:
    """Every run against the reference of each metric."""
    return Table(
        heads=make_heads(
            "difference", "metric", "mean", "95 % interval", "p (Holm)", words=["metric"]
        ),
        rows=tuple(
            (
                f"{row.name} − {column.reference}",
                column_head(column),
                Entry(
                    text=f"{'+' if difference.mean > 0 else ''}{number(difference.mean)}",
                    is_marked=difference.is_significant,
                ),
                bounds(difference.low, difference.high),
                NOTHING
                if difference.low is None
                else "< 0.001"
                if difference.p < 1e-3
                else f"{difference.p:.3f}",
            )
            for row, column, difference in group.differences()
        ),
        is_sortable=True,
    )


def _disagreement_table(group: ColumnGroup, images: tuple[Disagreement, ...]) -> Table:
    return Table(
        heads=make_heads("image", *(row.name for row in group.runs), "spread"),
        rows=tuple(
            (dispute.id, *map(number, dispute.values), number(dispute.spread)) for dispute in images
        ),
        is_sortable=True,
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRow:
    """One model, benchmark and metric; the fields are the columns, in their order.

    Attributes:
        published: None for a mean over sets.
        paired: Number of images that the difference rests on.
        benchmark_rank: Rank by the leading metric, where equal numbers share the mean.
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
    """Make a table of one line a row, benchmark and metric."""
    columns = [field.name for field in fields(LongRow)]
    return Table(
        heads=make_heads(*columns),
        rows=tuple(tuple(getattr(row, name) for name in columns) for row in _long_rows(comparison)),
    )


def _long_rows(comparison: Comparison) -> Iterator[LongRow]:
    models = {model.name: model for model in comparison.models}
    for group in comparison.groups:
        for row in group.rows:
            model = None if row.is_published else models.get(row.name)
            for column in group.columns:
                if column.metric not in row.cells:
                    continue
                long_row = _long_row(group, row, column)
                if model is not None:
                    long_row = replace(
                        long_row,
                        benchmark_rank=model.ranks.get(group.label),
                        in_mean_rank=group.label in comparison.shared,
                        mean_rank=model.mean_rank,
                        mean_rank_low=model.low,
                        mean_rank_high=model.high,
                    )
                yield long_row
    for mean in comparison.means:
        for name, value in mean.values.items():
            metric, model = mean.metric, models[name]
            yield LongRow(
                model=name,
                published=None,
                alignment=None,
                benchmark=mean.label,
                metric=metric.metric,
                unit=metric.unit,
                better=metric.better,
                value=value,
                in_mean_rank=False,
                mean_rank=model.mean_rank,
                mean_rank_low=model.low,
                mean_rank_high=model.high,
            )


def _long_row(group: ColumnGroup, row: Row, column: Column) -> LongRow:
    cell, is_run = row.cells[column.metric], not row.is_published
    shift = cell.difference
    return LongRow(
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
        reference=column.reference if is_run else None,
        difference=None if shift is None else shift.mean,
        difference_low=None if shift is None else shift.low,
        difference_high=None if shift is None else shift.high,
        p=None if shift is None else shift.p,
        images=group.images if is_run else None,
        paired=len(column.ids) if is_run else None,
        source=row.source or "",
        quote=row.quote,
    )


def write_comparison(
    comparison: Comparison,
    path: Path,
    pictures: Mapping[str, ReportPictures] | None = None,
) -> None:
    """Write a ``.md``, ``.csv``, ``.tex`` or ``.html`` file, and its checksum beside it.

    LaTeX has the first table alone; pictures are for the page of one benchmark.
    """
    refuse_unknown_ending(path)
    remove(checksum_path(path))  # of what is replaced now
    ending = path.suffix.lower()
    if ending == ".csv":
        write_text(path, table_as_csv(long_table(comparison)))
    elif ending == ".md":
        write_text(path, tables_as_markdown(*comparison_tables(comparison)))
    elif ending == ".tex":
        write_text(path, table_as_latex(comparison_tables(comparison)[0]))
    elif comparison.is_of_several:
        write_leaderboard(comparison, path)
    else:
        write_comparison_page(comparison, path, pictures)
    write_checksum(path)


def comparison_tables(comparison: Comparison) -> tuple[Table, ...]:
    """The tables to read, the first of all models."""
    if comparison.is_of_several:
        return (
            wide_table(comparison),
            ranks_by_benchmark_table(comparison),
            model_pairs_table(comparison),
        )
    [group] = comparison.groups
    return values_table(group), differences_table(group)


def refuse_unknown_ending(path: Path) -> None:
    """Refuse a file whose ending names no format."""
    endings = (".md", ".csv", ".tex", ".html")
    if path.suffix.lower() not in endings:
        raise OptionError(
            f"{path}: a comparison is written as {', '.join(endings)}, by the file's "
            f"ending, not as '{path.suffix}'"
        )
