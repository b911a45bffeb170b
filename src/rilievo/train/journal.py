"""Rows of numbers, readable while a run goes on, and the same in TensorBoard for those who ask.

A run that goes on after it was killed first forgets the rows behind its last checkpoint.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rilievo.errors import MissingExtraError
from rilievo.io.atomic import replacing, unwritable
from rilievo.io.durable import sync_open_file

_PLACES = ("step", "epoch")


class Journal:
    """The tables of a run, to be closed."""

    def __init__(
        self, run: Path, names: Iterable[str], *, step: int, tensorboard: bool, extra: str
    ) -> None:
        """Open the tables.

        Args:
            run: The run's folder.
            names: Of the tables' files; the first column of each is the step.
            step: That the run goes on from; rows behind it are forgotten.
            tensorboard: Whether to write events for TensorBoard too.
            extra: That TensorBoard comes with.

        Raises:
            MissingExtraError: If TensorBoard is asked for and not installed.
        """
        self._run = run
        self._writer: Any = _open_writer(run, step, extra) if tensorboard else None
        for name in names:
            _forget_after(run / name, step)

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

    def write(self, name: str, part: str, row: object) -> None:
        """Add one row.

        Args:
            name: Of the table's file.
            part: What TensorBoard files its numbers under.
            row: A record with a field ``step``.

        Raises:
            OutputError: If the system refuses.
        """
        values: Mapping[str, Any] = asdict(row)  # pyright: ignore[reportArgumentType]
        path = self._run / name
        try:
            is_new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if is_new:
                    writer.writerow(values)
                writer.writerow([_cell(each) for each in values.values()])
                file.flush()
                # A checkpoint that outlasts a power cut has its rows.
                sync_open_file(file.fileno())
        except OSError as error:
            raise unwritable(path, error) from error
        if self._writer is not None:
            for metric, value in values.items():
                if metric not in _PLACES and isinstance(value, int | float):
                    self._writer.add_scalar(f"{part}/{metric}", value, values["step"])

    def show(self, part: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        """A picture in TensorBoard, where it is asked for."""
        if self._writer is not None:
            self._writer.add_image(part, picture, step, dataformats="HWC")


def _cell(value: int | float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _open_writer(run: Path, step: int, extra: str) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError("TensorBoard", extra) from error
    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)


def _forget_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    if "\n" not in text:
        # Killed before its first line was written.
        path.unlink()
        return
    header, *lines = text.splitlines()
    # The last line of a killed run may be a part of one.
    whole = [line for line in lines if line.count(",") >= header.count(",")]
    if not text.endswith("\n"):
        whole = whole[: len(lines) - 1]
    kept = [line for line in whole if _is_step(line) and float(line.split(",", 1)[0]) <= step]
    with replacing(path) as part:
        part.write_text("\n".join([header, *kept, ""]), encoding="utf-8")


def _is_step(line: str) -> bool:
    """Whether a line begins with a number; a power cut can leave zero bytes in its place."""
    return line.split(",", 1)[0].isdecimal()
