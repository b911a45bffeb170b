"""Table of an evaluation's images as CSV, and ``evaluation.json`` read back."""

import math
import os
from pathlib import Path

from rilievo.errors import InputError
from rilievo.evaluation.records import Evaluation
from rilievo.io.checks import is_torn
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import MAX_BYTES, check_regular, printable, reason
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.pages.tables import Content, Table, comma_separated, heads

FORMAT = "rilievo-evaluation/1"
FILE_NAME = "evaluation.json"


def read_evaluation(path: Path) -> Evaluation:
    """Read the results of an evaluation."""
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
    fault = _fault(evaluation)
    if fault:
        raise InputError(f"{name}: {fault}; evaluate again with this version of rilievo")
    return evaluation


def _fault(evaluation: Evaluation) -> str | None:
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


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Write one row an image, those without a score last; no text is a formula."""
    metrics = metric_names(evaluation)
    facts = ("pixels", "true_share", "scale", "shift", "unanswered")
    rows: list[tuple[Content, ...]] = [
        (
            _unicode(score.id),
            *(score.values.get(name) for name in metrics),
            *(getattr(score, name) for name in facts),
            _unicode("; ".join(score.notes)),
            None,
        )
        for score in evaluation.scores
    ]
    blank = [None] * (len(metrics) + len(facts))
    rows += [
        (_unicode(image.id), *blank, "", _unicode(image.reason)) for image in evaluation.unscored
    ]
    names = heads("id", *metrics, *facts, "notes", "unscored")
    with replacing(path) as part:
        part.write_bytes(comma_separated(Table(heads=names, rows=tuple(rows))).encode())


def metric_names(evaluation: Evaluation) -> tuple[str, ...]:
    """Names of all metrics, the leading one first."""
    return tuple(summary.metric for summary in evaluation.summaries)


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
