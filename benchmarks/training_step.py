"""Costs of the training steps of one side, as JSON.

Usage: python -m benchmarks.training_step video|probe rilievo|plain STEPS [--quick]
"""

import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import plain_steps
from rilievo.training.engine.task import fused_option
from rilievo.training.losses.supervised import log_gradient_loss, scale_invariant_loss
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.view_synthesis import video_loss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.networks.blueprint import DepthChoice, VideoBlueprint
from rilievo.training.networks.features import Box, Features
from rilievo.training.networks.probes import DepthHead, make_probe
from rilievo.training.networks.video.video_networks import VideoNetworks
from rilievo.training.video.video_run import fastest_layout

Loss = Callable[[], Tensor]
_FUSED = fused_option(torch.device("cpu"))


class _ByOperator(TorchDispatchMode):
    """CPU time of each operator, in the forward and the backward pass [s]."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = defaultdict[str, float](float)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        start = time.process_time()
        made = func(*args, **(kwargs or {}))
        self.seconds[func.overloadpacket.__name__] += time.process_time() - start
        return made


def _video(*, plain: bool, quick: bool) -> tuple[Loss, torch.optim.Optimizer]:
    """Monodepth2: ResNet-18 twice, three frames, four scales."""
    count, height, width = (2, 64, 96) if quick else (4, 192, 640)
    blueprint = VideoBlueprint(size=(height, width), encoder="resnet18")
    networks = VideoNetworks(blueprint, (-1, 1)).train()
    coarse = torch.rand(count, 3, height // 8, width // 8 + 4)
    wide = F.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)
    target, before, after = (wide[..., k : k + width].contiguous() for k in (8, 4, 12))
    pyramid = [F.avg_pool2d(target, 2**scale) for scale in range(4)]
    K = torch.tensor([[0.58 * width, 0, width / 2], [0, 1.92 * height, height / 2], [0, 0, 1]])
    K = K.expand(count, 3, 3).contiguous()
    if plain:
        optimizer = torch.optim.Adam(networks.parameters(), 1e-4)
        frames = target, before, after
        return lambda: plain_steps.video_loss(networks, frames, pyramid, K), optimizer
    networks.to(memory_format=fastest_layout(torch.device("cpu")))
    views = Views(
        target=target,
        sources=(before, after),
        target_seen=target,
        sources_seen=(before, after),
        pyramid=tuple(pyramid),
        K=K,
        source_T_target=(None, None),
    )

    def loss() -> Tensor:
        answer = networks(views.target_seen, views.sources_seen)
        return video_loss(
            views,
            answer.sigmoids,
            answer.source_T_target,
            min_depth=blueprint.min_depth,
            max_depth=blueprint.max_depth,
            scales=blueprint.scales,
            options=VideoLosses(),
            generator=torch.Generator().manual_seed(0),
        ).total

    return loss, torch.optim.Adam(networks.parameters(), 1e-4, fused=_FUSED)


def _probe(*, plain: bool, quick: bool) -> tuple[Loss, torch.optim.Optimizer]:
    """Probe3D: its DPT probe on features of ViT-S/14 for one image of 480x480."""
    cells, channels, hidden = (5, 8, 32) if quick else (35, 384, 512)
    size = 14 * cells - (0 if quick else 10)
    padding = (14 * cells - size) // 2
    probe = make_probe("dpt", (channels,) * 4, channels, 256, preset="probe3d", hidden=hidden)
    maps = tuple(torch.randn(1, channels, cells, cells) for _ in range(4))
    tokens = tuple(torch.randn(1, channels) for _ in range(4))
    true = 0.5 + 9 * torch.rand(1, size, size)
    if plain:
        probe.to(memory_format=torch.contiguous_format)
        joined = [
            torch.cat([x, token[:, :, None, None].expand_as(x)], dim=1)
            for x, token in zip(maps, tokens, strict=True)
        ]
        optimizer = torch.optim.AdamW(probe.parameters(), 5e-4, weight_decay=0.01)
        return lambda: plain_steps.probe_loss(probe, joined, true), optimizer
    box = Box(top=padding, left=padding, height=size, width=size)
    features = Features(maps=maps, tokens=tokens, padded=(14 * cells, 14 * cells), box=box)
    head, valid = DepthHead(DepthChoice()), true > 0

    def loss() -> Tensor:
        depth = head(probe.logits(features), (size, size))
        gradient = log_gradient_loss(depth, true, valid)
        return 10 * scale_invariant_loss(depth, true, valid) + 0.5 * gradient

    fused = torch.optim.AdamW(probe.parameters(), 5e-4, weight_decay=0.01, fused=_FUSED)
    return loss, fused


def measure(kind: str, side: str, steps: int, *, quick: bool) -> Mapping[str, object]:
    """Measure ``steps`` steps after a first one, and one more by operator."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    loss, optimizer = {"video": _video, "probe": _probe}[kind](plain=side == "plain", quick=quick)

    def step() -> float:
        start, value = time.process_time(), loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.process_time() - start if bool(value.isfinite()) else float("nan")

    first = loss().item()
    step()
    seconds = [step() for _ in range(steps)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with _ByOperator() as mode:
        step()
    return {"seconds": seconds, "peak": peak, "loss": first, "operators": mode.seconds}


if __name__ == "__main__":
    _kind, _side, _steps, *_options = sys.argv[1:]
    print(json.dumps(measure(_kind, _side, int(_steps), quick="--quick" in _options)))
