"""Open an evaluation again: its dataset, benchmark and predictions."""

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
from rilievo.evaluation.views.view_items import ModelColumn, column_label
from rilievo.extensions.trust import check_trusted
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
        label=column_label(evaluation.made_by.model, folder),
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
