"""Targets of views: evaluations, folders of predictions, or a dataset."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rilievo.cli.parsing import parse_words
from rilievo.data.datasets import DATASETS, open_dataset
from rilievo.errors import InputError, OptionError, UntrustedCodeError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Task, benchmark_sha256
from rilievo.evaluation.evaluation_folder import FILE_NAME, read_evaluation
from rilievo.evaluation.options import EvaluateOptions, SourceOptions
from rilievo.evaluation.predictions.foreign import open_foreign
from rilievo.evaluation.predictions.sources import (
    FINGERPRINT,
    PREDICTIONS,
    find_predictions,
    read_cache,
)
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.evaluation.tables.wording import alignment_text
from rilievo.evaluation.views.view_items import (
    DatasetImages,
    FolderImages,
    ModelColumn,
    ViewItems,
    name_columns,
    photos_by_id,
    result_ids,
)
from rilievo.extensions.trust import check_trusted, trust
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import build_record, option, options_of


@dataclass(frozen=True, kw_only=True)
class _Command:
    """Recorded command line of ``rilievo evaluate``."""

    benchmark: str
    root: str | None = None
    model: str | None = None
    options: Annotated[EvaluateOptions, option(name="")]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedRun:
    """One evaluation, with all that it was made from."""

    folder: Path
    evaluation: Evaluation
    selection: Selection
    column: ModelColumn
    shown: ReportPictures


def open_run(path: Path, root: Path | None) -> EvaluatedRun:
    """Open an evaluation; ``root`` is the present folder of its dataset."""
    evaluation = read_evaluation(path)
    folder = path if path.is_dir() else path.parent
    command = _parse_command(evaluation, path)
    options = command.options
    try:
        benchmark = find_benchmark(command.benchmark)
    except OptionError as error:
        raise InputError(
            path=path,
            problem=Text(error),
            hint="name one of your own as package.module:NAME when you evaluate, and view the "
            "folder of predictions with the dataset's name",
        ) from error
    try:
        selection = select_images(benchmark, root or command.root, options)
    except InputError as error:
        raise InputError(
            path=folder,
            problem=Text("its dataset cannot be read (", error, ")"),
            hint=Text("if it was moved, say where with ", OptionName("root")),
        ) from error
    if benchmark_sha256(selection.benchmark) != evaluation.benchmark_sha256:
        raise InputError(
            f"{folder}: the benchmark '{evaluation.benchmark}' has other settings now "
            "than when it was evaluated; evaluate again"
        )
    shown = ReportPictures(
        benchmark=selection.benchmark,
        dataset=selection.dataset,
        predictions=_open_predictions(folder, evaluation, selection, options),
    )
    task = selection.benchmark.task
    kind = None if task is Task.NORMALS else shown.kind
    # Alignment does not change the kind of the model's own depth.
    facts = (evaluation.kind or "normals", alignment_text(evaluation.alignment))
    column = ModelColumn(
        label=printable(evaluation.made_by.model),
        field="",
        made_by=evaluation.made_by,
        kind=DepthKind.METRIC if task is Task.DEPTH else kind,
        shows=", ".join(filter(None, facts)),
        normals=task is Task.NORMALS,
        predictions=shown,
        ids=frozenset(selection.ids),
        summaries=evaluation.summaries,
        scores={score.id: score for score in evaluation.scores},
        unscored={image.id: image.reason for image in evaluation.unscored},
    )
    return EvaluatedRun(
        folder=folder, evaluation=evaluation, selection=selection, column=column, shown=shown
    )


def _parse_command(evaluation: Evaluation, path: Path) -> _Command:
    try:
        # A benchmark, a dataset and a fit may be code.
        for word in _option_words(evaluation):
            check_trusted(word.partition("=")[2] or word, "options", printable(path))
        if not evaluation.asked:
            words = shlex.split(evaluation.command)[2:]
            return build_record(_Command, parse_words(_Command, words, "rilievo evaluate"))
        return build_record(_Command, dict(_option_values(evaluation.asked)))
    except UntrustedCodeError:
        raise
    except (ValueError, OptionError) as error:
        raise InputError(
            problem=Text(
                f"{path}: its options are not those of this version (",
                error,
                f"; {evaluation.command}); evaluate again",
            )
        ) from error


def _option_words(evaluation: Evaluation) -> list[str]:
    """Words of an evaluation's options."""
    words_of_options = [word for words in evaluation.asked.values() for word in words]
    return words_of_options or shlex.split(evaluation.command)[2:]


def _option_values(names: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, Any]]:
    """Path and value of each option."""
    options = {one.name: one for one in options_of(_Command)}
    for name, words in names.items():
        if name not in options or not words:
            raise ValueError(f"no option '{name}'")
        one = options[name]
        values = tuple(map(one.read, words))
        yield one.path, values if one.takes_many else values[0]


def _open_predictions(
    folder: Path, evaluation: Evaluation, selection: Selection, options: EvaluateOptions
) -> Predictions:
    if options.predictions is not None:
        return find_predictions(evaluation.made_by.model, selection, options).predictions
    subfolder = folder / PREDICTIONS
    if not (subfolder / FINGERPRINT).is_file():
        raise InputError(
            f"{folder}: has no folder '{PREDICTIONS}', so there is nothing to see; "
            f"make them again: {evaluation.command}"
        )
    return read_cache(subfolder)


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
        label=printable(predictions.made_by.model),
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
