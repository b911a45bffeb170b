"""Training steps of the preset ``clip`` in turns, in a process of its own.

Usage: python -m benchmarks.clip_turns BATCH ROUNDS SIDE...

A SIDE is apart (norms of fixed statistics as layers of their own), ours or bf16, each also with
``+replay``: pictures of other places in the batch. Three frames of 224x288, ``rilievo/small``,
known motion, corners; the same weights and frames for all, one thread. For every side the least CPU
time of a step and the first step's loss.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.video_turns import sideways
from rilievo.data.clips.footage import VideoData
from rilievo.training.losses.warped_frames import Views
from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
from rilievo.training.networks.video.video_networks import make_networks
from rilievo.training.video.config.video_config import VideoConfig
from rilievo.training.video.config.video_presets import preset_config
from rilievo.training.video.elsewhere.replay import OtherPlaces
from rilievo.training.video.frames.video_batches import Batch
from rilievo.training.video.video_learner import Learner
from rilievo.training.video.video_run import start_from_embedded

_START = "rilievo/small"
_SIZE = 224, 288
_CORNERS = 400
_STEP = 0.01


def _main(batch: int, rounds: int, sides: list[str]) -> dict[str, dict[str, float]]:
    torch.set_num_threads(1)
    views = _views(batch)
    steps = {side: _step(views, side) for side in sides}
    answers = {side: {"loss": step()} for side, step in steps.items()}
    costs: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, step in steps.items():
            began = time.process_time()
            step()
            costs[side].append(time.process_time() - began)
    return {side: {**answers[side], "cpu": min(taken)} for side, taken in costs.items()}


def _views(batch: int) -> Views:
    """Frames of a camera that moves sideways, with its motion and the depth of some corners."""
    views = sideways(batch, *_SIZE)
    places = torch.randint(_SIZE[0] * _SIZE[1], (batch, _CORNERS))
    corners = torch.zeros(batch, _SIZE[0] * _SIZE[1])
    corners.scatter_(1, places, 1 + 3 * torch.rand(batch, _CORNERS))
    motion = torch.eye(4).repeat(2, batch, 1, 1)
    motion[0, :, 0, 3], motion[1, :, 0, 3] = _STEP, -_STEP
    return replace(
        views,
        source_T_target=tuple(motion),
        corners=corners.view(batch, *_SIZE),
        prior=1 + torch.rand(batch, *_SIZE),
    )


def _step(views: Views, side: str) -> Callable[[], float]:
    way, _, replay = side.partition("+")
    config = _config(len(views.target))
    networks = make_networks(config.blueprint, offsets=views.offsets, seed=0)
    start_from_embedded(networks)
    learner = Learner(networks, config)
    learner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if replay:
        device = views.target.device
        learner.elsewhere = OtherPlaces(networks.depth, config.blueprint, device, seed=0)
    optimizer = torch.optim.AdamW(networks.parameters(), lr=1e-5)
    ids = tuple(map(str, range(len(views.target))))

    def step() -> float:
        learner.train()
        optimizer.zero_grad()
        with _as(way):
            loss = learner(Batch(step=0, epoch=0, ids=ids, views=views))["loss"]
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _config(batch: int) -> VideoConfig:
    blueprint = VideoBlueprint(encoder="small", pose=PoseKind.GEOMETRY, scales=(0,), size=_SIZE)
    data = VideoData(roots=(".",))
    config = VideoConfig(
        blueprint=blueprint, data=data, preset="clip", start=_START, batch_size=batch
    )
    return preset_config(config)


@contextmanager
def _as(way: str) -> Iterator[None]:
    networks = "rilievo.training.networks"
    if way == "apart":
        with (
            patch(f"{networks}.small.normed", _normed),
            patch(f"{networks}.gluon.normed", _normed),
            patch(f"{networks}.small.mixed", nn.Module.__call__),
        ):
            yield
    else:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way == "bf16"):
            yield


def _normed(conv: nn.Module, norm: nn.Module, x: Tensor, *, relu: bool = False) -> Tensor:
    y: Tensor = norm(conv(x))
    return torch.relu(y) if relu else y


if __name__ == "__main__":
    print(json.dumps(_main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])))
