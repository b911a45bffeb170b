"""Interface of training to the engine."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

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
        less_memory: Step that memory is too small for, and the remedy, with options in braces.
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
    advice: str = "lower the learning rate, or choose fp32"
    less_memory: str = "a step: take a smaller batch"

    @abstractmethod
    def batches(self) -> Generator[Any, None, None]:
        """Yield this process's batches from the current step; None for an empty one."""

    @abstractmethod
    def rate(self) -> float:
        """Share of the peak learning rate."""

    def share_of_rate(self, group: int) -> float:
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

    def place(self) -> dict[str, float]:
        """Columns of the log beside the step."""
        return {}

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Prepare the first step; True if it has to be saved."""
        return False

    def after_step(self, loss: Tensor | None) -> None:
        """Do what follows a step; ``loss`` is None for empty batches."""

    def is_validated(self) -> bool:
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
    """Groups of parameters with their full rates."""
    return [
        {"params": list(part.parameters()), "lr": rate, "initial_lr": rate} for part, rate in parts
    ]


def is_fused(device: torch.device) -> bool | None:
    """Whether an optimizer updates in one pass, a fifth of a CPU's time; None for torch's way."""
    return True if device.type == "cpu" else None


def check_finite(what: str, *values: Tensor) -> None:
    """Check that all values are finite.

    Raises:
        FloatingPointError: If one is not.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in values):
        raise FloatingPointError(f"the {what} is not finite")
