"""Weights from which a run on video started, near which it stays.

Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rilievo.training.networks.video.video_networks import VideoNetworks
from rilievo.training.video.other_places import ReplayPictures

_BISECTION_STEPS = 5
"""Bisections of the interval in which the return towards the start is searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWeights:
    """Weights of networks before their first step.

    Attributes:
        networks: The networks, which learn.
        share: Weight of the start in the mean that the run keeps, in 0..1.
        weights: First weights by name; empty if the run never goes back towards them.
    """

    networks: VideoNetworks
    share: float
    weights: Mapping[str, Tensor]

    def averaged(self) -> AbstractContextManager[None]:
        """Give the networks, in a block, the weights that the run would keep."""
        return average_with_start(self.networks, self.weights, self.share)

    def return_by(self, fraction: float) -> None:
        """Move the networks back by a fraction of their distance to the start."""
        move_weights_towards(self.networks, self.weights, fraction)

    def find_return(self, replay: ReplayPictures, *, max_change: float) -> tuple[float, float]:
        """Find by bisection how far to move back, so that depth changes little enough.

        Return the fraction of the distance to the start, and the relative change of the depth of
        other places that it leaves, which is at most ``max_change``.
        """
        # At the start itself, depth has not changed.
        too_small, large_enough = 0.0, 1.0
        limited_change = 0.0
        for _ in range(_BISECTION_STEPS):
            fraction = (too_small + large_enough) / 2
            # Weight of the start in the kept mean, after the learned weights moved by the fraction.
            start_weight = self.share + (1 - self.share) * fraction
            with average_with_start(self.networks, self.weights, start_weight):
                change = replay.depth_change(self.networks.depth)
            if change <= max_change:
                large_enough, limited_change = fraction, change
            else:
                too_small = fraction
        return large_enough, limited_change


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights and buffers of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


@contextmanager
def average_with_start(
    network: nn.Module, start_weights: Mapping[str, Tensor], start_share: float
) -> Iterator[None]:
    """Give a network, in a block, the mean of its weights and those it started from.

    ``start_share`` is the weight of the start in the mean, in 0..1. After the block the network has
    its own weights again. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """
    if not start_share:
        yield
        return
    learned_weights = copy_weights(network)
    move_weights_towards(network, start_weights, start_share)
    try:
        yield
    finally:
        network.load_state_dict(learned_weights)


@torch.no_grad()
def move_weights_towards(
    network: nn.Module, goal_weights: Mapping[str, Tensor], fraction: float
) -> None:
    """Move the weights of a network by a fraction of their distance to other weights."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(goal_weights[name].to(value), fraction)
