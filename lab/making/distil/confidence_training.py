"""Training of a network's confidence, after all else."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lab.making.distil.depth_losses import log_error, spread_loss
from lab.making.distil.frames.frame_batches import Batch, batches_ahead
from rilievo.training.networks.small import SmallNet

ConfidenceLoss = Callable[[Batch], Tensor]
_LEARNING_RATE = 2e-3


def learn_confidence(
    network: SmallNet,
    make: Callable[[int], Batch],
    *,
    steps: int,
    seed: int,
    precision: str = "fp32",
    after: Callable[[int], None] = lambda done: None,
) -> None:
    """Train the confidence layers of ``network`` from scratch; all others stay as they are.

    ``make`` gives the batch of a number; ``after`` is told how many steps are done.
    """

    def loss(batch: Batch) -> Tensor:
        return _loss(network, batch, precision)

    learn_last(network, [network.spread], loss, make, steps=steps, seed=seed, after=after)


def learn_last(
    network: nn.Module,
    layers: Sequence[nn.Module],
    loss: ConfidenceLoss,
    make: Callable[[int], Batch],
    *,
    steps: int,
    seed: int,
    after: Callable[[int], None] = lambda done: None,
) -> None:
    """Train the ``layers`` of a network that say the expected error, from scratch.

    This phase comes last, when the errors are those of the network that is exported. It needs many
    images that show no scene, from which depth would learn nothing.
    """
    torch.manual_seed(seed)
    network.eval().requires_grad_(False)
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                module.reset_parameters()
        layer.train().requires_grad_(True)
    parameters = [each for layer in layers for each in layer.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE)
    with batches_ahead(make, first=0) as batches:
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = _LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            optimizer.zero_grad()
            loss(next(batches)).backward()
            optimizer.step()
            after(step + 1)
    network.eval().requires_grad_(True)


def _loss(network: SmallNet, batch: Batch, precision: str) -> Tensor:
    mixed = precision != "fp32"
    with torch.autocast(batch.image.device.type, dtype=torch.bfloat16, enabled=mixed):
        surface = network(batch.image)
    found = log_error(surface.log_depth, batch.log_depth, batch.valid, batch.sign)
    half = (..., slice(None, None, 2), slice(None, None, 2))
    return spread_loss(surface.log_spread, found.error[half], found.counted[half]).mean()
