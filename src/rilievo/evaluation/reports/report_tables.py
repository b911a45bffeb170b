"""The tables of a report."""

from collections.abc import Callable, Sequence
from functools import partial

from rilievo.evaluation.records import Evaluation, RangeError, Score, Summary, Unscored
from rilievo.evaluation.tables.wording import column_head, count, interval, number
from rilievo.pages.tables import Content, Entry, Head, Table, heads

_METRICS = heads(
    *("metric", "value", "95 % interval", "mean of images", "median of images"),
    *("all pixels pooled", "images", "pixels"),
)
_PART = heads("metric", "value", "95 % interval", "median of images")


def metrics_table(evaluation: Evaluation) -> Table:
    """All metrics, averaged in each way."""
    return Table(
        heads=_METRICS,
        rows=tuple(
            (
                *_value(each),
                number(each.per_image),
                number(each.median),
                number(each.pooled),
                count(each.images),
                count(each.pixels),
            )
            for each in evaluation.summaries
        ),
    )


def part_table(summaries: Sequence[Summary], shown: Sequence[str]) -> Table:
    """The usual metrics of a part of the images, such as those indoors."""
    chosen = [each for each in summaries if each.metric in shown]
    return Table(heads=_PART, rows=tuple((*_value(each), number(each.median)) for each in chosen))


def ranges_table(ranges: Sequence[RangeError]) -> Table:
    """Errors by true depth."""
    return Table(
        heads=heads("true depth [m]", "pixels", "AbsRel", "bias"),
        rows=tuple(
            (
                f"{each.near:.3g} to {each.far:.3g}",
                count(each.pixels),
                number(each.abs_rel if each.pixels else None),
                number(each.bias if each.pixels else None),
            )
            for each in ranges
        ),
    )


def images_table(evaluation: Evaluation, scores: Sequence[Score]) -> Table:
    """One row an image; what no image has, gets no column."""
    columns: list[tuple[str, Callable[[Score], Content]]] = [("image", lambda score: score.id)]
    columns += [(_head(each), partial(_metric, each.metric)) for each in evaluation.summaries]
    columns.append(("pixels", lambda score: count(score.pixels)))
    columns.append(("with truth [%]", lambda score: f"{100 * score.true_share:.1f}"))
    if any(score.scale is not None for score in evaluation.scores):
        columns.append(("scale", lambda score: number(score.scale)))
    if any(score.shift is not None for score in evaluation.scores):
        columns.append(("shift", lambda score: number(score.shift)))
    if any(score.notes for score in evaluation.scores):
        columns.append(("notes", lambda score: Entry(text="; ".join(score.notes))))
    return Table(
        heads=heads(*(name for name, _ in columns), words=["notes"]),
        rows=tuple(tuple(of(score) for _, of in columns) for score in scores),
        is_sortable=True,
    )


def unscored_table(unscored: Sequence[Unscored]) -> Table:
    """Images without a score, with reasons."""
    return Table(
        heads=(Head(text="image"), Head(text="why", is_text=True)),
        rows=tuple((each.id, each.reason) for each in unscored),
    )


def _metric(name: str, score: Score) -> str:
    return number(score.values.get(name))


def _value(each: Summary) -> tuple[Content, ...]:
    return _head(each), Entry(text=number(each.value), is_best=True), interval(each)


def _head(each: Summary) -> str:
    return column_head(each.label, each.unit, each.better)
