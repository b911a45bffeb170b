"""The fields of a dataset, declared before the first sample, and how the app shows them."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from rilievo.io.colour import ColourRange, Drawn, colourise
from rilievo.types import DepthKind, DepthMap
from rilievo.views.exhibition import Column, Exhibition
from rilievo.views.rows import (
    DISAGREEMENT,
    TRUE_DEPTH,
    TRUE_NORMALS,
    metric_field,
    normals_field,
)

KEY = "image_id"
"""The field by which a sample is found again; indexed."""

_STOPS = 33
_WHAT = {
    DepthKind.METRIC: "depth in metres",
    DepthKind.UP_TO_SCALE: "depth up to one factor",
    DepthKind.AFFINE: "depth up to a factor and a shift",
    DepthKind.AFFINE_INVERSE: "inverse depth up to a factor and a shift",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MapField:
    """A field of heat maps: near is bright in all of them.

    Attributes:
        path: Its name.
        description: For the app.
        falling: Whether bright is the smallest number, as where numbers are depth.
    """

    path: str
    description: str
    falling: bool


def map_fields(exhibition: Exhibition) -> Iterator[MapField]:
    """Of the truth and of all models."""
    yield MapField(
        path=TRUE_DEPTH, description="true depth; the pixel's number is mm", falling=True
    )
    for column in exhibition.columns:
        if column.kind is not None:
            yield MapField(
                path=column.field,
                description=f"{column.label}: {_WHAT[column.kind]}",
                falling=column.kind is not DepthKind.AFFINE_INVERSE,
            )


def picture_fields(exhibition: Exhibition) -> Iterator[tuple[str, str]]:
    """Fields of pictures to be looked at in place of the photograph, and what they show."""
    axes = "x right, y up, z towards the viewer: a wall head-on is light blue"
    yield TRUE_NORMALS, f"true normals; {axes}"
    for column in exhibition.columns:
        if column.normals:
            yield normals_field(column), f"{column.label}: normals; {axes}"


def number_fields(exhibition: Exhibition) -> Iterator[tuple[str, str]]:
    """Fields of numbers, and what they are."""
    for name in ("fx", "fy"):
        yield name, f"focal length {name} [px]"
    for name in ("cx", "cy"):
        yield name, f"principal point {name} [px]; the centre of the top-left pixel is 0"
    if len(exhibition.columns) > 1:
        yield DISAGREEMENT, "1 - least rank correlation of two models' depth; 0 is the same order"
    for column in exhibition.columns:
        yield from metric_fields(column)


def metric_fields(column: Column) -> Iterator[tuple[str, str]]:
    """Of one model's metrics."""
    for each in column.summaries:
        unit = f" [{each.unit}]" if each.unit else ""
        yield (
            metric_field(column, each.metric),
            f"{each.label}{unit} of {column.label}; {each.better} is better",
        )


def declare(
    fiftyone: ModuleType, dataset: Any, exhibition: Exhibition, held: AbstractSet[str]
) -> None:
    """Add the fields that some row holds and the dataset has not yet, with what they mean."""
    text, number = {"ftype": fiftyone.StringField}, {"ftype": fiftyone.FloatField}
    heat_map = {"ftype": fiftyone.EmbeddedDocumentField, "embedded_doc_type": fiftyone.Heatmap}
    notes = {"ftype": fiftyone.ListField, "subfield": fiftyone.StringField}
    known: list[tuple[str, str, dict[str, Any]]] = [
        (KEY, "of the image in its dataset", text),
        ("split", "of the dataset", text),
        ("notes", "what deserves a look, and what could not be shown", notes),
        *((each.path, each.description, heat_map) for each in map_fields(exhibition)),
        *((path, about, text) for path, about in picture_fields(exhibition)),
        *((path, about, number) for path, about in number_fields(exhibition)),
    ]
    schema = dataset.get_field_schema()
    for path, about, kind in known:
        if path in held and path not in schema:
            dataset.add_sample_field(path, description=about, **kind)
            for attribute, ftype in _attributes(fiftyone) if kind is heat_map else ():
                dataset.add_sample_field(f"{path}.{attribute}", ftype)


def paths_of(exhibition: Exhibition) -> frozenset[str]:
    """All fields that rows of this exhibition may hold, besides those of every row."""
    return frozenset(
        [
            *(each.path for each in map_fields(exhibition)),
            *(path for path, _ in picture_fields(exhibition)),
            *(path for path, _ in number_fields(exhibition)),
        ]
    )


def _attributes(fiftyone: ModuleType) -> tuple[tuple[str, Any], ...]:
    """Of a heat map: what its stored numbers are."""
    text, number = fiftyone.StringField, fiftyone.FloatField
    return (("kind", text), ("unit", text), ("scale", number), ("offset", number))


def arrange(fiftyone: ModuleType, dataset: Any, exhibition: Exhibition) -> None:
    """Tell the app how to show the fields; what the user set before stays.

    Heat maps get viridis each by its own entry, so that fields of the user's keep their colours.
    """
    config, schema = dataset.app_config, dataset.get_field_schema()
    config.media_fields = [
        *config.media_fields,
        *(
            path
            for path, _ in picture_fields(exhibition)
            if path in schema and path not in config.media_fields
        ),
    ]
    scheme = config.color_scheme
    if scheme is None:
        # FiftyOne colours by field, where a heat map is one colour with more or less of it.
        scheme = fiftyone.ColorScheme(color_by="value", opacity=0.9)
    known = list(scheme.colorscales or [])
    there = {each["path"] for each in known}
    known += [
        colour_scale(each.path, falling=each.falling)
        for each in map_fields(exhibition)
        if each.path in schema and each.path not in there
    ]
    scheme.colorscales = known
    config.color_scheme = scheme
    if config.active_fields is None:
        config.active_fields = fiftyone.ActiveFields(paths=_first_look(exhibition))
    dataset.save()


def _first_look(exhibition: Exhibition) -> list[str]:
    """One heat map, since several would hide one another, and the leading metric of each model."""
    columns = exhibition.columns
    maps = [column.field for column in columns if column.kind is not None][:1]
    leading = [
        metric_field(column, column.summaries[0].metric) for column in columns if column.summaries
    ]
    return [*(maps or [TRUE_DEPTH]), *leading]


def colour_scale(path: str, *, falling: bool) -> dict[str, Any]:
    """Viridis of one field as FiftyOne takes it, bright at 0 where numbers fall towards us.

    FiftyOne documents the stops in ``list``. A session hands an entry on as it is stored, and the
    app paints from ``rgb`` alone, which only the server's own queries add.
    """
    stops = _viridis(_STOPS, falling=falling)
    return {
        "path": path,
        "list": [
            {"value": place / (_STOPS - 1), "color": f"rgb({red}, {green}, {blue})"}
            for place, (red, green, blue) in enumerate(stops)
        ],
        "rgb": _viridis(256, falling=falling),
    }


def _viridis(count: int, *, falling: bool) -> list[list[int]]:
    ramp = np.linspace(0, 1, count, dtype=np.float32)[None]
    drawn = DepthMap(values=ramp[:, ::-1] if falling else ramp, kind=DepthKind.AFFINE)
    return colourise(drawn, limits=ColourRange(low=0.0, high=1.0), what=Drawn.DEPTH)[0].tolist()
