"""Rows as samples: new ones added, those that are there brought up to date, in bulk."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from rilievo.views.exhibition import Exhibition
from rilievo.views.fiftyone.fields import KEY, declare, paths_of
from rilievo.views.rows import Row, StoredMap

CHUNK = 256
"""Rows that are held and written at a time."""

_ALWAYS = (KEY, "split", "notes")

PHOTO, SURFACE = "photo", "surface"
"""Slices of a group."""


def put_rows(
    fiftyone: ModuleType, dataset: Any, exhibition: Exhibition, rows: Iterable[Row]
) -> Iterator[Row]:
    """Write rows into the dataset, and give each back when it is there.

    A sample is found again by the image's id (and its slice), so that a second time changes it
    rather than adding another; what other models put there stays.
    """
    rows, paths = iter(rows), paths_of(exhibition)
    while chunk := list(islice(rows, CHUNK)):
        declare(fiftyone, dataset, exhibition, set().union(*map(_held, chunk)))
        dataset.create_index(KEY)
        there = _there(dataset, [row.id for row in chunk])
        _add(fiftyone, dataset, [row for row in chunk if row.id not in there])
        _change(fiftyone, dataset, [row for row in chunk if row.id in there], paths)
        yield from chunk


def _held(row: Row) -> set[str]:
    return {*_ALWAYS, *row.maps, *row.pictures, *row.numbers}


def is_grouped(dataset: Any) -> bool:
    """Whether its images stand in groups with their surfaces."""
    return dataset.media_type == "group"


def _there(dataset: Any, ids: Sequence[str]) -> set[str]:
    view = dataset.select_group_slices(PHOTO) if is_grouped(dataset) else dataset.view()
    return set(view.select_by(KEY, list(ids)).values(KEY))


def _add(fiftyone: ModuleType, dataset: Any, rows: Sequence[Row]) -> None:
    """Insert new samples, as ``add_samples`` does but for reading each one back at once.

    That takes two thirds of its time, and nobody here keeps the samples.
    """
    if not rows:
        return
    from fiftyone.core.odm import insert_documents

    now = datetime.now(UTC)
    documents = [
        dataset._make_dict(sample, created_at=now, last_modified_at=now)
        for row in rows
        for sample in _new_samples(fiftyone, dataset, row)
    ]
    insert_documents(documents, dataset._sample_collection, progress=False)


def _new_samples(fiftyone: ModuleType, dataset: Any, row: Row) -> Iterator[Any]:
    if not is_grouped(dataset):
        yield _photo_sample(fiftyone, row)
        return
    group = fiftyone.Group()
    yield _photo_sample(fiftyone, row, group=group.element(PHOTO))
    if row.surfaces:
        scene = write_scene(fiftyone, row)
        yield fiftyone.Sample(
            filepath=str(scene), group=group.element(SURFACE), **{KEY: row.id, "split": row.split}
        )


def _photo_sample(fiftyone: ModuleType, row: Row, **group: Any) -> Any:
    return fiftyone.Sample(
        filepath=str(row.file),
        tags=[] if row.split is None else [row.split],
        metadata=fiftyone.ImageMetadata(
            width=row.width,
            height=row.height,
            num_channels=3,
            mime_type=row.mime,
            size_bytes=row.file.stat().st_size,
        ),
        **group,
        **fields_of(fiftyone, row),
    )


def fields_of(fiftyone: ModuleType, row: Row) -> dict[str, Any]:
    """What a row says of a photograph, field by field."""
    return {
        KEY: row.id,
        "split": row.split,
        "notes": list(row.notes),
        **{field: _heat_map(fiftyone, each) for field, each in row.maps.items()},
        **{field: str(path) for field, path in row.pictures.items()},
        **row.numbers,
    }


def _heat_map(fiftyone: ModuleType, stored: StoredMap) -> Any:
    return fiftyone.Heatmap(
        map_path=str(stored.path),
        range=[float(stored.limits.low), float(stored.limits.high)],
        kind=stored.kind,
        unit=stored.unit,
        scale=stored.scale,
        offset=stored.offset,
    )


def _change(
    fiftyone: ModuleType, dataset: Any, rows: Sequence[Row], paths: AbstractSet[str]
) -> None:
    """Set the fields of samples that are there, all of a chunk at once; what is gone is emptied.

    Tags stay, since the user may have given some.
    """
    if not rows:
        return
    from pymongo import UpdateOne

    slice_ = {"group.name": PHOTO} if is_grouped(dataset) else {}
    empty = dict.fromkeys(paths & set(dataset.get_field_schema()))
    now = datetime.now(UTC)
    changes = []
    for row in rows:
        document = _photo_sample(fiftyone, row).to_mongo_dict()
        kept = {name: document[name] for name in ("filepath", "metadata", *_held(row))}
        found = {KEY: row.id, **slice_}
        changes.append(UpdateOne(found, {"$set": {**empty, **kept, "last_modified_at": now}}))
        if is_grouped(dataset) and row.surfaces:
            write_scene(fiftyone, row)
    dataset._bulk_write(changes)


def write_scene(fiftyone: ModuleType, row: Row) -> Path:
    """Write the scene of one image: its surfaces seen from where the camera stood.

    Surfaces stay as their files have them; the scene turns them upright, y up and z backwards.
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
