"""Scores of a probe on images, beside those of a constant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Float
from rilievo.training.losses.supervised import has_normal
from rilievo.training.networks.probe_network import BackboneWithProbe
from rilievo.training.probe.probe_batches import collate
from rilievo.training.probe.probe_frames import TargetFrames
from rilievo.training.tensors import to_unit_range

_NORMALS_PER_IMAGE = 4096
"""Normals of each image from which the constant normal is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Mean scores over images at the training size; NaN for what is not predicted.

    Attributes:
        abs_rel: Mean of |predicted - true| / true, for depth as it is predicted.
        delta1: Fraction of pixels that are right within a factor of 1.25.
        angle: Mean angle to the true normals [degrees].
        scaled_abs_rel: ``abs_rel`` after scaling by the median of each image.
        constant_abs_rel: ``abs_rel`` of the median of the true depth.
        constant_angle: Mean angle of the true normals to their mean direction [degrees].
    """

    abs_rel: float
    delta1: float
    angle: float
    scaled_abs_rel: float
    constant_abs_rel: float
    constant_angle: float


@torch.no_grad()
def score_frames(
    network: BackboneWithProbe, frames: TargetFrames, fabric: Any, *, count: int | None = None
) -> Scores:
    """Score a network on the first ``count`` images, or on all of them."""
    network.eval()
    depth_scores: list[_DepthScores] = []
    normals_scores: list[_NormalsScores] = []
    for index in range(len(frames) if count is None else count):
        batch = collate([frames.frame(index)], fabric.device)
        with fabric.autocast():
            prediction = network(to_unit_range(batch["image"]))

        has_true_depth = batch["depth"] > 0
        if prediction.depth is not None and has_true_depth.any():
            predicted_depth = prediction.depth.float()[has_true_depth]
            depth_scores.append(_score_depth(predicted_depth, batch["depth"][has_true_depth]))

        has_true_normal = has_normal(batch["normals"])
        if prediction.normals is not None and has_true_normal.any():
            predicted_normals = prediction.normals.float().movedim(1, -1)[has_true_normal]
            true_normals = F.normalize(batch["normals"], dim=1).movedim(1, -1)[has_true_normal]
            normals_scores.append(_score_normals(predicted_normals, true_normals))
    return Scores(
        abs_rel=_mean_or_nan([scores.abs_rel for scores in depth_scores]),
        delta1=_mean_or_nan([scores.delta1 for scores in depth_scores]),
        angle=_mean_or_nan([scores.angle for scores in normals_scores]),
        scaled_abs_rel=_mean_or_nan([scores.scaled_abs_rel for scores in depth_scores]),
        constant_abs_rel=_mean_or_nan([scores.constant_abs_rel for scores in depth_scores]),
        constant_angle=_mean_degrees_to_mean_direction(
            [scores.true_normals for scores in normals_scores]
        ),
    )


class _DepthScores(NamedTuple):
    """Scores of the depth of one image; see ``Scores``."""

    abs_rel: float
    delta1: float
    scaled_abs_rel: float
    constant_abs_rel: float


class _NormalsScores(NamedTuple):
    """Mean angle of the normals of one image [degrees], and a sample of its true normals."""

    angle: float
    true_normals: Float[Tensor, "_ 3"]


def _score_depth(predicted: Float[Tensor, " n"], true: Float[Tensor, " n"]) -> _DepthScores:
    true_median = true.median()
    ratio = predicted / true
    scaled_ratio = ratio * (true_median / predicted.median())
    is_close = torch.maximum(ratio, 1 / ratio) < 1.25
    return _DepthScores(
        abs_rel=float((ratio - 1).abs().mean()),
        delta1=float(is_close.float().mean()),
        scaled_abs_rel=float((scaled_ratio - 1).abs().mean()),
        constant_abs_rel=float((true_median / true - 1).abs().mean()),
    )


def _score_normals(predicted: Float[Tensor, "n 3"], true: Float[Tensor, "n 3"]) -> _NormalsScores:
    """Score unit normals, and keep about ``_NORMALS_PER_IMAGE`` of the true ones."""
    stride = len(true) // _NORMALS_PER_IMAGE + 1
    return _NormalsScores(
        angle=_mean_angle_in_degrees(predicted, true), true_normals=true[::stride].cpu()
    )


def _mean_degrees_to_mean_direction(normals: Sequence[Float[Tensor, "_ 3"]]) -> float:
    """Mean over images of the mean angle of their normals to one direction; NaN without images."""
    if not normals:
        return float("nan")
    image_means = torch.stack([vectors.mean(dim=0) for vectors in normals])
    direction = F.normalize(image_means.mean(dim=0), dim=0)
    return _mean_or_nan([_mean_angle_in_degrees(direction, vectors) for vectors in normals])


def _mean_angle_in_degrees(predicted: Float[Tensor, "*n 3"], true: Float[Tensor, "n 3"]) -> float:
    cosine = (predicted * true).sum(dim=-1).clamp(-1, 1)
    return float(torch.rad2deg(torch.acos(cosine)).mean())


def _mean_or_nan(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
