"""Files in the folder of an evaluation: its record, its per-image table and its report."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, benchmark_sha256
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics
from rilievo.evaluation.model_names import shown_model_name
from rilievo.evaluation.predictions.sources import PREDICTIONS
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.selection import Selection
from rilievo.io.checksums import CHECKSUMS, finish_replacement, is_torn, replacing_with_checksums
from rilievo.io.files.atomic import (
    make_folder,
    sweep_parts,
    sync_tree,
    unwritable,
    write_bytes,
)
from rilievo.io.files.limits import MAX_BYTES, check_regular, reason
from rilievo.io.files.names import printable, relative_printable
from rilievo.io.json_record import InvalidRecordError, from_json
from rilievo.pages.tables import Content, Table, make_headings, table_as_csv
from rilievo.records.prediction_record import MadeBy
from rilievo.version import VERSION

FORMAT = "rilievo-evaluation/1"
FILE_NAME = "evaluation.json"
CSV = "per_image.csv"
REPORT = "report.html"
_RESULT_NAMES = (FILE_NAME, CSV, REPORT)


def read_evaluation(path: Path) -> Evaluation:
    """Read ``evaluation.json``, given by its path or its folder."""
    path = path / FILE_NAME if os.path.isdir(path) else path
    file_name = printable(path)
    if is_torn(path):
        raise InputError(
            f"{file_name}: is empty, for example after a power failure: evaluate again"
        )
    num_bytes = check_regular(path)
    if num_bytes > MAX_BYTES:
        raise InputError(f"{file_name}: has {num_bytes} bytes, which is too many for an evaluation")
    try:
        evaluation = from_json(Evaluation, path.read_text("utf-8"))
    except (InvalidRecordError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file_name}: is not an evaluation ({reason(error)}); expected the {FILE_NAME} that "
            "'rilievo evaluate' writes"
        ) from error
    fault = _find_fault(evaluation)
    if fault is not None:
        raise InputError(f"{file_name}: {fault}; evaluate again with this version of rilievo")
    return evaluation


def _find_fault(evaluation: Evaluation) -> str | None:
    """Describe what is wrong in a record whose types are right; None if it is valid.

    The format must be ours, ids must be unique and numbers finite.
    """
    if evaluation.format != FORMAT:
        return f"its format is '{printable(evaluation.format)}', expected '{FORMAT}'"
    if not evaluation.summaries:
        return "it has no metrics"
    unique_ids: set[str] = set()
    for score in evaluation.scores:
        if score.id in unique_ids:
            return f"the image '{printable(score.id)}' occurs twice"
        unique_ids.add(score.id)
        for metric, value in score.values.items():
            if not math.isfinite(value):
                return f"the value of {printable(metric)} for '{printable(score.id)}' is not finite"
    for summary in evaluation.summaries:
        if not math.isfinite(summary.value):
            return f"the value of {printable(summary.metric)} is not finite"
    return None


def write_images_csv(evaluation: Evaluation, path: Path) -> None:
    """Write a CSV with a row for each image; images without a score come last, with the reason."""
    metrics = metric_names(evaluation)
    attributes = ("pixels", "true_share", "scale", "shift", "unanswered")
    rows: list[tuple[Content, ...]] = [
        (
            _escape_surrogates(score.id),
            *(score.values.get(name) for name in metrics),
            *(getattr(score, name) for name in attributes),
            _escape_surrogates("; ".join(score.notes)),
            None,
        )
        for score in evaluation.scores
    ]
    blank = [None] * (len(metrics) + len(attributes))
    rows += [
        (_escape_surrogates(image.id), *blank, "", _escape_surrogates(image.reason))
        for image in evaluation.unscored
    ]
    headings = make_headings("id", *metrics, *attributes, "notes", "unscored")
    write_bytes(path, table_as_csv(Table(headings=headings, rows=tuple(rows))).encode())


def metric_names(evaluation: Evaluation) -> tuple[str, ...]:
    """Names of an evaluation's metrics, the leading one first."""
    return tuple(summary.metric for summary in evaluation.summaries)


def _escape_surrogates(text: str) -> str:
    r"""Write bytes of a file name that are not Unicode as ``\udc..``, so that UTF-8 can hold it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """Paths of an evaluation's record, per-image table and report."""

    evaluation: Path
    table: Path
    report: Path


def run_folder(folder: Path | None, model: str, benchmark: str) -> Path:
    """Folder for results: ``folder`` if given, else ``runs/MODEL-BENCHMARK``. Nothing is created.

    If the model is a checkpoint's absolute path, only its last component is used, because the rest
    describes the machine and not the model. Results of another checkpoint of that name are never
    replaced.
    """
    if folder is not None:
        return folder
    name = f"{shown_model_name(model)}-{benchmark}"
    return Path("runs") / re.sub(r"[^\w.+=-]+", "-", name).strip("-.")


def choose_results_folder(
    output: Path | None, benchmark: Benchmark, made_by: MadeBy, image_root: Path
) -> Path:
    """Choose the folder for results as ``run_folder`` does, and check that they can go there.

    A replacement of results there that was interrupted is completed.

    Raises:
        OutputError: If it holds anything but earlier results of the same evaluation.
    """
    folder = run_folder(output, made_by.model, benchmark.name)
    finish_results(folder)
    _check_results_replaceable(folder, benchmark, made_by, image_root)
    return folder


def _check_results_replaceable(
    folder: Path, benchmark: Benchmark, made_by: MadeBy, root: Path
) -> None:
    """Check that a folder has no foreign files, and no results of another evaluation."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a file with this name exists: choose another folder")
    if not os.path.exists(folder / FILE_NAME):
        for name in (CSV, REPORT):
            if os.path.exists(folder / name):
                raise OutputError(
                    f"{folder}: contains a {name} that rilievo did not write: choose another "
                    "output folder"
                )
        return
    if is_torn(folder / FILE_NAME):
        return  # A power cut destroyed our own file, which is written again.
    try:
        existing = read_evaluation(folder / FILE_NAME)
    except InputError as error:
        raise OutputError(problem=Text(error), hint="or choose another output folder") from error
    difference = _describe_other_results(existing, benchmark, made_by, root)
    if difference is not None:
        raise OutputError(f"{folder}: contains {difference}: choose another output folder")


def _describe_other_results(
    existing: Evaluation, benchmark: Benchmark, made_by: MadeBy, root: Path
) -> str | None:
    """Describe earlier results that differ in benchmark, model or images; None if they do not."""
    if existing.benchmark_sha256 != benchmark_sha256(benchmark):
        return (
            f"results of the benchmark '{existing.benchmark}' with settings that differ from the "
            f"current ones of '{benchmark.name}'"
        )
    if existing.made_by.model != made_by.model:
        return f"results of a different model, '{_model_in_message(existing.made_by.model)}'"
    if existing.made_by.weights_sha256 != made_by.weights_sha256:
        return "results of the same model with different weights"
    existing_root = Path(existing.data.root)
    was_moved = not os.path.exists(existing_root)
    if was_moved or (os.path.exists(root) and existing_root.samefile(root)):
        return None
    return f"results for the images in {existing_root}"


def _model_in_message(model: str) -> str:
    """Name of a model; the path of a training run, relative to the working folder inside it."""
    path = Path(model)
    return relative_printable(path) if path.is_absolute() else printable(model)


def find_same_results(folder: Path, selection: Selection, made_by: MadeBy) -> Evaluation | None:
    """Return finished results that evaluating again would only repeat, or None.

    They have a score of every image, and the same version, benchmark, metrics, model and data.
    """
    if is_torn(folder / FILE_NAME) or not os.path.exists(folder / CHECKSUMS):
        return None
    try:
        existing = read_evaluation(folder / FILE_NAME)
    except InputError:
        return None
    data = selection.scored_data
    is_same = (
        existing.version == VERSION
        and existing.benchmark_sha256 == benchmark_sha256(selection.benchmark)
        and metric_names(existing) == tuple(benchmark_metrics(selection.benchmark))
        and existing.made_by == made_by
        and existing.data.root == data.root
        and existing.data.ids_sha256 == data.ids_sha256
    )
    return existing if is_same and not existing.unscored else None


@contextmanager
def replacing_results(folder: Path) -> Iterator[ResultFiles]:
    """Yield paths for new results, which replace the old ones together once all are written.

    The predictions are flushed to disk first, so that results never outlive their predictions.
    """
    make_folder(folder)
    sweep_parts(folder)
    predictions = folder / PREDICTIONS
    # Predictions from the user's folder stay there.
    if os.path.isdir(predictions):
        try:
            sync_tree(predictions)
        except OSError as error:
            raise unwritable(predictions, error) from error
    with replacing_with_checksums(folder / CHECKSUMS, _RESULT_NAMES) as parts:
        yield ResultFiles(evaluation=parts[FILE_NAME], table=parts[CSV], report=parts[REPORT])


def finish_results(folder: Path) -> None:
    """Complete the replacement of results that was interrupted after all files were written."""
    finish_replacement(folder / CHECKSUMS, _RESULT_NAMES)
