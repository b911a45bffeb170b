"""CSV logs of a run, readable while it runs, and the same numbers in TensorBoard on request.

A checkpoint holds the logs as they were then. A run that is resumed begins with these, so rows of
later steps are deleted, and what a power cut took from the files is there again.
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
from rilievo.io.atomic import remove, replacing, unwritable
from rilievo.io.durable import sync_folder, sync_open_file

_PLACES = ("step", "epoch")


class Journal:
    """Logs of a run; a context manager that closes them."""

    def __init__(
        self,
        run: Path,
        names: Iterable[str],
        *,
        step: int,
        tensorboard: bool,
        extra: str,
        kept: Mapping[str, str] | None = None,
    ) -> None:
        """Open the logs.

        Args:
            run: The run's folder.
            names: Names of the CSV files; the first column of each is the step.
            step: Step that the run resumes from; later rows are deleted.
            tensorboard: Whether to write events for TensorBoard too.
            extra: Extra of rilievo that installs TensorBoard.
            kept: Texts of the files at that step, by name; None where they are not known, and then
                the rows that the files have are kept.

        Raises:
            MissingExtraError: If TensorBoard is asked for and not installed.
        """
        self._run, self._names = run, tuple(names)
        self._writer: Any = _open_writer(run, step, extra) if tensorboard else None
        for name in self._names:
            if kept is None:
                _forget_after(run / name, step)
            else:
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
        """Texts of the files that are there, by name."""
        paths = [self._run / name for name in self._names]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def write(self, name: str, part: str, row: object) -> None:
        """Add one row.

        Args:
            name: Name of the CSV file.
            part: Group of the numbers in TensorBoard.
            row: Record with a field ``step``.

        Raises:
            OutputError: If the file cannot be written.
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
                # Synced, so that a checkpoint that survives a power cut has its rows.
                sync_open_file(file.fileno())
            if is_new:
                sync_folder(self._run)
        except OSError as error:
            raise unwritable(path, error) from error
        if self._writer is not None:
            for metric, value in values.items():
                if metric not in _PLACES and isinstance(value, int | float):
                    self._writer.add_scalar(f"{part}/{metric}", value, values["step"])

    def show(self, part: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        """Add an image to TensorBoard, if that is on."""
        if self._writer is not None:
            self._writer.add_image(part, picture, step, dataformats="HWC")


def stored_logs(entry: object) -> dict[str, str] | None:
    """Texts of the logs, as a checkpoint has them; None where it has none.

    Raises:
        ValueError: If the entry is something else.
    """
    if entry is None:
        return None
    if type(entry) is not dict or not all(
        type(each) is str for pair in entry.items() for each in pair
    ):
        raise ValueError("its logs are no texts")
    return dict(entry)


def _cell(value: int | float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _open_writer(run: Path, step: int, extra: str) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError("TensorBoard", extra) from error
    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)


def _restore(path: Path, text: str | None) -> None:
    """Give a file the text that it had; None for a file that was not there."""
    if text is None:
        remove(path)
    elif not path.is_file() or path.read_bytes() != text.encode():
        with replacing(path) as part:
            part.write_bytes(text.encode())


def _forget_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    if "\n" not in text:
        # The run was killed before the first line was written.
        path.unlink()
        return
    header, *lines = text.splitlines()
    # The last line of a killed run may be incomplete.
    whole = [line for line in lines if line.count(",") >= header.count(",")]
    if not text.endswith("\n"):
        whole = whole[: len(lines) - 1]
    kept = [line for line in whole if _is_step(line) and float(line.split(",", 1)[0]) <= step]
    with replacing(path) as part:
        part.write_text("\n".join([header, *kept, ""]), encoding="utf-8")


def _is_step(line: str) -> bool:
    """Whether a line begins with a number; a power cut can leave zero bytes in its place."""
    return line.split(",", 1)[0].isdecimal()
