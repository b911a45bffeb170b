"""The images that a report shows: which, and what is seen of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import RilievoError
from rilievo.evaluate.badness import badness
from rilievo.evaluate.pictures import Pictures
from rilievo.evaluate.records import Evaluation, Score, Summary
from rilievo.evaluate.thumbnails import (
    depth_limits,
    depth_uri,
    gradient,
    normals_uri,
    number_uri,
    photo_uri,
    shrunk_depth,
)
from rilievo.io.colour import ColourRange
from rilievo.io.palette import ANGLE_COLOURS, DEPTH_COLOURS, SIGNED_COLOURS
from rilievo.types import Truth

GROUP = 5
"""Images of each group."""

_WORST_ANGLE = 45.0
# A map of errors ends at the first of these that leaves room for three times the usual error.
_ERROR_ENDS = (0.05, 0.1, 0.25, 0.5, 1.0)
_USUAL_END = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """Meaning of the colours of a picture.

    Attributes:
        gradient: A background of CSS.
        marks: Labels at even distances, the first at the left end.
    """

    gradient: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture of an image.

    Attributes:
        title: Title above the picture.
        uri: The picture itself.
        words: Description of the picture, for screen readers.
        legend: None where its colours are no numbers.
    """

    title: str
    uri: str
    words: str
    legend: Legend | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One image.

    Attributes:
        score: Score of the image.
        rank: Rank among all images, 1 for the best.
        panels: Pictures of the image.
        fault: Reason why it cannot be shown; None if it can.
    """

    score: Score
    rank: int
    panels: tuple[Panel, ...]
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Images of one sort."""

    title: str
    exhibits: tuple[Exhibit, ...]


def ranked(scores: Sequence[Score], leading: Summary) -> list[Score]:
    """Images that have the leading metric, the best first."""
    having = [score for score in scores if leading.metric in score.values]
    return sorted(having, key=lambda score: badness(score.values[leading.metric], leading.better))


def groups(evaluation: Evaluation, pictures: Pictures) -> Iterator[Group]:
    """Best, median and worst images by the leading metric; each is read when it is drawn."""
    order = ranked(evaluation.scores, evaluation.summaries[0])
    numbered = list(enumerate(order, start=1))
    middle = (len(order) - GROUP) // 2
    parts = (
        ("Best", numbered[:GROUP]),
        ("Around the median", numbered[middle : middle + GROUP]),
        ("Worst", numbered[: -GROUP - 1 : -1]),
    )
    if len(order) <= 3 * GROUP:
        parts = (("All images, the best first", numbered),)
    for title, part in parts:
        exhibits = (_exhibit(evaluation, pictures, score, rank) for rank, score in part)
        yield Group(title=title, exhibits=tuple(exhibits))


def _exhibit(evaluation: Evaluation, pictures: Pictures, score: Score, rank: int) -> Exhibit:
    try:
        photo = pictures.photo(score.id)
        panels = [Panel(title="Photograph", uri=photo_uri(photo), words=f"Photograph {score.id}")]
        truth = pictures.truth(score.id)
        predicted, normals = pictures.depth(score.id), pictures.normals(score.id)
        if evaluation.task == "normals":
            panels += _normals_panels(truth, normals)
        else:
            panels += _depth_panels(truth, predicted, error_end(evaluation))
    except RilievoError as error:
        return Exhibit(score=score, rank=rank, panels=(), fault=str(error))
    return Exhibit(score=score, rank=rank, panels=tuple(panels))


def error_end(evaluation: Evaluation) -> float:
    """The relative error that gets the last colour, the same in all maps of one report."""
    usual = [each.median for each in evaluation.summaries if each.metric == "abs_rel"]
    if not usual:
        return _USUAL_END
    return next((end for end in _ERROR_ENDS if end >= 3 * usual[0]), _ERROR_ENDS[-1])


def _depth_panels(truth: Truth, predicted: DepthMap | None, end: float) -> Iterator[Panel]:
    true = None
    if truth.depth is not None and truth.depth_valid is not None:
        true = DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)
    if true is not None:
        small = shrunk_depth(true)
        yield _depth_panel("True depth", small, depth_limits(small))
    if predicted is None:
        return
    small = shrunk_depth(predicted)
    comparable = true is not None and predicted.kind is DepthKind.METRIC
    limits = depth_limits(shrunk_depth(true)) if true is not None and comparable else None
    yield _depth_panel("Predicted depth", small, limits or depth_limits(small))
    if true is not None and comparable:
        both = true.valid & predicted.valid
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            error = np.where(both, predicted.values / true.values - 1, 0)
        limits = ColourRange(low=-end, high=end)
        yield Panel(
            title="Error",
            uri=number_uri(error, both, limits, SIGNED_COLOURS),
            words="Map of the relative error: blue is too near, red is too far",
            legend=Legend(
                gradient=gradient(SIGNED_COLOURS),
                marks=(f"−{100 * end:.0f} % too near", f"+{100 * end:.0f} % too far"),
            ),
        )


def _depth_panel(title: str, small: DepthMap, limits: ColourRange) -> Panel:
    marks = ("far", "near")
    if small.kind is DepthKind.METRIC and limits.low > 0:
        middle = 2 / (limits.low + limits.high)
        marks = tuple(f"{metres:.3g} m" for metres in (1 / limits.low, middle, 1 / limits.high))
    return Panel(
        title=title,
        uri=depth_uri(small, limits),
        words=f"{title} in colours, from {marks[0]} to {marks[-1]}",
        legend=Legend(gradient=gradient(DEPTH_COLOURS), marks=marks),
    )


def _normals_panels(truth: Truth, predicted: Float[np.ndarray, "3 h w"] | None) -> Iterator[Panel]:
    true, valid = truth.normals, truth.normals_valid
    if true is None or valid is None:
        return
    yield Panel(title="True normals", uri=normals_uri(true, valid), words="True normals in colours")
    if predicted is None:
        return
    with np.errstate(invalid="ignore"):
        given = np.asarray(np.square(predicted).sum(axis=0) > 0.5)
    yield Panel(
        title="Predicted normals",
        uri=normals_uri(predicted, given),
        words="Predicted normals in colours",
    )
    known = valid & given
    cosine = np.where(known, np.einsum("chw,chw->hw", true, predicted), 0)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    yield Panel(
        title="Error",
        uri=number_uri(angle, known, ColourRange(low=0.0, high=_WORST_ANGLE), ANGLE_COLOURS),
        words=f"Map of the angle between both, from 0° to {_WORST_ANGLE:.0f}° and more",
        legend=Legend(
            gradient=gradient(ANGLE_COLOURS),
            marks=("0°", f"{_WORST_ANGLE / 2:g}°", f"{_WORST_ANGLE:.0f}°+"),
        ),
    )
