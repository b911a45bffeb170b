"""Memory of a step, measured on one small frame."""

import torch
from torch import Tensor, nn

_SIDE = 64
_A_WEIGHT = 4
"""Numbers for each weight: itself, its gradient and Adam's two means."""


def step_bytes(networks: nn.Module, *, sources: int, pixels: int, is_half: bool) -> int:
    """Number of bytes that a step takes for networks; losses come on top.

    ``pixels`` are those of all targets of a batch. Statistics of the networks change, as in a step.
    """
    with torch.random.fork_rng(devices=[]):
        frame = torch.zeros(1, 3, _SIDE, _SIDE)
        others = tuple(frame.clone() for _ in range(sources))
        graph_bytes = _bytes_saved_for_backward(networks.train(), frame, others)
    share = 0.5 if is_half else 1.0
    weights = sum(weight.numel() * weight.element_size() for weight in networks.parameters())
    return int(share * graph_bytes * (pixels / _SIDE**2) + _A_WEIGHT * weights)


def _bytes_saved_for_backward(
    networks: nn.Module, target: Tensor, sources: tuple[Tensor, ...]
) -> int:
    weights = {weight.untyped_storage().data_ptr() for weight in networks.parameters()}
    tensors: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            tensors[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        networks(target, sources)
    return sum(count for count, _ in tensors.values())
