"""Report of an evaluation: how a model did, and where it failed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.errors import MissingExtraError, RilievoError
from rilievo.evaluation.benchmarks.benchmark import trusted_metrics
from rilievo.evaluation.evaluation_folder import ResultFiles, metric_names, write_images_csv
from rilievo.evaluation.intervals import FEWEST, scene_count
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.records import Evaluation, RangeError, Score, Summary
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.comparison_page import image_panels
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
from rilievo.io.files.atomic import replacing
from rilievo.io.json_record import to_json
from rilievo.pages.charts import Chart
from rilievo.pages.document import write_page
from rilievo.pages.pictures import Item
from rilievo.pages.tables import Content, Entry, Table, make_heads

STRIP = 4
PREDICTION = "Prediction"
LONGEST_TABLE = 2000
"""Most images of the table; of more, the worst."""
WORST = 500


_METRICS = make_heads(
    *("metric", "value", "95 % interval", "mean of images", "median of images"),
    *("all pixels pooled", "images", "pixels"),
)
_PART = make_heads("metric", "value", "95 % interval", "median of images")


def rank_scores(scores: Sequence[Score], leading: Summary) -> list[Score]:
    """Scores that have the leading metric, the best first."""
    having = [score for score in scores if leading.metric in score.values]
    return sorted(having, key=lambda score: badness(score.values[leading.metric], leading.better))


def median_worst_best_items(evaluation: Evaluation, pictures: ReportPictures) -> Iterator[Item]:
    """Yield the median, worst and best images by the leading metric."""
    order = list(enumerate(rank_scores(evaluation.scores, evaluation.summaries[0]), start=1))
    half = min(STRIP, len(order) // 2)
    worst = order[len(order) - half :][::-1]
    best = order[: min(STRIP, len(order) - half)]
    middle = order[len(order) // 2]
    # The page opens with the first: the median says more of a model than its worst image.
    for rank, score in (middle, *(pair for pair in (*worst, *best) if pair is not middle)):
        yield _image_item(evaluation, pictures, score, rank, len(order))


def _rank_word(rank: int, images: int) -> str:
    """Word "median", or "best" or "worst" for the halves."""
    if rank == images // 2 + 1:
        return "median"
    return "best" if 2 * rank <= images + 1 else "worst"


def _image_item(
    evaluation: Evaluation, pictures: ReportPictures, score: Score, rank: int, images: int
) -> Item:
    panels, fault, id = (), None, score.id
    medians = [summary.median for summary in evaluation.summaries if summary.metric == "abs_rel"]
    try:
        normals = evaluation.task == "normals"
        panels = image_panels(id, {PREDICTION: pictures}, medians, normals=normals)
    except RilievoError as error:
        fault = str(error)
    leading = evaluation.summaries[0]
    return Item(
        name=id,
        label=_rank_word(rank, images),
        value=quantity(score.values[leading.metric], leading.unit),
        numbers=tuple(_image_numbers(evaluation, score, rank, images)),
        notes=score.notes,
        panels=panels,
        fault=fault,
    )


def _image_numbers(
    evaluation: Evaluation, score: Score, rank: int, images: int
) -> Iterator[tuple[str, str]]:
    yield "rank", f"{rank:,} of {images:,}"
    short = shortlist(metric_names(evaluation))
    for summary in evaluation.summaries:
        if summary.metric in short and summary.metric in score.values:
            yield summary.label, quantity(score.values[summary.metric], summary.unit)
    yield "pixels", f"{score.pixels:,}"
    for name, value in (("scale", score.scale), ("shift", score.shift)):
        if value is not None:
            yield name, number(value)


def write_report(
    evaluation: Evaluation, path: Path, pictures: ReportPictures | None = None
) -> None:
    """Write the report of an evaluation, a page that loads nothing."""
    scores = evaluation.scores
    leading = evaluation.summaries[0] if evaluation.summaries else None
    order = rank_scores(scores, leading) if leading else []
    summaries = {summary.metric: summary for summary in evaluation.summaries}
    short = shortlist(metric_names(evaluation))
    shown = scores if len(scores) <= LONGEST_TABLE else order[: -WORST - 1 : -1]
    has_pixels = any(row.pixels for row in evaluation.ranges)
    write_page(
        path,
        "report.html",
        run=evaluation,
        words=wording,
        leading=leading,
        headline=[summaries[name] for name in headline(metric_names(evaluation))],
        metrics=_summary_table(evaluation),
        parts={
            part.name: Table(
                heads=_PART,
                rows=tuple(
                    (*_head_value_interval_cells(summary), number(summary.median))
                    for summary in part.summaries
                    if summary.metric in short
                ),
            )
            for part in evaluation.parts
        },
        range_rows=_depth_ranges_table(evaluation.ranges),
        images=_image_scores_table(evaluation, shown),
        unscored=Table(
            heads=make_heads("image", "why", words=["why"]),
            rows=tuple((image.id, image.reason) for image in evaluation.unscored),
        ),
        scenes=scene_count([score.scene for score in scores]),
        fewest=FEWEST,
        items=median_worst_best_items(evaluation, pictures)
        if order and pictures is not None
        else None,
        ranked=len(order),
        formulas=list(_metric_heads_and_formulas(evaluation)),
        histograms=list(_histograms(evaluation)),
        ranges=error_against_depth(evaluation.ranges) if has_pixels else None,
        certainty=list(_confidence_charts(evaluation)),
    )


def _histograms(evaluation: Evaluation) -> Iterator[Chart]:
    """Histograms of the usual metrics."""
    short = shortlist(metric_names(evaluation))
    for summary in evaluation.summaries:
        name, scores = summary.metric, evaluation.scores
        values = np.array([score.values[name] for score in scores if name in score.values])
        if name in short and values.size:
            yield histogram(summary, values)


def _metric_heads_and_formulas(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    # The settings say where metrics of one's own are.
    names = setting_value(evaluation.settings.get("metrics", "")).split()
    names += [summary.metric for summary in evaluation.summaries]
    table = trusted_metrics(evaluation.task, names)
    for summary in evaluation.summaries:
        if summary.metric in table:
            yield head(summary), table[summary.metric].summary


def _confidence_charts(evaluation: Evaluation) -> Iterator[Chart]:
    if evaluation.sparsification:
        label = "mean angle [°]" if evaluation.task == "normals" else "AbsRel"
        yield sparsification_chart(evaluation.sparsification, label)
    if evaluation.reliability:
        yield reliability_chart(evaluation.reliability)


def _summary_table(evaluation: Evaluation) -> Table:
    return Table(
        heads=_METRICS,
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


def _depth_ranges_table(ranges: Sequence[RangeError]) -> Table:
    return Table(
        heads=make_heads("true depth [m]", "pixels", "AbsRel", "bias"),
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
    fits = [
        name
        for name in ("scale", "shift")
        if any(getattr(score, name) is not None for score in evaluation.scores)
    ]
    notes = ["notes"] if any(score.notes for score in evaluation.scores) else []
    metrics = [column_head(summary) for summary in evaluation.summaries]
    return Table(
        heads=make_heads(
            "image", *metrics, "pixels", "with truth [%]", *fits, *notes, words=["notes"]
        ),
        rows=tuple(
            (
                score.id,
                *(number(score.values.get(summary.metric)) for summary in evaluation.summaries),
                f"{score.pixels:,}",
                f"{100 * score.true_share:.1f}",
                *(number(getattr(score, name)) for name in fits),
                *(Entry(text="; ".join(score.notes)) for _ in notes),
            )
            for score in scores
        ),
        is_sortable=True,
    )


def _head_value_interval_cells(summary: Summary) -> tuple[Content, ...]:
    return (
        column_head(summary),
        Entry(text=number(summary.value), is_best=True),
        bounds(summary.low, summary.high),
    )


def write_results(
    evaluation: Evaluation, files: ResultFiles, pictures: ReportPictures | None
) -> Evaluation:
    """Write ``evaluation.json``, the per-image table and the report.

    The returned evaluation has a warning if the report was left out.
    """
    try:
        write_report(evaluation, files.report, pictures)
    except MissingExtraError as error:
        # Without a new one, that of an earlier run goes, which has other numbers.
        evaluation = replace(evaluation, warnings=(*evaluation.warnings, str(error)))
    write_images_csv(evaluation, files.table)
    _write_evaluation_json(evaluation, files.evaluation)
    return evaluation


def _write_evaluation_json(evaluation: Evaluation, path: Path) -> None:
    with replacing(path) as part:
        part.write_text(to_json(evaluation, indent=1), encoding="utf-8")
