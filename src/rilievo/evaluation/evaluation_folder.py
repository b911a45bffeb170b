"""Folder of an evaluation: its record, its per-image table and its report."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, OutputError
from rilievo.errors.messages import Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, benchmark_metrics, benchmark_sha256
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


def read_evaluation(path: Path) -> Evaluation:
    """Read ``evaluation.json``, or that in a folder."""
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
    fault = _evaluation_fault(evaluation)
    if fault:
        raise InputError(f"{name}: {fault}; evaluate again with this version of rilievo")
    return evaluation


def _evaluation_fault(evaluation: Evaluation) -> str | None:
    """Fault that types alone do not show: format, unique ids, finite numbers."""
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
    """Write one row an image, those without a score last; no text is a formula."""
    metrics = metric_names(evaluation)
    facts = ("pixels", "true_share", "scale", "shift", "unanswered")
    rows: list[tuple[Content, ...]] = [
        (
            _escape_surrogates(score.id),
            *(score.values.get(name) for name in metrics),
            *(getattr(score, name) for name in facts),
            _escape_surrogates("; ".join(score.notes)),
            None,
        )
        for score in evaluation.scores
    ]
    blank = [None] * (len(metrics) + len(facts))
    rows += [
        (_escape_surrogates(image.id), *blank, "", _escape_surrogates(image.reason))
        for image in evaluation.unscored
    ]
    names = make_heads("id", *metrics, *facts, "notes", "unscored")
    with replacing(path) as part:
        part.write_bytes(table_as_csv(Table(heads=names, rows=tuple(rows))).encode())


def metric_names(evaluation: Evaluation) -> tuple[str, ...]:
    """Names of all metrics, the leading one first."""
    return tuple(summary.metric for summary in evaluation.summaries)


def _escape_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


CSV, REPORT = "per_image.csv", "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """Record, per-image table and report of an evaluation."""

    evaluation: Path
    table: Path
    report: Path


def run_folder(folder: Path | None, model: str, benchmark: str) -> Path:
    """Path ``folder``, else ``runs/MODEL-BENCHMARK``; creates nothing.

    A checkpoint that is named by an absolute path has the last part of it: the rest tells of this
    machine, not of the model. Results of another checkpoint of that name are never replaced.
    """
    if folder is not None:
        return folder
    if Path(model).is_absolute():
        model = Path(model).name
    return Path("runs") / re.sub(r"[^\w.+=-]+", "-", f"{model}-{benchmark}").strip("-.")


def refuse_other_results(folder: Path, benchmark: Benchmark, made_by: MadeBy, root: Path) -> None:
    """Refuse other files, or results of another model, benchmark or dataset."""
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
        return  # ours, and a power cut took it: it is written anew
    try:
        there = read_evaluation(folder / FILE_NAME)
    except InputError as error:
        raise OutputError(problem=Text(error), hint="or choose another output folder") from error
    if there.benchmark_sha256 != benchmark_sha256(benchmark):
        raise OutputError(
            f"{folder}: holds the results of the benchmark '{there.benchmark}' with other settings "
            f"than those of '{benchmark.name}' now: choose another output folder"
        )
    if (there.made_by.model, there.made_by.weights_sha256) != (
        made_by.model,
        made_by.weights_sha256,
    ):
        raise OutputError(
            f"{folder}: holds the results of another model, '{there.made_by.model}': choose "
            "another output folder"
        )
    before = Path(there.data.root)
    if os.path.exists(before) and not (os.path.exists(root) and before.samefile(root)):
        raise OutputError(
            f"{folder}: holds the results for the images in {before}: choose another output folder"
        )


def repeatable_results(folder: Path, selection: Selection, made_by: MadeBy) -> Evaluation | None:
    """Results that this version would only repeat, each image scored; else None."""
    if is_torn(folder / FILE_NAME) or not os.path.exists(folder / CHECKSUMS):
        return None
    try:
        there = read_evaluation(folder / FILE_NAME)
    except InputError:
        return None
    facts = selection.facts
    same = (
        there.version == VERSION
        and there.benchmark_sha256 == benchmark_sha256(selection.benchmark)
        and metric_names(there) == tuple(benchmark_metrics(selection.benchmark))
        and there.made_by == made_by
        and (there.data.root, there.data.ids_sha256) == (facts.root, facts.ids_sha256)
    )
    return there if same and not there.unscored else None


_RESULTS = (FILE_NAME, CSV, REPORT)


@contextmanager
def replacing_results(folder: Path) -> Iterator[ResultFiles]:
    """Yield paths to write; the results of before stay, with their checksums, until all are whole.

    Predictions are synced before.
    """
    make_folder(folder)
    sweep_parts(folder)
    _sync_predictions(folder / PREDICTIONS)
    with replacing_with_checksums(folder / CHECKSUMS, _RESULTS) as parts:
        yield ResultFiles(evaluation=parts[FILE_NAME], table=parts[CSV], report=parts[REPORT])


def finish_results(folder: Path) -> None:
    """Give results their names that were whole when their evaluation was killed."""
    finish_replacement(folder / CHECKSUMS, _RESULTS)


def _sync_predictions(predictions: Path) -> None:
    if not os.path.isdir(predictions):
        return  # those of a folder that the user gives stay where they are
    try:
        sync_tree(predictions)
    except OSError as error:
        raise unwritable(predictions, error) from error
