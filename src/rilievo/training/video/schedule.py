"""Schedule of a run: its steps, validations and learning rates, and the state in a checkpoint."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.checksums import FileSum
from rilievo.training.engine.checkpoint import RunState
from rilievo.training.video.video_config import VideoConfig

_FILE_WITH_SUM = re.compile(r"best/weights\.safetensors|pictures/step-\d{7,12}\.png")
"""Files whose checksums a checkpoint stores."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

_MILESTONE_FACTOR = 0.1
"""Factor of the learning rate at each milestone."""
_MIN_TRAINING_SHARE = 0.25
"""Least share of a run's minutes that training has, however long the preparation took."""
_MAX_VALIDATION_SHARE = 0.25
"""Largest share of the time of training that validations take."""
_ROUNDING = 1e-9
"""Number by which rounding may put a time before the validation that it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Steps, validations and learning rates of a run.

    Attributes:
        steps: Steps of the run.
        batches: Batches per step, over all processes.
        epoch_batches: Batches of one pass through the targets.
        images: Targets per step.
        validations: Number of validations, evenly over the run; None for one after each epoch.
        minutes: Time of the run in place of ``steps``.
        patience: Validations without a smaller error after which the run ends.
        warm_up: Steps over which the learning rate rises.
        milestones: Epochs after which it falls; without any it falls along half a cosine.
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
        cls, config: VideoConfig, targets: int, *, processes: int, left_out: str = ""
    ) -> "Course":
        """Plan a run on ``targets`` targets.

        Args:
            config: Configuration of the run.
            targets: Number of targets to train on.
            processes: Number of processes that share each step.
            left_out: Words for the frames that are no targets, for the error.

        Raises:
            InputError: If the targets fill no batch.
        """
        epoch_batches = targets // config.batch_size
        if not epoch_batches:
            verb = "target is" if targets == 1 else "targets are"
            other_frames = f" (other frames: {left_out})" if left_out else ""
            raise InputError(
                problem=(
                    f"{targets} {verb} fewer than a batch of {config.batch_size}{other_frames}"
                ),
                hint=Text("take a smaller ", OptionName("batch_size"), ", or more footage"),
            )
        batches = config.accumulate * processes
        steps_of_epochs = math.ceil(config.epochs * epoch_batches / batches)
        return cls(
            steps=steps_of_epochs if config.steps is None else config.steps,
            batches=batches,
            epoch_batches=epoch_batches,
            images=batches * config.batch_size,
            validations=config.validations,
            minutes=config.minutes,
            patience=config.patience,
            warm_up=config.warm_up,
            milestones=config.milestones,
        )

    def rate(self, step: int, share: float = 0.0) -> float:
        """Learning rate of a step, as a factor of the peak learning rate.

        Args:
            step: Number of the step, from 0.
            share: Fraction of the run that is done before it.

        A milestone of 15 means that epochs 1 to 15 are trained at the full rate.
        """
        warm_up = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        if not self.milestones:
            return warm_up * (1 + math.cos(math.pi * min(share, 1.0))) / 2
        epoch = self.passes_before(step)
        # Rounding may put a step just before the epoch that it begins.
        passed_milestones = sum(epoch >= milestone - 1e-9 for milestone in self.milestones)
        return warm_up * _MILESTONE_FACTOR**passed_milestones

    def passes_before(self, step: int) -> float:
        """Number of passes through the targets that are done before a step."""
        return step * self.batches / self.epoch_batches

    def is_validation_due(self, step: int) -> bool:
        """Whether a validation follows a step, counted from 1."""
        if self.validations is None:
            return self.ends_epoch(step)
        due = step * self.validations // self.steps
        due_before = (step - 1) * self.validations // self.steps
        return due > due_before

    def ends_epoch(self, step: int) -> bool:
        """Whether a step, counted from 1, ends a pass through the targets, or the run."""
        passes = step * self.batches // self.epoch_batches
        passes_before = (step - 1) * self.batches // self.epoch_batches
        return passes > passes_before or step == self.steps


@dataclass(slots=True, kw_only=True)
class Minutes:
    """Time of a run that ends by the clock.

    Attributes:
        given: Time for training and validation, after the preparation [s].
        used: Time that is used of it [s].
        share: Fraction of the training that is done.
        validated: ``share`` at the last validation.
        validations: Number of validations, evenly over the run; None for one after each epoch.
        validation: Duration of the last validation, for which time is kept at the end [s].
    """

    given: float
    used: float = 0.0
    share: float = 0.0
    validated: float = 0.0
    validations: int | None = None
    validation: float = 0.0

    @classmethod
    def after_preparation(
        cls, minutes: float, *, spent: float, validations: int | None, validation: float
    ) -> "Minutes":
        """Divide the minutes of a run after its preparation.

        Args:
            minutes: Minutes of the whole run. Training has at least a quarter of them.
            spent: Time that the preparation took [s].
            validations: Number of validations that is wanted. It is lowered, so that they take at
                most a quarter of the training.
            validation: Duration of a validation [s]; 0 if it is not known.
        """
        run_seconds = 60 * minutes
        seconds = max(run_seconds - spent, _MIN_TRAINING_SHARE * run_seconds)
        if validations is not None and validation:
            max_validations = int(_MAX_VALIDATION_SHARE * seconds / validation)
            validations = max(1, min(validations, max_validations))
        return cls(given=seconds, validations=validations, validation=validation)

    def add_seconds(self, seconds: float) -> float:
        """Count time that was used; return the fraction of the training that is done."""
        self.used += seconds
        training_seconds = max(self.given - self.validation, 1e-6)
        return max(self.share, min(1.0, self.used / training_seconds))

    def is_validation_due(self) -> bool:
        """Whether the time of the next validation has come."""
        count = self.validations or 0
        return int(self.share * count + _ROUNDING) > int(self.validated * count + _ROUNDING)


@dataclass(slots=True, kw_only=True)
class VideoState(RunState):
    """Progress of a run on video, as its checkpoint stores it.

    Attributes:
        best_error: Smallest error on the held-out targets; None before the first validation.
        best_step: Step at which the validation gave this error.
        sums: Size and SHA-256 of the best weights and of the pictures, by file name.
        stale: Number of validations since the best one.
        minutes: Time budget of a run that ends by the clock. It is None for a run of a fixed number
            of steps, and until the preparation is over.
        gentler: Factor of the learning rate, which falls when the depth of pictures of other places
            changes too much.
        start_errors: Error of each held-out target with the weights from which the run started.
        learned_errors: Error of each held-out target with the best learned weights.
    """

    best_error: float | None = None
    best_step: int = 0
    sums: Mapping[str, FileSum] = field(default_factory=dict)
    stale: int = 0
    minutes: Minutes | None = None
    gentler: float = 1.0
    start_errors: tuple[float, ...] = ()
    learned_errors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, entry in self.sums.items():
            if not _FILE_WITH_SUM.fullmatch(name) or not _SHA256.fullmatch(entry.sha256):
                raise ValueError(f"its checksums name {name!r}, which is no file of a run")
