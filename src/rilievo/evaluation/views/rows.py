"""One image as a row of a viewer's table: paths of pictures, ranges of colours, numbers.

Pictures are written here, so that a row contains all that a viewer needs.
"""

import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rilievo.errors import InputError
from rilievo.evaluation.views.heat_maps import HeatMap, Limits, heat_maps, limits_of, write_heat_map
from rilievo.evaluation.views.view_items import Column, ViewItem, ViewItems, disagreement, notes_of
from rilievo.io.colour_maps import DEPTH_COLOURS, invalid_colour
from rilievo.io.colour_pictures import normals_picture
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.png import write_png
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.types import DepthMap, MadeBy, Photo
from rilievo.version import VERSION

TRUE_DEPTH, TRUE_NORMALS, DISAGREEMENT = "true_depth", "true_normals", "disagreement"
_TRUTH = MadeBy(
    model="ground truth", weights_sha256="none", licence="see dataset", settings={}, version=VERSION
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """One point cloud.

    Attributes:
        label: Model that it belongs to, or the ground truth.
        path: PLY file in the camera frame, x right, y down, z forward.
    """

    label: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMap:
    """A heat map on disk.

    Attributes:
        path: Path of the 16-bit picture, where 0 means no depth.
        limits: Stored values that get the first and the last colour.
        kind: Kind of the values: value = stored * scale + offset.
    """

    path: Path
    limits: Limits
    kind: str
    unit: str
    scale: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image.

    Attributes:
        file: Path of the photograph: the original, or a lossless copy.
        width: Width of the photograph [px].
        height: Height of the photograph [px].
        split: Split of the dataset; None without one.
        pictures: Paths of further pictures, by field.
        numbers: Metrics, intrinsics [px] and disagreement, by field.
        notes: Notes about the image, and what could not be shown.
        surfaces: Point clouds; empty if none were asked for.
        faults: Parts that could not be shown, with the reason; included in the notes.
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
    surfaces: tuple[Surface, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Options of the pictures to write.

    Attributes:
        surface_points: Most points of a cloud; None for no clouds.
    """

    folder: Path
    surface_points: int | None = None


def write_row(items: ViewItems, id: str, media: Media) -> Row:
    """Read one image, write its pictures, and return its row."""
    item = items.read(id)
    height, width, _ = item.photo.shape
    file = items.images.photo_file(id) or _write_picture(
        item.photo, media.folder, "photographs", id
    )
    faults = [f"{each.column.label}: {each.fault}" for each in item.shown if each.fault]
    surfaces: tuple[Surface, ...] = ()
    lost: list[str] = []
    if media.surface_points is not None:
        points = media.folder / "points"
        surfaces = tuple(write_surfaces(item, points, media.surface_points, lost))
    return Row(
        id=id,
        file=file,
        mime=mimetypes.guess_type(file.name)[0] or "image/png",
        width=width,
        height=height,
        split=items.images.split,
        maps=_write_maps(item, media.folder),
        pictures=dict(_write_normals(item, media.folder)),
        numbers=dict(_numbers(item)),
        notes=(*lost, *notes_of(item)),
        surfaces=surfaces,
        faults=(*faults, *lost),
    )


def metric_field(column: Column, metric: str) -> str:
    """Field of one model's metric, such as ``dpt_hybrid_rmse``."""
    return f"{column.field}_{metric}"


def normals_field(column: Column) -> str:
    """Field of one model's normals."""
    return f"{column.field}_normals"


def _path(folder: Path, field: str, id: str, suffix: str) -> Path:
    path = folder.absolute() / field / f"{id}{suffix}"
    make_folder(path.parent)
    return path


def _write_maps(item: ViewItem, folder: Path) -> Mapping[str, StoredMap]:
    depths = dict(_depths(item))
    coded = dict(zip(depths, heat_maps(list(depths.values())), strict=True))
    return {field: _write_map(field, coded, item.id, folder) for field in coded}


def _write_map(field: str, coded: Mapping[str, HeatMap], id: str, folder: Path) -> StoredMap:
    this = coded[field]
    alike = [
        each for each in coded.values() if (each.kind, each.coding) == (this.kind, this.coding)
    ]
    comparable = this.unit != "step"
    limits = limits_of(alike, coded.get(TRUE_DEPTH)) if comparable else limits_of([this])
    path = _path(folder, field, id, ".png")
    write_heat_map(path, this)
    return StoredMap(
        path=path,
        limits=limits,
        kind=this.kind.value,
        unit=this.unit,
        scale=this.coding.scale,
        offset=this.coding.offset,
    )


def _depths(item: ViewItem) -> Iterator[tuple[str, DepthMap]]:
    true = item.true_depth
    if true is not None and true.valid.any():
        yield TRUE_DEPTH, true
    for each in item.shown:
        if each.seen is not None and each.seen.depth_or_none is not None:
            yield each.column.field, each.seen.depth


def _write_normals(item: ViewItem, folder: Path) -> Iterator[tuple[str, Path]]:
    truth = item.truth
    if truth is not None and truth.normals is not None and truth.normals_valid is not None:
        picture = normals_picture(truth.normals)
        picture[~truth.normals_valid] = invalid_colour(DEPTH_COLOURS)
        yield TRUE_NORMALS, _write_picture(picture, folder, TRUE_NORMALS, item.id)
    for each in item.shown:
        if each.seen is not None and each.seen.normals is not None:
            field, picture = normals_field(each.column), normals_picture(each.seen.normals)
            yield field, _write_picture(picture, folder, field, item.id)


def _write_picture(picture: UInt8[np.ndarray, "h w 3"], folder: Path, field: str, id: str) -> Path:
    path = _path(folder, field, id, ".png")
    with replacing(path) as part:
        write_png(part, picture, {"Software": "rilievo"})
    return path


def _numbers(item: ViewItem) -> Iterator[tuple[str, float]]:
    if item.camera is not None:
        K = item.camera.needs_pinhole("a view of intrinsics")
        for name, place in (("fx", (0, 0)), ("fy", (1, 1)), ("cx", (0, 2)), ("cy", (1, 2))):
            yield name, float(K[place])
    depths = [each.seen.depth_or_none for each in item.shown if each.seen is not None]
    differing = disagreement([each for each in depths if each is not None])
    if differing is not None:
        yield DISAGREEMENT, differing
    for each in item.shown:
        score = each.column.scores.get(item.id)
        for metric, value in {} if score is None else score.values.items():
            yield metric_field(each.column, metric), float(value)


def write_surfaces(item: ViewItem, folder: Path, most: int, lost: list[str]) -> Iterator[Surface]:
    """Write depth in metres or up to scale as points in the photograph's colours.

    Reasons for missing ones are added to ``lost``.
    """
    if item.camera is None:
        lost.append("no surfaces: nobody knows the camera")
        return
    photo = Photo(pixels=item.photo, camera=item.camera, name=item.id)
    options = SaveOptions(surface_points=most, overwrite=True)
    for field, depth in _depths(item):
        column = next((each.column for each in item.shown if each.column.field == field), None)
        label, made_by = ("truth", _TRUTH) if column is None else (column.label, column.made_by)
        if depth.shape != item.photo.shape[:2]:
            lost.append(f"{label}: no surface: its depth has another size")
            continue
        prediction = Prediction(
            depth_or_none=depth, camera=item.camera, photo=photo, made_by=made_by
        )
        stem = folder.absolute() / item.id / (field if column else "truth")
        try:
            [path, _] = save(prediction, stem, ["ply"], options)
        except InputError as error:
            lost.append(f"{label}: no surface: {error}")
        else:
            yield Surface(label=label, path=path)
