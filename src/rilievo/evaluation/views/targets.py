"""Open what the user wants to look at: evaluations, folders of predictions, or a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.data.datasets import DATASETS, open_dataset
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.evaluation_folder import FILE_NAME
from rilievo.evaluation.predictions.prediction_cache import FINGERPRINT
from rilievo.evaluation.predictions.rilievo_results import RilievoResults
from rilievo.evaluation.predictions.sources import open_predictions
from rilievo.evaluation.views.evaluated_run import EvaluatedRun, open_run
from rilievo.evaluation.views.view_items import (
    DatasetImages,
    FolderImages,
    ModelColumn,
    ViewItems,
    column_field,
    column_label,
    make_names_unique,
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
    # Evaluations may name benchmarks, datasets and fits that are code. Trust in this code lasts for
    # the rest of the process.
    trust(options.trust_code)
    sorted_targets = _sort_targets(targets, options)
    _check_combination(sorted_targets, options)
    runs = [open_run(path, options.root) for path in sorted_targets.evaluations]
    for run in runs[1:]:
        _check_same_images(runs[0], run)

    items = _images_to_show(runs, sorted_targets, options)
    columns = [run.column for run in runs]
    for folder in sorted_targets.folders:
        columns.append(_column_from_folder(folder, items.ids, options))
    items = replace(items, columns=make_names_unique(columns))
    if options.limit is None:
        return items
    # A user who wants only the first images does not miss the absent ones.
    return replace(items, ids=items.ids[: options.limit], absent={})


def _images_to_show(
    runs: Sequence[EvaluatedRun], targets: _SortedTargets, options: SourceOptions
) -> ViewItems:
    """View without columns, of the images of the evaluations, of the dataset or of the folders.

    Raises:
        OptionError: If there is nothing to show.
    """
    if runs:
        return _view_of_runs(runs)
    if targets.datasets:
        return _view_of_dataset(targets.datasets[0], options)
    if targets.folders:
        return _view_of_folders(targets.folders, options)
    raise OptionError(
        problem=Text(
            "there is nothing to show: give a dataset (with ",
            OptionName("root"),
            "), or folders that 'rilievo predict' or 'rilievo evaluate' wrote",
        )
    )


def _check_combination(targets: _SortedTargets, options: SourceOptions) -> None:
    """Raise an OptionError for targets and options that do not go together."""
    if len(targets.datasets) > 1:
        raise OptionError(
            f"only one dataset can be shown at a time, got {' and '.join(targets.datasets)}"
        )
    if options.photos is not None and (targets.evaluations or targets.datasets):
        raise OptionError(
            option="photos",
            problem="only applies to folders of predictions without a dataset",
            hint="leave it out",
        )
    if targets.evaluations and targets.datasets:
        raise OptionError(
            f"evaluations already state their dataset; leave '{targets.datasets[0]}' out"
        )


def _view_of_runs(runs: Sequence[EvaluatedRun]) -> ViewItems:
    """View of all images that one of the evaluations scored, in the dataset's order."""
    selection, data = runs[0].selection, runs[0].evaluation.data
    scored_ids = {image_id for run in runs for image_id in run.selection.ids}
    return ViewItems(
        name=f"{data.dataset} {data.split}",
        images=DatasetImages(dataset=selection.dataset, crop=selection.benchmark.input_crop),
        ids=tuple(image_id for image_id in selection.dataset.ids if image_id in scored_ids),
        absent={image.id: image.reason for run in runs for image in run.selection.absent},
    )


def _view_of_dataset(name: str, options: SourceOptions) -> ViewItems:
    """View of all images of a dataset's split; raises InputError if it has none."""
    dataset = open_dataset(name, options.root, split=options.split, variant=options.variant)
    if not dataset.ids:
        raise InputError(
            f"{dataset.request.root}: contains no image of the split "
            f"'{dataset.request.split}'{dataset.first_missing}"
        )
    return ViewItems(
        name=f"{dataset.card.name} {dataset.request.split}",
        images=DatasetImages(dataset=dataset),
        ids=dataset.ids,
        absent={image.id: image.reason for image in dataset.absent},
    )


def _view_of_folders(folders: Sequence[Path], options: SourceOptions) -> ViewItems:
    """View of the photographs in ``options.photos`` that belong to results of ``rilievo predict``.

    Raises:
        OptionError: If ``options.photos`` is not given.
        InputError: If no photograph belongs to a result.
    """
    ids = tuple(dict.fromkeys(image_id for folder in folders for image_id in result_ids(folder)))
    if options.photos is None:
        raise OptionError(
            problem=Text(
                "the photographs of these results are unknown: give their folder with ",
                OptionName("photos", "FOLDER"),
                ", or add the name of their dataset and its folder with ",
                OptionName("root", "FOLDER"),
            )
        )
    photo_by_id = photos_by_id(ids, folders, options.photos)
    reason = f"its photograph is not in {printable(options.photos)}"
    return ViewItems(
        name=printable(options.photos.resolve().name),
        images=FolderImages(files=photo_by_id),
        ids=tuple(image_id for image_id in ids if image_id in photo_by_id),
        absent={image_id: reason for image_id in ids if image_id not in photo_by_id},
    )


def _sort_targets(targets: Sequence[str | Path], options: SourceOptions) -> _SortedTargets:
    """Find out what each target is."""
    sorted_targets = _SortedTargets()
    for target in targets:
        path = Path(target).expanduser()
        is_dataset_name = str(target) in DATASETS
        if path.name == FILE_NAME or (path / FILE_NAME).is_file():
            sorted_targets.evaluations.append(path)
        elif (path / FINGERPRINT).is_file():
            raise InputError(
                f"{path}: is the prediction folder of an evaluation; give the folder that contains "
                "it"
            )
        # A dataset with --root may have the same name as a folder in the current one.
        elif path.is_dir() and not (options.root is not None and is_dataset_name):
            sorted_targets.folders.append(path)
        elif is_dataset_name or ":" in str(target):
            sorted_targets.datasets.append(str(target))
        else:
            raise InputError(
                f"{path}: is neither a folder of predictions, nor an evaluation, nor the name of a "
                f"dataset ({', '.join(DATASETS)})"
            )
    return sorted_targets


def _check_same_images(first: EvaluatedRun, second: EvaluatedRun) -> None:
    """Raise an InputError if two evaluations do not show the same pictures."""
    first_data, second_data = first.evaluation.data, second.evaluation.data
    first_crop = first.selection.benchmark.input_crop
    second_crop = second.selection.benchmark.input_crop
    for setting, first_value, second_value in (
        ("dataset", first_data.dataset, second_data.dataset),
        ("split", first_data.split, second_data.split),
        ("variant", first_data.variant, second_data.variant),
        ("input crop", first_crop, second_crop),
    ):
        if first_value != second_value:
            raise InputError(
                f"{first.folder} and {second.folder} do not show the same images: their {setting}s "
                f"are '{first_value}' and '{second_value}'; view them separately"
            )


def _column_from_folder(folder: Path, ids: Sequence[str], options: SourceOptions) -> ModelColumn:
    """Column of the model whose predictions are in a folder."""
    predictions = open_predictions(
        folder,
        ids,
        value_encoding=options.value_encoding,
        task=Task.DEPTH,  # of other programs' files, which views show only as depth
        allow_pictures=True,
    )
    is_from_rilievo = isinstance(predictions, RilievoResults)
    kind = predictions.kind
    if kind is not None:
        description = kind.value
    elif is_from_rilievo:
        description = "pictures"  # and normals, if there are any
    else:
        description = "normals"
    return ModelColumn(
        label=column_label(predictions.made_by.model, folder),
        label_suffixes=(f"({printable(folder.resolve().name)})",),
        field=column_field(folder),
        made_by=predictions.made_by,
        kind=kind,
        description=description,
        has_normals=is_from_rilievo,
        shows_pictures=is_from_rilievo and kind is None,
        predictions=predictions,
        ids=frozenset(predictions.files),
        summaries=(),
        scores={},
        unscored={},
    )
