"""Training steps on video in turns, in a process of its own.

Usage: python -m benchmarks.video_turns BATCH ROUNDS THREADS SIDE...

A SIDE is plain, ours or bf16. Three frames of 192x640, ResNet-18 for depth and for pose, four
scales, Adam; the same weights and frames for all. For every side the least CPU and wall time of a
step, the first step's loss, and the peak of memory of the whole process.
"""

import json
import resource
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.view_synthesis import video_loss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.networks.blueprint import VideoBlueprint
from rilievo.training.networks.video.video_networks import make_networks

_HEIGHT, _WIDTH, _SHIFT = 192, 640, 4


def _main(batch: int, rounds: int, threads: int, sides: list[str]) -> dict[str, dict[str, float]]:
    torch.set_num_threads(threads)
    views = sideways(batch, _HEIGHT, _WIDTH)
    steps = {side: _plain(views) if side == "plain" else _ours(views, side) for side in sides}
    answers = {side: {"loss": step()} for side, step in steps.items()}
    costs: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            costs[side].append((time.process_time() - cpu, time.perf_counter() - wall))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for side, taken in costs.items():
        cpu, wall = (min(values) for values in zip(*taken, strict=True))
        answers[side] |= {"cpu": cpu, "wall": wall, "peak": peak}
    return answers


def sideways(batch: int, height: int, width: int) -> Views:
    """A smooth picture with a little grain, seen by a camera that moves sideways."""
    torch.manual_seed(0)
    coarse = torch.rand(batch, 3, height // 8, width // 8 + 8)
    wide = F.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)
    starts = (_SHIFT, 0, 2 * _SHIFT)
    target, *sources = (
        (0.95 * wide[..., k : k + width] + 0.05 * torch.rand(batch, 3, height, width))
        for k in starts
    )
    pyramid = [target]
    for _ in range(3):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    K = torch.tensor([[371.0, 0, (width - 1) / 2], [0, 369, (height - 1) / 2], [0, 0, 1]]).repeat(
        batch, 1, 1
    )
    return Views(
        target=target,
        sources=tuple(sources),
        target_seen=target,
        sources_seen=tuple(sources),
        offsets=(-1, 1),
        pyramid=tuple(pyramid),
        K=K,
        source_T_target=(None, None),
    )


def _plain(views: Views) -> Callable[[], float]:
    # Torchvision is large; only this side is charged with it.
    from benchmarks.plain_monodepth2 import PlainNetworks, plain_loss

    networks = PlainNetworks()
    networks.load_state_dict(_networks().state_dict(), strict=False)

    def loss() -> Tensor:
        disparities, motion = networks(views.target_seen, views.sources_seen)
        return plain_loss(views.target, views.sources, views.pyramid, views.K, disparities, motion)

    return _step(networks, loss)


def _ours(views: Views, side: str) -> Callable[[], float]:
    """Our loss with the published program's options: points behind the camera are included."""
    layout = torch.channels_last
    networks = _networks().to(memory_format=layout)
    target = views.target_seen.to(memory_format=layout)
    sources = tuple(each.to(memory_format=layout) for each in views.sources_seen)
    generator = torch.Generator().manual_seed(0)

    def loss() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=side == "bf16"):
            answer = networks(target, sources)
        motion = tuple(T for T in answer.source_T_target if T is not None)
        found = video_loss(
            views,
            answer.disparities,
            motion,
            min_depth=0.1,
            max_depth=100.0,
            scales=(0, 1, 2, 3),
            options=VideoLosses(in_front=False),
            generator=generator,
        )
        return found.total

    return _step(networks, loss)


def _networks() -> nn.Module:
    return make_networks(VideoBlueprint(), offsets=(-1, 1), seed=0)


def _step(networks: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], float]:
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-4)

    def step() -> float:
        optimizer.zero_grad()
        found = loss()
        found.backward()
        optimizer.step()
        return found.item()

    return step


if __name__ == "__main__":
    batch, rounds, threads = map(int, sys.argv[1:4])
    print(json.dumps(_main(batch, rounds, threads, sys.argv[4:])))
