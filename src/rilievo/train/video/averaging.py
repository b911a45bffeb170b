"""Averages of learned weights with those that a run started from.

M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: such averages keep most of
what was learned of one place, and forget less of all others.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights and buffers of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


@contextmanager
def averaged(network: nn.Module, start: Mapping[str, Tensor], share: float) -> Iterator[None]:
    """Give a network the average of its weights and those of the start; undone at the end.

    Args:
        network: Network.
        start: Weights that it started from.
        share: Share of the start, 0 to 1.
    """
    if not share:
        yield
        return
    learned = weights_of(network)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(start[name].to(value), share)
    try:
        yield
    finally:
        network.load_state_dict(learned)
