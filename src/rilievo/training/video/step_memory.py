"""Memory of a step, measured on one small frame."""

import torch
from torch import Tensor, nn

from rilievo.training.networks.video.video_networks import VideoNetworks
from rilievo.training.video.frames.video_frames import all_offsets
from rilievo.training.video.video_config import VideoConfig

_SIDE = 64
_A_WEIGHT = 4
"""Numbers for each weight: itself, its gradient and Adam's two means."""


def step_bytes(config: VideoConfig) -> int:
    """Number of bytes that a step takes for networks; losses come on top."""
    offsets = all_offsets(config.data, config.offsets)
    with torch.random.fork_rng(devices=[]):
        networks = VideoNetworks(config.blueprint, offsets).train()
        frame = torch.zeros(1, 3, _SIDE, _SIDE)
        graph_bytes = _kept_bytes(networks, frame, tuple(frame.clone() for _ in offsets))
    height, width = config.blueprint.size
    images = config.batch_size * height * width / _SIDE**2
    share = 1.0 if config.precision == "fp32" else 0.5
    weights = sum(weight.numel() * weight.element_size() for weight in networks.parameters())
    return int(share * graph_bytes * images + _A_WEIGHT * weights)


def step_in_words(config: VideoConfig) -> str:
    """A step, as a subject."""
    height, width = config.blueprint.size
    return f"steps of {config.batch_size} frames of {width}x{height} and their neighbours"


LESS = "take a smaller {batch_size} or {size}, or {precision=bf16}"
"""Remedy for too little memory."""


def _kept_bytes(networks: nn.Module, target: Tensor, sources: tuple[Tensor, ...]) -> int:
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
