"""Warm-up of a pose network: it learns motions by geometry before depth learns."""

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

_PEAK_RATE = 1e-3
"""Learning rate of the first step, from which it falls along half a cosine."""


def warm_up_pose(
    learner: VideoLearner, batches: Iterator[Batch], *, steps: int, seed: int, fabric: Any
) -> None:
    """Fit the pose network to the known motions of ``steps`` batches; depth stays as it is."""
    device = fabric.device
    networks = learner.networks.to(device)
    assert networks.pose is not None, "runs with known motion have no warm-up"
    networks.eval()
    networks.pose.train()
    # The encoder that both networks may share belongs to depth, so it must not learn here.
    depth_weights = [weight for weight in networks.depth.parameters() if weight.requires_grad]
    networks.depth.requires_grad_(False)
    optimizer = torch.optim.Adam(
        networks.pose.parameters(), lr=_PEAK_RATE, fused=fused_option(device)
    )
    report_progress = FrameProgress(shown=fabric.is_global_zero)
    for step, batch in enumerate(islice(batches, steps)):
        optimizer.param_groups[0]["lr"] = _PEAK_RATE * (1 + math.cos(math.pi * step / steps)) / 2
        with batch_seed(seed, batch.step, device):
            _mean_motion_error(learner, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        batch_size = len(batch.ids)
        report_progress("warm-up of the pose network", (step + 1) * batch_size, steps * batch_size)
    for weight in depth_weights:
        weight.requires_grad_(True)


def _mean_motion_error(learner: VideoLearner, batch: Batch) -> Scalar:
    """Mean error of predicted motions: angle [rad] plus distance of the translations.

    The unit of the distance is the median depth of the prior.
    """
    views = batch.views
    motions = learner.networks(views.target_seen, views.sources_seen).source_T_target
    median_depth = views.maps["prior"].flatten(1).median(dim=1).values.clamp(min=1e-6)
    errors = []
    for known_motion, motion in zip(views.source_T_target, motions, strict=True):
        if known_motion is None or motion is None:
            continue
        angle = rotation_angle(motion[:, :3, :3] @ known_motion[:, :3, :3].mT)
        distance = (motion[:, :3, 3] - known_motion[:, :3, 3]).norm(dim=1)
        errors.append(angle + distance / median_depth)
    return torch.stack(errors).mean()
