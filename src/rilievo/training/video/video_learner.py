"""One training step of the networks on video, and their scores in validation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        self.networks, self.losses, self.camera, self._seed = networks, losses, camera, seed
        terms_with_own(losses)  # raises for terms that cannot be loaded, before the first batch

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss of a batch, and the other columns of the log."""
        noise = torch.Generator(batch.views.target.device)
        noise.manual_seed(self._seed * 1_000_003 + batch.step)
        result = self.predict_with_loss(views=batch.views, generator=noise)
        columns = {"loss": result.loss.total, **batch_log_columns(result)}
        if self.replay is None:
            return columns

        targets = len(batch.views.target)
        replay_loss = self.replay.loss(self.networks.depth, batch.step, targets)
        weighted_loss = self.losses.replay * replay_loss
        return {
            **columns,
            "loss": columns["loss"] + weighted_loss,
            "extra": columns["extra"] + weighted_loss.detach(),
        }

    def predict_with_loss(self, *, views: Views, generator: torch.Generator | None) -> BatchResult:
        """Predict depth and motion of a batch, and compute their loss.

        Args:
            views: Targets with their sources.
            generator: Generator of the noise that breaks ties of the auto-mask; None for no noise.

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
            # The published program scales this motion by each scale's own depth, in the loss.
            unscaled = prediction.unscaled
            loss_motions = (
                motions if unscaled is None else known_or_predicted_motion(views, unscaled)
            )
            check_finite("depth", *prediction.disparities)
            check_finite("motion", *motions)

            blueprint = self.networks.blueprint
            loss = video_loss(
                views,
                prediction.disparities,
                loss_motions,
                min_depth=blueprint.min_depth,
                max_depth=blueprint.max_depth,
                scales=blueprint.scales,
                options=self.losses,
                generator=generator,
                masks=prediction.masks,
                source_sigmoids=source_sigmoids,
                multiplied=unscaled is not None,
            )
        return BatchResult(views=views, sigmoids=prediction.disparities, motions=motions, loss=loss)


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


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights and buffers of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


@contextmanager
def average_with_start(
    network: nn.Module, start: Mapping[str, Tensor], start_share: float
) -> Iterator[None]:
    """Give a network, in a block, the mean of its weights and those it started from.

    Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.

    Args:
        network: Network, which has its own weights again after the block.
        start: Weights from which it started, by name.
        start_share: Weight of the start in the mean, in 0..1.
    """
    if not start_share:
        yield
        return
    learned_weights = copy_weights(network)
    move_weights_towards(network, start, start_share)
    try:
        yield
    finally:
        network.load_state_dict(learned_weights)


@torch.no_grad()
def move_weights_towards(network: nn.Module, goal: Mapping[str, Tensor], fraction: float) -> None:
    """Move the weights of a network towards those of ``goal``: not at all for 0, to them for 1."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(goal[name].to(value), fraction)


class VideoScores(NamedTuple):
    """Mean scores of the networks on targets; NaN where the truth is not known.

    Attributes:
        warp_error: Photometric error of the sources warped to the target.
        identity_error: Photometric error of the sources as they are.
        abs_rel: AbsRel of depth that is scaled by the median of each image.
        delta1: Share of pixels whose scaled depth is right within a factor of 1.25.
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
    """Score the networks on targets, which the processes divide among them."""
    learner.eval()
    sums, counts = np.zeros((2, len(VideoScores._fields)))
    for index in range(fabric.global_rank, len(frames), fabric.world_size):
        views = collate([frames.sample_of(index)], fabric.device)
        with fabric.autocast():
            result = learner.predict_with_loss(views=views, generator=None)
        scores = np.array(_target_scores(result, frames.truth_of(index)))
        is_finite = np.isfinite(scores)
        sums += np.where(is_finite, scores, 0)
        counts += is_finite

    totals = fabric.all_reduce(torch.from_numpy(np.stack([sums, counts])), reduce_op="sum")
    sums, counts = totals.cpu().numpy()
    with np.errstate(invalid="ignore"):
        return VideoScores(*map(float, sums / counts))


def _target_scores(result: BatchResult, truth: VideoTruth) -> VideoScores:
    """Score the prediction for a batch of one target."""
    # The best source of each pixel counts.
    warp_error, identity_error = result.loss.warped_error, result.loss.still_error
    return VideoScores(
        float(warp_error.mean()),
        float(identity_error.mean()),
        *depth_scores(result.loss.depth[0], truth),
        *motion_scores(result.motions, truth),
    )
