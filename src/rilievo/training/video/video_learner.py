"""Loss of the networks on video for a training step, and their scores in validation."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.training.engine.task import check_finite
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.view_synthesis import terms_with_own, video_loss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.networks.video.video_networks import VideoNetworks
from rilievo.training.tensors import Intrinsics, Transforms
from rilievo.training.video.batch_numbers import (
    BatchResult,
    VideoTruth,
    batch_log_columns,
    depth_scores,
    motion_scores,
)
from rilievo.training.video.frames.target_frames import Batch, VideoTargetFrames, collate
from rilievo.training.video.other_places import ReplayPictures


class LearnedCamera(nn.Module):
    """Focal lengths that are learned, as factors of the given ones.

    The logarithms of the factors of fx and fy are the parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_factors = nn.Parameter(torch.zeros(2))

    def forward(self, K: Intrinsics) -> Intrinsics:
        """Multiply the focal lengths of K by the factors."""
        row_factors = torch.cat([self.log_factors, self.log_factors.new_zeros(1)]).exp()
        return K * row_factors[:, None]


class VideoLearner(nn.Module):
    """Depth and pose networks with their losses.

    Attributes:
        replay: Pictures of other places that are replayed in each step; None for none.
    """

    replay: ReplayPictures | None = None

    def __init__(
        self,
        networks: VideoNetworks,
        losses: VideoLosses,
        *,
        seed: int,
        camera: LearnedCamera | None = None,
    ) -> None:
        """Prepare to learn; ``seed`` is that of the noise that breaks ties of the auto-mask."""
        super().__init__()
        self.networks = networks
        self.losses = losses
        self.camera = camera
        self._seed = seed
        terms_with_own(losses)  # raises for terms that cannot be loaded, before the first batch

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``loss`` of a batch, and the other columns of the log."""
        noise_generator = torch.Generator(batch.views.target.device)
        # The factor keeps the batches of different seeds apart.
        noise_generator.manual_seed(self._seed * 1_000_003 + batch.step)
        result = self.predict_with_loss(views=batch.views, generator=noise_generator)
        columns = {"loss": result.loss.total, **batch_log_columns(result)}
        if self.replay is None:
            return columns

        num_targets = len(batch.views.target)
        replay_loss = self.replay.loss(self.networks.depth, batch.step, num_targets)
        weighted_loss = self.losses.replay * replay_loss
        return {
            **columns,
            "loss": columns["loss"] + weighted_loss,
            "extra": columns["extra"] + weighted_loss.detach(),
        }

    def predict_with_loss(self, *, views: Views, generator: torch.Generator | None) -> BatchResult:
        """Predict depth and motion of a batch, and compute their loss.

        ``generator`` draws the noise that breaks ties of the auto-mask; None adds no noise.

        Raises:
            FloatingPointError: If depth or motion is not finite: sampling would read outside
                memory.
        """
        prediction = self.networks(views.target_seen, views.sources_seen)
        source_sigmoids = None
        if self.losses.needs_source_depth:
            source_sigmoids = tuple(self.networks.depth(frame)[0] for frame in views.sources_seen)

        # Networks may compute in lower precision; losses may not.
        with torch.autocast(views.target.device.type, enabled=False):
            if self.camera is not None:
                views = replace(views, K=self.camera(views.K))
            motions = known_or_predicted_motion(views, prediction.source_T_target)
            loss_motions = motions
            unscaled_motions = prediction.unscaled
            if unscaled_motions is not None:
                # As in the published program, the loss multiplies them by each scale's own depth.
                loss_motions = known_or_predicted_motion(views, unscaled_motions)
            check_finite("depth", *prediction.sigmoids)
            check_finite("motion", *motions)

            blueprint = self.networks.blueprint
            loss = video_loss(
                views,
                prediction.sigmoids,
                loss_motions,
                min_depth=blueprint.min_depth,
                max_depth=blueprint.max_depth,
                scales=blueprint.scales,
                options=self.losses,
                generator=generator,
                masks=prediction.masks,
                source_sigmoids=source_sigmoids,
                scale_translations=unscaled_motions is not None,
            )
        return BatchResult(views=views, sigmoids=prediction.sigmoids, motions=motions, loss=loss)


def known_or_predicted_motion(
    views: Views, predicted: tuple[Transforms | None, ...]
) -> tuple[Transforms, ...]:
    """Motion to each source: the known one, or where it is None, the predicted one."""
    motions = []
    for known_motion, predicted_motion in zip(views.source_T_target, predicted, strict=True):
        motion = predicted_motion if known_motion is None else known_motion
        assert motion is not None, "motion is known, or a network predicts it"
        motions.append(motion)
    return tuple(motions)


class VideoScores(NamedTuple):
    """Mean scores of the networks on targets; NaN where the truth is not known.

    Attributes:
        warp_error: Photometric error of the sources warped to the target.
        identity_error: Photometric error of the sources as they are.
        abs_rel: AbsRel of depth that is scaled by the median of each image.
        delta1: Fraction of pixels whose scaled depth is right within a factor of 1.25.
        constant_abs_rel: AbsRel of a constant depth, for comparison.
        translation_angle: Angle to the true direction of the translation [degrees].
        rotation_error: Angle to the true rotation [degrees].
    """

    warp_error: float
    identity_error: float
    abs_rel: float
    delta1: float
    constant_abs_rel: float
    translation_angle: float
    rotation_error: float


@torch.no_grad()
def mean_video_scores(learner: VideoLearner, frames: VideoTargetFrames, fabric: Any) -> VideoScores:
    """Score the networks on targets, which the processes divide among them.

    A score that is not known for a target does not count in its mean.
    """
    learner.eval()
    sums = np.zeros(len(VideoScores._fields))
    counts = np.zeros(len(VideoScores._fields))
    for index in range(fabric.global_rank, len(frames), fabric.world_size):
        views = collate([frames.read_sample(index)], fabric.device)
        with fabric.autocast():
            result = learner.predict_with_loss(views=views, generator=None)
        scores = np.array(_score_target(result, frames.read_truth(index)))
        is_finite = np.isfinite(scores)
        sums += np.where(is_finite, scores, 0)
        counts += is_finite

    totals = fabric.all_reduce(torch.from_numpy(np.stack([sums, counts])), reduce_op="sum")
    total_sums, total_counts = totals.cpu().numpy()
    # 0 / 0 is NaN, for scores that are not known for any target.
    with np.errstate(invalid="ignore"):
        return VideoScores(*map(float, total_sums / total_counts))


def _score_target(result: BatchResult, truth: VideoTruth) -> VideoScores:
    """Score the prediction for a batch of one target."""
    depth = depth_scores(result.loss.depth[0], truth)
    motion = motion_scores(result.motions, truth)
    return VideoScores(
        # The error of each pixel is that of its best source.
        warp_error=float(result.loss.warped_error.mean()),
        identity_error=float(result.loss.identity_error.mean()),
        abs_rel=depth.abs_rel,
        delta1=depth.delta1,
        constant_abs_rel=depth.constant_abs_rel,
        translation_angle=motion.translation_angle,
        rotation_error=motion.rotation_error,
    )
