"""Start from the weights of a narrower network without losing what it has learned.

T. Chen, I. Goodfellow and J. Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR
2016: the wider network computes at first what the narrower one did. Here new channels get random
weights of their own, and old channels give them zero weight at first.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable


def take_over(network: nn.Module, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Fill ``network`` with the weights of one that is as wide or narrower.

    Parts that the other one lacks keep their weights; their names are returned. Raises
    ``InputError`` if the other has weights of another rank or kernel, or wider ones.
    """
    mine = network.state_dict()
    for name, theirs in state.items():
        if name not in mine:
            raise InputError(f"weights to start from: '{name}' is not in this network")
        own = mine[name]
        if not _fits(theirs.shape, own.shape):
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


def _fits(theirs: Sequence[int], own: Sequence[int]) -> bool:
    """Whether weights fit into others: no more channels, and kernels of the same size."""
    same_kind = len(theirs) == len(own) and tuple(theirs[2:]) == tuple(own[2:])
    return same_kind and all(small <= large for small, large in zip(theirs, own, strict=True))


def start_from(network: nn.Module, run: Path) -> None:
    """Take over the averaged weights of a run, whose network is as wide or narrower."""
    theirs = read_average(run)
    try:
        take_over(network, theirs)
    except InputError as error:
        raise InputError(f"{printable(run)}: a run of another network: {error}") from error


def read_average(run: Path) -> dict[str, Tensor]:
    """Read the averaged weights of a run."""
    path = run / "checkpoint.pt"
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
        return {name: torch.as_tensor(value) for name, value in entries["average"].items()}
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise InputError(
            f"{printable(path)}: no checkpoint of a run to start from ({reason(error)})"
        ) from error
