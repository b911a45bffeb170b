"""Rows of numbers, readable while a run goes on, and the same in TensorBoard for those who ask.

A run that goes on after it was killed first forgets the rows behind its last checkpoint.
"""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from rilievo.errors import MissingExtraError
from rilievo.io.atomic import replacing

STEPS, VALIDATIONS = "log.csv", "validation.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """Means over the steps since the last row."""

    step: int
    epoch: float
    learning_rate: float
    loss: float
    depth_loss: float
    normals_loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """Scores on the images held out, at the size that is trained on; depth as predicted."""

    step: int
    epoch: float
    abs_rel: float
    delta1: float
    angle: float


class Log:
    """The logs of a run, to be closed."""

    def __init__(self, run: Path, *, step: int, tensorboard: bool) -> None:
        """Open the logs.

        Args:
            run: The run's folder.
            step: That the run goes on from; rows behind it are forgotten.
            tensorboard: Whether to write events for TensorBoard too.

        Raises:
            MissingExtraError: If TensorBoard is asked for and not installed.
        """
        self._run = run
        self._writer: Any = _open_writer(run, step) if tensorboard else None
        for name in (STEPS, VALIDATIONS):
            _forget_after(run / name, step)

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, row: StepRow | ValidationRow) -> None:
        """Add one row."""
        name, part = (STEPS, "train") if isinstance(row, StepRow) else (VALIDATIONS, "validation")
        values = asdict(row)
        path = self._run / name
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow([each.name for each in fields(row)])
            writer.writerow([_cell(each) for each in values.values()])
        if self._writer is not None:
            for metric, value in values.items():
                if metric not in ("step", "epoch"):
                    self._writer.add_scalar(f"{part}/{metric}", value, row.step)


def _cell(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _open_writer(run: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError("TensorBoard", "probe") from error
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
    whole = [line for line in lines if line.count(",") == header.count(",")]
    kept = [line for line in whole if float(line.split(",", 1)[0]) <= step]
    with replacing(path) as part:
        part.write_text("\n".join([header, *kept, ""]), encoding="utf-8")
