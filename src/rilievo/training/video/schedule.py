"""Schedule of a run: its steps, validations and learning rates, and the state in a checkpoint."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.io.checksums import FileSum
from rilievo.training.engine.checkpoint import RunState
from rilievo.training.video.video_config import VideoConfig

_FILE_WITH_SUM = re.compile(r"best/weights\.safetensors|pictures/step-\d{7,12}\.png")
"""Files whose checksums a checkpoint stores."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

_MILESTONE_FACTOR = 0.1
"""Factor of the learning rate at each milestone."""
_MIN_TRAINING_FRACTION = 0.25
"""Least fraction of a run's minutes for training, however long the preparation took."""
_MAX_VALIDATION_FRACTION = 0.25
"""Largest fraction of the training time that validations take."""
_ROUNDING_ERROR = 1e-9
"""Tolerance by which rounded progress may fall short of the event that it reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSchedule:
    """Steps, validations and learning rates of a run.

    Attributes:
        batches: Batches per step, over all processes.
        epoch_batches: Batches of one pass through the targets.
        images: Targets per step.
        validations: Number of validations, evenly over the run; None for one after each epoch.
        minutes: Time of the run in place of ``steps``.
        patience: Validations without a smaller error after which the run ends.
        warm_up: Steps over which the learning rate rises.
        milestones: Epochs after which the rate falls; without any it falls along half a cosine.
    """

    steps: int
    batches: int
    epoch_batches: int
    images: int
    validations: int | None = None
    minutes: float | None = None
    patience: int | None = None
    warm_up: int = 0
    milestones: tuple[int, ...] = ()

    @classmethod
    def from_config(
        cls, config: VideoConfig, num_targets: int, *, processes: int, left_out: str = ""
    ) -> "VideoSchedule":
        """Plan a run on ``num_targets`` targets, whose steps are shared by ``processes``.

        ``left_out`` describes the frames that are no targets, for the error message.
        """
        epoch_batches = num_targets // config.batch_size
        if not epoch_batches:
            other_frames = f" (other frames: {left_out})" if left_out else ""
            raise InputError(
                problem=(
                    f"the footage has {count_text(num_targets, 'target frame')} to train on, fewer "
                    f"than the batch size of {config.batch_size}{other_frames}"
                ),
                hint=Text("use a smaller ", OptionName("batch_size"), " or more footage"),
            )
        batches_per_step = config.accumulate * processes
        steps_of_epochs = math.ceil(config.epochs * epoch_batches / batches_per_step)
        return cls(
            steps=steps_of_epochs if config.steps is None else config.steps,
            batches=batches_per_step,
            epoch_batches=epoch_batches,
            images=batches_per_step * config.batch_size,
            validations=config.validations,
            minutes=config.minutes,
            patience=config.patience,
            warm_up=config.warm_up,
            milestones=config.milestones,
        )

    def learning_rate_factor(self, step: int, fraction_done: float = 0.0) -> float:
        """Learning rate of a step, as a factor of the peak learning rate.

        ``step`` counts from 0, and ``fraction_done`` says how much of the run lies before it. A
        milestone of 15 means that epochs 1 to 15 are trained at the full rate.
        """
        warm_up_factor = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        if not self.milestones:
            half_cosine = (1 + math.cos(math.pi * min(fraction_done, 1.0))) / 2
            return warm_up_factor * half_cosine
        epoch = self.passes_before(step)
        num_passed = sum(epoch >= milestone - _ROUNDING_ERROR for milestone in self.milestones)
        return warm_up_factor * _MILESTONE_FACTOR**num_passed

    def passes_before(self, step: int) -> float:
        """Number of passes through the targets that are done before a step."""
        return step * self.batches / self.epoch_batches

    def is_validation_due(self, step: int) -> bool:
        """Whether a validation follows a step, counted from 1.

        Validation k of n is due at the first step at which k / n of the run are done.
        """
        if self.validations is None:
            return self.ends_epoch(step)
        num_due = step * self.validations // self.steps
        num_due_before = (step - 1) * self.validations // self.steps
        return num_due > num_due_before

    def ends_epoch(self, step: int) -> bool:
        """Whether a step, counted from 1, ends a pass through the targets, or the run."""
        num_passes = step * self.batches // self.epoch_batches
        num_passes_before = (step - 1) * self.batches // self.epoch_batches
        return num_passes > num_passes_before or step == self.steps


@dataclass(slots=True, kw_only=True)
class TimeBudget:
    """Time of a run that ends by the clock.

    Attributes:
        total_seconds: Time of training and validation together, after the preparation [s].
        used_seconds: Time of these that is used [s].
        fraction_done: Fraction of the training that is done.
        fraction_at_validation: ``fraction_done`` at the last validation.
        num_validations: Validations, evenly over the run; None for one after each epoch.
        validation_seconds: Duration of the last validation, which is reserved for the last one [s].
    """

    total_seconds: float
    used_seconds: float = 0.0
    fraction_done: float = 0.0
    fraction_at_validation: float = 0.0
    num_validations: int | None = None
    validation_seconds: float = 0.0

    @classmethod
    def after_preparation(
        cls,
        minutes: float,
        *,
        preparation_seconds: float,
        num_validations: int | None,
        validation_seconds: float,
    ) -> "TimeBudget":
        """Divide the minutes of a run after its preparation.

        Training has at least a quarter of the minutes, however long the preparation took. The
        number of validations is lowered so that they take at most a quarter of the training; their
        duration is 0 as long as it is not known.
        """
        run_seconds = 60 * minutes
        total_seconds = max(run_seconds - preparation_seconds, _MIN_TRAINING_FRACTION * run_seconds)
        if num_validations is not None and validation_seconds:
            max_validations = int(_MAX_VALIDATION_FRACTION * total_seconds / validation_seconds)
            num_validations = max(1, min(num_validations, max_validations))
        return cls(
            total_seconds=total_seconds,
            num_validations=num_validations,
            validation_seconds=validation_seconds,
        )

    def add_seconds(self, seconds: float) -> float:
        """Count time that was used; return the fraction of the training that is done."""
        self.used_seconds += seconds
        training_seconds = max(self.total_seconds - self.validation_seconds, 1e-6)
        return max(self.fraction_done, min(1.0, self.used_seconds / training_seconds))

    def is_validation_due(self) -> bool:
        """Whether the time of the next validation has come; never without a number of them."""
        if self.num_validations is None:
            return False
        num_due = int(self.fraction_done * self.num_validations + _ROUNDING_ERROR)
        num_done = int(self.fraction_at_validation * self.num_validations + _ROUNDING_ERROR)
        return num_due > num_done


@dataclass(slots=True, kw_only=True)
class VideoState(RunState):
    """Progress of a run on video, as its checkpoint stores it.

    Attributes:
        best_error: Smallest error on the held-out targets; None before the first validation.
        best_step: Step at which the validation gave this error.
        checksums: Size and SHA-256 of the best weights and of the pictures, by file name.
        validations_since_best: Number of validations since the best one.
        time_budget: Time of a run that ends by the clock; None during its preparation.
        rate_reduction: Factor of the learning rate, which falls when depth of other places changes.
        start_errors: Error of each held-out target with the weights from which the run started.
        learned_errors: Error of each held-out target with the best learned weights.
    """

    best_error: float | None = None
    best_step: int = 0
    checksums: Mapping[str, FileSum] = field(default_factory=dict)
    validations_since_best: int = 0
    time_budget: TimeBudget | None = None
    rate_reduction: float = 1.0
    start_errors: tuple[float, ...] = ()
    learned_errors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, entry in self.checksums.items():
            if not _FILE_WITH_SUM.fullmatch(name) or not _SHA256.fullmatch(entry.sha256):
                raise ValueError(f"its checksums list {name!r}, which is not a file of a run")
