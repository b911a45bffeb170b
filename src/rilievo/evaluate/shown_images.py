"""The images that a report shows: the best and the worst, with what is seen of each."""

from collections.abc import Iterator, Sequence

from rilievo.errors import RilievoError
from rilievo.evaluate.badness import badness
from rilievo.evaluate.pictures import Pictures
from rilievo.evaluate.records import Evaluation, Score, Summary
from rilievo.evaluate.shortlist import shortlist
from rilievo.evaluate.table import metric_names
from rilievo.evaluate.wording import count, number, quantity
from rilievo.pages.pictures import Item, answer_panels, error_end, photo_panel, truth_panels

STRIP = 4
"""Images of each end."""
PREDICTION = "Prediction"


def ranked(scores: Sequence[Score], leading: Summary) -> list[Score]:
    """Images that have the leading metric, the best first."""
    having = [score for score in scores if leading.metric in score.values]
    return sorted(having, key=lambda score: badness(score.values[leading.metric], leading.better))


def shown_images(evaluation: Evaluation, pictures: Pictures) -> Iterator[Item]:
    """The worst and the best images by the leading metric; each is read when it is drawn."""
    order = list(enumerate(ranked(evaluation.scores, evaluation.summaries[0]), start=1))
    worst = order[: -STRIP - 1 : -1]
    best = [each for each in order[:STRIP] if each not in worst]
    for rank, score in (*worst, *best):
        yield _item(evaluation, pictures, score, rank, len(order))


def usual_error(evaluations: Sequence[Evaluation]) -> float:
    """Relative error with the last colour in all maps of one page."""
    summaries = [each for run in evaluations for each in run.summaries]
    return error_end([each.median for each in summaries if each.metric == "abs_rel"])


def _item(evaluation: Evaluation, pictures: Pictures, score: Score, rank: int, images: int) -> Item:
    panels, fault, id = [], None, score.id
    try:
        truth = pictures.truth(id)
        end = usual_error([evaluation])
        on_normals = evaluation.task == "normals"
        panels = [photo_panel(pictures.photo(id))]
        panels += truth_panels(truth, depth=not on_normals, normals=on_normals)
        panels += answer_panels(PREDICTION, pictures.depth(id), pictures.normals(id), truth, end)
    except RilievoError as error:
        panels, fault = [], str(error)
    leading = evaluation.summaries[0]
    return Item(
        name=id,
        label="best" if 2 * rank <= images + 1 else "worst",
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
