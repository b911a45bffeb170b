"""The folder of a run: its configuration, logs, checkpoint, record and checksums."""

import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Generic, TypeVar

from rilievo.arrays.shapes import Pixels
from rilievo.errors import InputError, OutputError, explain_missing_extra
from rilievo.errors.messages import OptionName, Text
from rilievo.io.checksums import (
    CHECKSUMS,
    FileSum,
    content_fault,
    is_blank,
    is_torn,
    read_sums,
    write_checksums,
)
from rilievo.io.files.atomic import (
    append_text,
    make_folder,
    remove,
    sweep_parts,
    write_bytes,
    write_text,
)
from rilievo.io.files.commit import hold_lock_or_raise
from rilievo.io.files.limits import exists, read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.training.adapters.run_models import CONFIG, WEIGHTS
from rilievo.training.engine.config_fields import describe_changes, with_absolute_paths

STEP_LOG, VALIDATION_LOG, WARNING_LOG = "log.csv", "validation.csv", "warnings.csv"
LOGS = (STEP_LOG, VALIDATION_LOG, WARNING_LOG)
RECORD = "record.json"
"""Name of the record, which is written when a run is finished."""
CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint, which exists while a run is in progress."""

_POSITION_COLUMNS = ("step", "epoch")
"""Columns that say where a run is. All other columns are metrics."""
Config = TypeVar("Config")
Record = TypeVar("Record")


class Journal:
    """Logs of a run: CSV files, and events for TensorBoard."""

    def __init__(
        self,
        run: Path,
        log_texts: Mapping[str, str],
        *,
        step: int,
        tensorboard: bool = False,
        writes: bool = True,
    ) -> None:
        """Describe the logs of a run, which entering the context opens.

        ``log_texts`` are the texts of the CSV files at the last checkpoint, by file name, and
        ``step`` is its step. ``writes`` is False in all processes but the first, which write
        nothing.
        """
        self._run = run
        self._log_texts = log_texts
        self._first_step = step
        self._uses_tensorboard = tensorboard
        self._writes = writes
        self._tensorboard: Any = None

    def __enter__(self) -> "Journal":
        """Bring the logs back to their state at the last checkpoint."""
        if not self._writes:
            return self
        if self._uses_tensorboard:
            self._tensorboard = _open_tensorboard(self._run, self._first_step)
        for name in LOGS:
            _restore_file(self._run / name, self._log_texts.get(name))
        return self

    def __exit__(self, *_: object) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()

    def texts(self) -> dict[str, str]:
        """Texts of the CSV files, by file name."""
        paths = [self._run / name for name in LOGS]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def add(self, name: str, row: Mapping[str, float | int | str]) -> None:
        """Append a row to the CSV file ``name``, and its metrics to TensorBoard."""
        if not self._writes:
            return
        self._append_to_csv(self._run / name, row)
        if self._tensorboard is None:
            return
        group = "train" if name == STEP_LOG else Path(name).stem
        for column, value in row.items():
            if column not in _POSITION_COLUMNS and isinstance(value, int | float):
                self._tensorboard.add_scalar(f"{group}/{column}", value, row["step"])

    def _append_to_csv(self, path: Path, row: Mapping[str, float | int | str]) -> None:
        """Append a row to a CSV file, after the header if the file is new.

        The file is synced, so that a checkpoint that survives a power cut has its rows.
        """
        cells = [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row.values()]
        lines = StringIO(newline="")
        writer = csv.writer(lines, lineterminator="\n")
        if not exists(path):
            writer.writerow(row)
        writer.writerow(cells)
        append_text(path, lines.getvalue())

    def add_image(self, name: str, picture: Pixels, step: int) -> None:
        """Add a picture to TensorBoard."""
        if self._tensorboard is not None:
            self._tensorboard.add_image(name, picture, step, dataformats="HWC")


def _open_tensorboard(run: Path, step: int) -> Any:
    with explain_missing_extra("TensorBoard", "train"):
        from torch.utils.tensorboard import SummaryWriter
    # Events after the checkpoint are deleted, as their steps are repeated.
    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)


def _restore_file(path: Path, text: str | None) -> None:
    """Make a file contain ``text``, or remove it if that is None."""
    if text is None:
        remove(path)
    elif not path.is_file() or path.read_bytes() != text.encode():
        write_bytes(path, text.encode())


def read_log_rows(run: Path, name: str) -> list[dict[str, str]]:
    """Read the rows of a log as texts by column; empty if the run has no such log.

    Raises:
        InputError: If the file is not a CSV.
    """
    path = run / name
    if not path.exists() or is_blank(path):
        return []
    try:
        return list(csv.DictReader(StringIO(read_text(path))))
    except csv.Error as error:
        raise InputError(f"{printable(path)}: is not a valid training log: {error}") from error


def hold_run_folder(run: Path) -> AbstractContextManager[None]:
    """Lock the folder of a run in a block; ``OutputError`` if another process trains in it."""
    busy_message = (
        f"{printable(run)}: another process is training in this folder: stop it, or wait until it "
        "ends"
    )
    return hold_lock_or_raise(run / CHECKPOINT, busy_message)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder(Generic[Config, Record]):
    """Folder of a run of one kind of training.

    Attributes:
        config: Class of the configuration.
        record: Class of the record.
        is_run_of_kind: Function that tells whether a folder has a configuration of this kind.
        initial_folders: Folders that a run writes before its first checkpoint.
    """

    path: Path
    config: type[Config]
    record: type[Record]
    is_run_of_kind: Callable[[Path], bool]
    initial_folders: tuple[str, ...] = ()

    def config_to_train(self, config: Config, *, resume: bool) -> Config:
        """Configuration with which a run can begin or resume in the folder.

        It is the given one for a new run, and the stored one, with its spelling of paths, for a
        resumed run. Files that an interrupted process left half-written are removed.

        Raises:
            OutputError: If the folder belongs to something else, or holds a run with another
                configuration, or any run without ``resume``.
        """
        if self.path.is_dir():
            sweep_parts(self.path)
        if not self.has_config:
            return config
        if not self.is_run_of_kind(self.path):
            raise OutputError(
                f"{printable(self.path / CONFIG)}: was not written by this kind of training: "
                "choose another folder"
            )
        is_overwritten = not resume and not self.has_weights
        if is_overwritten:
            return config
        if not resume:
            raise OutputError(
                path=printable(self.path),
                problem=Text(
                    "already contains a run: continue it with ",
                    OptionName("resume"),
                    ", or choose another folder",
                ),
            )

        stored_config = self.read_config()
        changes = describe_changes(with_absolute_paths(stored_config), config)
        if changes:
            raise OutputError(
                f"{printable(self.path)}: contains a run with different options "
                f"({'; '.join(changes)}): use the options of that run, or choose another folder"
            )
        return stored_config

    @property
    def has_config(self) -> bool:
        """Whether the folder has a configuration that was written to its end."""
        path = self.path / CONFIG
        return path.exists() and not is_torn(path)

    @property
    def has_weights(self) -> bool:
        """Whether the folder has a checkpoint, or the files of a finished run."""
        return any((self.path / name).exists() for name in (CHECKPOINT, WEIGHTS, RECORD))

    def write_config(self, config: Config, *, folders: Sequence[str] = (".",)) -> None:
        """Write the configuration of a new run, and leave that of a resumed run as it is.

        ``folders`` are relative to that of the run.
        """
        if self.has_config and not self.has_weights:
            # The run that wrote it may still be at its first step, in another process.
            with hold_run_folder(self.path):
                self._remove_initial_files()
        text = to_json(config, indent=2)
        for folder in folders:
            path = self.path / folder / CONFIG
            if path.parent == self.path:
                # A resumed run keeps its configuration, whose paths may be spelled differently.
                is_up_to_date = self.has_config
            else:
                is_up_to_date = _has_text(path, text)
            if not is_up_to_date:
                make_folder(path.parent)
                write_text(path, text)

    def _remove_initial_files(self) -> None:
        """Remove what a run without a checkpoint has written."""
        for name in self.initial_folders:
            shutil.rmtree(self.path / name, ignore_errors=True)
        remove(self.path / CONFIG)

    def read_config(self) -> Config:
        """Read the configuration; ``InputError`` if it is of another kind of run."""
        path = self.path / CONFIG
        try:
            return from_json(self.config, read_text(path))
        except InvalidRecordError as error:
            raise InputError(
                f"{printable(path)}: is not the configuration of this kind of run: {error}"
            ) from error

    def read_record(self) -> Record:
        """Read the record of a finished run; ``InputError`` if the file is something else."""
        path = self.path / RECORD
        try:
            return from_json(self.record, read_text(path))
        except InvalidRecordError as error:
            raise InputError(
                f"{printable(path)}: is not the record of a run ({error}): delete it to restart "
                "training"
            ) from error

    def finish(
        self,
        record: Record,
        *,
        other_files: Sequence[str] = (),
        known_checksums: Mapping[str, FileSum] | None = None,
    ) -> None:
        """Write the record and the checksums, and then delete the checkpoint.

        The checksums list ``other_files`` besides those of every run. ``known_checksums`` are those
        that need not be computed, by file.
        """
        write_text(self.path / RECORD, to_json(record, indent=2))
        names = (CONFIG, WEIGHTS, RECORD, *other_files, *LOGS)
        write_checksums(self.path / CHECKSUMS, names, sums=known_checksums)
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def is_finished(self) -> bool:
        """Whether the run was trained to its end.

        Raises:
            InputError: If its checkpoint is empty, or the weights of a finished run are broken.
        """
        checkpoint = self.path / CHECKPOINT
        weights = self.path / WEIGHTS
        record = self.path / RECORD
        if checkpoint.exists():
            if is_blank(checkpoint):
                raise InputError(
                    f"{printable(checkpoint)}: is empty, perhaps because of a power cut: delete it "
                    "to restart training, or restore the run from a copy"
                )
            return False
        if not weights.exists() or not record.exists() or is_torn(record):
            return False

        weights_fault = self._find_weights_fault()
        if weights_fault is not None:
            raise InputError(
                f"{printable(weights)}: {weights_fault}, and there is no {CHECKPOINT} to resume "
                f"from: delete {RECORD} to restart training, or restore the run from a copy"
            )
        return True

    def _find_weights_fault(self) -> str | None:
        """Describe what is wrong with the file of the weights; None if nothing is."""
        if is_blank(self.path / WEIGHTS):
            return "is empty"
        checksums = read_sums(self.path / CHECKSUMS)
        expected_checksum = None if checksums is None else checksums.get(WEIGHTS)
        if expected_checksum is None:
            return None
        return content_fault(self.path / WEIGHTS, expected_checksum)


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.exists() and read_text(path) == text
    except InputError:
        return False
