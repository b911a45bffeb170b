"""The per-image table of an evaluation as CSV and Parquet, and ``evaluation.json`` read back."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, MissingExtraError
from rilievo.evaluation.records import Evaluation
from rilievo.io.checks.marks import is_torn
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import MAX_BYTES, check_regular, printable, reason
from rilievo.io.json_record import NotThisRecord, from_json
from rilievo.pages.tables import Table, comma_separated, heads

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
    seen: set[str] = set()
    for score in evaluation.scores:
        if score.id in seen:
            return f"the image '{printable(score.id)}' is there twice"
        seen.add(score.id)
        for metric, value in score.values.items():
            if not math.isfinite(value):
                return f"{printable(metric)} of '{printable(score.id)}' is not finite"
    for summary in evaluation.summaries:
        if not math.isfinite(summary.value):
            return f"{printable(summary.metric)} is not finite"
    return None


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """Write one row an image, those without a score last, with the reason in ``unscored``.

    Texts that a spreadsheet would take for a formula get a leading apostrophe; Parquet has them
    as they are.
    """
    names = ["id", *metric_names(evaluation), "pixels", "true_share", "scale", "shift"]
    names += ["unanswered", "notes", "unscored"]
    rows = (
        record | {"notes": "; ".join(record.get("notes", ()))} for record in _records(evaluation)
    )
    table = Table(heads=heads(*names), rows=tuple(tuple(map(row.get, names)) for row in rows))
    with replacing(path) as part:
        part.write_bytes(comma_separated(table).encode())


def write_parquet(evaluation: Evaluation, path: Path) -> None:
    """Write the rows of ``write_csv`` with their types.

    The schema's metadata has ``benchmark``, ``benchmark_sha256``, ``model``, ``weights_sha256``,
    ``dataset`` and ``version``.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a Parquet table", "evaluate") from error
    metrics = metric_names(evaluation)
    number, text = pyarrow.float64(), pyarrow.string()
    schema = pyarrow.schema(
        [
            ("id", text),
            *((metric, number) for metric in metrics),
            ("pixels", pyarrow.int64()),
            *((field, number) for field in ("true_share", "scale", "shift")),
            ("unanswered", pyarrow.int64()),
            ("notes", pyarrow.list_(text)),
            ("unscored", text),
        ],
        metadata=_metadata(evaluation),
    )
    table = pyarrow.Table.from_pylist(list(_records(evaluation)), schema=schema)
    with replacing(path) as part:
        pyarrow.parquet.write_table(table, part)


def _records(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for score in evaluation.scores:
        yield {
            "id": _unicode(score.id),
            **score.values,
            "pixels": score.pixels,
            "true_share": score.true_share,
            "scale": score.scale,
            "shift": score.shift,
            "unanswered": score.unanswered,
            "notes": [_unicode(note) for note in score.notes],
        }
    for image in evaluation.unscored:
        yield {"id": _unicode(image.id), "unscored": _unicode(image.reason)}


def _metadata(evaluation: Evaluation) -> dict[str, str]:
    facts = {
        "benchmark": evaluation.benchmark,
        "benchmark_sha256": evaluation.benchmark_sha256,
        "model": evaluation.made_by.model,
        "weights_sha256": evaluation.made_by.weights_sha256,
        "dataset": evaluation.data.dataset,
        "version": evaluation.version,
    }
    return {key: _unicode(value) for key, value in facts.items()}


def metric_names(evaluation: Evaluation) -> tuple[str, ...]:
    """Names of all metrics, the leading one first."""
    return tuple(summary.metric for summary in evaluation.summaries)


def _unicode(text: str) -> str:
    """The text itself, but for names of files that are no Unicode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
