"""The report: one page on how a model did, where it failed, and how to repeat it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rilievo.evaluate import wording
from rilievo.evaluate.certainty_charts import reliability_chart, sparsification_chart
from rilievo.evaluate.charts import error_against_depth, histogram, sequence
from rilievo.evaluate.intervals import FEWEST, scene_count
from rilievo.evaluate.metrics import known_metrics
from rilievo.evaluate.pictures import Pictures
from rilievo.evaluate.records import Evaluation
from rilievo.evaluate.shortlist import headline, shortlist
from rilievo.evaluate.shown_images import ranked, shown_images
from rilievo.evaluate.table import metric_names
from rilievo.evaluate.wording import head, setting_value
from rilievo.pages.charts import Chart
from rilievo.pages.document import write_page

LONGEST_TABLE = 2000
"""Most images that the table lists; of more, it lists the worst."""

WORST = 500


def write_report(evaluation: Evaluation, path: Path, pictures: Pictures | None = None) -> None:
    """Write the report of an evaluation: one page of HTML that loads nothing from elsewhere.

    Of the images, only those that are shown are read, one at a time.

    Args:
        evaluation: Evaluation to report.
        path: The file, ``report.html`` by custom.
        pictures: Pictures of the best and the worst images; None for none.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    scores = evaluation.scores
    leading = evaluation.summaries[0] if evaluation.summaries else None
    order = ranked(scores, leading) if leading else []
    known = {each.metric: each for each in evaluation.summaries}
    has_pixels = any(each.pixels for each in evaluation.ranges)
    write_page(
        path,
        "report.html",
        run=evaluation,
        words=wording,
        leading=leading,
        headline=[known[name] for name in headline(metric_names(evaluation))],
        short=shortlist(metric_names(evaluation)),
        scenes=scene_count([score.scene for score in scores]),
        fewest=FEWEST,
        items=shown_images(evaluation, pictures) if order and pictures is not None else None,
        ranked=len(order),
        formulas=list(_formulas(evaluation)),
        histograms=list(_spread(evaluation)),
        ranges=error_against_depth(evaluation.ranges) if has_pixels else None,
        certainty=list(_certainty(evaluation)),
        table=scores if len(scores) <= LONGEST_TABLE else order[: -WORST - 1 : -1],
        has_scale=any(score.scale is not None for score in scores),
        has_shift=any(score.shift is not None for score in scores),
        has_notes=any(score.notes for score in scores),
    )


def _spread(evaluation: Evaluation) -> Iterator[Chart]:
    """Histograms of the usual metrics, and the first along the dataset."""
    short = shortlist(metric_names(evaluation))
    for place, each in enumerate(evaluation.summaries):
        name, scores = each.metric, evaluation.scores
        values = np.array([score.values[name] for score in scores if name in score.values])
        if name in short and values.size:
            yield histogram(each, values)
        if place == 0 and values.size:
            yield sequence(each, values)


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
