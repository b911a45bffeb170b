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
from rilievo.errors import InputError, OutputError, needing
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
    make_folder,
    remove,
    replacing,
    sweep_parts,
    sync_folder,
    sync_if_supported,
    unwritable,
)
from rilievo.io.files.commit import hold_or_refuse, lock_path
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.training.adapters.run_models import CONFIG, WEIGHTS
from rilievo.training.engine.config_fields import describe_changes, with_absolute_paths

STEP_LOG, VALIDATION_LOG, WARNING_LOG = "log.csv", "validation.csv", "warnings.csv"
LOGS = (STEP_LOG, VALIDATION_LOG, WARNING_LOG)
RECORD = "record.json"
"""Name of the record, which is written when a run is finished."""
CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint, which exists while a run is in progress."""

_POSITION_COLUMNS = ("step", "epoch")
"""Columns that say where a run is, and that are no metrics."""
Config = TypeVar("Config")
Record = TypeVar("Record")


class Journal:
    """Logs of a run: CSV files, and events for TensorBoard."""

    def __init__(
        self,
        run: Path,
        records: Mapping[str, str],
        *,
        step: int,
        tensorboard: bool = False,
        writes: bool = True,
    ) -> None:
        """Open the logs, and bring them back to their state at the last checkpoint.

        Args:
            run: Folder of the run.
            records: Texts of the CSV files at that checkpoint, by file name.
            step: Step of that checkpoint, or 0.
            tensorboard: Whether to write events for TensorBoard.
            writes: Whether to write anything, as only the first process of a run does.
        """
        self._run, self._writes = run, writes
        self._tensorboard: Any = None
        if not writes:
            return
        if tensorboard:
            self._tensorboard = _open_tensorboard(run, step)
        for name in LOGS:
            _restore_file(run / name, records.get(name))

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()

    def texts(self) -> dict[str, str]:
        """Texts of the CSV files, by file name."""
        paths = [self._run / name for name in LOGS]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def add(self, name: str, row: Mapping[str, float | int | str]) -> None:
        """Append a row to the CSV file ``name``, and its numbers to TensorBoard."""
        if not self._writes:
            return
        self._append_to_csv(self._run / name, row)
        if self._tensorboard is not None:
            group = "train" if name == STEP_LOG else Path(name).stem
            for column, value in row.items():
                if column not in _POSITION_COLUMNS and isinstance(value, int | float):
                    self._tensorboard.add_scalar(f"{group}/{column}", value, row["step"])

    def _append_to_csv(self, path: Path, row: Mapping[str, float | int | str]) -> None:
        cells = [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row.values()]
        try:
            is_new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if is_new:
                    writer.writerow(row)
                writer.writerow(cells)
                file.flush()
                # Synced, so that a checkpoint that survives a power cut has its rows.
                sync_if_supported(file.fileno())
            if is_new:
                sync_folder(self._run)
        except OSError as error:
            raise unwritable(path, error) from error

    def add_image(self, name: str, picture: Pixels, step: int) -> None:
        """Add a picture to TensorBoard."""
        if self._tensorboard is not None:
            self._tensorboard.add_image(name, picture, step, dataformats="HWC")


def _open_tensorboard(run: Path, step: int) -> Any:
    with needing("TensorBoard", "train"):
        from torch.utils.tensorboard import SummaryWriter
    # Events after the checkpoint come again.
    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)


def _restore_file(path: Path, text: str | None) -> None:
    """Let a file have this text, or remove it for None."""
    if text is None:
        remove(path)
    elif not path.is_file() or path.read_bytes() != text.encode():
        with replacing(path) as part:
            part.write_bytes(text.encode())


def read_log_rows(run: Path, name: str) -> list[dict[str, str]]:
    """Read the rows of a log, as texts by column; without a log there are none.

    Raises:
        InputError: If the file is no CSV.
    """
    path = run / name
    if not path.exists() or is_blank(path):
        return []
    try:
        return list(csv.DictReader(StringIO(read_text(path))))
    except csv.Error as error:
        raise InputError(f"{printable(path)}: is no table of a run: {error}") from error


def hold_run_folder(run: Path) -> AbstractContextManager[None]:
    """Lock a run's folder in a block.

    Raises:
        OutputError: If another process trains in the folder.
    """
    busy = f"{printable(run)}: another process trains in this folder: stop it, or wait for it"
    return hold_or_refuse(lock_path(run / CHECKPOINT), busy)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder(Generic[Config, Record]):
    """Folder of a run of one kind of training.

    Attributes:
        path: The folder.
        config: Class of the configuration.
        record: Class of the record.
        is_ours: Function that tells whether a folder has a configuration of this kind.
        initial_folders: Folders that a run writes before its first checkpoint, besides its
            configuration.
    """

    path: Path
    config: type[Config]
    record: type[Record]
    is_ours: Callable[[Path], bool]
    initial_folders: tuple[str, ...] = ()

    def check_config(self, config: Config, *, resume: bool) -> Config:
        """Check that a run with this configuration can begin in the folder, or resume.

        Returns:
            The configuration; if the run resumes, as it is stored, with its spelling of paths.

        Raises:
            OutputError: If the folder is of something else, holds a run and ``resume`` is False, or
                holds a run with another configuration.
        """
        if self.path.is_dir():
            sweep_parts(self.path)
        if not self.has_config:
            return config
        if not self.is_ours(self.path):
            raise OutputError(
                f"{printable(self.path / CONFIG)}: is not ours: choose another folder"
            )
        if not resume and not self.has_weights:
            return config
        if not resume:
            raise OutputError(
                path=printable(self.path),
                problem=Text(
                    "holds a run already: go on with it (",
                    OptionName("resume"),
                    "), or choose another folder",
                ),
            )

        stored = self.read_config()
        changes = describe_changes(with_absolute_paths(stored), config)
        if changes:
            raise OutputError(
                f"{printable(self.path)}: holds a run with other options ({'; '.join(changes)}): "
                "give those of then, or choose another folder"
            )
        return stored

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

        Args:
            config: Configuration of the run.
            folders: Folders to write it to, relative to that of the run.

        Raises:
            OutputError: If another process trains in the folder.
        """
        if self.has_config and not self.has_weights:
            # The run that wrote it may still be at its first step, in another process.
            with hold_run_folder(self.path):
                self._remove_initial_files()
        text = to_json(config, indent=2)
        for folder in folders:
            path = self.path / folder / CONFIG
            if path.parent == self.path:
                is_written = self.has_config
            else:
                is_written = _has_text(path, text)
            if not is_written:
                make_folder(path.parent)
                with replacing(path) as part:
                    part.write_text(text, encoding="utf-8")

    def _remove_initial_files(self) -> None:
        """Remove what a run without a checkpoint has written."""
        for name in self.initial_folders:
            shutil.rmtree(self.path / name, ignore_errors=True)
        remove(self.path / CONFIG)

    def read_config(self) -> Config:
        """Read the configuration.

        Raises:
            InputError: If it is of another kind of run.
        """
        return self._read_json(CONFIG, self.config, "is no run of this kind: {}")

    def read_record(self) -> Record:
        """Read the record of a finished run.

        Raises:
            InputError: If the file is something else.
        """
        problem = "is no record of a run ({}): take it away to train anew"
        return self._read_json(RECORD, self.record, problem)

    def _read_json(self, name: str, kind: type[Any], problem: str) -> Any:
        path = self.path / name
        try:
            return from_json(kind, read_text(path))
        except NotThisRecord as error:
            raise InputError(f"{printable(path)}: {problem.format(error)}") from error

    def finish(
        self,
        record: Record,
        *,
        other_files: Sequence[str] = (),
        sums: Mapping[str, FileSum] | None = None,
    ) -> None:
        """Write the record and the checksums, and then delete the checkpoint.

        Args:
            record: Record of the run.
            other_files: Files to list in the checksums besides those of every run.
            sums: Checksums that are known already, by file.
        """
        with replacing(self.path / RECORD) as part:
            part.write_text(to_json(record, indent=2), encoding="utf-8")
        names = (CONFIG, WEIGHTS, RECORD, *other_files, *LOGS)
        write_checksums(self.path / CHECKSUMS, names, sums=sums)
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def is_finished(self) -> bool:
        """Whether the run was trained to its end.

        Raises:
            InputError: If its checkpoint is empty, or the weights of a finished run are broken.
        """
        checkpoint, weights, record = (self.path / name for name in (CHECKPOINT, WEIGHTS, RECORD))
        if checkpoint.exists():
            if is_blank(checkpoint):
                raise InputError(
                    f"{printable(checkpoint)}: has no content, as after a power cut: take it away "
                    "to train anew, or copy the run from elsewhere"
                )
            return False
        if not weights.exists() or not record.exists() or is_torn(record):
            return False

        fault = self._weights_fault()
        if fault is not None:
            raise InputError(
                f"{printable(weights)}: {fault}, and there is no {CHECKPOINT} to go on from: "
                f"take {RECORD} away to train anew, or copy the run from elsewhere"
            )
        return True

    def _weights_fault(self) -> str | None:
        """What is wrong with the file of the weights; None if nothing is."""
        expected_sum = (read_sums(self.path / CHECKSUMS) or {}).get(WEIGHTS)
        if is_blank(self.path / WEIGHTS):
            return "has no content"
        if expected_sum is None:
            return None
        return content_fault(self.path / WEIGHTS, expected_sum)


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.exists() and read_text(path) == text
    except InputError:
        return False
