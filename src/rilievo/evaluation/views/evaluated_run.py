"""Open an evaluation again, with its dataset, benchmark and predictions, to look at it."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rilievo.cli.parsing import parse_words
from rilievo.errors import InputError, OptionError, UntrustedCodeError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Task, benchmark_sha256
from rilievo.evaluation.evaluation_folder import read_evaluation
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import FINGERPRINT, read_cache
from rilievo.evaluation.predictions.sources import PREDICTIONS, find_predictions
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.evaluation.tables.wording import alignment_text
from rilievo.evaluation.views.view_items import ModelColumn, column_field, column_label
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.names import printable
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import build_record, list_options, option


@dataclass(frozen=True, kw_only=True)
class _Command:
    """Options of ``rilievo evaluate`` that an evaluation recorded."""

    benchmark: str
    root: str | None = None
    model: str | None = None
    options: Annotated[EvaluateOptions, option(inline=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedRun:
    """An evaluation that was opened again, with its images and predictions."""

    folder: Path
    evaluation: Evaluation
    selection: Selection
    column: ModelColumn
    pictures: ReportPictures


def open_run(path: Path, root: Path | None) -> EvaluatedRun:
    """Open an evaluation by its folder or its ``evaluation.json``.

    ``root`` is where its dataset lies now; None if it was not moved.
    """
    evaluation = read_evaluation(path)
    folder = path if path.is_dir() else path.parent
    command = _recorded_command(evaluation, path)
    selection = _select_same_images(command, path, folder, root)
    if benchmark_sha256(selection.benchmark) != evaluation.benchmark_sha256:
        raise InputError(
            f"{folder}: the benchmark '{evaluation.benchmark}' has changed since this evaluation; "
            "evaluate again"
        )
    pictures = ReportPictures(
        benchmark=selection.benchmark,
        dataset=selection.dataset,
        predictions=_open_predictions(folder, evaluation, selection, command.options),
    )
    return EvaluatedRun(
        folder=folder,
        evaluation=evaluation,
        selection=selection,
        column=_model_column(evaluation, selection, pictures, folder),
        pictures=pictures,
    )


def _select_same_images(
    command: _Command, path: Path, folder: Path, root: Path | None
) -> Selection:
    """Choose the images and benchmark of a recorded command again."""
    try:
        benchmark = find_benchmark(command.benchmark)
    except OptionError as error:
        raise InputError(
            path=path,
            problem=Text(error),
            hint=(
                "give your own benchmark as package.module:NAME when you evaluate, or view the "
                "folder of predictions with the name of the dataset"
            ),
        ) from error
    try:
        return select_images(benchmark, root or command.root, command.options)
    except InputError as error:
        raise InputError(
            path=folder,
            problem=Text("its dataset cannot be read (", error, ")"),
            hint=Text("if you moved it, give its new folder with ", OptionName("root")),
        ) from error


def _model_column(
    evaluation: Evaluation, selection: Selection, pictures: ReportPictures, folder: Path
) -> ModelColumn:
    """Column of a view for the model that was evaluated."""
    task = selection.benchmark.task
    if task is Task.DEPTH:
        kind = DepthKind.METRIC  # depth is shown as it was scored
    elif task is Task.NORMALS:
        kind = None
    else:
        kind = pictures.kind
    alignment = alignment_text(evaluation.alignment)
    return ModelColumn(
        label=column_label(evaluation.made_by.model, folder),
        label_suffixes=(f"on {evaluation.benchmark}", f"({printable(folder.resolve().name)})"),
        field=column_field(folder),
        made_by=evaluation.made_by,
        kind=kind,
        description=", ".join(filter(None, (evaluation.kind or "normals", alignment))),
        has_normals=task is Task.NORMALS,
        predictions=pictures,
        ids=frozenset(selection.ids),
        summaries=evaluation.summaries,
        scores={score.id: score for score in evaluation.scores},
        unscored={image.id: image.reason for image in evaluation.unscored},
    )


def _recorded_command(evaluation: Evaluation, path: Path) -> _Command:
    """Parse the options that an evaluation recorded."""
    try:
        # A benchmark, a dataset and a fit may be code.
        for word in _option_words(evaluation):
            _, _, assigned = word.partition("=")
            check_trusted(assigned or word, "options", printable(path))
        if evaluation.asked:
            return build_record(_Command, dict(_parse_option_values(evaluation.asked)))
        words = shlex.split(evaluation.command)[2:]
        return build_record(_Command, parse_words(_Command, words, "rilievo evaluate"))
    except UntrustedCodeError:
        raise
    except (ValueError, OptionError) as error:
        raise InputError(
            problem=Text(
                f"{path}: its options do not fit this version of rilievo (",
                error,
                f"; {evaluation.command}); evaluate again",
            )
        ) from error


def _option_words(evaluation: Evaluation) -> list[str]:
    """All words of the options; before version 0.3.0 they are only in the command line."""
    words = [word for words in evaluation.asked.values() for word in words]
    return words or shlex.split(evaluation.command)[2:]


def _parse_option_values(
    words_by_option: Mapping[str, tuple[str, ...]],
) -> Iterator[tuple[str, Any]]:
    """Yield the path in ``_Command`` and the value of each recorded option."""
    field_by_name = {field.name: field for field in list_options(_Command)}
    for name, words in words_by_option.items():
        if name not in field_by_name or not words:
            raise ValueError(f"no option '{name}'")
        field = field_by_name[name]
        values = tuple(map(field.read, words))
        yield field.path, values if field.takes_many else values[0]


def _open_predictions(
    folder: Path, evaluation: Evaluation, selection: Selection, options: EvaluateOptions
) -> Predictions:
    """Open the predictions of an evaluation: those of the user, else those in its cache."""
    if options.predictions is not None:
        return find_predictions(evaluation.made_by.model, selection, options)
    cache_folder = folder / PREDICTIONS
    if not (cache_folder / FINGERPRINT).is_file():
        raise InputError(
            f"{folder}: has no folder '{PREDICTIONS}', so there is nothing to show; predict again "
            f"with: {evaluation.command}"
        )
    return read_cache(cache_folder)
