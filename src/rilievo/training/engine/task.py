"""Interface between the engine and a kind of training: network, batches, losses, validation."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rilievo.errors.messages import OptionName, Text
from rilievo.training.engine.checkpoint import State, Stateful
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import Journal

Network = TypeVar("Network", bound=nn.Module)


def advise_smaller_step(step: str, alternative: OptionName) -> Text:
    """Say what to do if memory is too small for a step of training.

    Args:
        step: Description of a step, such as "a step with 8 images of 640x480 pixels".
        alternative: What saves memory besides a smaller batch and smaller images.
    """
    return Text(
        f"{step}: use a smaller ",
        OptionName("batch_size"),
        ", a smaller ",
        OptionName("size"),
        ", or ",
        alternative,
    )


class TrainingTask(ABC, Generic[State, Network]):
    """One kind of training, which ``TrainingLoop`` runs.

    Attributes:
        learner: Module that maps a batch to scalars by name, of which ``loss`` is minimised.
        optimizer: Optimizer; each of its groups has its peak learning rate as ``lr``.
        state: Counts of the run, which checkpoints store.
        images_per_step: Images per step, over all processes.
        seed: Seed of the random numbers that are drawn within a step.
        accumulate: Batches per step; their gradients are averaged.
        clip_norm: Largest norm of the gradient of a step; None for no limit.
        steps: Length of the run; None if something else ends it.
        checkpoint_steps: Steps between checkpoints.
        nonfinite_advice: What the user should do if the loss or a weight is not finite.
        memory_advice: What memory is too small for, and what the user should do about it.
    """

    learner: Network
    optimizer: Optimizer
    state: State
    images_per_step: int
    seed: int
    accumulate: int = 1
    clip_norm: float | None = None
    steps: int | None = None
    checkpoint_steps: int = 500
    nonfinite_advice: str | Text = "lower the learning rate, or choose fp32"
    memory_advice: str | Text = Text("a step: use a smaller ", OptionName("batch_size"))

    @abstractmethod
    def batches(self) -> Generator[Any, None, None]:
        """Yield the batches of this process, from the current step on.

        None stands for a batch from which nothing can be learned.
        """

    @abstractmethod
    def learning_rate_factor(self) -> float:
        """Learning rate of the current step, as a factor of the peak learning rate."""

    def group_rate_factor(self, group: int) -> float:
        """Further factor of the learning rate of one parameter group, by its index."""
        return 1.0

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Objects whose state a checkpoint stores, by name."""
        return {"learner": self.learner, "optimizer": self.optimizer}

    @property
    def fraction_done(self) -> float:
        """Fraction of the run that is done; 0 if its length is not known."""
        return self.state.step / self.steps if self.steps else 0.0

    @property
    def is_over(self) -> bool:
        """Whether the run has reached its end."""
        return self.fraction_done >= 1

    def log_columns(self) -> dict[str, float]:
        """Columns that the rows of the logs have besides the step."""
        return {}

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Prepare the first step of a new or resumed run; return whether to save a checkpoint."""
        return False

    def after_step(self, loss: Tensor | None) -> None:
        """React to a step; ``loss`` is None if all its batches were empty."""

    def is_validation_due(self) -> bool:
        """Whether to validate after the current step."""
        return False

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the network on images that are held out from training."""

    def end(self, log: Journal, progress: Progress) -> bool:
        """React to the last step; return whether to save a checkpoint again."""
        return False

    def after_checkpoint(self) -> None:
        """React to a checkpoint, for example by writing the weights that the run would end with."""


def fused_option(device: torch.device) -> bool | None:
    """Option ``fused`` of an optimizer: True on a CPU, where it is faster."""
    return True if device.type == "cpu" else None


def check_finite(value_name: str, *values: Tensor) -> None:
    """Raise ``FloatingPointError``, which names the value, if a value is NaN or infinite."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in values):
        raise FloatingPointError(f"the {value_name} is not finite")
