"""Log rows that a run of a probe writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.train.journal import Journal

LOGS = STEPS, VALIDATIONS = "log.csv", "validation.csv"


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
    """Scores on the images held out, at the training size; depth as predicted."""

    step: int
    epoch: float
    abs_rel: float
    delta1: float
    angle: float


class Log(Journal):
    """Logs of a run; a context manager that closes them."""

    def __init__(
        self, run: Path, *, step: int, tensorboard: bool, kept: Mapping[str, str] | None = None
    ) -> None:
        """Open the logs.

        Args:
            run: The run's folder.
            step: Step that the run resumes from; later rows are deleted.
            tensorboard: Whether to write events for TensorBoard too.
            kept: Texts of the logs at that step, by name.

        Raises:
            MissingExtraError: If TensorBoard is asked for and not installed.
        """
        super().__init__(run, LOGS, step=step, tensorboard=tensorboard, extra="train", kept=kept)

    def __enter__(self) -> "Log":
        return self

    def add(self, row: StepRow | ValidationRow) -> None:
        """Add one row."""
        name, part = (STEPS, "train") if isinstance(row, StepRow) else (VALIDATIONS, "validation")
        self.write(name, part, row)
