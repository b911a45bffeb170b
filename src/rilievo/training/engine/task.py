"""Interface of training to the engine."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rilievo.errors.messages import Text
from rilievo.training.engine.checkpoint import State, Stateful
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import Journal

Network = TypeVar("Network", bound=nn.Module)


class TrainingTask(ABC, Generic[State, Network]):
    """One kind of training: a network, its batches, losses and validation.

    Attributes:
        learner: Module whose ``forward`` returns numbers by name; ``loss`` is minimised.
        optimizer: Optimizer, whose groups have their full rate as ``initial_lr``.
        images: Images per step, over all processes.
        advice: Remedy for values that are not finite.
        less_memory: Step that memory is too small for, and the remedy.
    """

    learner: Network
    optimizer: Optimizer
    state: State
    images: int
    seed: int
    accumulate: int = 1
    clip_norm: float | None = None
    steps: int | None = None
    checkpoint_steps: int = 500
    advice: str | Text = "lower the learning rate, or choose fp32"
    less_memory: str | Text = "a step: take a smaller batch"

    @abstractmethod
    def batches(self) -> Generator[Any, None, None]:
        """Yield this process's batches from the current step; None for an empty one."""

    @abstractmethod
    def rate_share(self) -> float:
        """Share of the peak learning rate at this step."""

    def group_rate_factor(self, group: int) -> float:
        """Factor of that rate for one group of parameters."""
        return 1.0

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Parts of a checkpoint."""
        return {"learner": self.learner, "optimizer": self.optimizer}

    @property
    def share(self) -> float:
        """Share of the run that is done."""
        return self.state.step / self.steps if self.steps else 0.0

    @property
    def is_over(self) -> bool:
        """Whether the run ends."""
        return self.share >= 1

    def log_columns(self) -> dict[str, float]:
        """Columns beside the step in logs."""
        return {}

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Prepare the first step; True if it has to be saved."""
        return False

    def after_step(self, loss: Tensor | None) -> None:
        """Do what follows a step; ``loss`` is None for empty batches."""

    def is_validation_due(self) -> bool:
        """Whether a validation follows."""
        return False

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score images held out."""

    def end(self, log: Journal, progress: Progress) -> bool:
        """Do what follows the last step; True if it has to be saved."""
        return False

    def after_checkpoint(self) -> None:
        """Do what follows a checkpoint."""


def parameter_groups(*parts: tuple[nn.Module, float]) -> list[dict[str, Any]]:
    """Groups of an optimizer, with their full rates."""
    return [
        {"params": list(part.parameters()), "lr": rate, "initial_lr": rate} for part, rate in parts
    ]


def fused_option(device: torch.device) -> bool | None:
    """True on a CPU, where fused updates are quick, else None."""
    return True if device.type == "cpu" else None


def check_finite(what: str, *values: Tensor) -> None:
    """Refuse values that are not finite.

    Raises:
        FloatingPointError: If one is not.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in values):
        raise FloatingPointError(f"the {what} is not finite")
