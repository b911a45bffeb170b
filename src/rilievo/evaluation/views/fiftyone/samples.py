"""Rows as FiftyOne samples: new ones are added, existing ones updated, a chunk at a time."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
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
        view = dataset.select_by(KEY, [row.id for row in chunk])
        samples = dict(zip(*view.values([KEY, "id"]), strict=True))
        new = [_sample(fiftyone, row) for row in chunk if row.id not in samples]
        if new:
            dataset.add_samples(new, expand_schema=False, progress=False)
        _change(
            fiftyone, dataset, {samples[row.id]: row for row in chunk if row.id in samples}, paths
        )
        yield from chunk


def _held(row: ViewRow) -> set[str]:
    return {*_ALWAYS, *row.maps, *row.pictures, *row.numbers, *_metrics(row)}


def _metrics(row: ViewRow) -> Mapping[str, Mapping[str, float]]:
    """Metrics of each model, by its field."""
    metrics: dict[str, dict[str, float]] = {}
    for path, value in row.numbers.items():
        field, dot, metric = path.partition(".")
        if dot:
            metrics.setdefault(field, {})[metric] = value
    return metrics


def _sample(fiftyone: ModuleType, row: ViewRow) -> Any:
    tags = [] if row.split is None else [row.split]
    return fiftyone.Sample(tags=tags, **_fields(fiftyone, row))


def _fields(fiftyone: ModuleType, row: ViewRow) -> dict[str, Any]:
    """Values of a sample's fields, as FiftyOne takes them.

    A model's metrics are attributes of its heat map, as in FiftyOne's tutorial of depth.
    """
    metrics = _metrics(row)
    return {
        KEY: row.id,
        "filepath": str(row.file),
        "split": row.split,
        "notes": list(row.notes),
        "metadata": fiftyone.ImageMetadata(
            width=row.width,
            height=row.height,
            num_channels=3,
            mime_type=row.mime,
            size_bytes=row.file.stat().st_size,
        ),
        **{
            field: _heat_map(fiftyone, row.maps.get(field), metrics.get(field, {}))
            for field in [*row.maps, *(metric for metric in metrics if metric not in row.maps)]
        },
        **{field: str(path) for field, path in row.pictures.items()},
        **{path: value for path, value in row.numbers.items() if "." not in path},
    }


def _heat_map(fiftyone: ModuleType, stored: StoredMap | None, metrics: Mapping[str, float]) -> Any:
    if stored is None:
        return fiftyone.Heatmap(**metrics)
    return fiftyone.Heatmap(
        map_path=str(stored.path),
        range=[float(stored.limits.low), float(stored.limits.high)],
        kind=stored.kind,
        unit=stored.unit,
        scale=stored.scale,
        offset=stored.offset,
        **metrics,
    )


def _change(
    fiftyone: ModuleType, dataset: Any, rows: Mapping[str, ViewRow], paths: AbstractSet[str]
) -> None:
    """Update existing samples, by FiftyOne's id, a field at a time; missing values are emptied.

    Tags are kept, because they may be the user's.
    """
    empty = dict.fromkeys(paths & set(dataset.get_field_schema()))
    changes = {id: empty | _fields(fiftyone, row) for id, row in rows.items()}
    for field in dict.fromkeys(field for change in changes.values() for field in change):
        values = {id: change[field] for id, change in changes.items() if field in change}
        dataset.set_values(field, values, key_field="id", expand_schema=False)
