"""Folder of a run, which makes it a model, and its logs."""

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

LOGS = STEPS, VALIDATIONS, WARNINGS = "log.csv", "validation.csv", "warnings.csv"
_PLACES = ("step", "epoch")
RECORD = "record.json"
# It exists while a run is in progress.
CHECKPOINT = "checkpoint.pt"
Config = TypeVar("Config")
Record = TypeVar("Record")


class Journal:
    """Logs of a run."""

    def __init__(
        self,
        run: Path,
        records: Mapping[str, str],
        *,
        step: int,
        tensorboard: bool = False,
        writes: bool = True,
    ) -> None:
        self._run, self._writes = run, writes
        self._writer: Any = _open_tensorboard(run, step) if tensorboard and writes else None
        for name in LOGS if writes else ():
            _write_or_remove(run / name, records.get(name))

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def texts(self) -> dict[str, str]:
        """Texts of the logs by name."""
        paths = [self._run / name for name in LOGS]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def add(self, name: str, row: Mapping[str, float | int | str]) -> None:
        """Append a row to a CSV log, and to TensorBoard."""
        if not self._writes:
            return
        path = self._run / name
        try:
            is_new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if is_new:
                    writer.writerow(row)
                writer.writerow(
                    f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row.values()
                )
                file.flush()
                # Synced, so that a checkpoint that survives a power cut has its rows.
                sync_if_supported(file.fileno())
            if is_new:
                sync_folder(self._run)
        except OSError as error:
            raise unwritable(path, error) from error
        if self._writer is not None:
            part = "train" if name == STEPS else path.stem
            for metric, value in row.items():
                if metric not in _PLACES and isinstance(value, int | float):
                    self._writer.add_scalar(f"{part}/{metric}", value, row["step"])

    def show(self, part: str, picture: Pixels, step: int) -> None:
        """Add a TensorBoard image."""
        if self._writer is not None:
            self._writer.add_image(part, picture, step, dataformats="HWC")


def hold_run_folder(run: Path) -> AbstractContextManager[None]:
    """Hold a run's folder; refuse while another process trains in it."""
    busy = f"{printable(run)}: another process trains in this folder: stop it, or wait for it"
    return hold_or_refuse(lock_path(run / CHECKPOINT), busy)


def read_log_rows(run: Path, name: str) -> list[dict[str, str]]:
    """Rows of a log, texts by column; none without a log."""
    path = run / name
    if not path.exists() or is_blank(path):
        return []
    try:
        return list(csv.DictReader(StringIO(read_text(path))))
    except csv.Error as error:
        raise InputError(f"{printable(path)}: is no table of a run: {error}") from error


def _open_tensorboard(run: Path, step: int) -> Any:
    with needing("TensorBoard", "train"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)


def _write_or_remove(path: Path, text: str | None) -> None:
    if text is None:
        remove(path)
    elif not path.is_file() or path.read_bytes() != text.encode():
        with replacing(path) as part:
            part.write_bytes(text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder(Generic[Config, Record]):
    """Folder of a run of one kind, which ``is_ours`` recognises."""

    path: Path
    config: type[Config]
    record: type[Record]
    is_ours: Callable[[Path], bool]
    beginnings: tuple[str, ...] = ()

    def check(self, config: Config, *, resume: bool) -> Config:
        """Check that a run in the folder, if any, is this one; return its configuration."""
        if self.path.is_dir():
            sweep_parts(self.path)
        if not self.is_begun:
            return config
        if not self.is_ours(self.path):
            raise OutputError(
                f"{printable(self.path / CONFIG)}: is not ours: choose another folder"
            )
        if not resume and not self.is_saved:
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
        before = self.read_config()
        differ = describe_changes(with_absolute_paths(before), config)
        if differ:
            raise OutputError(
                f"{printable(self.path)}: holds a run with other options ({'; '.join(differ)}): "
                "give those of then, or choose another folder"
            )
        return before

    @property
    def is_begun(self) -> bool:
        """Whether there is a whole configuration."""
        path = self.path / CONFIG
        return path.exists() and not is_torn(path)

    @property
    def is_saved(self) -> bool:
        """Whether there is a checkpoint or its result."""
        return any((self.path / name).exists() for name in (CHECKPOINT, WEIGHTS, RECORD))

    def write_config(self, config: Config, *, folders: Sequence[str] = (".",)) -> None:
        """Write a new run's configuration to ``folders``, unless there."""
        if self.is_begun and not self.is_saved:
            # That run may be at its first step still, in another process.
            with hold_run_folder(self.path):
                for name in self.beginnings:
                    shutil.rmtree(self.path / name, ignore_errors=True)
                remove(self.path / CONFIG)
        text = to_json(config, indent=2)
        for folder in folders:
            path = self.path / folder / CONFIG
            if path.parent == self.path:
                is_kept = path.exists() and not is_torn(path)
            else:
                is_kept = _file_equals_text(path, text)
            if is_kept:
                continue
            make_folder(path.parent)
            with replacing(path) as part:
                part.write_text(text, encoding="utf-8")

    def read_config(self) -> Config:
        """Read the configuration."""
        return self._read_json(CONFIG, self.config, "is no run of this kind: {}")

    def read_record(self) -> Record:
        """Read the record."""
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
        others: Sequence[str] = (),
        sums: Mapping[str, FileSum] | None = None,
    ) -> None:
        """Write the record and checksums, and delete the checkpoint once all is synced."""
        with replacing(self.path / RECORD) as part:
            part.write_text(to_json(record, indent=2), encoding="utf-8")
        names = (CONFIG, WEIGHTS, RECORD, *others, *LOGS)
        write_checksums(self.path / CHECKSUMS, names, sums=sums)
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def is_finished(self) -> bool:
        """Whether the run is finished; refuses broken weights."""
        run, checkpoint = self.path, self.path / CHECKPOINT
        if checkpoint.exists():
            if is_blank(checkpoint):
                raise InputError(
                    f"{printable(checkpoint)}: has no content, as after a power cut: take it away "
                    "to train anew, or copy the run from elsewhere"
                )
            return False
        if not all((run / file_name).exists() for file_name in (WEIGHTS, RECORD)) or is_torn(
            run / RECORD
        ):
            return False
        expected = (read_sums(run / CHECKSUMS) or {}).get(WEIGHTS)
        fault = "has no content" if is_blank(run / WEIGHTS) else None
        if fault is None and expected is not None:
            fault = content_fault(run / WEIGHTS, expected)
        if fault is not None:
            raise InputError(
                f"{printable(run / WEIGHTS)}: {fault}, and there is no {CHECKPOINT} to go on from: "
                f"take {RECORD} away to train anew, or copy the run from elsewhere"
            )
        return True


def _file_equals_text(path: Path, text: str) -> bool:
    try:
        return path.exists() and read_text(path) == text
    except InputError:
        return False
