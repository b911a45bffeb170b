"""Scores on the images that a run holds out, to see whether and how long it learns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from rilievo.train.probe.batches import Source, collate
from rilievo.train.probe.frames import KeptFrames
from rilievo.train.probe.learner import Learner, as_input


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Means over images at the training size; NaN for what is not predicted.

    Attributes:
        abs_rel: Mean |predicted - true| / true, depth as predicted.
        delta1: Share of pixels right within a factor of 1.25.
        angle: Mean angle between predicted and true normals [degrees].
    """

    abs_rel: float
    delta1: float
    angle: float


@torch.no_grad()
def validate(learner: Learner, frames: KeptFrames, fabric: Any) -> Scores:
    """Score a network on whole images, one at a time."""
    learner.eval()
    relative, close, angles = [], [], []
    for index in range(len(frames)):
        source = Source(index=index, number=0)
        batch = collate((source,), [frames.frame(index)], fabric.device)
        with fabric.autocast():
            answer = learner.probed(as_input(batch))
        valid = batch.depth > 0
        if answer.depth is not None and valid.any():
            ratio = answer.depth.float()[valid] / batch.depth[valid]
            relative.append(float((ratio - 1).abs().mean()))
            close.append(float((torch.maximum(ratio, 1 / ratio) < 1.25).float().mean()))
        known = batch.normals.square().sum(dim=1) > 0.5
        if answer.normals is not None and known.any():
            true = F.normalize(batch.normals, dim=1)
            cosine = (answer.normals.float() * true).sum(dim=1)[known].clamp(-1, 1)
            angles.append(float(torch.rad2deg(torch.acos(cosine)).mean()))
    return Scores(abs_rel=_mean(relative), delta1=_mean(close), angle=_mean(angles))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
