"""Write the page of a comparison on one benchmark, with the images on which the runs disagree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.errors import RilievoError
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.scoring.report_pictures import ReportPictures, image_panels
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.comparison import BenchmarkComparison, ComparedMetric, Comparison
from rilievo.evaluation.tables.comparison_tables import (
    alignment_texts,
    differences_table,
    values_table,
)
from rilievo.evaluation.tables.report_charts import means_chart, scatter_against_reference
from rilievo.evaluation.tables.wording import headline, number, quantity
from rilievo.pages.charts import Chart
from rilievo.pages.document import write_page
from rilievo.pages.pictures import ImageEntry
from rilievo.pages.tables import Table, make_headings

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
    shown_images: list[ImageEntry] = []
    if pictures:
        shown_images = list(_image_entries(group, leading, disputed_images, pictures))
    write_page(
        path,
        "comparison.html",
        words=wording,
        group=group,
        leading=leading,
        alignments=alignment_texts(group),
        result=values_table(_headline_group(group)),
        values=values_table(group, on_page=True),
        differences=differences_table(group),
        disagreements=_disagreement_table(group, disputed_images),
        means_chart=means_chart(group, leading),
        image_charts=_charts_against_reference(group, leading),
        items=shown_images,
    )


def _headline_group(group: BenchmarkComparison) -> BenchmarkComparison:
    """The runs alone, without published results, in the few metrics that a reader sees first."""
    column_by_metric = {column.metric: column for column in group.columns}
    columns = tuple(column_by_metric[name] for name in headline([*column_by_metric]))
    return replace(group, rows=group.runs, columns=columns)


def _charts_against_reference(group: BenchmarkComparison, column: ComparedMetric) -> list[Chart]:
    """Charts of one metric, image by image: each run against the reference."""
    if not column.ids:
        return []
    return [
        scatter_against_reference(column, run.name)
        for run in group.runs
        if run.name != column.reference
    ]


def _image_entries(
    group: BenchmarkComparison,
    column: ComparedMetric,
    disputed_images: tuple[Disagreement, ...],
    pictures: Mapping[str, ReportPictures],
) -> Iterator[ImageEntry]:
    """Yield the middle image by the runs' mean value, then the images on which they disagree.

    If there is one run, which cannot disagree, the first images follow the middle. Of two images,
    the worse one comes first, but neither is called the middle.
    """
    if not column.ids:
        return
    run_pictures = {row.name: pictures[row.name] for row in group.runs if row.name in pictures}
    values = np.array([column.values[name] for name in run_pictures])  # a row for each run
    means = values.mean(axis=0)
    typical_errors = np.median(values, axis=1).tolist() if column.metric == "abs_rel" else []

    best_first = np.argsort(badness(means, column.better), kind="stable")
    median = int(best_first[means.size // 2])
    candidates = [column.ids.index(image.id) for image in disputed_images]
    if not candidates:
        candidates = list(range(len(column.ids)))
    following = [index for index in candidates if index != median][: MAX_IMAGES - 1]

    for index in (median, *following):
        if index == median and means.size != 2:
            label = "middle" if len(run_pictures) == 1 else "mean of the runs"
            shown_value = means[index]
        elif disputed_images:
            label, shown_value = "apart by", np.ptp(values[:, index])
        else:
            label, shown_value = column.label, means[index]
        panels, fault = (), None
        try:
            panels = image_panels(column.ids[index], run_pictures, typical_errors)
        except RilievoError as error:
            fault = str(error)
        yield ImageEntry(
            name=column.ids[index],
            label=label,
            value=quantity(float(shown_value), column.unit),
            numbers=tuple(
                (name, quantity(value, column.unit))
                for name, value in zip(run_pictures, values[:, index].tolist(), strict=True)
            ),
            panels=panels,
            fault=fault,
        )


def disagreements(group: BenchmarkComparison, column: ComparedMetric) -> tuple[Disagreement, ...]:
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


def _disagreement_table(group: BenchmarkComparison, images: tuple[Disagreement, ...]) -> Table:
    return Table(
        headings=make_headings("image", *(row.name for row in group.runs), "spread"),
        rows=tuple(
            (image.id, *map(number, image.values), number(image.spread)) for image in images
        ),
        is_sortable=True,
    )
