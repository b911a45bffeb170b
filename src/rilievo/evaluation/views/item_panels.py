"""Pictures of one image side by side: photograph, truth, and each model's prediction and error."""

from collections.abc import Iterator
from dataclasses import replace

from rilievo.evaluation.views.view_items import ViewItem, WrittenPicture
from rilievo.io.map_pictures import DEPTH_COLOURS
from rilievo.pages.pictures import (
    Legend,
    Panel,
    PredictedMaps,
    choose_max_error,
    comparison_panels,
    photo_panel,
)


def item_panels(item: ViewItem) -> Iterator[Panel]:
    """Yield the pictures of one image: photograph, truth, each model's prediction and error."""
    yield photo_panel(item.photo)
    columns = [result.column for result in item.results]
    # Without models, the page shows all truth that there is.
    shows_depth = not columns or any(column.kind is not None for column in columns)
    shows_normals = not columns or any(column.has_normals for column in columns)
    median_errors = [
        summary.median
        for column in columns
        for summary in column.summaries
        if summary.metric == "abs_rel"
    ]
    predictions = {
        result.column.label: PredictedMaps(
            depth=result.prediction.depth_or_none,
            normals=result.prediction.normals,
            sky=result.prediction.sky,
        )
        for result in item.results
        if result.prediction is not None
    }
    yield from comparison_panels(
        item.truth,
        predictions,
        choose_max_error(median_errors),
        depth=shows_depth,
        normals=shows_normals,
    )
    for result in item.results:
        for picture in result.pictures:
            yield _picture_panel(result.column.label, picture)


def _picture_panel(model: str, picture: WrittenPicture) -> Panel:
    """Panel of a picture that ``rilievo predict`` wrote, with a legend for its usual colours."""
    metadata = picture.metadata
    title = model if metadata.output == "colour" else f"{model}, {metadata.output}"
    panel = photo_panel(picture.pixels, title)
    has_default_colours = metadata.colour is not None and metadata.colour.map == DEPTH_COLOURS
    legend = Legend(ramp="depth", marks=("far", "near")) if has_default_colours else None
    return replace(panel, description=f"{title}: {metadata.holds}", legend=legend, model=model)
