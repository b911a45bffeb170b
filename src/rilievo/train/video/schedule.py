"""Length of a run, its learning rate, and its counts as a checkpoint holds them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rilievo.errors import InputError
from rilievo.io.facts import FileSum
from rilievo.train.engine.checkpoint import RunState
from rilievo.train.video.config import VideoConfig

_SUMMED = re.compile(r"best/weights\.safetensors|pictures/step-\d{7,12}\.png")
_SHA256 = re.compile(r"[0-9a-f]{64}")


_FALL = 0.1
PACE_STEPS = 15
"""Steps after which the pace of a run of so many minutes is known."""
_FOR_VALIDATION = 0.1
"""Share of the remaining minutes that is kept for validation and further estimates of motion."""


def rate_factor(config: VideoConfig, *, step: int, epoch: float, share: float = 0.0) -> float:
    """Return the learning rate of a step, as a share of its peak.

    A milestone of 15 means that epochs 1 to 15 are trained at the full rate. Programs that step
    their schedule before an epoch instead of after it have 14 such epochs with a newer torch.

    Args:
        config: Configuration of the run.
        step: Number of the step, from 0.
        epoch: Epoch of the step, from 0; 15 is the beginning of the sixteenth.
        share: Share of the run that is done, for a rate that falls along a cosine.
    """
    climbed = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    if config.cosine:
        return climbed * (1 + math.cos(math.pi * min(share, 1.0))) / 2
    # Rounding may put a step just before the epoch that it begins.
    falls = sum(epoch >= milestone - 1e-9 for milestone in config.milestones)
    return climbed * _FALL**falls


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Counts of the steps, batches and epochs of a run.

    Batches are numbered across all processes, so that a run of two processes and one that
    accumulates two batches see the same ones in each step.

    Attributes:
        batches: Batches per step, over all processes.
        epoch_batches: Batches per pass through the targets; a remainder is left for another pass.
        images: Targets per step.
        validations: Number of validations, evenly over the run; None for one after every epoch.
        motion_again: Shares of the steps after which motion is estimated again.
    """

    steps: int
    batches: int
    epoch_batches: int
    images: int
    validations: int | None = None
    motion_again: tuple[float, ...] = ()

    @classmethod
    def of(cls, config: VideoConfig, targets: int, *, processes: int) -> "Course":
        """Count the steps, batches and epochs of a run.

        Raises:
            InputError: If the targets do not fill one batch.
        """
        epoch_batches = targets // config.batch_size
        if not epoch_batches:
            raise InputError(
                f"{targets} targets are fewer than a batch of {config.batch_size}: take a smaller "
                "--batch-size, or more footage"
            )
        batches = config.accumulate * processes
        whole = math.ceil(config.epochs * epoch_batches / batches)
        return cls(
            steps=whole if config.steps is None else config.steps,
            batches=batches,
            epoch_batches=epoch_batches,
            images=batches * config.batch_size,
            validations=config.validations,
            motion_again=config.motion_again,
        )

    def planned(self, *, step: int, left: float, pace: float) -> "Course":
        """Return the course that ends when the time is over, of which ``left`` seconds remain."""
        more = max(left, 0.0) * (1 - _FOR_VALIDATION) / max(pace, 1e-6)
        return replace(self, steps=step + max(1, int(more)))

    def epoch(self, step: int) -> float:
        """Passes through the targets before a step."""
        return step * self.batches / self.epoch_batches

    def is_validated(self, step: int) -> bool:
        """Whether the steps done so far end with a validation."""
        if self.validations is None:
            return self.ends_epoch(step)
        return step * self.validations // self.steps > (step - 1) * self.validations // self.steps

    def estimates_motion(self, step: int) -> bool:
        """Whether motion is estimated again after the steps done so far."""
        return step in {max(1, round(share * self.steps)) for share in self.motion_again}

    def ends_epoch(self, step: int) -> bool:
        """Whether a pass, or the run, ended with the steps done so far."""
        passes = step * self.batches // self.epoch_batches
        before = (step - 1) * self.batches // self.epoch_batches
        return passes > before or step == self.steps


@dataclass(slots=True, kw_only=True)
class VideoState(RunState):
    """Counts of a run on video.

    Attributes:
        best_error: Least error on the held-out targets; None before the first validation.
        best_step: Step that had this error.
        warned: Kinds of warnings that were given.
        sums: Size and sha256 of the best weights and the pictures, as they were written.
        planned: Number of steps that a run of so many minutes takes; 0 before its pace is known.
        stale: Validations since the one with the least error.
    """

    best_error: float | None = None
    best_step: int = 0
    warned: tuple[str, ...] = ()
    sums: Mapping[str, FileSum] = field(default_factory=dict)
    planned: int = 0
    stale: int = 0

    def __post_init__(self) -> None:
        for name, each in self.sums.items():
            if not _SUMMED.fullmatch(name) or not _SHA256.fullmatch(each.sha256):
                raise ValueError("its sums are of no files of a run")
