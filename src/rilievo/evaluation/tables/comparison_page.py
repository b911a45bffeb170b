"""Write the page of a comparison on one benchmark, with the images on which the runs disagree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.errors import RilievoError
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.scoring.report_pictures import ReportPictures, image_panels
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
from rilievo.pages.pictures import ImageEntry
from rilievo.pages.tables import Table, make_heads

MAX_DISAGREEMENTS = 20
"""Most images in the table of disagreements."""
MAX_IMAGES = 8
"""Most images that are shown with pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One image, with each run's value in the leading metric, and the range of these values."""

    id: str
    values: tuple[float, ...]
    spread: float


def write_comparison_page(
    comparison: Comparison, path: Path, pictures: Mapping[str, ReportPictures] | None = None
) -> None:
    """Write a comparison on one benchmark as one page that loads nothing from elsewhere.

    ``pictures`` are those of the runs, by name; without them, the page has only tables and charts.
    """
    [group] = comparison.groups
    leading = group.leading
    disputed_images = disagreements(group, leading)
    column_by_metric = {column.metric: column for column in group.columns}
    headline_columns = tuple(column_by_metric[name] for name in headline([*column_by_metric]))
    charts = [
        scatter_against_reference(leading, row.name)
        for row in group.runs
        if leading.ids and row.name != leading.reference
    ]
    write_page(
        path,
        "comparison.html",
        words=wording,
        group=group,
        leading=leading,
        result=values_table(replace(group, rows=group.runs, columns=headline_columns)),
        values=values_table(group, on_page=True),
        differences=differences_table(group),
        disagreements=_disagreement_table(group, disputed_images),
        alignments=alignment_texts(group),
        standing=standing_chart(group, leading),
        pairs=charts,
        items=list(_disputed_items(group, leading, disputed_images, pictures)) if pictures else [],
    )


def _disputed_items(
    group: ColumnGroup,
    column: Column,
    disputed_images: tuple[Disagreement, ...],
    pictures: Mapping[str, ReportPictures],
) -> Iterator[ImageEntry]:
    """Yield the median image by the runs' mean value, then the images on which they disagree.

    If there is one run, which cannot disagree, the first images follow the median.
    """
    names = [row.name for row in group.runs if row.name in pictures]
    if not column.ids:
        return
    values = np.array([column.values[name] for name in names])
    typical_errors = np.median(values, axis=1).tolist() if column.metric == "abs_rel" else []
    means = values.mean(axis=0)
    worst_last = np.argsort(badness(means, column.better), kind="stable")
    median = int(worst_last[means.size // 2])
    candidates = [column.ids.index(image.id) for image in disputed_images]
    if not candidates:
        candidates = list(range(len(column.ids)))
    other_indices = [index for index in candidates if index != median][: MAX_IMAGES - 1]

    for index in (median, *other_indices):
        if index == median:
            label, shown_value = "median", means[index]
        elif disputed_images:
            label, shown_value = "apart by", np.ptp(values[:, index])
        else:
            label, shown_value = column.label, means[index]
        panels, fault = (), None
        try:
            run_pictures = {name: pictures[name] for name in names}
            panels = image_panels(column.ids[index], run_pictures, typical_errors)
        except RilievoError as error:
            fault = str(error)
        yield ImageEntry(
            name=column.ids[index],
            label=label,
            value=quantity(float(shown_value), column.unit),
            numbers=tuple(
                (name, quantity(value, column.unit))
                for name, value in zip(names, values[:, index].tolist(), strict=True)
            ),
            panels=panels,
            fault=fault,
        )


def disagreements(group: ColumnGroup, column: Column) -> tuple[Disagreement, ...]:
    """Images on which the runs disagree most, the largest spread first; empty for a single run."""
    runs = group.runs
    if len(runs) < 2 or not column.ids:
        return ()
    values = np.array([column.values[row.name] for row in runs])
    spreads = values.max(axis=0) - values.min(axis=0)
    largest_first = np.argsort(-spreads, kind="stable")
    return tuple(
        Disagreement(
            id=column.ids[index],
            values=tuple(values[:, index].tolist()),
            spread=float(spreads[index]),
        )
        for index in largest_first[:MAX_DISAGREEMENTS].tolist()
    )


def _disagreement_table(group: ColumnGroup, images: tuple[Disagreement, ...]) -> Table:
    return Table(
        heads=make_heads("image", *(row.name for row in group.runs), "spread"),
        rows=tuple(
            (image.id, *map(number, image.values), number(image.spread)) for image in images
        ),
        is_sortable=True,
    )
