"""How long a run is, and its learning rate: a short climb, then a tenth at every milestone."""

import math
from dataclasses import dataclass

from rilievo.errors import InputError
from rilievo.train.video.config import VideoConfig

_FALL = 0.1


def learning_rate(config: VideoConfig, *, step: int, epoch: float) -> float:
    """The learning rate of a step.

    A milestone of 15 means that epochs 1 to 15 are trained at the full rate. Programs that move
    their schedule on before an epoch instead of after it have 14 such epochs with a newer torch.

    Args:
        config: Of the run.
        step: From 0.
        epoch: Of the step, from 0; 15 is the beginning of the sixteenth.
    """
    climbed = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    # A step may begin a rounding before its epoch does.
    falls = sum(epoch >= milestone - 1e-9 for milestone in config.milestones)
    return config.learning_rate * climbed * _FALL**falls


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Steps, batches and epochs of a run.

    The batches of all processes are numbered through, so that a run of two processes and one that
    accumulates two batches see the same ones in each step.

    Attributes:
        steps: In all.
        batches: Of one step, of all processes.
        epoch_batches: Of one pass through the targets; what fills no batch is left for another.
        images: Targets of one step.
    """

    steps: int
    batches: int
    epoch_batches: int
    images: int

    @classmethod
    def of(cls, config: VideoConfig, targets: int, *, processes: int) -> "Course":
        """The course of a run.

        Args:
            config: Of the run.
            targets: That it trains on.
            processes: That train together.

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
        )

    def epoch(self, step: int) -> float:
        """Passes through the targets before a step."""
        return step * self.batches / self.epoch_batches

    def ends_epoch(self, step: int) -> bool:
        """Whether a pass, or the run, ended with the steps done so far."""
        passes = step * self.batches // self.epoch_batches
        before = (step - 1) * self.batches // self.epoch_batches
        return passes > before or step == self.steps
