"""CSV logs of a run, readable while it runs, and the same numbers in TensorBoard on request.

A checkpoint holds the logs as they were then. A run that is resumed begins with these, so rows of
later steps are deleted, and what a power cut took from the files is there again.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rilievo.errors import needing
from rilievo.io.atomic import remove, replacing, unwritable
from rilievo.io.durable import sync_folder, sync_open_file

LOGS = STEPS, VALIDATIONS, WARNINGS = "log.csv", "validation.csv", "warnings.csv"
_PLACES = ("step", "epoch")


class Journal:
    """Logs of a run; a context manager that closes them."""

    def __init__(
        self,
        run: Path,
        kept: Mapping[str, str],
        *,
        step: int,
        tensorboard: bool = False,
        writes: bool = True,
    ) -> None:
        """Open the logs.

        ``kept`` are their texts at the step that the run resumes from, by name. ``writes`` tells
        whether this process is the one that writes.
        """
        self._run, self._writes = run, writes
        self._writer: Any = _open_writer(run, step) if tensorboard and writes else None
        for name in LOGS if writes else ():
            _restore(run / name, kept.get(name))

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def texts(self) -> dict[str, str]:
        """Texts of the logs that are there, by name."""
        paths = [self._run / name for name in LOGS]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def add(self, name: str, row: Mapping[str, float | int | str]) -> None:
        """Add one row, of which ``step`` is a column, to a log of ``LOGS``."""
        if not self._writes:
            return
        path = self._run / name
        try:
            is_new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if is_new:
                    writer.writerow(row)
                writer.writerow([_cell(each) for each in row.values()])
                file.flush()
                # Synced, so that a checkpoint that survives a power cut has its rows.
                sync_open_file(file.fileno())
            if is_new:
                sync_folder(self._run)
        except OSError as error:
            raise unwritable(path, error) from error
        if self._writer is not None:
            part = "train" if name == STEPS else path.stem
            for metric, value in row.items():
                if metric not in _PLACES and isinstance(value, int | float):
                    self._writer.add_scalar(f"{part}/{metric}", value, row["step"])

    def show(self, part: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        """Add an image to TensorBoard, if that is on."""
        if self._writer is not None:
            self._writer.add_image(part, picture, step, dataformats="HWC")


def rows_of(run: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a log by column; empty where there is none."""
    path = run / name
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _cell(value: int | float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _open_writer(run: Path, step: int) -> Any:
    with needing("TensorBoard", "train"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)


def _restore(path: Path, text: str | None) -> None:
    """Give a file the text that it had; None for a file that was not there."""
    if text is None:
        remove(path)
    elif not path.is_file() or path.read_bytes() != text.encode():
        with replacing(path) as part:
            part.write_bytes(text.encode())
