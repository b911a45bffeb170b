"""First steps of a pose network, on motions by geometry, with depth frozen."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from rilievo.training.engine.loop import batch_seed
from rilievo.training.engine.progress import FrameProgress
from rilievo.training.engine.task import fused_option
from rilievo.training.tensors import Scalar
from rilievo.training.video.batch_numbers import rotation_angle
from rilievo.training.video.frames.target_frames import Batch
from rilievo.training.video.video_learner import VideoLearner

_RATE = 1e-3


def warm_up_pose(
    learner: VideoLearner, batches: Iterator[Batch], *, steps: int, seed: int, fabric: Any
) -> None:
    """Fit the pose network to the known motions of ``steps`` batches."""
    device, networks = fabric.device, learner.networks.to(fabric.device)
    assert networks.pose is not None, "the motion of the run is not known"
    networks.eval()
    networks.pose.train()
    # The shared encoder belongs to depth, which stays as it is.
    learned = [parameter for parameter in networks.depth.parameters() if parameter.requires_grad]
    networks.depth.requires_grad_(False)
    optimizer = torch.optim.Adam(networks.pose.parameters(), lr=_RATE, fused=fused_option(device))
    progress = FrameProgress(shown=fabric.is_global_zero)
    for step, batch in enumerate(islice(batches, steps)):
        optimizer.param_groups[0]["lr"] = _RATE * (1 + math.cos(math.pi * step / steps)) / 2
        with batch_seed(seed, batch.step, device):
            _mean_motion_difference(learner, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        size = len(batch.ids)
        progress("warm-up of the pose network", (step + 1) * size, steps * size)
    for parameter in learned:
        parameter.requires_grad_(True)


def _mean_motion_difference(learner: VideoLearner, batch: Batch) -> Scalar:
    """Angle [rad] plus difference of translation by the prior's median."""
    views = batch.views
    motions = learner.networks(views.target_seen, views.sources_seen).source_T_target
    middle = views.maps["prior"].flatten(1).median(dim=1).values.clamp(min=1e-6)
    errors = []
    for reference, motion in zip(views.source_T_target, motions, strict=True):
        if reference is None or motion is None:
            continue
        turn = rotation_angle(motion[:, :3, :3] @ reference[:, :3, :3].mT)
        apart = (motion[:, :3, 3] - reference[:, :3, 3]).norm(dim=1)
        errors.append(turn + apart / middle)
    return torch.stack(errors).mean()
