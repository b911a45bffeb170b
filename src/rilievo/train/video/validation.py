"""Scores on the targets that a run holds out, to see whether it learns."""

from typing import Any, NamedTuple

import numpy as np
import torch

from rilievo.train.video.batches import collate
from rilievo.train.video.frames import KeptFrames
from rilievo.train.video.learner import Learner
from rilievo.train.video.measures import BatchResult
from rilievo.train.video.truth import Truth, depth_scores, motion_scores

_NUMBERS = 7


class Scores(NamedTuple):
    """Means over targets; NaN where the truth is not known beside the frames.

    Attributes:
        warp_error: Photometric error of the sources warped to the target, the best at each pixel.
        identity_error: Photometric error of the sources without warping, likewise.
        abs_rel: Mean |p - t| / t of depth, p scaled by the median of each image, at the true
            depth's pixels.
        delta1: Share of pixels right within a factor of 1.25, likewise.
        constant_abs_rel: ``abs_rel`` of a constant depth, the median of each image.
        translation_angle: Angle between the predicted and the true translation [degrees].
        rotation_error: Angle between the predicted and the true rotation [degrees].
    """

    warp_error: float
    identity_error: float
    abs_rel: float
    delta1: float
    constant_abs_rel: float
    translation_angle: float
    rotation_error: float


@torch.no_grad()
def validate(learner: Learner, frames: KeptFrames, fabric: Any) -> Scores:
    """Score the networks on whole targets, one at a time; each process takes its share.

    Args:
        learner: Learner with the networks.
        frames: Targets to score on.
        fabric: Fabric that the networks run on.
    """
    learner.eval()
    sums, counts = np.zeros(_NUMBERS), np.zeros(_NUMBERS)
    for index in range(fabric.global_rank, len(frames), fabric.world_size):
        one = frames.views_of(index, rng=np.random.default_rng(0))
        views = collate([one], fabric.device)
        with fabric.autocast():
            result = learner.explain(views=views, generator=None)
        numbers = np.array(_numbers(result, frames.truth_of(index)))
        known = np.isfinite(numbers)
        sums += np.where(known, numbers, 0)
        counts += known
    both = fabric.all_reduce(torch.from_numpy(np.stack([sums, counts])), reduce_op="sum")
    sums, counts = both.cpu().numpy()
    with np.errstate(invalid="ignore"):
        return Scores(*map(float, sums / counts))


def _numbers(result: BatchResult, truth: Truth) -> Scores:
    """Scores of one target; the best source of each pixel counts."""
    loss = result.loss
    depth, motion = depth_scores(loss.depth[0], truth), motion_scores(result.motions, truth)
    return Scores(
        warp_error=float(loss.warped_error.mean()),
        identity_error=float(loss.still_error.mean()),
        abs_rel=depth.abs_rel,
        delta1=depth.delta1,
        constant_abs_rel=depth.constant_abs_rel,
        translation_angle=motion.translation_angle,
        rotation_error=motion.rotation_error,
    )
