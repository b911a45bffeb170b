"""One image as a row of a viewer's table.

Heat maps are 16-bit grey: value = stored * scale + offset; a stored 0 has no depth, and viewers
show it transparent. Metres are stored in whole mm, beyond 65.5 m in cm, then dm.
"""

import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.errors.messages import note_about
from rilievo.evaluation.views.heat_maps import (
    Limits,
    has_same_coding,
    heat_map_limits,
    heat_maps,
    write_heat_map,
)
from rilievo.evaluation.views.view_items import ModelColumn, ViewItem, ViewItems, item_notes
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.map_pictures import DEPTH_COLOURS, invalid_colour, normals_picture
from rilievo.io.png import write_png
from rilievo.records.depth_map import DepthMap

TRUE_DEPTH, TRUE_NORMALS, DISAGREEMENT = "true_depth", "true_normals", "disagreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMap:
    """A heat map on disk, and how its numbers are coded (``HeatMap``)."""

    path: Path
    limits: Limits
    kind: str
    unit: str
    scale: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRow:
    """One image as a row of a viewer's table.

    Attributes:
        file: Photograph on disk.
        mime: Media type of that file.
        width: Width of the photograph [px], as ``height``.
        maps: Heat map of each field, where a field is a named column of the table.
        pictures: Picture of each field.
        numbers: Numeric value of each field, such as a metric or a focal length.
        faults: Messages on predictions that cannot be shown.
    """

    id: str
    file: Path
    mime: str
    width: int
    height: int
    split: str | None
    maps: Mapping[str, StoredMap]
    pictures: Mapping[str, Path]
    numbers: Mapping[str, float]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def write_row(items: ViewItems, image_id: str, folder: Path) -> ViewRow:
    """Read one image, write its pictures into a folder, and return its row."""
    item = items.read(image_id)
    height, width, _ = item.photo.shape
    file = items.images.photo_file(image_id)
    if file is None:
        file = _write_picture(item.photo, folder, "photographs", image_id)
    faults = [
        note_about(result.column.label, result.fault) for result in item.results if result.fault
    ]
    return ViewRow(
        id=image_id,
        file=file,
        mime=mimetypes.guess_type(file.name)[0] or "image/png",
        width=width,
        height=height,
        split=items.images.split,
        maps=_write_maps(item, folder),
        pictures=dict(_write_normals(item, folder)),
        numbers=dict(_numbers_by_field(item)),
        notes=tuple(item_notes(item)),
        faults=tuple(faults),
    )


def metric_field(column: ModelColumn, metric: str) -> str:
    """Name of the field of a model's metric, such as ``dpt.rmse``."""
    return f"{column.field}.{metric}"


def normals_field(column: ModelColumn) -> str:
    """Name of the field of a model's normals."""
    return f"{column.field}_normals"


def _make_picture_path(folder: Path, field: str, image_id: str) -> Path:
    path = folder.absolute() / field / f"{image_id}.png"
    make_folder(path.parent)
    return path


def _write_maps(item: ViewItem, folder: Path) -> Mapping[str, StoredMap]:
    """Write the heat maps of true and predicted depth, by field.

    Maps in the same unit share their limits, so that their colours can be compared.
    """
    depth_by_field = dict(_depth_by_field(item))
    sky_by_field = {
        result.column.field: result.prediction.sky
        for result in item.results
        if result.prediction is not None
    }
    maps = {
        field: replace(heat_map, sky=sky_by_field.get(field))
        for field, heat_map in zip(
            depth_by_field, heat_maps(list(depth_by_field.values())), strict=True
        )
    }
    stored = {}
    for field, heat_map in maps.items():
        path = _make_picture_path(folder, field, item.id)
        write_heat_map(path, heat_map)
        # The steps of relative depth mean something else in each map.
        if heat_map.unit == "step":
            limits = heat_map_limits([heat_map])
        else:
            comparable = [other for other in maps.values() if has_same_coding(other, heat_map)]
            limits = heat_map_limits(comparable, maps.get(TRUE_DEPTH))
        stored[field] = StoredMap(
            path=path,
            limits=limits,
            kind=heat_map.kind.value,
            unit=heat_map.unit,
            scale=heat_map.coding.scale,
            offset=heat_map.coding.offset,
        )
    return stored


def _depth_by_field(item: ViewItem) -> Iterator[tuple[str, DepthMap]]:
    """Yield the true depth and each model's depth, with the names of their fields."""
    true_depth = item.true_depth
    if true_depth is not None and true_depth.valid.any():
        yield TRUE_DEPTH, true_depth
    for result in item.results:
        if result.prediction is not None and result.prediction.depth_or_none is not None:
            yield result.column.field, result.prediction.depth


def _write_normals(item: ViewItem, folder: Path) -> Iterator[tuple[str, Path]]:
    """Write pictures of true and predicted normals, and yield their fields and paths."""
    truth = item.truth
    if truth is not None and truth.normals is not None and truth.normals_valid is not None:
        picture = normals_picture(truth.normals)
        picture[~truth.normals_valid] = invalid_colour(DEPTH_COLOURS)
        yield TRUE_NORMALS, _write_picture(picture, folder, TRUE_NORMALS, item.id)
    for result in item.results:
        if result.prediction is not None and result.prediction.normals is not None:
            field = normals_field(result.column)
            picture = normals_picture(result.prediction.normals)
            yield field, _write_picture(picture, folder, field, item.id)


def _write_picture(picture: Pixels, folder: Path, field: str, image_id: str) -> Path:
    """Write a picture as PNG below the folder of its field, and return its path."""
    path = _make_picture_path(folder, field, image_id)
    with replacing(path) as temporary:
        write_png(temporary, picture, {"Software": "rilievo"})
    return path


def _numbers_by_field(item: ViewItem) -> Iterator[tuple[str, float]]:
    """Yield the intrinsics [px], the models' disagreement and the metrics, by field."""
    if item.camera is not None:
        K = item.camera.needs_pinhole("a view of intrinsics")
        yield "fx", float(K[0, 0])
        yield "fy", float(K[1, 1])
        yield "cx", float(K[0, 2])
        yield "cy", float(K[1, 2])
    disagreement = item.disagreement
    if disagreement is not None:
        yield DISAGREEMENT, disagreement
    for result in item.results:
        score = result.column.scores.get(item.id)
        if score is None:
            continue
        for metric, value in score.values.items():
            yield metric_field(result.column, metric), float(value)
