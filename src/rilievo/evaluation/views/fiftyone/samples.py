"""Rows as FiftyOne samples: new ones are inserted, existing ones updated, in bulk."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from itertools import islice
from types import ModuleType
from typing import Any

from rilievo.evaluation.views.fiftyone.fields import KEY, declare, paths_of
from rilievo.evaluation.views.rows import StoredMap, ViewRow
from rilievo.evaluation.views.view_items import ViewItems

CHUNK = 256
"""Number of rows written at a time."""

_ALWAYS = (KEY, "split", "notes")


def put_rows(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, rows: Iterable[ViewRow]
) -> Iterator[ViewRow]:
    """Write rows to the dataset, and yield each once it is written.

    A sample is identified by the image's id, so a second run updates it and does
    not add another; fields of other models are kept.
    """
    rows, paths = iter(rows), paths_of(items)
    while chunk := list(islice(rows, CHUNK)):
        declare(fiftyone, dataset, items, set().union(*map(_held, chunk)))
        dataset.create_index(KEY)
        there = set(dataset.select_by(KEY, [row.id for row in chunk]).values(KEY))
        _add(fiftyone, dataset, [row for row in chunk if row.id not in there])
        _change(fiftyone, dataset, [row for row in chunk if row.id in there], paths)
        yield from chunk


def _held(row: ViewRow) -> set[str]:
    return {*_ALWAYS, *row.maps, *row.pictures, *row.numbers}


def _add(fiftyone: ModuleType, dataset: Any, rows: Sequence[ViewRow]) -> None:
    """Insert new samples like ``add_samples``, but without reading each one back.

    Reading back takes two thirds of the time, and the samples are not used here.
    """
    if not rows:
        return
    from fiftyone.core.odm import insert_documents

    fields = Fields(fiftyone)
    documents = [_new_document(fiftyone, dataset, row, fields) for row in rows]
    insert_documents(documents, dataset._sample_collection, progress=False)


def _new_document(
    fiftyone: ModuleType, dataset: Any, row: ViewRow, fields: "Fields"
) -> dict[str, Any]:
    now = datetime.now(UTC)
    tags = [] if row.split is None else [row.split]
    photo = fiftyone.Sample(filepath=str(row.file), tags=tags)
    return dataset._make_dict(photo, created_at=now, last_modified_at=now) | fields.of(row)


class Fields:
    """Converter of rows to database documents, from templates that FiftyOne makes.

    A heat map is an object with many checks; making one for each image takes most of the time.
    """

    def __init__(self, fiftyone: ModuleType) -> None:
        from bson import ObjectId

        self._new_id = ObjectId
        self._map: dict[str, Any] = fiftyone.Heatmap(map_path="", range=[0.0, 1.0]).to_dict()
        self._metadata: dict[str, Any] = fiftyone.ImageMetadata(num_channels=3).to_dict()

    def of(self, row: ViewRow) -> dict[str, Any]:
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
    fiftyone: ModuleType, dataset: Any, rows: Sequence[ViewRow], paths: AbstractSet[str]
) -> None:
    """Update existing samples, a chunk at a time; missing values are emptied.

    Tags are kept, because they may be the user's.
    """
    if not rows:
        return
    from pymongo import UpdateOne

    fields = Fields(fiftyone)
    empty = dict.fromkeys(paths & set(dataset.get_field_schema()))
    changes = []
    for row in rows:
        now = {"filepath": str(row.file), "last_modified_at": datetime.now(UTC)}
        changes.append(UpdateOne({KEY: row.id}, {"$set": empty | fields.of(row) | now}))
    dataset._bulk_write(changes)
