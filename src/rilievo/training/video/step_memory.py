"""Memory of a training step, measured on one small frame."""

import torch
from torch import Tensor, nn

_MEASURED_SIDE = 64
"""Height and width of the frame that the memory is measured on [px]."""
_NUMBERS_PER_WEIGHT = 4
"""Numbers that training stores for each weight: itself, its gradient and Adam's two means."""


def step_bytes(networks: nn.Module, *, sources: int, pixels: int, is_half: bool) -> int:
    """Estimate the memory of a training step without its losses [bytes].

    It is measured in a forward pass of one small frame, and grows with ``pixels``, the number in
    all targets of a batch. The pass changes the statistics of the networks as a step does.
    ``is_half`` says whether maps are stored in half precision.
    """
    with torch.random.fork_rng(devices=[]):
        target = torch.zeros(1, 3, _MEASURED_SIDE, _MEASURED_SIDE)
        source_frames = tuple(target.clone() for _ in range(sources))
        measured_bytes = _bytes_saved_for_backward(networks.train(), target, source_frames)
    precision_factor = 0.5 if is_half else 1.0
    pixel_factor = pixels / _MEASURED_SIDE**2
    weight_bytes = sum(weight.numel() * weight.element_size() for weight in networks.parameters())
    return int(
        precision_factor * measured_bytes * pixel_factor + _NUMBERS_PER_WEIGHT * weight_bytes
    )


def _bytes_saved_for_backward(
    networks: nn.Module, target: Tensor, sources: tuple[Tensor, ...]
) -> int:
    """Memory of the tensors that autograd keeps for the backward pass [bytes], without weights."""
    weight_addresses = {weight.untyped_storage().data_ptr() for weight in networks.parameters()}
    # Size and tensor by the address of the storage, since several tensors may share a storage. The
    # tensors are kept, so that no address is used again.
    saved: dict[int, tuple[int, Tensor]] = {}

    def record_storage(tensor: Tensor) -> Tensor:
        """Note the storage of a tensor that autograd saves, unless it is that of a weight."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weight_addresses:
            saved[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    def return_unchanged(tensor: Tensor) -> Tensor:
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(record_storage, return_unchanged)
    with torch.enable_grad(), hooks:
        networks(target, sources)
    return sum(num_bytes for num_bytes, _ in saved.values())
