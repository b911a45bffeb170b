"""Going on from the weights of a narrower network, without losing what it knows.

T. Chen, I. Goodfellow and J. Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR
2016: the wider network computes at first what the narrower one did. Ours gives its new channels
random weights of their own and lets nothing old listen to them yet.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rilievo.errors import InputError


def take_over(network: nn.Module, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Fill ``network`` with the weights of one that is as wide or narrower.

    Args:
        network: Parts that the other lacks keep their weights.
        state: Of the other.

    Returns:
        The names that the other lacks.

    Raises:
        InputError: If the other has weights of another rank, or wider ones.
    """
    mine = network.state_dict()
    for name, theirs in state.items():
        if name not in mine:
            raise InputError(f"weights to start from: '{name}' is not in this network")
        own = mine[name]
        if own.dim() != theirs.dim() or any(
            small > large for small, large in zip(theirs.shape, own.shape, strict=True)
        ):
            raise InputError(
                f"weights to start from: '{name}' is {tuple(theirs.shape)}, which does not fit "
                f"into {tuple(own.shape)}"
            )
        window = tuple(slice(size) for size in theirs.shape)
        if own.dim() > 1:
            own[: theirs.shape[0]] = 0.0
        own[window] = theirs
    network.load_state_dict(mine)
    return tuple(name for name in mine if name not in state)


def read_average(entries: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The averaged weights of a run's checkpoint."""
    return {name: torch.as_tensor(value) for name, value in entries["average"].items()}
