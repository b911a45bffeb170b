"""Page of a comparison on one benchmark."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.errors import RilievoError
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.comparison import Column, ColumnGroup, Comparison
from rilievo.evaluation.tables.comparison_tables import (
    alignment_texts,
    differences_table,
    values_table,
)
from rilievo.evaluation.tables.report_charts import scatter_against_reference, standing_chart
from rilievo.evaluation.tables.wording import headline, number, quantity
from rilievo.pages.document import write_page
from rilievo.pages.pictures import (
    Answer,
    Item,
    Panel,
    comparison_panels,
    end_of_error_colours,
    photo_panel,
)
from rilievo.pages.tables import Table, make_heads

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


def _disagreement_table(group: ColumnGroup, images: tuple[Disagreement, ...]) -> Table:
    return Table(
        heads=make_heads("image", *(row.name for row in group.runs), "spread"),
        rows=tuple(
            (dispute.id, *map(number, dispute.values), number(dispute.spread)) for dispute in images
        ),
        is_sortable=True,
    )
