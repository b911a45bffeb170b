"""Log rows that a run on video writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.train.journal import Journal

LOGS = STEPS, VALIDATIONS, WARNINGS = "log.csv", "validation.csv", "warnings.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """Means over the steps since the last row, over all processes.

    Attributes:
        step: Steps done.
        epoch: Passes through the targets, fractions included.
        learning_rate: Learning rate of the last step.
        loss: Loss that is minimised.
        photometric: Photometric part of the loss, mean over the scales, weighted.
        smoothness: Smoothness part of the loss, mean over the scales, weighted.
        extra: Parts of the loss that are off by default, weighted.
        warp_error: Photometric error of the sources warped to the target by depth and motion.
        identity_error: Photometric error of the sources without warping.
        masked: Share of pixels that a source without warping explains better.
        mean_depth: Mean depth, in the unit of the network's depth.
        depth_spread: Standard deviation of the logarithm of depth within an image.
        saturated: Share of pixels at either end of the sigmoid.
        translation: Mean length of the motions, in the unit of depth.
        rotation: Mean angle of the motions [degrees].
        images_per_second: Targets trained on, of all processes.
        seconds: Time spent in steps, interruptions not counted.
    """

    step: int
    epoch: float
    learning_rate: float
    loss: float
    photometric: float
    smoothness: float
    extra: float
    warp_error: float
    identity_error: float
    masked: float
    mean_depth: float
    depth_spread: float
    saturated: float
    translation: float
    rotation: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """Scores on the targets held out; ``rilievo.train.video.validation`` describes most of them.

    Attributes:
        corner_error: AbsRel of depth at triangulated corners; NaN unless motion is by geometry.
    """

    step: int
    epoch: float
    warp_error: float
    identity_error: float
    abs_rel: float
    delta1: float
    constant_abs_rel: float
    translation_angle: float
    rotation_error: float
    corner_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningRow:
    """Warning of a run; each kind is written once."""

    step: int
    kind: str
    text: str


class Log(Journal):
    """Logs of a run; a context manager that closes them."""

    def __init__(
        self,
        run: Path,
        *,
        step: int,
        tensorboard: bool,
        writes: bool = True,
        kept: Mapping[str, str] | None = None,
    ) -> None:
        """Open the logs.

        Args:
            run: The run's folder.
            step: Step that the run resumes from; later rows are deleted.
            tensorboard: Whether to write events for TensorBoard too.
            writes: Whether this process is the one that writes.
            kept: Texts of the logs at that step, by name.

        Raises:
            MissingExtraError: If TensorBoard is asked for and not installed.
        """
        self._writes = writes
        names = LOGS if writes else ()
        super().__init__(run, names, step=step, tensorboard=tensorboard, extra="train", kept=kept)

    def __enter__(self) -> "Log":
        return self

    def add(self, row: StepRow | ValidationRow | WarningRow) -> None:
        """Add one row.

        Raises:
            OutputError: If the file cannot be written.
        """
        if not self._writes:
            return
        name, part = {
            StepRow: (STEPS, "train"),
            ValidationRow: (VALIDATIONS, "validation"),
            WarningRow: (WARNINGS, "warning"),
        }[type(row)]
        self.write(name, part, row)
