"""Open the targets that the user named: evaluations, folders of predictions, or a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rilievo.data.datasets import DATASETS, Dataset, open_dataset
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks.benchmark import InputCrop, Task
from rilievo.evaluation.predictions.cache import FINGERPRINT
from rilievo.evaluation.predictions.foreign import open_foreign
from rilievo.evaluation.results.per_image_table import FILE_NAME
from rilievo.evaluation.views.evaluated_runs import Run, open_run
from rilievo.evaluation.views.readers import (
    DatasetImages,
    FolderImages,
    ids_of,
    photos_of,
)
from rilievo.evaluation.views.view_items import Column, ViewItems, named
from rilievo.evaluation.views.view_options import SourceOptions
from rilievo.io.files.limits import printable
from rilievo.plugins import trust


def open_targets(targets: Sequence[str | Path], options: SourceOptions) -> ViewItems:
    """Open all targets, with their models side by side.

    Args:
        targets: Folders of evaluations, folders of predictions, or the name of a dataset; any
            number, of the same images.
        options: Place of photographs and ground truth, if the targets do not state it.
    """
    trust(options.trust_code)
    runs, folders, names = _sorted(targets)
    named_here = [*names, *([] if options.dataset is None else [options.dataset])]
    if len(named_here) > 1:
        raise OptionError(f"one dataset at a time, got {' and '.join(named_here)}")
    if runs:
        if named_here or options.photos is not None:
            raise OptionError("evaluations know their dataset; leave --dataset and --photos out")
        return _of_runs([open_run(path, options.root) for path in runs], folders, options)
    if named_here:
        return _of_dataset(_opened(named_here[0], options), folders, options)
    if not folders:
        raise OptionError(
            "nothing to show: name a dataset (with --root), folders of 'rilievo predict' or "
            "folders of 'rilievo evaluate'"
        )
    return _of_folders(folders, options)


def _sorted(targets: Sequence[str | Path]) -> tuple[list[Path], list[Path], list[str]]:
    """Evaluations, folders of predictions, and datasets."""
    runs: list[Path] = []
    folders: list[Path] = []
    names: list[str] = []
    for target in targets:
        path = Path(target).expanduser()
        if path.name == FILE_NAME or (path / FILE_NAME).is_file():
            runs.append(path)
        elif (path / FINGERPRINT).is_file():
            raise InputError(f"{path}: holds what an evaluation kept; name the folder above it")
        elif path.is_dir():
            folders.append(path)
        elif str(target) in DATASETS or ":" in str(target):
            names.append(str(target))
        else:
            raise InputError(
                f"{path}: is neither a folder of predictions or of an evaluation nor a "
                f"dataset ({', '.join(DATASETS)})"
            )
    return runs, folders, names


def _opened(name: str, options: SourceOptions) -> Dataset:
    return open_dataset(
        name,
        options.root,
        split=options.split,
        variant=options.variant,
        list_file=options.list_file,
    )


def _of_runs(runs: Sequence[Run], folders: Sequence[Path], options: SourceOptions) -> ViewItems:
    first = runs[0]
    for run in runs[1:]:
        _check_same_images(first, run)
    asked = {id for run in runs for id in run.plan.ids}
    dataset = first.plan.dataset
    ids = [id for id in dataset.ids if id in asked]
    hints = [(f"on {run.evaluation.benchmark}", f"({printable(run.folder.name)})") for run in runs]
    columns = [run.column for run in runs]
    data = first.evaluation.data
    return _items(
        name=f"{data.dataset} {data.split}",
        images=DatasetImages(dataset=dataset, crop=first.plan.benchmark.input_crop),
        ids=ids,
        columns=columns,
        hints=hints,
        folders=folders,
        absent={each.id: each.reason for run in runs for each in run.plan.absent},
        options=options,
    )


def _check_same_images(one: Run, other: Run) -> None:
    for what, here, there in (
        ("dataset", one.evaluation.data.dataset, other.evaluation.data.dataset),
        ("split", one.evaluation.data.split, other.evaluation.data.split),
        ("variant", one.evaluation.data.variant, other.evaluation.data.variant),
        ("input crop", one.plan.benchmark.input_crop, other.plan.benchmark.input_crop),
    ):
        if here != there:
            raise InputError(
                f"{one.folder} and {other.folder} do not show the same "
                f"images: their {what} is '{here}' and '{there}'; look at them apart"
            )


def _of_dataset(dataset: Dataset, folders: Sequence[Path], options: SourceOptions) -> ViewItems:
    if not dataset.ids:
        raise InputError(
            f"{dataset.request.root}: no image of split '{dataset.request.split}' is here"
            f"{dataset.first_missing}"
        )
    return _items(
        name=f"{dataset.card.name} {dataset.request.split}",
        images=DatasetImages(dataset=dataset, crop=InputCrop.NONE),
        ids=dataset.ids,
        columns=[],
        hints=[],
        folders=folders,
        absent={each.id: each.reason for each in dataset.absent},
        options=options,
    )


def _of_folders(folders: Sequence[Path], options: SourceOptions) -> ViewItems:
    ids = list(dict.fromkeys(id for folder in folders for id in ids_of(folder)))
    if options.photos is None:
        raise OptionError(
            "where are the photographs? --photos FOLDER is the folder that was predicted, or "
            "--dataset NAME --root FOLDER the dataset"
        )
    files = photos_of(ids, folders, options.photos)
    return _items(
        name=printable(options.photos.resolve().name),
        images=FolderImages(files=files),
        ids=[id for id in ids if id in files],
        columns=[],
        hints=[],
        folders=folders,
        absent={
            id: f"no photograph of it in {printable(options.photos)}"
            for id in ids
            if id not in files
        },
        options=options,
    )


def _items(
    *,
    name: str,
    images: DatasetImages | FolderImages,
    ids: Sequence[str],
    columns: Sequence[Column],
    hints: Sequence[Sequence[str]],
    folders: Sequence[Path],
    absent: Mapping[str, str],
    options: SourceOptions,
) -> ViewItems:
    shown = tuple(ids if options.limit is None else ids[: options.limit])
    of_folders = [_column(folder, ids, options) for folder in folders]
    hints = [*hints, *((f"({printable(folder.resolve().name)})",) for folder in folders)]
    return ViewItems(
        name=name,
        images=images,
        ids=shown,
        columns=named([*columns, *of_folders], hints),
        absent=absent if options.limit is None else {},
    )


def _column(folder: Path, ids: Sequence[str], options: SourceOptions) -> Column:
    found = open_foreign(folder, ids, stored=options.stored, task=Task.DEPTH, pictures=True)
    return Column(
        label=printable(found.made_by.model),
        field="",
        made_by=found.made_by,
        kind=found.kind,
        shows=found.kind.value if found.kind else "pictures" if found.ours else "normals",
        normals=found.ours,
        pictures=found.ours and found.kind is None,
        predictions=found,
        ids=frozenset(found.files),
        summaries=(),
        scores={},
        unscored={},
    )
