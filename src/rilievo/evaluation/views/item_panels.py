"""Pictures of one image side by side: photograph, truth, and each model's prediction and error."""

from collections.abc import Iterator
from dataclasses import replace

from rilievo.evaluation.views.view_items import ViewItem, ViewItems, WrittenPicture
from rilievo.io.map_pictures import DEPTH_COLOURS
from rilievo.pages.pictures import (
    Answer,
    Legend,
    Panel,
    comparison_panels,
    end_of_error_colours,
    photo_panel,
)


def item_panels(items: ViewItems, item: ViewItem) -> Iterator[Panel]:
    """Yield the pictures of one image: photograph, truth, each model's prediction and error."""
    yield photo_panel(item.photo)
    columns = items.columns
    shows_depth = not columns or any(column.kind is not None for column in columns)
    shows_normals = not columns or any(column.normals for column in columns)
    medians = [
        summary.median
        for column in columns
        for summary in column.summaries
        if summary.metric == "abs_rel"
    ]
    answers = {
        answer.column.label: Answer(
            depth=answer.prediction.depth_or_none,
            normals=answer.prediction.normals,
            sky=answer.prediction.sky,
        )
        for answer in item.answers
        if answer.prediction is not None
    }
    yield from comparison_panels(
        item.truth,
        answers,
        end_of_error_colours(medians),
        depth=shows_depth,
        normals=shows_normals,
    )
    for answer in item.answers:
        for picture in answer.pictures:
            yield _picture_panel(answer.column.label, picture)


def _picture_panel(model: str, picture: WrittenPicture) -> Panel:
    """Panel of a picture that ``rilievo predict`` wrote, with a legend for its usual colours."""
    facts = picture.facts
    title = model if facts.output == "colour" else f"{model}, {facts.output}"
    panel = photo_panel(picture.pixels, title)
    has_default_colours = facts.colour is not None and facts.colour.map == DEPTH_COLOURS
    legend = Legend(ramp="depth", marks=("far", "near")) if has_default_colours else None
    return replace(panel, words=f"{title}: {facts.holds}", legend=legend, model=model)
