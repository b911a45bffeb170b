"""The step of the training loop over several batches, worked out by hand."""

from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rilievo.training.engine.checkpoint import RunState
from rilievo.training.engine.loop import TrainingLoop, launch_fabric
from rilievo.training.engine.task import TrainingTask


class Product(nn.Module):
    """The loss is a weight, 5 at first, times the batch, which is therefore its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(5.0))

    def forward(self, batch: Tensor) -> Mapping[str, Tensor]:
        return {"loss": self.weight * batch}


class Descent(TrainingTask[RunState, Product]):
    """Plain gradient descent at a rate of 0.1, for one step."""

    def __init__(self, batches: list[float]) -> None:
        self.learner, self.state = Product(), RunState()
        self.optimizer = torch.optim.SGD(self.learner.parameters(), lr=0.1)
        self.images_per_step = self.accumulate = len(batches)
        self.seed, self.steps, self._batches = 0, 1, batches

    def batches(self) -> Generator[Tensor, None, None]:
        yield from torch.tensor(self._batches)

    def learning_rate_factor(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("batches", "clip_norm", "weight"),
    [
        ([2.0], None, 4.8),
        # The gradient of a step is the mean of those of its batches: 3 and 1.
        ([1.0, 2.0, 6.0], None, 4.7),
        ([1.0, 1.0, 1.0, 1.0], None, 4.9),
        # It is clipped as a whole.
        ([1.0, 2.0, 6.0], 4.0, 4.7),
        ([1.0, 2.0, 6.0], 2.0, 4.8),
    ],
)
def test_accumulated_batches_move_weights_by_the_mean_of_their_gradients(
    batches: list[float], clip_norm: float | None, weight: float, tmp_path: Path
) -> None:
    task = Descent(batches)
    task.clip_norm = clip_norm
    fabric = launch_fabric("cpu")
    loop = TrainingLoop(task, tmp_path, fabric=fabric, fingerprint="")
    assert loop.train_to_end(shown=False)
    assert task.learner.weight.item() == pytest.approx(weight, rel=1e-5)
