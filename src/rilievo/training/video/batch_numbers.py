"""Numbers of a batch: for the log, and by true depth or motion where it is known."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Field, Float, Transform
from rilievo.training.losses.view_synthesis import VideoLoss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.tensors import Scalar, Sigmoids, Transforms

_ENDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """Predictions for a batch, and how well they explain the sources.

    Attributes:
        sigmoids: Outputs for the targets in 0..1, by scale.
    """

    views: Views
    sigmoids: tuple[Sigmoids, ...]
    motions: tuple[Transforms, ...]
    loss: VideoLoss


@torch.no_grad()
def batch_log_columns(result: BatchResult) -> dict[str, Scalar]:
    """Compute the numbers of a batch, whose means over steps are columns of the log.

    ``photometric``, ``smoothness`` and ``extra`` are weighted and add up to the loss; ``masked``
    and ``saturated`` are shares of pixels; ``depth_spread`` is of log depth; ``rotation`` is in
    degrees.
    """
    loss, finest = result.loss, result.sigmoids[0]
    zero = torch.zeros_like(loss.total)
    terms = dict(loss.terms)
    photometric, smoothness = terms.pop("photometric", zero), terms.pop("smoothness", zero)
    log_depth = loss.depth.log().flatten(1)
    motions = torch.stack(result.motions)
    ends = (finest < _ENDS) | (finest > 1 - _ENDS)
    return {
        "photometric": photometric,
        "smoothness": smoothness,
        "extra": sum(terms.values(), zero),
        "warp_error": loss.warped_error.mean(),
        "identity_error": loss.still_error.mean(),
        "masked": 1 - loss.automask.float().mean(),
        "mean_depth": loss.depth.mean(),
        "depth_spread": log_depth.std(dim=1, correction=0).mean(),
        "saturated": ends.float().mean(),
        "translation": motions[..., :3, 3].norm(dim=-1).mean(),
        "rotation": torch.rad2deg(rotation_angle(motions[..., :3, :3])).mean(),
    }


def rotation_angle(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Angle of a rotation [rad], exact near zero too."""
    twice_sine = (R - R.mT).flatten(-2).norm(dim=-1) / 2**0.5
    twice_cosine = R.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    return torch.atan2(twice_sine, twice_cosine)


_STILL = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """Score depth scaled to the true median; inverse depth is interpolated."""
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
    """Mean angles of directions and rotations from the true ones."""
    ways, turns = [], []
    for motion, true in zip(motions, truth.source_T_target, strict=False):
        if true is None:
            continue
        estimate, reference = motion[0].cpu().double(), torch.from_numpy(true)
        turns.append(rotation_angle(estimate[:3, :3] @ reference[:3, :3].mT))
        if reference[:3, 3].norm() > _STILL:
            ways.append(_angle_between(estimate[:3, 3], reference[:3, 3]))
    return MotionScores(
        translation_angle=_mean_degrees_or_nan(ways), rotation_error=_mean_degrees_or_nan(turns)
    )


def _angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle between two vectors [rad], exact at all angles (Kahan)."""
    a, b = a / a.norm().clamp_min(1e-30), b / b.norm()
    return 2 * torch.atan2((a - b).norm(), (a + b).norm())


def _mean_degrees_or_nan(angles: list[Tensor]) -> float:
    return float(torch.rad2deg(torch.stack(angles).mean())) if angles else np.nan
