"""Tables and the page of a comparison on one benchmark."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.errors import RilievoError
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.comparison import Cell, Column, ColumnGroup, Comparison
from rilievo.evaluation.tables.report_charts import image_by_image, standing
from rilievo.evaluation.tables.wording import (
    aligned,
    bounds,
    column_head,
    headline,
    number,
    quantity,
)
from rilievo.frozen import frozen
from rilievo.pages.document import write_page
from rilievo.pages.pictures import Answer, Item, Panel, compared_panels, error_end, photo_panel
from rilievo.pages.tables import (
    NOTHING,
    Entry,
    Head,
    Table,
    heads,
)

MOST_DISAGREED = 20
MOST_SHOWN = 8


@frozen
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
        alignments=alignments(group),
        standing=standing(group, leading),
        pairs=[
            image_by_image(leading, row.name)
            for row in group.runs
            if leading.ids and row.name != leading.reference
        ],
        items=list(_items(group, leading, disagreed, pictures)) if pictures else [],
    )


def alignments(group: ColumnGroup) -> tuple[str, ...]:
    """Alignments of the runs' predictions, each once."""
    texts = [aligned(row.alignment) for row in group.runs]
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _items(
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
            panels = panels_of(column.ids[place], own, usual)
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


def panels_of(
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
    shown = compared_panels(
        first.truth(id), answers, error_end(usual), depth=not normals, normals=normals
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
        entries += [entry_of(cell, ranked=ranked) for cell in cells]
        entries += [Entry(text=aligned(row.alignment) or NOTHING)] if on_page else []
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
            *(() if on_page else _on_alignment(group)),
            *group.notes,
            *_on_intervals(rows),
        ),
        sources=tuple(group.sources),
    )


def _on_alignment(group: ColumnGroup) -> Iterator[str]:
    texts = alignments(group)
    if len(texts) == 1 and len({row.alignment for row in group.runs}) == 1:
        yield f"Predictions of every run: {texts[0]}."


def _on_intervals(rows: Sequence[tuple[Entry, ...]]) -> Iterator[str]:
    if any(entry.interval for row in rows for entry in row):
        yield "The range beside or below a number is its 95 % interval."


def entry_of(cell: Cell | None, *, ranked: bool = False) -> Entry:
    """Cell of a table."""
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
        heads=heads("difference", "metric", "mean", "95 % interval", "p (Holm)", words=["metric"]),
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
        heads=heads("image", *(row.name for row in group.runs), "spread"),
        rows=tuple(
            (dispute.id, *map(number, dispute.values), number(dispute.spread)) for dispute in images
        ),
        is_sortable=True,
    )
