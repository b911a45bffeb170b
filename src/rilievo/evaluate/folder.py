"""The folder that an evaluation leaves: its files, and whether they may be replaced."""

import os
import re
from dataclasses import replace
from pathlib import Path

from rilievo.errors import InputError, MissingExtraError, OutputError
from rilievo.evaluate.benchmark import Benchmark, benchmark_sha256
from rilievo.evaluate.cache import PREDICTIONS
from rilievo.evaluate.plan import Plan
from rilievo.evaluate.records import Evaluation
from rilievo.evaluate.report import ReportPictures, write_report
from rilievo.evaluate.table import FILE_NAME, read_evaluation, write_csv, write_parquet
from rilievo.io.atomic import make_folder, remove, replacing, sweep_parts, unwritable
from rilievo.io.checksums import CHECKSUMS, is_torn, write_checksums
from rilievo.io.durable import sync_tree
from rilievo.io.json_record import to_json
from rilievo.types import MadeBy
from rilievo.version import VERSION

CSV, PARQUET, REPORT = "per_image.csv", "per_image.parquet", "report.html"


def run_folder(asked: Path | None, model: str, benchmark: str) -> Path:
    """The folder that the user asked for, or one named by model and benchmark."""
    if asked is not None:
        return asked
    return Path("runs") / re.sub(r"[^\w.+=-]+", "-", f"{model}-{benchmark}").strip("-.")


def check_results(folder: Path, benchmark: Benchmark, made_by: MadeBy, root: Path) -> None:
    """Refuse a folder with results of another model, benchmark or dataset, or with others' files.

    A dataset that was moved since is the same one.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a file has this name: choose another folder")
    if not os.path.exists(folder / FILE_NAME):
        for name in (CSV, PARQUET, REPORT):
            if os.path.exists(folder / name):
                raise OutputError(
                    f"{folder}: has a {name} that is not ours: choose another output folder"
                )
        return
    if is_torn(folder / FILE_NAME):
        return  # ours, and a power cut took it: it is written anew
    try:
        there = read_evaluation(folder)
    except InputError as error:
        raise OutputError(f"{error}; or choose another output folder") from error
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
    _refuse_other_root(folder, Path(there.data.root), root)


def _refuse_other_root(folder: Path, before: Path, now: Path) -> None:
    if os.path.exists(before) and not (os.path.exists(now) and before.samefile(now)):
        raise OutputError(
            f"{folder}: holds the results for the images in {before}: choose another output folder"
        )


def finished_results(folder: Path, plan: Plan, made_by: MadeBy) -> Evaluation | None:
    """Results that this version of rilievo would only repeat; None where there is work left.

    They are whole, of the same benchmark, images, model and settings, and every image has a score.
    """
    if is_torn(folder / FILE_NAME) or not os.path.exists(folder / CHECKSUMS):
        return None
    try:
        there = read_evaluation(folder)
    except InputError:
        return None
    facts = plan.facts
    same = (
        there.version == VERSION
        and there.benchmark_sha256 == benchmark_sha256(plan.benchmark)
        and there.made_by == made_by
        and (there.data.root, there.data.ids_sha256) == (facts.root, facts.ids_sha256)
    )
    return there if same and not there.unscored else None


def write_results(evaluation: Evaluation, folder: Path, pictures: ReportPictures) -> Evaluation:
    """Write ``evaluation.json``, the per-image tables and the report, each whole or not at all.

    What needs a package that is not installed is left out, and that is said. The evaluation comes
    first: a folder that has it is ours, should the rest not be written any more.

    Returns:
        The evaluation, with a warning for each file that was left out.
    """
    make_folder(folder)
    sweep_parts(folder)
    remove(folder / CHECKSUMS)  # of what is replaced now
    _sync_kept(folder / PREDICTIONS)
    _write_evaluation(evaluation, folder)
    write_csv(evaluation, folder / CSV)
    left_out = []
    for name, write in (
        (PARQUET, lambda path: write_parquet(evaluation, path)),
        (REPORT, lambda path: write_report(evaluation, path, pictures)),
    ):
        try:
            write(folder / name)
        except MissingExtraError as error:
            left_out.append(str(error))
            # One of an earlier run would tell other numbers.
            remove(folder / name)
    if left_out:
        evaluation = replace(evaluation, warnings=(*evaluation.warnings, *left_out))
        _write_evaluation(evaluation, folder)
    write_checksums(folder, (FILE_NAME, CSV, PARQUET, REPORT))
    return evaluation


def _sync_kept(predictions: Path) -> None:
    """Have kept predictions on the disk before anything says that they were scored.

    Until here they are not synced one by one: one that a power cut breaks is noticed by its
    checksums, and made anew.
    """
    try:
        sync_tree(predictions)
    except OSError as error:
        raise unwritable(predictions, error) from error


def _write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    with replacing(folder / FILE_NAME) as part:
        part.write_text(to_json(evaluation, indent=1), encoding="utf-8")
