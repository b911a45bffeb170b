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
from rilievo.evaluation.predictions.sources import PREDICTIONS
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.selection import Selection
from rilievo.io.checksums import CHECKSUMS, is_torn
from rilievo.io.files.atomic import (
    make_folder,
    replacing,
    sweep_parts,
    sync_tree,
    unwritable,
)
from rilievo.io.files.limits import MAX_BYTES, check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.io.replacement import finish_replacement, replacing_with_checksums
from rilievo.pages.tables import Content, Table, make_heads, table_as_csv
from rilievo.records.prediction_record import MadeBy
from rilievo.version import VERSION

FORMAT = "rilievo-evaluation/1"
FILE_NAME = "evaluation.json"
CSV = "per_image.csv"
REPORT = "report.html"
_RESULT_NAMES = (FILE_NAME, CSV, REPORT)


def read_evaluation(path: Path) -> Evaluation:
    """Read ``evaluation.json``, given by its path or its folder.

    Raises:
        InputError: If the file is missing, empty, broken or of another format.
    """
    path = path / FILE_NAME if os.path.isdir(path) else path
    name = printable(path)
    if is_torn(path):
        raise InputError(f"{name}: has no content, as after a power cut: evaluate again")
    size = check_regular(path)
    if size > MAX_BYTES:
        raise InputError(f"{name}: has {size} bytes, which no evaluation has")
    try:
        evaluation = from_json(Evaluation, path.read_text("utf-8"))
    except (NotThisRecord, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name}: is no evaluation ({reason(error)}); expected the {FILE_NAME} that "
            "'rilievo evaluate' writes"
        ) from error
    fault = _find_fault(evaluation)
    if fault is not None:
        raise InputError(f"{name}: {fault}; evaluate again with this version of rilievo")
    return evaluation


def _find_fault(evaluation: Evaluation) -> str | None:
    """Describe what is wrong in a record of the right types; None if nothing is.

    The format must be ours, ids must be unique and numbers finite.
    """
    if evaluation.format != FORMAT:
        return f"its format is '{printable(evaluation.format)}', expected '{FORMAT}'"
    if not evaluation.summaries:
        return "it has no metrics"
    unique_ids: set[str] = set()
    for score in evaluation.scores:
        if score.id in unique_ids:
            return f"the image '{printable(score.id)}' is there twice"
        unique_ids.add(score.id)
        for metric, value in score.values.items():
            if not math.isfinite(value):
                return f"{printable(metric)} of '{printable(score.id)}' is not finite"
    for summary in evaluation.summaries:
        if not math.isfinite(summary.value):
            return f"{printable(summary.metric)} is not finite"
    return None


def write_images_csv(evaluation: Evaluation, path: Path) -> None:
    """Write the table of all images as CSV; those without a score come last, with the reason."""
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
    heads = make_heads("id", *metrics, *attributes, "notes", "unscored")
    with replacing(path) as part:
        part.write_bytes(table_as_csv(Table(heads=heads, rows=tuple(rows))).encode())


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

    Of a checkpoint's absolute path only the last part is used, because the rest describes the
    machine and not the model. Results of another checkpoint of that name are never replaced.
    """
    if folder is not None:
        return folder
    if Path(model).is_absolute():
        model = Path(model).name
    return Path("runs") / re.sub(r"[^\w.+=-]+", "-", f"{model}-{benchmark}").strip("-.")


def refuse_other_results(folder: Path, benchmark: Benchmark, made_by: MadeBy, root: Path) -> None:
    """Refuse a folder with foreign files, or with results that this evaluation must not replace.

    Raises:
        OutputError: If the folder holds results of another model, benchmark or dataset.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a file has this name: choose another folder")
    if not os.path.exists(folder / FILE_NAME):
        for name in (CSV, REPORT):
            if os.path.exists(folder / name):
                raise OutputError(
                    f"{folder}: has a {name} that is not ours: choose another output folder"
                )
        return
    if is_torn(folder / FILE_NAME):
        return  # A power cut destroyed our own file, which is written anew.
    try:
        existing = read_evaluation(folder / FILE_NAME)
    except InputError as error:
        raise OutputError(problem=Text(error), hint="or choose another output folder") from error
    difference = _difference_from(existing, benchmark, made_by, root)
    if difference is not None:
        raise OutputError(f"{folder}: holds {difference}: choose another output folder")


def _difference_from(
    existing: Evaluation, benchmark: Benchmark, made_by: MadeBy, root: Path
) -> str | None:
    """What earlier results are of, in words, if not of this evaluation; else None."""
    if existing.benchmark_sha256 != benchmark_sha256(benchmark):
        return (
            f"the results of the benchmark '{existing.benchmark}' with other settings "
            f"than those of '{benchmark.name}' now"
        )
    has_same_model = existing.made_by.model == made_by.model
    has_same_weights = existing.made_by.weights_sha256 == made_by.weights_sha256
    if not (has_same_model and has_same_weights):
        return f"the results of another model, '{existing.made_by.model}'"
    existing_root = Path(existing.data.root)
    was_moved = not os.path.exists(existing_root)
    if was_moved or (os.path.exists(root) and existing_root.samefile(root)):
        return None
    return f"the results for the images in {existing_root}"


def repeatable_results(folder: Path, selection: Selection, made_by: MadeBy) -> Evaluation | None:
    """Finished results that evaluating again would only repeat; None if there are none.

    They have a score of every image, and the same version, benchmark, metrics, model and data.
    """
    if is_torn(folder / FILE_NAME) or not os.path.exists(folder / CHECKSUMS):
        return None
    try:
        existing = read_evaluation(folder / FILE_NAME)
    except InputError:
        return None
    data = selection.scored_data
    would_repeat = (
        existing.version == VERSION
        and existing.benchmark_sha256 == benchmark_sha256(selection.benchmark)
        and metric_names(existing) == tuple(benchmark_metrics(selection.benchmark))
        and existing.made_by == made_by
        and existing.data.root == data.root
        and existing.data.ids_sha256 == data.ids_sha256
    )
    return existing if would_repeat and not existing.unscored else None


@contextmanager
def replacing_results(folder: Path) -> Iterator[ResultFiles]:
    """Yield paths for new results, which replace the old ones together once all are written.

    The predictions are synced to disk before.
    """
    make_folder(folder)
    sweep_parts(folder)
    _sync_predictions(folder / PREDICTIONS)
    with replacing_with_checksums(folder / CHECKSUMS, _RESULT_NAMES) as parts:
        yield ResultFiles(evaluation=parts[FILE_NAME], table=parts[CSV], report=parts[REPORT])


def finish_results(folder: Path) -> None:
    """Complete the replacement of results that was interrupted after all files were written."""
    finish_replacement(folder / CHECKSUMS, _RESULT_NAMES)


def _sync_predictions(predictions: Path) -> None:
    if not os.path.isdir(predictions):
        return  # Predictions from the user's folder stay there.
    try:
        sync_tree(predictions)
    except OSError as error:
        raise unwritable(predictions, error) from error
