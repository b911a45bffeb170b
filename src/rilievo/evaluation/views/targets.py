"""Open what the user wants to look at: evaluations, folders of predictions, or a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.data.datasets import DATASETS, open_dataset
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.evaluation_folder import FILE_NAME
from rilievo.evaluation.predictions.foreign_predictions import open_predictions
from rilievo.evaluation.predictions.prediction_cache import FINGERPRINT
from rilievo.evaluation.predictions.rilievo_results import RilievoResults
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _SortedTargets:
    """Targets by what they are: evaluations, folders of predictions, and names of datasets."""

    evaluations: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)


def open_targets(targets: Sequence[str | Path], options: SourceOptions) -> ViewItems:
    """Open evaluations, folders of predictions or a dataset, with models side by side.

    Raises:
        OptionError: If there is nothing to show, or targets and options do not go together.
        InputError: If something cannot be read, or evaluations are of different images.
    """
    trust(options.trust_code)
    chosen = _sort_targets(targets, options)
    _refuse_combinations(chosen, options)
    runs = [open_run(path, options.root) for path in chosen.evaluations]
    for run in runs[1:]:
        _refuse_other_images(runs[0], run)

    if runs:
        shown = _images_of_runs(runs)
    elif chosen.datasets:
        shown = _images_of_dataset(chosen.datasets[0], options)
    elif chosen.folders:
        shown = _images_of_folders(chosen.folders, options)
    else:
        raise OptionError(
            problem=Text(
                "nothing to show: name a dataset (with ",
                OptionName("root"),
                "), folders of 'rilievo predict' or folders of 'rilievo evaluate'",
            )
        )

    columns = [run.column for run in runs]
    columns += [_open_predictions_column(path, shown.ids, options) for path in chosen.folders]
    folders = [run.folder for run in runs] + chosen.folders
    hints: list[Sequence[str]] = [
        (f"on {run.evaluation.benchmark}", f"({printable(run.folder.name)})") for run in runs
    ]
    hints += [(f"({printable(folder.resolve().name)})",) for folder in chosen.folders]
    return replace(
        shown,
        ids=shown.ids[: options.limit],
        columns=name_columns(columns, [folder.resolve().name for folder in folders], hints),
        absent=shown.absent if options.limit is None else {},
    )


def _refuse_combinations(chosen: _SortedTargets, options: SourceOptions) -> None:
    """Refuse targets and options that do not go together."""
    if len(chosen.datasets) > 1:
        raise OptionError(f"one dataset at a time, got {' and '.join(chosen.datasets)}")
    if options.photos is not None and (chosen.evaluations or chosen.datasets):
        raise OptionError(
            option="photos",
            problem="is for folders of predictions without a dataset",
            hint="leave it out",
        )
    if chosen.evaluations and chosen.datasets:
        raise OptionError(f"evaluations know their dataset; leave '{chosen.datasets[0]}' out")


def _images_of_runs(runs: Sequence[EvaluatedRun]) -> ViewItems:
    """All images that one of the evaluations scored, in the dataset's order."""
    selection, data = runs[0].selection, runs[0].evaluation.data
    scored = {id for run in runs for id in run.selection.ids}
    return ViewItems(
        name=f"{data.dataset} {data.split}",
        images=DatasetImages(dataset=selection.dataset, crop=selection.benchmark.input_crop),
        ids=tuple(id for id in selection.dataset.ids if id in scored),
        absent={image.id: image.reason for run in runs for image in run.selection.absent},
    )


def _images_of_dataset(name: str, options: SourceOptions) -> ViewItems:
    """All images of a dataset's split."""
    dataset = open_dataset(name, options.root, split=options.split, variant=options.variant)
    if not dataset.ids:
        raise InputError(
            f"{dataset.request.root}: no image of split '{dataset.request.split}' is here"
            f"{dataset.first_missing}"
        )
    return ViewItems(
        name=f"{dataset.card.name} {dataset.request.split}",
        images=DatasetImages(dataset=dataset),
        ids=dataset.ids,
        absent={image.id: image.reason for image in dataset.absent},
    )


def _images_of_folders(folders: Sequence[Path], options: SourceOptions) -> ViewItems:
    """Photographs from which the results of ``rilievo predict`` in some folders were made."""
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
    reason = f"no photograph of it in {printable(options.photos)}"
    return ViewItems(
        name=printable(options.photos.resolve().name),
        images=FolderImages(files=files),
        ids=tuple(id for id in results if id in files),
        absent={id: reason for id in results if id not in files},
    )


def _sort_targets(targets: Sequence[str | Path], options: SourceOptions) -> _SortedTargets:
    """Find out what each target is."""
    chosen = _SortedTargets()
    for target in targets:
        path = Path(target).expanduser()
        is_dataset_name = str(target) in DATASETS
        if path.name == FILE_NAME or (path / FILE_NAME).is_file():
            chosen.evaluations.append(path)
        elif (path / FINGERPRINT).is_file():
            raise InputError(f"{path}: holds what an evaluation kept; name the folder above it")
        elif path.is_dir() and not (options.root is not None and is_dataset_name):
            chosen.folders.append(path)
        elif is_dataset_name or ":" in str(target):
            chosen.datasets.append(str(target))
        else:
            raise InputError(
                f"{path}: is neither a folder of predictions or of an evaluation nor a "
                f"dataset ({', '.join(DATASETS)})"
            )
    return chosen


def _refuse_other_images(first: EvaluatedRun, second: EvaluatedRun) -> None:
    """Refuse two evaluations that do not show the same pictures."""
    first_data, second_data = first.evaluation.data, second.evaluation.data
    first_crop = first.selection.benchmark.input_crop
    second_crop = second.selection.benchmark.input_crop
    for what, first_value, second_value in (
        ("dataset", first_data.dataset, second_data.dataset),
        ("split", first_data.split, second_data.split),
        ("variant", first_data.variant, second_data.variant),
        ("input crop", first_crop, second_crop),
    ):
        if first_value != second_value:
            raise InputError(
                f"{first.folder} and {second.folder} do not show the same images: their {what} is "
                f"'{first_value}' and '{second_value}'; look at them apart"
            )


def _open_predictions_column(
    folder: Path, ids: Sequence[str], options: SourceOptions
) -> ModelColumn:
    """Column of the model whose predictions lie in a folder."""
    predictions = open_predictions(
        folder,
        ids,
        value_encoding=options.value_encoding,
        task=Task.DEPTH,
        allow_pictures=True,
    )
    is_from_rilievo = isinstance(predictions, RilievoResults)
    kind = predictions.kind
    if kind is not None:
        shows = kind.value
    else:
        shows = "pictures" if is_from_rilievo else "normals"
    return ModelColumn(
        label=column_label(predictions.made_by.model, folder),
        field="",
        made_by=predictions.made_by,
        kind=kind,
        shows=shows,
        normals=is_from_rilievo,
        pictures=is_from_rilievo and kind is None,
        predictions=predictions,
        ids=frozenset(predictions.files),
        summaries=(),
        scores={},
        unscored={},
    )
