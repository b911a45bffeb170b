"""Loss of the networks in training, and scores in validation."""

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
    batch_log_columns,
    depth_scores,
    motion_scores,
)
from rilievo.training.video.frames.target_frames import Batch, VideoTargetFrames, collate
from rilievo.training.video.other_places import OtherPlaces


class LearnedCamera(nn.Module):
    """Factors of the focal lengths, as logarithms."""

    def __init__(self) -> None:
        super().__init__()
        self.log_factors = nn.Parameter(torch.zeros(2))

    def forward(self, K: Intrinsics) -> Intrinsics:
        """Intrinsics with refined focal lengths."""
        return K * torch.cat([self.log_factors, self.log_factors.new_zeros(1)]).exp()[:, None]


class VideoLearner(nn.Module):
    """Depth and pose network with their losses."""

    elsewhere: OtherPlaces | None = None

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
        terms_with_own(losses)  # refused before the first batch, not at it

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss of a batch, and the numbers of the log."""
        noise = torch.Generator(batch.views.target.device)
        noise.manual_seed(self._seed * 1_000_003 + batch.step)
        result = self.predict_with_loss(views=batch.views, generator=noise)
        numbers = {"loss": result.loss.total, **batch_log_columns(result)}
        if self.elsewhere is None:
            return numbers
        targets = len(batch.views.target)
        replay_loss = self.elsewhere.loss(self.networks.depth, batch.step, targets)
        weighted = self.losses.replay * replay_loss
        return {
            **numbers,
            "loss": numbers["loss"] + weighted,
            "extra": numbers["extra"] + weighted.detach(),
        }

    def predict_with_loss(self, *, views: Views, generator: torch.Generator | None) -> BatchResult:
        """Predict depth and motion of a batch, and compute their loss.

        Raises:
            FloatingPointError: If depth or motion is not finite: sampling would read outside
                memory.
        """
        blueprint, losses = self.networks.blueprint, self.losses
        answer = self.networks(views.target_seen, views.sources_seen)
        others = None
        if losses.needs_source_depth:
            others = tuple(self.networks.depth(frame)[0] for frame in views.sources_seen)
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(views.target.device.type, enabled=False):
            if self.camera is not None:
                views = replace(views, K=self.camera(views.K))
            motions = known_or_predicted_motion(views, answer.source_T_target)
            # The published program scales this motion by each scale's own depth, in the loss.
            scale_motions = motions
            if answer.unscaled is not None:
                scale_motions = known_or_predicted_motion(views, answer.unscaled)
            check_finite("depth", *answer.disparities)
            check_finite("motion", *motions)
            loss = video_loss(
                views,
                answer.disparities,
                scale_motions,
                min_depth=blueprint.min_depth,
                max_depth=blueprint.max_depth,
                scales=blueprint.scales,
                options=losses,
                generator=generator,
                masks=answer.masks,
                source_sigmoids=others,
                multiplied=answer.unscaled is not None,
            )
        return BatchResult(views=views, sigmoids=answer.disparities, motions=motions, loss=loss)


def known_or_predicted_motion(
    views: Views, answer: tuple[Transforms | None, ...]
) -> tuple[Transforms, ...]:
    """Known motion of each source, or else the network's."""
    motions = []
    for reference, estimate in zip(views.source_T_target, answer, strict=True):
        motion = estimate if reference is None else reference
        assert motion is not None, "motion is known, or a network says it"
        motions.append(motion)
    return tuple(motions)


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights and buffers of a network."""
    return {name: value.clone() for name, value in network.state_dict().items()}


@contextmanager
def average_with_start(
    network: nn.Module, start: Mapping[str, Tensor], share: float
) -> Iterator[None]:
    """Average a network with a share of the start (Wortsman et al., CVPR 2022) for a while."""
    if not share:
        yield
        return
    learned = copy_weights(network)
    move_weights_towards(network, start, share)
    try:
        yield
    finally:
        network.load_state_dict(learned)


@torch.no_grad()
def move_weights_towards(network: nn.Module, start: Mapping[str, Tensor], share: float) -> None:
    """Go a share of the straight way to the start's weights."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(start[name].to(value), share)


class VideoScores(NamedTuple):
    """Means over targets; NaN where the truth is not known.

    ``warp_error`` is photometric of warped sources, ``identity_error`` of sources as they are;
    ``abs_rel`` is scaled by the median of each image.
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
    """Mean scores of the networks on targets, over all processes."""
    learner.eval()
    sums, counts = np.zeros((2, len(VideoScores._fields)))
    for index in range(fabric.global_rank, len(frames), fabric.world_size):
        one = frames.sample_of(index)
        views = collate([one], fabric.device)
        with fabric.autocast():
            result = learner.predict_with_loss(views=views, generator=None)
        loss, truth = result.loss, frames.truth_of(index)
        # The best source of each pixel counts.
        numbers = np.array(
            [
                float(loss.warped_error.mean()),
                float(loss.still_error.mean()),
                *depth_scores(loss.depth[0], truth),
                *motion_scores(result.motions, truth),
            ]
        )
        finite = np.isfinite(numbers)
        sums += np.where(finite, numbers, 0)
        counts += finite
    both = fabric.all_reduce(torch.from_numpy(np.stack([sums, counts])), reduce_op="sum")
    sums, counts = both.cpu().numpy()
    with np.errstate(invalid="ignore"):
        return VideoScores(*map(float, sums / counts))
