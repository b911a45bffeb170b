"""The report: one page on how a model did, where it failed, and how to repeat it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rilievo.errors import RilievoError
from rilievo.evaluation.benchmarks.named_metrics import known_metrics
from rilievo.evaluation.metrics.metric import badness
from rilievo.evaluation.records import Evaluation, Score, Summary
from rilievo.evaluation.reports.report_tables import (
    images_table,
    metrics_table,
    part_table,
    ranges_table,
    unscored_table,
)
from rilievo.evaluation.results.intervals import FEWEST, scene_count
from rilievo.evaluation.results.per_image_table import metric_names
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.tables import wording
from rilievo.evaluation.tables.report_charts import (
    error_against_depth,
    histogram,
    reliability_chart,
    sparsification_chart,
)
from rilievo.evaluation.tables.wording import (
    count,
    head,
    headline,
    number,
    quantity,
    setting_value,
    shortlist,
)
from rilievo.pages.charts import Chart
from rilievo.pages.document import write_page
from rilievo.pages.pictures import Answer, Item, compared_panels, error_end, photo_panel

STRIP = 4
"""Images of each end."""
PREDICTION = "Prediction"
LONGEST_TABLE = 2000
"""Most images that the table lists; of more, it lists the worst."""
WORST = 500


def ranked(scores: Sequence[Score], leading: Summary) -> list[Score]:
    """Images that have the leading metric, the best first."""
    having = [score for score in scores if leading.metric in score.values]
    return sorted(having, key=lambda score: badness(score.values[leading.metric], leading.better))


def shown_images(evaluation: Evaluation, pictures: ReportPictures) -> Iterator[Item]:
    """The median, worst and best images by the leading metric; each is read when it is drawn."""
    order = list(enumerate(ranked(evaluation.scores, evaluation.summaries[0]), start=1))
    half = min(STRIP, len(order) // 2)
    worst = order[len(order) - half :][::-1]
    best = order[: min(STRIP, len(order) - half)]
    middle = order[len(order) // 2]
    # The page opens with the first: the median says more of a model than its worst image.
    for rank, score in (middle, *(each for each in (*worst, *best) if each is not middle)):
        yield _item(evaluation, pictures, score, rank, len(order))


def usual_error(evaluations: Sequence[Evaluation]) -> float:
    """Relative error with the last colour in all maps of one page."""
    summaries = [each for run in evaluations for each in run.summaries]
    return error_end([each.median for each in summaries if each.metric == "abs_rel"])


def _label(rank: int, images: int) -> str:
    if rank == images // 2 + 1:
        return "median"
    return "best" if 2 * rank <= images + 1 else "worst"


def _item(
    evaluation: Evaluation, pictures: ReportPictures, score: Score, rank: int, images: int
) -> Item:
    panels, fault, id = [], None, score.id
    try:
        truth = pictures.truth(id)
        end = usual_error([evaluation])
        on_normals = evaluation.task == "normals"
        answer = Answer(depth=pictures.depth(id), normals=pictures.normals(id))
        shown = compared_panels(
            truth, {PREDICTION: answer}, end, depth=not on_normals, normals=on_normals
        )
        panels = [photo_panel(pictures.photo(id)), *shown]
    except RilievoError as error:
        panels, fault = [], str(error)
    leading = evaluation.summaries[0]
    return Item(
        name=id,
        label=_label(rank, images),
        value=quantity(score.values[leading.metric], leading.unit),
        numbers=tuple(_numbers(evaluation, score, rank, images)),
        notes=score.notes,
        panels=tuple(panels),
        fault=fault,
    )


def _numbers(
    evaluation: Evaluation, score: Score, rank: int, images: int
) -> Iterator[tuple[str, str]]:
    yield "rank", f"{count(rank)} of {count(images)}"
    short = shortlist(metric_names(evaluation))
    for each in evaluation.summaries:
        if each.metric in short and each.metric in score.values:
            yield each.label, quantity(score.values[each.metric], each.unit)
    yield "pixels", count(score.pixels)
    for name, value in (("scale", score.scale), ("shift", score.shift)):
        if value is not None:
            yield name, number(value)


def write_report(
    evaluation: Evaluation, path: Path, pictures: ReportPictures | None = None
) -> None:
    """Write the report of an evaluation: one page of HTML that loads nothing from elsewhere.

    Of the images, only those that are shown are read, one at a time.

    Args:
        evaluation: Evaluation to report.
        path: The file, ``report.html`` by custom.
        pictures: Pictures of the best and the worst images; None for none.
    """
    scores = evaluation.scores
    leading = evaluation.summaries[0] if evaluation.summaries else None
    order = ranked(scores, leading) if leading else []
    known = {each.metric: each for each in evaluation.summaries}
    short = shortlist(metric_names(evaluation))
    shown = scores if len(scores) <= LONGEST_TABLE else order[: -WORST - 1 : -1]
    has_pixels = any(each.pixels for each in evaluation.ranges)
    write_page(
        path,
        "report.html",
        run=evaluation,
        words=wording,
        leading=leading,
        headline=[known[name] for name in headline(metric_names(evaluation))],
        metrics=metrics_table(evaluation),
        parts={part.name: part_table(part.summaries, short) for part in evaluation.parts},
        range_rows=ranges_table(evaluation.ranges),
        images=images_table(evaluation, shown),
        unscored=unscored_table(evaluation.unscored),
        scenes=scene_count([score.scene for score in scores]),
        fewest=FEWEST,
        items=shown_images(evaluation, pictures) if order and pictures is not None else None,
        ranked=len(order),
        formulas=list(_formulas(evaluation)),
        histograms=list(_spread(evaluation)),
        ranges=error_against_depth(evaluation.ranges) if has_pixels else None,
        certainty=list(_certainty(evaluation)),
    )


def _spread(evaluation: Evaluation) -> Iterator[Chart]:
    """Histograms of the usual metrics."""
    short = shortlist(metric_names(evaluation))
    for each in evaluation.summaries:
        name, scores = each.metric, evaluation.scores
        values = np.array([score.values[name] for score in scores if name in score.values])
        if name in short and values.size:
            yield histogram(each, values)


def _formulas(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Formulas of the metrics that rilievo knows."""
    # The settings say where metrics of one's own are.
    names = setting_value(evaluation.settings.get("metrics", "")).split()
    names += [each.metric for each in evaluation.summaries]
    table = known_metrics(evaluation.task, names)
    for each in evaluation.summaries:
        if each.metric in table:
            yield head(each.label, each.unit), table[each.metric].summary


def _certainty(evaluation: Evaluation) -> Iterator[Chart]:
    if evaluation.sparsification:
        label = "mean angle [°]" if evaluation.task == "normals" else "AbsRel"
        yield sparsification_chart(evaluation.sparsification, label)
    if evaluation.reliability:
        yield reliability_chart(evaluation.reliability)
