"""Writing of an evaluation's results: the record, the per-image table, the report."""

import os
from dataclasses import replace
from pathlib import Path

from rilievo.errors import MissingExtraError
from rilievo.evaluation.predictions.cache import PREDICTIONS
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.reports.evaluation_report import write_report
from rilievo.evaluation.results.evaluation_folder import CSV, REPORT
from rilievo.evaluation.results.per_image_table import FILE_NAME, write_csv
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.io.checks import CHECKSUMS, write_checksums
from rilievo.io.files.atomic import (
    make_folder,
    remove,
    replacing,
    sweep_parts,
    sync_tree,
    unwritable,
)
from rilievo.io.json_record import to_json


def write_results(
    evaluation: Evaluation, folder: Path, pictures: ReportPictures | None
) -> Evaluation:
    """Write ``evaluation.json``, the per-image table and the report, each whole or not at all.

    What needs a package that is not installed is left out, and that is said. The evaluation comes
    first: a folder that has it is ours, should the rest not be written any more.

    Returns:
        The evaluation, with a warning if the report was left out.
    """
    make_folder(folder)
    sweep_parts(folder)
    remove(folder / CHECKSUMS)  # of what is replaced now
    _sync_kept(folder / PREDICTIONS)
    _write_evaluation(evaluation, folder)
    write_csv(evaluation, folder / CSV)
    try:
        write_report(evaluation, folder / REPORT, pictures)
    except MissingExtraError as error:
        # One of an earlier run would tell other numbers.
        remove(folder / REPORT)
        evaluation = replace(evaluation, warnings=(*evaluation.warnings, str(error)))
        _write_evaluation(evaluation, folder)
    write_checksums(folder, (FILE_NAME, CSV, REPORT))
    return evaluation


def _sync_kept(predictions: Path) -> None:
    """Have kept predictions on the disk before anything says that they were scored.

    Until here they are not synced one by one: one that a power cut breaks is noticed by its
    checksums, and made anew.
    """
    if not os.path.isdir(predictions):
        return  # those of a folder that the user gives stay where they are
    try:
        sync_tree(predictions)
    except OSError as error:
        raise unwritable(predictions, error) from error


def _write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    with replacing(folder / FILE_NAME) as part:
        part.write_text(to_json(evaluation, indent=1), encoding="utf-8")
