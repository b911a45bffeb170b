"""Targets of views: evaluations, folders of predictions, or a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rilievo.data.datasets import DATASETS, open_dataset
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.evaluation_folder import FILE_NAME
from rilievo.evaluation.predictions.foreign import open_foreign
from rilievo.evaluation.predictions.prediction_cache import FINGERPRINT
from rilievo.evaluation.views.evaluated_run import EvaluatedRun, open_run
from rilievo.evaluation.views.view_items import (
    DatasetImages,
    FolderImages,
    ModelColumn,
    ViewItems,
    column_label,
    name_columns,
    photos_by_id,
    result_ids,
)
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.extensions.trust import trust
from rilievo.io.files.names import printable


def open_targets(targets: Sequence[str | Path], options: SourceOptions) -> ViewItems:
    """Open evaluations, predictions or a dataset, with models side by side."""
    trust(options.trust_code)
    paths, folders, names = _sort_targets(targets, options)
    if len(names) > 1:
        raise OptionError(f"one dataset at a time, got {' and '.join(names)}")
    if options.photos is not None and (paths or names):
        raise OptionError(
            option="photos",
            problem="is for folders of predictions without a dataset",
            hint="leave it out",
        )
    if paths and names:
        raise OptionError(f"evaluations know their dataset; leave '{names[0]}' out")
    runs = [open_run(path, options.root) for path in paths]
    for run in runs[1:]:
        _refuse_other_images(runs[0], run)
    absent: Mapping[str, str]
    if runs:
        dataset, data = runs[0].selection.dataset, runs[0].evaluation.data
        name = f"{data.dataset} {data.split}"
        images = DatasetImages(dataset=dataset, crop=runs[0].selection.benchmark.input_crop)
        scored = {id for run in runs for id in run.selection.ids}
        ids = tuple(id for id in dataset.ids if id in scored)
        absent = {item.id: item.reason for run in runs for item in run.selection.absent}
    elif names:
        dataset = open_dataset(names[0], options.root, split=options.split, variant=options.variant)
        if not dataset.ids:
            raise InputError(
                f"{dataset.request.root}: no image of split '{dataset.request.split}' is here"
                f"{dataset.first_missing}"
            )
        name = f"{dataset.card.name} {dataset.request.split}"
        images, ids = DatasetImages(dataset=dataset), dataset.ids
        absent = {item.id: item.reason for item in dataset.absent}
    elif not folders:
        raise OptionError(
            problem=Text(
                "nothing to show: name a dataset (with ",
                OptionName("root"),
                "), folders of 'rilievo predict' or folders of 'rilievo evaluate'",
            )
        )
    else:
        results = tuple(dict.fromkeys(id for folder in folders for id in result_ids(folder)))
        if options.photos is None:
            raise OptionError(
                problem=Text(
                    "where are the photographs? ",
                    OptionName("photos", "FOLDER"),
                    " is the folder that was predicted, or name their dataset too, with ",
                    OptionName("root", "FOLDER"),
                )
            )
        files = photos_by_id(results, folders, options.photos)
        name = printable(options.photos.resolve().name)
        images, ids = FolderImages(files=files), tuple(id for id in results if id in files)
        reason = f"no photograph of it in {printable(options.photos)}"
        absent = {id: reason for id in results if id not in files}
    hints: list[Sequence[str]] = [
        (f"on {run.evaluation.benchmark}", f"({printable(run.folder.name)})") for run in runs
    ]
    hints += [(f"({printable(folder.resolve().name)})",) for folder in folders]
    columns = [run.column for run in runs]
    columns += [_open_predictions_column(folder, ids, options) for folder in folders]
    return ViewItems(
        name=name,
        images=images,
        ids=ids[: options.limit],
        columns=name_columns(
            columns,
            [item.resolve().name for item in (*(run.folder for run in runs), *folders)],
            hints,
        ),
        absent=absent if options.limit is None else {},
    )


def _sort_targets(
    targets: Sequence[str | Path], options: SourceOptions
) -> tuple[list[Path], list[Path], list[str]]:
    """Targets as evaluations, folders of predictions, and datasets."""
    runs: list[Path] = []
    folders: list[Path] = []
    names: list[str] = []
    for target in targets:
        path = Path(target).expanduser()
        if path.name == FILE_NAME or (path / FILE_NAME).is_file():
            runs.append(path)
        elif (path / FINGERPRINT).is_file():
            raise InputError(f"{path}: holds what an evaluation kept; name the folder above it")
        elif path.is_dir() and not (options.root is not None and str(target) in DATASETS):
            folders.append(path)
        elif str(target) in DATASETS or ":" in str(target):
            names.append(str(target))
        else:
            raise InputError(
                f"{path}: is neither a folder of predictions or of an evaluation nor a "
                f"dataset ({', '.join(DATASETS)})"
            )
    return runs, folders, names


def _refuse_other_images(one: EvaluatedRun, other: EvaluatedRun) -> None:
    for what, here, there in (
        ("dataset", one.evaluation.data.dataset, other.evaluation.data.dataset),
        ("split", one.evaluation.data.split, other.evaluation.data.split),
        ("variant", one.evaluation.data.variant, other.evaluation.data.variant),
        ("input crop", one.selection.benchmark.input_crop, other.selection.benchmark.input_crop),
    ):
        if here != there:
            raise InputError(
                f"{one.folder} and {other.folder} do not show the same "
                f"images: their {what} is '{here}' and '{there}'; look at them apart"
            )


def _open_predictions_column(
    folder: Path, ids: Sequence[str], options: SourceOptions
) -> ModelColumn:
    predictions = open_foreign(folder, ids, stored=options.stored, task=Task.DEPTH, pictures=True)
    return ModelColumn(
        label=column_label(predictions.made_by.model, folder),
        field="",
        made_by=predictions.made_by,
        kind=predictions.kind,
        shows=predictions.kind.value
        if predictions.kind
        else "pictures"
        if predictions.ours
        else "normals",
        normals=predictions.ours,
        pictures=predictions.ours and predictions.kind is None,
        predictions=predictions,
        ids=frozenset(predictions.files),
        summaries=(),
        scores={},
        unscored={},
    )
