"""Write the report of an evaluation: how well a model did, and on which images it failed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.errors import MissingExtraError, RilievoError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.benchmarks.metric_choice import trusted_metrics
from rilievo.evaluation.evaluation_folder import ResultFiles, metric_names, write_images_csv
from rilievo.evaluation.intervals import MIN_SCENES, scene_count
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.model_names import shown_model_name
from rilievo.evaluation.records import Evaluation, RangeError, Score, Subset, Summary
from rilievo.evaluation.scoring.report_pictures import ReportPictures, image_panels
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.report_charts import (
    error_against_depth,
    histogram,
    reliability_chart,
    sparsification_chart,
)
from rilievo.evaluation.tables.wording import (
    bounds,
    column_head,
    head,
    headline,
    number,
    quantity,
    setting_value,
    shortlist,
)
from rilievo.io.files.atomic import write_text
from rilievo.io.json_record import to_json
from rilievo.pages.charts import Chart
from rilievo.pages.document import write_page
from rilievo.pages.pictures import ImageEntry, Panel
from rilievo.pages.tables import Content, Entry, Table, make_headings

PREDICTION = "Prediction"
MAX_PICTURED = 4
"""Number of worst images that the report shows with pictures, and of best ones."""
MAX_TABLE_IMAGES = 2000
"""Most images in the table of images. If there are more, it has only the worst ones."""
WORST_IMAGES = 500
"""Number of images in that shortened table."""

_METRIC_HEADS = make_headings(
    *("metric", "value", "95% interval", "mean of images", "median of images"),
    *("all pixels pooled", "images", "pixels"),
)
_SUBSET_HEADS = make_headings("metric", "value", "95% interval", "median of images")


def write_results(
    evaluation: Evaluation, files: ResultFiles, pictures: ReportPictures | None
) -> Evaluation:
    """Write ``evaluation.json``, the per-image table and the report.

    If a package for the report is missing, the returned evaluation has a warning about that.
    """
    try:
        write_report(evaluation, files.report, pictures)
    except MissingExtraError as error:
        # An earlier report is removed too, because its numbers differ.
        warning = f"report.html is not written: {error}"
        evaluation = replace(evaluation, warnings=(*evaluation.warnings, warning))
    write_images_csv(evaluation, files.table)
    write_text(files.evaluation, to_json(evaluation, indent=1))
    return evaluation


def write_report(
    evaluation: Evaluation, path: Path, pictures: ReportPictures | None = None
) -> None:
    """Write the report of an evaluation as one page that loads nothing from elsewhere.

    Without ``pictures`` it has only tables and charts.
    """
    scores, leading = evaluation.scores, evaluation.summaries[0]
    best_first = rank_scores(scores, leading)
    shown_scores = scores
    if len(scores) > MAX_TABLE_IMAGES:
        shown_scores = best_first[::-1][:WORST_IMAGES]
    metrics = metric_names(evaluation)
    summary_by_metric = {summary.metric: summary for summary in evaluation.summaries}
    has_pixels = any(row.pixels for row in evaluation.ranges)
    shown_maker = replace(evaluation.made_by, model=shown_model_name(evaluation.made_by.model))
    write_page(
        path,
        "report.html",
        run=replace(evaluation, made_by=shown_maker),
        words=wording,
        leading=leading,
        headline=[summary_by_metric[name] for name in headline(metrics)],
        metric_table=_summary_table(evaluation),
        subset_tables={
            subset.name: _subset_table(subset, shortlist(metrics)) for subset in evaluation.parts
        },
        depth_range_table=_depth_ranges_table(evaluation.ranges),
        image_table=_image_scores_table(evaluation, shown_scores),
        unscored_table=Table(
            headings=make_headings("image", "why", words=["why"]),
            rows=tuple((image.id, image.reason) for image in evaluation.unscored),
        ),
        num_scenes=scene_count([score.scene for score in scores]),
        min_scenes=MIN_SCENES,
        items=None if pictures is None else middle_worst_best_items(evaluation, pictures),
        num_ranked=len(best_first),
        formulas=list(_metric_heads_and_formulas(evaluation)),
        histograms=list(_histograms(evaluation)),
        depth_range_chart=error_against_depth(evaluation.ranges) if has_pixels else None,
        confidence_charts=list(_confidence_charts(evaluation)),
    )


def rank_scores(scores: Sequence[Score], leading: Summary) -> list[Score]:
    """Sort the scores that have the leading metric, the best first."""
    with_metric = [score for score in scores if leading.metric in score.values]
    return sorted(
        with_metric, key=lambda score: badness(score.values[leading.metric], leading.better)
    )


def middle_worst_best_items(
    evaluation: Evaluation, pictures: ReportPictures
) -> Iterator[ImageEntry]:
    """Yield the middle, the worst and the best images by the leading metric, with pictures."""
    ranked = list(enumerate(rank_scores(evaluation.scores, evaluation.summaries[0]), start=1))
    middle = ranked[len(ranked) // 2]
    worst_count = min(MAX_PICTURED, len(ranked) // 2)
    worst_first = ranked[len(ranked) - worst_count :][::-1]
    best_first = ranked[: min(MAX_PICTURED, len(ranked) - worst_count)]
    # The page opens with the first item, and the middle says more of a model than its worst image.
    extremes = [entry for entry in (*worst_first, *best_first) if entry is not middle]
    for rank, score in (middle, *extremes):
        yield _image_item(evaluation, pictures, score, rank, len(ranked))


def _image_item(
    evaluation: Evaluation, pictures: ReportPictures, score: Score, rank: int, num_ranked: int
) -> ImageEntry:
    """An image with its pictures and numbers, or why its pictures cannot be shown."""
    # The typical AbsRel sets the range of the error's colours, the same one for all images.
    typical_errors = [
        summary.median for summary in evaluation.summaries if summary.metric == "abs_rel"
    ]
    panels: tuple[Panel, ...] = ()
    fault: str | None = None
    try:
        panels = image_panels(
            score.id,
            {PREDICTION: pictures},
            typical_errors,
            shows_normals=evaluation.task == "normals",
        )
    except RilievoError as error:
        fault = str(error)
    leading = evaluation.summaries[0]
    return ImageEntry(
        name=score.id,
        label=_rank_word(rank, num_ranked),
        value=quantity(score.values[leading.metric], leading.unit),
        numbers=tuple(_image_facts(evaluation, score, rank, num_ranked)),
        notes=score.notes,
        panels=panels,
        fault=fault,
    )


def _rank_word(rank: int, num_ranked: int) -> str:
    """Word for a rank, from 1 for the best: "best" and "worst" for the halves, or "middle".

    Of two images, neither is the middle. Of more images of an even number, it is the worse one of
    the two in the middle, so its value is not the median.
    """
    if num_ranked != 2 and rank == num_ranked // 2 + 1:
        return "middle"
    return "best" if 2 * rank <= num_ranked + 1 else "worst"


def _image_facts(
    evaluation: Evaluation, score: Score, rank: int, num_ranked: int
) -> Iterator[tuple[str, str]]:
    """Yield names and texts of an image's rank, shortlisted metrics, pixels, scale and shift.

    The pixels with ground truth that the benchmark leaves out are among them.
    """
    yield "rank", f"{rank:,} of {num_ranked:,}"
    shown_metrics = shortlist(metric_names(evaluation))
    for summary in evaluation.summaries:
        if summary.metric in shown_metrics and summary.metric in score.values:
            yield summary.label, quantity(score.values[summary.metric], summary.unit)
    yield "pixels", f"{score.pixels:,}"
    for setting, count in score.left_out.items():
        yield f"left out by {setting}", f"{count:,}"
    if score.scale is not None:
        yield "scale", number(score.scale)
    if score.shift is not None:
        yield "shift", number(score.shift)


def _histograms(evaluation: Evaluation) -> Iterator[Chart]:
    """Yield histograms of the shortlisted metrics over the images."""
    shown_metrics = shortlist(metric_names(evaluation))
    for summary in evaluation.summaries:
        name = summary.metric
        if name not in shown_metrics:
            continue
        values = [score.values[name] for score in evaluation.scores if name in score.values]
        if values:
            yield histogram(summary, np.array(values))


def _metric_heads_and_formulas(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield the name of each metric with its formula; metrics that are not trusted have none."""
    # The settings say where metrics of the user's own are.
    names = setting_value(evaluation.settings.get("metrics", "")).split()
    names += [summary.metric for summary in evaluation.summaries]
    metrics = trusted_metrics(evaluation.task, names)
    if evaluation.task == Task.DEPTH:
        yield "p, t, e", "predicted depth, true depth, and ln p - ln t"
    for summary in evaluation.summaries:
        if summary.metric in metrics:
            yield head(summary), metrics[summary.metric].summary


def _confidence_charts(evaluation: Evaluation) -> Iterator[Chart]:
    if evaluation.sparsification:
        label = "mean angle [°]" if evaluation.task == "normals" else "AbsRel"
        yield sparsification_chart(evaluation.sparsification, label)
    if evaluation.reliability:
        yield reliability_chart(evaluation.reliability)


def _summary_table(evaluation: Evaluation) -> Table:
    """Table of all metrics over all images."""
    return Table(
        headings=_METRIC_HEADS,
        rows=tuple(
            (
                *_head_value_interval_cells(summary),
                number(summary.per_image),
                number(summary.median),
                number(summary.pooled),
                f"{summary.images:,}",
                f"{summary.pixels:,}",
            )
            for summary in evaluation.summaries
        ),
    )


def _subset_table(subset: Subset, shown_metrics: Sequence[str]) -> Table:
    """Table of some metrics over a subset of the images."""
    return Table(
        headings=_SUBSET_HEADS,
        rows=tuple(
            (*_head_value_interval_cells(summary), number(summary.median))
            for summary in subset.summaries
            if summary.metric in shown_metrics
        ),
    )


def _depth_ranges_table(ranges: Sequence[RangeError]) -> Table:
    """Table of the errors by ranges of true depth."""
    return Table(
        headings=make_headings("true depth [m]", "pixels", "AbsRel", "bias"),
        rows=tuple(
            (
                f"{row.near:.3g} to {row.far:.3g}",
                f"{row.pixels:,}",
                number(row.abs_rel if row.pixels else None),
                number(row.bias if row.pixels else None),
            )
            for row in ranges
        ),
    )


def _image_scores_table(evaluation: Evaluation, scores: Sequence[Score]) -> Table:
    """Table of images with all metrics, and with scale, shift and notes if some image has them."""
    fit_columns = [
        name
        for name in ("scale", "shift")
        if any(getattr(score, name) is not None for score in evaluation.scores)
    ]
    note_columns = ["notes"] if any(score.notes for score in evaluation.scores) else []
    metric_heads = [column_head(summary) for summary in evaluation.summaries]

    rows: list[tuple[Content, ...]] = []
    for score in scores:
        values = [score.values.get(summary.metric) for summary in evaluation.summaries]
        notes = [Entry(text="; ".join(score.notes))] if note_columns else []
        row = (
            score.id,
            *map(number, values),
            f"{score.pixels:,}",
            f"{100 * score.true_share:.1f}",
            *(number(getattr(score, name)) for name in fit_columns),
            *notes,
        )
        rows.append(row)
    headings = ["image", *metric_heads, "pixels", "with truth [%]", *fit_columns, *note_columns]
    return Table(
        headings=make_headings(*headings, words=["notes"]), rows=tuple(rows), is_sortable=True
    )


def _head_value_interval_cells(summary: Summary) -> tuple[Content, ...]:
    return (
        column_head(summary),
        Entry(text=number(summary.value), is_best=True),
        bounds(summary.low, summary.high),
    )
