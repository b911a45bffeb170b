"""Scores of a probe on whole images, and of a constant, to see whether and how much it learns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rilievo.train.probe.batches import collate
from rilievo.train.probe.frames import KeptFrames
from rilievo.train.probe.learner import Learner, as_input
from rilievo.train.probe.records import ConstantCheck

_SAMPLES = 4096  # normals of an image that the constant normal is made of
_LEAST_LENGTH = 0.5  # squared: unit normals are kept in half precision, zero is no normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Means over images at the training size; NaN for what is not predicted.

    Attributes:
        abs_rel: Mean |predicted - true| / true, depth as predicted.
        scaled_abs_rel: ``abs_rel`` after depth is scaled by the median of each image.
        constant_abs_rel: ``abs_rel`` of a constant depth, the median of each image.
        constant_angle: Mean angle between a constant and true normals [degrees]; the constant is
            the mean direction of all images.
    """

    abs_rel: float
    delta1: float
    angle: float
    scaled_abs_rel: float
    constant_abs_rel: float
    constant_angle: float


@torch.no_grad()
def validate(
    learner: Learner, frames: KeptFrames, fabric: Any, *, most: int | None = None
) -> Scores:
    """Score a network on whole images, one at a time; on the first ``most`` of them, if given."""
    learner.eval()
    depths: list[tuple[float, ...]] = []
    angles: list[float] = []
    normals: list[Tensor] = []
    for index in range(min(len(frames), most or len(frames))):
        batch = collate([frames.frame(index)], fabric.device)
        true_depth, true_normals = batch["depth"], batch["normals"]
        with fabric.autocast():
            answer = learner.probed(as_input(batch["image"]))
        valid = true_depth > 0
        if answer.depth is not None and valid.any():
            depths.append(_depth_scores(answer.depth.float()[valid], true_depth[valid]))
        known = true_normals.square().sum(dim=1) > _LEAST_LENGTH
        if answer.normals is not None and known.any():
            true = F.normalize(true_normals, dim=1).movedim(1, -1)[known]
            angles.append(_angle(answer.normals.float().movedim(1, -1)[known], true))
            normals.append(true[:: len(true) // _SAMPLES + 1].cpu())
    columns = list(zip(*depths, strict=True)) or [()] * 4
    abs_rel, delta1, scaled, constant = map(_mean, columns)
    return Scores(
        abs_rel=abs_rel,
        delta1=delta1,
        angle=_mean(angles),
        scaled_abs_rel=scaled,
        constant_abs_rel=constant,
        constant_angle=_constant_angle(normals),
    )


def constant_check(scores: Scores, *, images: int, held_out: bool) -> ConstantCheck:
    """Errors beside those of a constant, as the record of a run has them."""
    return ConstantCheck(
        images=images,
        held_out=held_out,
        abs_rel=_known(scores.scaled_abs_rel),
        constant_abs_rel=_known(scores.constant_abs_rel),
        angle=_known(scores.angle),
        constant_angle=_known(scores.constant_angle),
    )


def _depth_scores(predicted: Float[Tensor, " n"], true: Float[Tensor, " n"]) -> tuple[float, ...]:
    """AbsRel, δ1, AbsRel after scaling by the median, and AbsRel of the median."""
    ratio, median = predicted / true, true.median()
    scaled = ratio * (median / predicted.median())
    close = torch.maximum(ratio, 1 / ratio) < 1.25
    errors = ((ratio - 1).abs(), close.float(), (scaled - 1).abs(), (median / true - 1).abs())
    return tuple(float(each.mean()) for each in errors)


def _constant_angle(normals: Sequence[Float[Tensor, "_ 3"]]) -> float:
    if not normals:
        return float("nan")
    means = torch.stack([each.mean(dim=0) for each in normals])
    constant = F.normalize(means.mean(dim=0), dim=0)
    return _mean([_angle(constant, each) for each in normals])


def _angle(predicted: Float[Tensor, "*n 3"], true: Float[Tensor, "n 3"]) -> float:
    """Mean angle [degrees]."""
    cosine = (predicted * true).sum(dim=-1).clamp(-1, 1)
    return float(torch.rad2deg(torch.acos(cosine)).mean())


def _known(value: float) -> float | None:
    """The value; None for NaN, which stands for what is not predicted."""
    return None if math.isnan(value) else value


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
