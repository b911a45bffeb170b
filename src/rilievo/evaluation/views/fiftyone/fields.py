"""Fields of the dataset, and their display."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from types import ModuleType
from typing import Any

import numpy as np

from rilievo.depth_map import DepthKind, DepthMap
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.tables.wording import head
from rilievo.evaluation.views.rows import (
    DISAGREEMENT,
    TRUE_DEPTH,
    TRUE_NORMALS,
    metric_field,
    normals_field,
)
from rilievo.evaluation.views.view_items import ModelColumn, ViewItems
from rilievo.frozen import frozen
from rilievo.io.colour_pictures import ColourRange, Drawn, colourise

KEY = "image_id"

_STOPS = 33
_WHAT = {
    DepthKind.METRIC: "depth in metres",
    DepthKind.UP_TO_SCALE: "depth up to one factor",
    DepthKind.AFFINE: "depth up to a factor and a shift",
    DepthKind.AFFINE_INVERSE: "inverse depth up to a factor and a shift",
}
SAVED = 50


@frozen
class _MapField:
    """Field of heat maps; ``falling`` makes the smallest value bright."""

    path: str
    description: str
    falling: bool


def _map_fields(items: ViewItems) -> Iterator[_MapField]:
    """Heat maps: true depth, then each model's depth."""
    yield _MapField(
        path=TRUE_DEPTH, description="true depth; the pixel's number is mm", falling=True
    )
    for column in items.columns:
        if column.kind is not None:
            yield _MapField(
                path=column.field,
                description=f"{column.label}: {_WHAT[column.kind]}",
                falling=column.kind is not DepthKind.AFFINE_INVERSE,
            )


def _fields_without_depth(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Fields of metrics of models without depth."""
    for column in items.columns:
        if column.kind is None and column.summaries:
            yield column.field, f"{column.label}: metrics"


def _picture_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Path and description of normals."""
    axes = "x right, y up, z towards the viewer: a wall head-on is light blue"
    yield TRUE_NORMALS, f"true normals; {axes}"
    for column in items.columns:
        if column.normals:
            yield normals_field(column), f"{column.label}: normals; {axes}"


def _number_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Path and description of intrinsics, disagreement, metrics."""
    for name in ("fx", "fy"):
        yield name, f"focal length {name} [px]"
    for name in ("cx", "cy"):
        yield name, f"principal point {name} [px]; the centre of the top-left pixel is 0"
    if len(items.columns) > 1:
        yield DISAGREEMENT, "1 - least rank correlation of two models' depth; 0 is the same order"
    for column in items.columns:
        yield from _metric_fields(column)


def _metric_fields(column: ModelColumn) -> Iterator[tuple[str, str]]:
    for summary in column.summaries:
        yield (
            metric_field(column, summary.metric),
            f"{head(summary)} of {column.label}; {summary.better} is better",
        )


def declare(fiftyone: ModuleType, dataset: Any, items: ViewItems, held: AbstractSet[str]) -> None:
    """Add fields that rows hold and the dataset lacks."""
    text, number = {"ftype": fiftyone.StringField}, {"ftype": fiftyone.FloatField}
    heat_map = {"ftype": fiftyone.EmbeddedDocumentField, "embedded_doc_type": fiftyone.Heatmap}
    notes = {"ftype": fiftyone.ListField, "subfield": fiftyone.StringField}
    declarations: list[tuple[str, str, dict[str, Any]]] = [
        (KEY, "of the image in its dataset", text),
        ("split", "of the dataset", text),
        ("notes", "notes, and parts that could not be shown", notes),
        *((map_field.path, map_field.description, heat_map) for map_field in _map_fields(items)),
        *((path, about, heat_map) for path, about in _fields_without_depth(items)),
        *((path, about, text) for path, about in _picture_fields(items)),
        *((path, about, number) for path, about in _number_fields(items)),
    ]
    schema = dataset.get_field_schema(flat=True)
    for path, about, kind in declarations:
        if path in held and path not in schema:
            dataset.add_sample_field(path, description=about, **kind)
            for attribute, ftype in _coding_attributes(fiftyone) if kind is heat_map else ():
                dataset.add_sample_field(f"{path}.{attribute}", ftype)


def paths_of(items: ViewItems) -> frozenset[str]:
    """All fields that only some rows hold."""
    return frozenset(
        [
            *(map_field.path for map_field in _map_fields(items)),
            *(path for path, _ in _fields_without_depth(items)),
            *(path for path, _ in _picture_fields(items)),
            *(path for path, _ in _number_fields(items)),
        ]
    )


def _coding_attributes(fiftyone: ModuleType) -> tuple[tuple[str, Any], ...]:
    """Attributes of a heat map, which code its values."""
    text, number = fiftyone.StringField, fiftyone.FloatField
    return (("kind", text), ("unit", text), ("scale", number), ("offset", number))


def arrange(fiftyone: ModuleType, dataset: Any, items: ViewItems) -> None:
    """Configure the display of fields; the user's settings stay."""
    config, schema = dataset.app_config, dataset.get_field_schema()
    config.media_fields = [
        *config.media_fields,
        *(
            path
            for path, _ in _picture_fields(items)
            if path in schema and path not in config.media_fields
        ),
    ]
    scheme = config.color_scheme
    if scheme is None:
        # FiftyOne colours by field, so a heat map would have one colour in different strengths.
        scheme = fiftyone.ColorScheme(color_by="value", opacity=0.9)
    scales = list(scheme.colorscales or [])
    there = {item["path"] for item in scales}
    # Entries of their own, so that the user's fields keep their colours.
    scales += [
        colour_scale(item.path, falling=item.falling)
        for item in _map_fields(items)
        if item.path in schema and item.path not in there
    ]
    scheme.colorscales = scales
    config.color_scheme = scheme
    if config.active_fields is None:
        config.active_fields = fiftyone.ActiveFields(paths=_initial_fields(items))
    dataset.save()


def _initial_fields(items: ViewItems) -> list[str]:
    """Fields shown first."""
    maps = [column.field for column in items.columns if column.kind is not None][:1]
    return maps or [TRUE_DEPTH]


def colour_scale(path: str, *, falling: bool) -> dict[str, Any]:
    """Viridis for one field; bright at 0 if ``falling``."""
    # FiftyOne documents "list"; the app draws from "rgb" alone, which only its own queries add.
    stops = _viridis_colours(_STOPS, falling=falling)
    return {
        "path": path,
        "list": [
            {"value": place / (_STOPS - 1), "color": f"rgb({red}, {green}, {blue})"}
            for place, (red, green, blue) in enumerate(stops)
        ],
        "rgb": _viridis_colours(256, falling=falling),
    }


def _viridis_colours(count: int, *, falling: bool) -> list[list[int]]:
    ramp = np.linspace(0, 1, count, dtype=np.float32)[None]
    drawn = DepthMap(values=ramp[:, ::-1] if falling else ramp, kind=DepthKind.AFFINE)
    limits = ColourRange(low=0.0, high=1.0)
    return colourise(drawn, colour_map="viridis", limits=limits, what=Drawn.DEPTH)[0].tolist()


def save_views(dataset: Any, items: ViewItems) -> list[str]:
    """Save views such as the worst images, and return their names."""
    names = []
    for name, view in _saved_views(dataset, items):
        if dataset.has_saved_view(name):
            dataset.delete_saved_view(name)
        dataset.save_view(name, view)
        names.append(name)
    return names


def _saved_views(dataset: Any, items: ViewItems) -> Iterator[tuple[str, Any]]:
    everything = dataset.view()
    for column in items.columns:
        if not column.summaries:
            continue
        leading = column.summaries[0]
        field = metric_field(column, leading.metric)
        having = everything.exists(field)
        for word, down in (("worst", True), ("best", False)):
            if leading.better is Better.HIGHER:
                down = not down
            view = having.sort_by(field, reverse=down).limit(SAVED)
            yield f"{word} {SAVED}, {leading.label} of {column.label}", view
    if len(items.columns) > 1:
        having = everything.exists(DISAGREEMENT)
        yield "largest disagreement", having.sort_by(DISAGREEMENT, reverse=True).limit(SAVED)
