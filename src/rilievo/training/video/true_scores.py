"""Scores by true depth, or by true motion."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.frozen import frozen
from rilievo.shapes import Field, Float, Transform
from rilievo.training.video.batch_numbers import angle_of

_STILL = 1e-3


@frozen
class VideoTruth:
    """True depth [m], 0 where unknown, and motion of one target."""

    depth: Field | None = None
    source_T_target: tuple[Transform | None, ...] = ()


class DepthScores(NamedTuple):
    """Depth scores, scaled by the ratio of medians; NaN without true depth."""

    abs_rel: float
    delta1: float
    constant_abs_rel: float


class MotionScores(NamedTuple):
    """Means over the sources of one target [degrees]; NaN without known motion."""

    translation_angle: float
    rotation_error: float


def depth_scores(depth: Float[Tensor, "h w"], truth: VideoTruth) -> DepthScores:
    """Score depth up to its scale; inverse depth is interpolated."""
    true = truth.depth
    if true is None or not (true > 0).any():
        return DepthScores(np.nan, np.nan, np.nan)
    inverse = F.interpolate(
        1 / depth[None, None].cpu().double(), true.shape, mode="bilinear", align_corners=False
    )
    valid = true > 0
    p, t = 1 / inverse[0, 0].numpy()[valid], true[valid].astype(np.float64)
    p = p * (np.median(t) / np.median(p))
    within = np.maximum(p / t, t / p) < 1.25
    return DepthScores(
        abs_rel=float(np.mean(np.abs(p - t) / t)),
        delta1=float(np.mean(within)),
        constant_abs_rel=float(np.mean(np.abs(np.median(t) - t) / t)),
    )


def motion_scores(motions: tuple[Float[Tensor, "1 4 4"], ...], truth: VideoTruth) -> MotionScores:
    """Score motion, whatever its scale."""
    ways, turns = [], []
    for motion, true in zip(motions, truth.source_T_target, strict=False):
        if true is None:
            continue
        estimate, reference = motion[0].cpu().double(), torch.from_numpy(true)
        turns.append(angle_of(estimate[:3, :3] @ reference[:3, :3].mT))
        if reference[:3, 3].norm() > _STILL:
            ways.append(_angle_between(estimate[:3, 3], reference[:3, 3]))
    return MotionScores(translation_angle=_mean(ways), rotation_error=_mean(turns))


def _angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle between two vectors [rad], exact at all angles (Kahan)."""
    a, b = a / a.norm().clamp_min(1e-30), b / b.norm()
    return 2 * torch.atan2((a - b).norm(), (a + b).norm())


def _mean(angles: list[Tensor]) -> float:
    return float(torch.rad2deg(torch.stack(angles).mean())) if angles else np.nan
