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
from rilievo.evaluation.views.heat_maps import Limits, heat_map_limits, heat_maps, write_heat_map
from rilievo.evaluation.views.view_items import ModelColumn, ViewItem, ViewItems, item_notes
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.map_pictures import DEPTH_COLOURS, invalid_colour, normals_picture
from rilievo.io.png import write_png
from rilievo.records.depth_map import DepthMap

TRUE_DEPTH, TRUE_NORMALS, DISAGREEMENT = "true_depth", "true_normals", "disagreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMap:
    """Heat map on disk."""

    path: Path
    limits: Limits
    kind: str
    unit: str
    scale: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRow:
    """One image: photograph, pictures and numbers by field, notes."""

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


def write_row(items: ViewItems, id: str, folder: Path) -> ViewRow:
    """Read one image, write its pictures, and return its row."""
    item = items.read(id)
    height, width, _ = item.photo.shape
    file = items.images.photo_file(id) or _write_picture(item.photo, folder, "photographs", id)
    return ViewRow(
        id=id,
        file=file,
        mime=mimetypes.guess_type(file.name)[0] or "image/png",
        width=width,
        height=height,
        split=items.images.split,
        maps=_write_maps(item, folder),
        pictures=dict(_write_normals(item, folder)),
        numbers=dict(_numbers_by_field(item)),
        notes=tuple(item_notes(item)),
        faults=tuple(
            note_about(answer.column.label, answer.fault) for answer in item.shown if answer.fault
        ),
    )


def metric_field(column: ModelColumn, metric: str) -> str:
    """Field of a model's metric, such as ``dpt.rmse``."""
    return f"{column.field}.{metric}"


def normals_field(column: ModelColumn) -> str:
    """Field of a model's normals."""
    return f"{column.field}_normals"


def _picture_path(folder: Path, field: str, id: str, suffix: str) -> Path:
    """Absolute path; makes its folder."""
    path = folder.absolute() / field / f"{id}{suffix}"
    make_folder(path.parent)
    return path


def _write_maps(item: ViewItem, folder: Path) -> Mapping[str, StoredMap]:
    depths = dict(_depth_by_field(item))
    skies = {entry.column.field: entry.seen.sky for entry in item.shown if entry.seen is not None}
    maps = heat_maps(list(depths.values()))
    coded = {
        field: replace(entry, sky=skies.get(field))
        for field, entry in zip(depths, maps, strict=True)
    }
    stored = {}
    for field, this in coded.items():
        alike = [
            entry
            for entry in coded.values()
            if (entry.kind, entry.coding) == (this.kind, this.coding)
        ]
        is_comparable = this.unit != "step"
        path = _picture_path(folder, field, item.id, ".png")
        write_heat_map(path, this)
        stored[field] = StoredMap(
            path=path,
            limits=heat_map_limits(alike, coded.get(TRUE_DEPTH))
            if is_comparable
            else heat_map_limits([this]),
            kind=this.kind.value,
            unit=this.unit,
            scale=this.coding.scale,
            offset=this.coding.offset,
        )
    return stored


def _depth_by_field(item: ViewItem) -> Iterator[tuple[str, DepthMap]]:
    true = item.true_depth
    if true is not None and true.valid.any():
        yield TRUE_DEPTH, true
    for answer in item.shown:
        if answer.seen is not None and answer.seen.depth_or_none is not None:
            yield answer.column.field, answer.seen.depth


def _write_normals(item: ViewItem, folder: Path) -> Iterator[tuple[str, Path]]:
    truth = item.truth
    if truth is not None and truth.normals is not None and truth.normals_valid is not None:
        picture = normals_picture(truth.normals)
        picture[~truth.normals_valid] = invalid_colour(DEPTH_COLOURS)
        yield TRUE_NORMALS, _write_picture(picture, folder, TRUE_NORMALS, item.id)
    for answer in item.shown:
        if answer.seen is not None and answer.seen.normals is not None:
            field, picture = normals_field(answer.column), normals_picture(answer.seen.normals)
            yield field, _write_picture(picture, folder, field, item.id)


def _write_picture(picture: Pixels, folder: Path, field: str, id: str) -> Path:
    path = _picture_path(folder, field, id, ".png")
    with replacing(path) as part:
        write_png(part, picture, {"Software": "rilievo"})
    return path


def _numbers_by_field(item: ViewItem) -> Iterator[tuple[str, float]]:
    if item.camera is not None:
        K = item.camera.needs_pinhole("a view of intrinsics")
        for name, place in (("fx", (0, 0)), ("fy", (1, 1)), ("cx", (0, 2)), ("cy", (1, 2))):
            yield name, float(K[place])
    if (differing := item.disagreement) is not None:
        yield DISAGREEMENT, differing
    for answer in item.shown:
        score = answer.column.scores.get(item.id)
        for metric, value in {} if score is None else score.values.items():
            yield metric_field(answer.column, metric), float(value)
