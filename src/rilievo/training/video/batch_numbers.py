"""Columns of the log for a batch, and scores of a target against the ground truth."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Field, Float, Float64, Transform
from rilievo.training.losses.view_synthesis import VideoLoss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.tensors import Scalar, Sigmoids, Transforms

_SATURATION_DISTANCE = 0.01
"""Distance from 0 or 1 below which a sigmoid counts as saturated."""
_MIN_TRANSLATION = 1e-3
"""Length of the shortest true translation whose direction is scored, in its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """Predictions for a batch, and their loss.

    Attributes:
        views: Targets of the batch and their sources.
        sigmoids: Outputs of the depth network for the targets, in 0..1, the finest scale first.
        motions: ``source_T_target`` of all targets, for each source.
    """

    views: Views
    sigmoids: tuple[Sigmoids, ...]
    motions: tuple[Transforms, ...]
    loss: VideoLoss


@torch.no_grad()
def batch_log_columns(result: BatchResult) -> dict[str, Scalar]:
    """Columns of the log for a batch, which are averaged over steps.

    ``photometric``, ``smoothness`` and ``extra`` are weighted terms that add up to the loss;
    ``masked`` and ``saturated`` are fractions of pixels; ``depth_spread`` is the standard deviation
    of log depth; ``translation`` is in the unit of depth and ``rotation`` in degrees.
    """
    loss = result.loss
    finest_sigmoids = result.sigmoids[0]
    zero = torch.zeros_like(loss.total)
    own_columns = ("photometric", "smoothness")
    extra_terms = [term for name, term in loss.terms.items() if name not in own_columns]
    log_depth = loss.depth.log().flatten(1)
    motions = torch.stack(result.motions)
    is_saturated = (finest_sigmoids < _SATURATION_DISTANCE) | (
        finest_sigmoids > 1 - _SATURATION_DISTANCE
    )
    return {
        "photometric": loss.terms.get("photometric", zero),
        "smoothness": loss.terms.get("smoothness", zero),
        "extra": sum(extra_terms, zero),
        "warp_error": loss.warped_error.mean(),
        "identity_error": loss.identity_error.mean(),
        "masked": 1 - loss.automask.float().mean(),
        "mean_depth": loss.depth.mean(),
        "depth_spread": log_depth.std(dim=1, correction=0).mean(),
        "saturated": is_saturated.float().mean(),
        "translation": motions[..., :3, 3].norm(dim=-1).mean(),
        "rotation": torch.rad2deg(rotation_angle(motions[..., :3, :3])).mean(),
    }


def rotation_angle(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Angle of a rotation [rad]; unlike the arc cosine of the trace, exact near zero too.

    R - Rᵀ is 2 sin(angle) times the cross product matrix of the axis, whose Frobenius norm is √2.
    The trace of R is 1 + 2 cos(angle).
    """
    twice_sine = (R - R.mT).flatten(-2).norm(dim=-1) / 2**0.5
    twice_cosine = R.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    return torch.atan2(twice_sine, twice_cosine)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTruth:
    """Ground truth of one target.

    Attributes:
        depth: Depth [m], 0 where it is not known; None if it is not known anywhere.
        source_T_target: Motion to each source; None where it is not known.
    """

    depth: Field | None = None
    source_T_target: tuple[Transform | None, ...] = ()


class DepthScores(NamedTuple):
    """Scores of depth that is scaled to the median of the ground truth; NaN without it.

    Attributes:
        abs_rel: Mean of |predicted - true| / true.
        delta1: Fraction of pixels that are right within a factor of 1.25.
        constant_abs_rel: AbsRel of the median of the true depth.
    """

    abs_rel: float
    delta1: float
    constant_abs_rel: float


class MotionScores(NamedTuple):
    """Mean errors over the sources of one target [degrees]; NaN without known motion.

    Attributes:
        translation_angle: Angle to the true direction of the translation.
        rotation_error: Angle to the true rotation.
    """

    translation_angle: float
    rotation_error: float


def depth_scores(depth: Float[Tensor, "h w"], truth: VideoTruth) -> DepthScores:
    """Score depth against the ground truth, at the size of the ground truth.

    Depth is up to scale, so it is first scaled to have the median of the true depth.
    """
    if truth.depth is None or not (truth.depth > 0).any():
        return DepthScores(abs_rel=np.nan, delta1=np.nan, constant_abs_rel=np.nan)
    valid = truth.depth > 0
    true = truth.depth[valid].astype(np.float64)
    true_median = np.median(true)
    unscaled = _resize_depth(depth, truth.depth.shape)[valid]
    predicted = unscaled * (true_median / np.median(unscaled))
    is_close = np.maximum(predicted / true, true / predicted) < 1.25
    return DepthScores(
        abs_rel=float(np.mean(np.abs(predicted - true) / true)),
        delta1=float(np.mean(is_close)),
        constant_abs_rel=float(np.mean(np.abs(true_median - true) / true)),
    )


def _resize_depth(depth: Float[Tensor, "h w"], size: tuple[int, ...]) -> Float64[np.ndarray, "_ _"]:
    """Resize depth bilinearly by its inverse, in which planes are linear."""
    inverse_depth = F.interpolate(
        1 / depth[None, None].cpu().double(), size, mode="bilinear", align_corners=False
    )
    return 1 / inverse_depth[0, 0].numpy()


def motion_scores(motions: tuple[Float[Tensor, "1 4 4"], ...], truth: VideoTruth) -> MotionScores:
    """Score the motion to each source whose true motion is known."""
    direction_angles = []
    rotation_angles = []
    # Not strict, as the truth has no motions at all if none is known.
    for motion, true_motion in zip(motions, truth.source_T_target, strict=False):
        if true_motion is None:
            continue
        predicted = motion[0].cpu().double()
        true = torch.from_numpy(true_motion)
        rotation_angles.append(rotation_angle(predicted[:3, :3] @ true[:3, :3].mT))
        if true[:3, 3].norm() > _MIN_TRANSLATION:
            direction_angles.append(_angle_between(predicted[:3, 3], true[:3, 3]))
    return MotionScores(
        translation_angle=_mean_degrees_or_nan(direction_angles),
        rotation_error=_mean_degrees_or_nan(rotation_angles),
    )


def _angle_between(u: Tensor, v: Tensor) -> Tensor:
    """Angle between two vectors [rad], exact at all angles: 2 atan(|u - v| / |u + v|) (Kahan)."""
    unit_u = u / u.norm().clamp_min(1e-30)
    unit_v = v / v.norm()
    return 2 * torch.atan2((unit_u - unit_v).norm(), (unit_u + unit_v).norm())


def _mean_degrees_or_nan(angles: list[Tensor]) -> float:
    return float(torch.rad2deg(torch.stack(angles).mean())) if angles else np.nan
