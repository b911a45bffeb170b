"""Surfaces of one image as point clouds: the true one, and one a model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.outputs import save
from rilievo.io.writing import SaveOptions
from rilievo.types import Camera, DepthMap, MadeBy, Photo, Prediction
from rilievo.version import VERSION
from rilievo.views.view_items import ViewItem

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
class Surfaces:
    """Surfaces of one image, and the reasons for missing ones."""

    surfaces: tuple[Surface, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    label: str
    field: str
    depth: DepthMap
    made_by: MadeBy


def write_surfaces(item: ViewItem, folder: Path, most: int) -> Surfaces:
    """Write depth in metres or up to scale as points in the photograph's colours."""
    camera = item.camera
    if camera is None:
        return Surfaces(surfaces=(), faults=("no surfaces: nobody knows the camera",))
    surfaces: list[Surface] = []
    faults: list[str] = []
    for layer in _layers(item):
        if layer.depth.shape != item.photo.shape[:2]:
            faults.append(f"{layer.label}: no surface: its depth has another size")
            continue
        try:
            surfaces.append(_write(layer, item, camera, folder, most))
        except InputError as error:
            faults.append(f"{layer.label}: no surface: {error}")
    return Surfaces(surfaces=tuple(surfaces), faults=tuple(faults))


def _layers(item: ViewItem) -> Iterator[_Layer]:
    true = item.true_depth
    if true is not None and true.valid.any():
        yield _Layer(label="truth", field="truth", depth=true, made_by=_TRUTH)
    for each in item.shown:
        column, seen = each.column, each.seen
        if seen is not None and seen.depth is not None:
            yield _Layer(
                label=column.label, field=column.field, depth=seen.depth, made_by=column.made_by
            )


def _write(layer: _Layer, item: ViewItem, camera: Camera, folder: Path, most: int) -> Surface:
    prediction = Prediction(
        depth_or_none=layer.depth,
        camera=camera,
        photo=Photo(pixels=item.photo, camera=camera, name=item.id),
        made_by=layer.made_by,
    )
    stem = folder.absolute() / item.id / layer.field
    [path, _] = save(prediction, stem, ["ply"], SaveOptions(surface_points=most, overwrite=True))
    return Surface(label=layer.label, path=path)
