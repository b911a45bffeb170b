"""Rows as FiftyOne samples: new ones are inserted, existing ones updated, in bulk."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from rilievo.evaluation.views.fiftyone.fields import KEY, declare, paths_of
from rilievo.evaluation.views.rows import Row, StoredMap
from rilievo.evaluation.views.view_items import ViewItems

CHUNK = 256
"""Number of rows written at a time."""

_ALWAYS = (KEY, "split", "notes")

PHOTO, SURFACE = "photo", "surface"
"""Slices of a group."""


def put_rows(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, rows: Iterable[Row]
) -> Iterator[Row]:
    """Write rows to the dataset, and yield each once it is written.

    A sample is identified by the image's id (and its slice), so a second run updates it and does
    not add another; fields of other models are kept.
    """
    rows, paths = iter(rows), paths_of(items)
    while chunk := list(islice(rows, CHUNK)):
        declare(fiftyone, dataset, items, set().union(*map(_held, chunk)))
        dataset.create_index(KEY)
        there = _there(dataset, [row.id for row in chunk])
        _add(fiftyone, dataset, [row for row in chunk if row.id not in there])
        _change(fiftyone, dataset, [row for row in chunk if row.id in there], paths)
        yield from chunk


def _held(row: Row) -> set[str]:
    return {*_ALWAYS, *row.maps, *row.pictures, *row.numbers}


def is_grouped(dataset: Any) -> bool:
    """Whether its images are in groups with their surfaces."""
    return dataset.media_type == "group"


def _there(dataset: Any, ids: Sequence[str]) -> set[str]:
    view = dataset.select_group_slices(PHOTO) if is_grouped(dataset) else dataset.view()
    return set(view.select_by(KEY, list(ids)).values(KEY))


def _add(fiftyone: ModuleType, dataset: Any, rows: Sequence[Row]) -> None:
    """Insert new samples like ``add_samples``, but without reading each one back.

    Reading back takes two thirds of the time, and the samples are not used here.
    """
    if not rows:
        return
    from fiftyone.core.odm import insert_documents

    fields = Fields(fiftyone)
    documents = [
        document for row in rows for document in _new_documents(fiftyone, dataset, row, fields)
    ]
    insert_documents(documents, dataset._sample_collection, progress=False)


def _new_documents(
    fiftyone: ModuleType, dataset: Any, row: Row, fields: "Fields"
) -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    tags = [] if row.split is None else [row.split]
    group = fiftyone.Group() if is_grouped(dataset) else None
    place = {} if group is None else {"group": group.element(PHOTO)}
    photo = fiftyone.Sample(filepath=str(row.file), tags=tags, **place)
    yield dataset._make_dict(photo, created_at=now, last_modified_at=now) | fields.of(row)
    if group is not None and row.surfaces:
        scene = write_scene(fiftyone, row)
        surface = fiftyone.Sample(filepath=str(scene), group=group.element(SURFACE))
        known = {KEY: row.id, "split": row.split}
        yield dataset._make_dict(surface, created_at=now, last_modified_at=now) | known


class Fields:
    """Converter of rows to database documents, from templates that FiftyOne makes.

    A heat map is an object with many checks; making one for each image takes most of the time.
    """

    def __init__(self, fiftyone: ModuleType) -> None:
        from bson import ObjectId

        self._new_id = ObjectId
        self._map: dict[str, Any] = fiftyone.Heatmap(map_path="", range=[0.0, 1.0]).to_dict()
        self._metadata: dict[str, Any] = fiftyone.ImageMetadata(num_channels=3).to_dict()

    def of(self, row: Row) -> dict[str, Any]:
        """Fields of a row's photograph."""
        metadata = {
            "width": row.width,
            "height": row.height,
            "mime_type": row.mime,
            "size_bytes": row.file.stat().st_size,
        }
        return {
            KEY: row.id,
            "split": row.split,
            "notes": list(row.notes),
            "metadata": self._metadata | metadata,
            **{field: self._heat_map(each) for field, each in row.maps.items()},
            **{field: str(path) for field, path in row.pictures.items()},
            **row.numbers,
        }

    def _heat_map(self, stored: StoredMap) -> dict[str, Any]:
        own = {
            "_id": self._new_id(),
            "map_path": str(stored.path),
            "range": [float(stored.limits.low), float(stored.limits.high)],
            "kind": stored.kind,
            "unit": stored.unit,
            "scale": stored.scale,
            "offset": stored.offset,
        }
        return self._map | own


def _change(
    fiftyone: ModuleType, dataset: Any, rows: Sequence[Row], paths: AbstractSet[str]
) -> None:
    """Update existing samples, a chunk at a time; missing values are emptied.

    Tags are kept, because they may be the user's.
    """
    if not rows:
        return
    from pymongo import UpdateOne

    fields = Fields(fiftyone)
    slice_ = {"group.name": PHOTO} if is_grouped(dataset) else {}
    empty = dict.fromkeys(paths & set(dataset.get_field_schema()))
    changes = []
    for row in rows:
        now = {"filepath": str(row.file), "last_modified_at": datetime.now(UTC)}
        changes.append(UpdateOne({KEY: row.id, **slice_}, {"$set": empty | fields.of(row) | now}))
        if is_grouped(dataset) and row.surfaces:
            write_scene(fiftyone, row)
    dataset._bulk_write(changes)


def write_scene(fiftyone: ModuleType, row: Row) -> Path:
    """Write the 3-D scene of one image: its surfaces seen from the camera.

    Files of surfaces stay as they are; the scene rotates them upright, y up and z backwards.
    """
    path = row.surfaces[0].path.parent / "scene.fo3d"
    scene = fiftyone.Scene(
        camera=fiftyone.PerspectiveCamera(position=[0, 0, 0.5], look_at=[0, 0, -2], up="Y")
    )
    turned = fiftyone.Quaternion(x=1.0, y=0.0, z=0.0, w=0.0)
    for place, surface in enumerate(row.surfaces):
        scene.add(
            fiftyone.PlyMesh(
                surface.label,
                str(surface.path),
                is_point_cloud=True,
                center_geometry=False,
                quaternion=turned,
                visible=place == 0,
            )
        )
    scene.write(str(path))
    return path
