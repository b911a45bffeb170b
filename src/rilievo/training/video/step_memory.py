"""Memory of a step, measured on one small frame."""

import torch
from torch import Tensor, nn

_MEASURED_SIDE = 64
"""Height and width of the frame that the memory is measured on [px]."""
_NUMBERS_PER_WEIGHT = 4
"""Numbers that training stores for each weight: itself, its gradient and Adam's two means."""


def step_bytes(networks: nn.Module, *, sources: int, pixels: int, is_half: bool) -> int:
    """Memory of a training step [bytes]; losses come on top.

    It is measured in a forward pass of one small frame, which changes the statistics of the
    networks as a step does.

    Args:
        networks: Networks that take a target and its sources.
        sources: Number of sources.
        pixels: Number of pixels of all targets of a batch.
        is_half: Whether maps are stored in half precision.
    """
    with torch.random.fork_rng(devices=[]):
        target = torch.zeros(1, 3, _MEASURED_SIDE, _MEASURED_SIDE)
        source_frames = tuple(target.clone() for _ in range(sources))
        graph_bytes = _bytes_saved_for_backward(networks.train(), target, source_frames)
    precision_factor = 0.5 if is_half else 1.0
    pixel_factor = pixels / _MEASURED_SIDE**2
    weight_bytes = sum(weight.numel() * weight.element_size() for weight in networks.parameters())
    return int(precision_factor * graph_bytes * pixel_factor + _NUMBERS_PER_WEIGHT * weight_bytes)


def _bytes_saved_for_backward(
    networks: nn.Module, target: Tensor, sources: tuple[Tensor, ...]
) -> int:
    """Memory of the tensors that autograd keeps for the backward pass [bytes], without weights."""
    weight_storages = {weight.untyped_storage().data_ptr() for weight in networks.parameters()}
    # The tensors are kept as well, so that no address is used twice.
    saved: dict[int, tuple[int, Tensor]] = {}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weight_storages:
            saved[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    def restore(tensor: Tensor) -> Tensor:
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(save, restore):
        networks(target, sources)
    return sum(byte_count for byte_count, _ in saved.values())
