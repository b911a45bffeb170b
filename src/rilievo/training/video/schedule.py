"""Schedule of a run."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.checksums import FileSum
from rilievo.training.engine.checkpoint import RunState
from rilievo.training.video.video_config import VideoConfig

_SUMMED = re.compile(r"best/weights\.safetensors|pictures/step-\d{7,12}\.png")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_FALL = 0.1
_LEAST_LEFT = 0.25
_FOR_VALIDATION = 0.25
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Counts of the steps, batches and epochs of a run, over all processes, and its rates.

    Attributes:
        minutes: Time of the run in place of ``steps``.
        patience: Validations without a smaller error after which it ends.
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
        """Count steps; raises ``InputError`` if the targets fill no batch."""
        epoch_batches = targets // config.batch_size
        if not epoch_batches:
            raise InputError(
                problem=f"{targets} {'target is' if targets == 1 else 'targets are'} fewer than a "
                f"batch of {config.batch_size}"
                + (f" (other frames: {left_out})" if left_out else ""),
                hint=Text("take a smaller ", OptionName("batch_size"), ", or more footage"),
            )
        batches = config.accumulate * processes
        whole = math.ceil(config.epochs * epoch_batches / batches)
        return cls(
            steps=whole if config.steps is None else config.steps,
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
        """Learning rate of a step, as a share of its peak; steps count from 0.

        A milestone of 15 means that epochs 1 to 15 are trained at the full rate.
        """
        climbed = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        if not self.milestones:
            return climbed * (1 + math.cos(math.pi * min(share, 1.0))) / 2
        epoch = self.passes_before(step)
        # Rounding may put a step just before the epoch that it begins.
        falls = sum(epoch >= milestone - 1e-9 for milestone in self.milestones)
        return climbed * _FALL**falls

    def passes_before(self, step: int) -> float:
        """Passes through the targets before a step."""
        return step * self.batches / self.epoch_batches

    def is_validation_due(self, step: int) -> bool:
        """Whether a step ends with a validation."""
        if self.validations is None:
            return self.ends_epoch(step)
        return step * self.validations // self.steps > (step - 1) * self.validations // self.steps

    def ends_epoch(self, step: int) -> bool:
        """Whether a step ends a pass or the run."""
        passes = step * self.batches // self.epoch_batches
        before = (step - 1) * self.batches // self.epoch_batches
        return passes > before or step == self.steps


@dataclass(slots=True, kw_only=True)
class Minutes:
    """Time of a run of so many minutes, by the clock [s].

    Attributes:
        validated: Share up to which validations were done.
        validation: Duration of the last validation, kept for the end.
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
        """Time after preparation, at least a quarter of ``minutes``; other times are in seconds.

        So many validations are made that they take at most a quarter of it.
        """
        whole = 60 * minutes
        seconds = max(whole - spent, _LEAST_LEFT * whole)
        if validations is not None and validation:
            most = int(_FOR_VALIDATION * seconds / validation)
            validations = max(1, min(validations, most))
        return cls(given=seconds, validations=validations, validation=validation)

    def add_seconds(self, seconds: float) -> float:
        """Add time used; returns the share that is done."""
        self.used += seconds
        share = self.used / max(self.given - self.validation, 1e-6)
        return max(self.share, min(1.0, share))

    def is_validation_due(self) -> bool:
        """Whether a validation is due."""
        count = self.validations or 0
        return int(self.share * count + _ROUNDING) > int(self.validated * count + _ROUNDING)


@dataclass(slots=True, kw_only=True)
class VideoState(RunState):
    """Counts of a run on video.

    Attributes:
        best_error: Least error on the held-out targets; None before the first validation.
        best_step: Step that had this error.
        sums: Size and sha256 of the best weights and the pictures, as they were written.
        stale: Validations since the one with the least error.
        start_errors: Error of each held-out target that judges, with the start.
        learned_errors: The same with the best learned weights.
        gentler: Factor of the learning rate, after depth of other places moved too far.
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
            if not _SUMMED.fullmatch(name) or not _SHA256.fullmatch(entry.sha256):
                raise ValueError("its sums are of no files of a run")
