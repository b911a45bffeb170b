"""Training of one batch: depth of the targets, motion of the camera, and the loss of both."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.losses.frames import Views
from rilievo.losses.video_terms import terms_of
from rilievo.losses.view_synthesis import video_loss
from rilievo.networks.video.networks import VideoNetworks
from rilievo.train.engine.task import check_finite
from rilievo.train.video.batches import Batch
from rilievo.train.video.config import VideoConfig
from rilievo.train.video.measures import BatchResult, measure


class LearnedCamera(nn.Module):
    """Factors of the focal lengths, stored as logarithms so that they stay positive.

    Attributes:
        log_factors: Logarithms of the factors of fx and fy; 0 at the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_factors = nn.Parameter(torch.zeros(2))

    def forward(self, K: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 3 3"]:
        """Return intrinsics with refined focal lengths."""
        return K * torch.cat([self.log_factors, self.log_factors.new_zeros(1)]).exp()[:, None]


class Learner(nn.Module):
    """Depth and pose network with their losses.

    Attributes:
        networks: Networks that are trained.
        camera: Refined focal lengths; None where they are fixed.
        config: Configuration of the run.
    """

    def __init__(self, networks: VideoNetworks, config: VideoConfig) -> None:
        super().__init__()
        self.networks, self.config = networks, config
        self.camera = LearnedCamera() if config.data.learn_camera else None
        networks.depth.encoder.requires_grad_(not config.freeze_encoder)
        terms_of(config.losses)  # refused before the first batch, not at it

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss of a batch, and the numbers of ``measure``."""
        # The noise breaks ties of the auto-mask.
        noise = torch.Generator(batch.views.target.device)
        noise.manual_seed(self.config.seed * 1_000_003 + batch.step)
        result = self.explain(views=batch.views, generator=noise)
        return {"loss": result.loss.total, **measure(result)}

    def explain(self, *, views: Views, generator: torch.Generator | None) -> BatchResult:
        """Predict depth and motion of a batch, and compute their loss.

        Args:
            views: Frames of the batch.
            generator: Generator of the noise that breaks ties of the auto-mask; None for no noise.

        Raises:
            FloatingPointError: If depth or motion is NaN or infinite, naming which: sampling images
                with it would read outside their memory.
        """
        blueprint, losses = self.config.blueprint, self.config.losses
        answer = self.networks(views.target_seen, views.sources_seen)
        others = None
        if losses.needs_source_depth:
            others = tuple(self.networks.depth(each)[0] for each in views.sources_seen)
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(views.target.device.type, enabled=False):
            if self.camera is not None:
                views = replace(views, K=self.camera(views.K))
            motions = known_or_found(views, answer.source_T_target)
            # The published program scales this motion by each scale's own depth, in the loss.
            given = motions
            if answer.unscaled is not None:
                given = known_or_found(views, answer.unscaled)
            check_finite("depth", *answer.disparities)
            check_finite("motion", *motions)
            loss = video_loss(
                views,
                answer.disparities,
                given,
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


def known_or_found(
    views: Views, answer: tuple[Float[Tensor, "b 4 4"] | None, ...]
) -> tuple[Float[Tensor, "b 4 4"], ...]:
    """Return the motion of each source: the known one where there is one, else the network's."""
    motions = []
    for known, found in zip(views.source_T_target, answer, strict=True):
        motion = found if known is None else known
        assert motion is not None, "motion is known, or a network says it"
        motions.append(motion)
    return tuple(motions)
