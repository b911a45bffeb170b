"""Training of one batch: depth of the targets, motion of the camera, and the loss of both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.losses.view_synthesis import VideoLoss, video_loss
from rilievo.losses.views import Views
from rilievo.networks.video.networks import VideoNetworks
from rilievo.train.video.config import VideoConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Predictions for a batch, and how well they explain the sources.

    Attributes:
        views: Frames, with the intrinsics that were used.
        sigmoids: Outputs of the depth network for the targets, in 0..1, by scale.
        motions: Motion of each source, ``source_T_target``.
        loss: Loss and its parts.
    """

    views: Views
    sigmoids: tuple[Float[Tensor, "b 1 _ _"], ...]
    motions: tuple[Float[Tensor, "b 4 4"], ...]
    loss: VideoLoss


class Kept:
    """Wrapper of a record, which Fabric would take apart."""

    def __init__(self, explained: Explained) -> None:
        self.explained = explained


class Answer(NamedTuple):
    """Result of one batch.

    Attributes:
        total: Loss that is minimised.
        kept: Predictions and losses of the batch.
    """

    total: Tensor
    kept: Kept


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

    def forward(self, asked: Callable[["Learner"], Answer]) -> Answer:
        """Call ``asked`` with this module, such as its method ``answer``.

        Fabric wraps this call, and would take apart records that are passed to it.
        """
        return asked(self)

    def answer(self, *, views: Views, generator: torch.Generator | None) -> Answer:
        """Compute the loss of a batch: ``explain`` in a form that passes through Fabric."""
        explained = self.explain(views=views, generator=generator)
        return Answer(total=explained.loss.total, kept=Kept(explained))

    def explain(self, *, views: Views, generator: torch.Generator | None) -> Explained:
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
        return Explained(views=views, sigmoids=answer.disparities, motions=motions, loss=loss)


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


def check_finite(what: str, *values: Tensor) -> None:
    """Check that all values are finite.

    Raises:
        FloatingPointError: If one is NaN or infinite.
    """
    if not all(bool(torch.isfinite(each).all()) for each in values):
        raise FloatingPointError(f"the {what} is not finite")


@contextmanager
def random_of(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """Seed the randomness inside networks by run and batch, so that runs can resume."""
    # Generators of the machine's other GPUs are left out: forking them would initialise those GPUs.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed * 1_000_003 + number)
        yield


def noise_of(seed: int, number: int, device: torch.device) -> torch.Generator:
    """Return the generator of the noise that breaks ties of the auto-mask, for one batch."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + number)


def parameter_groups(learner: Learner) -> list[dict[str, Any]]:
    """Parameter groups: the networks, and the focal lengths with their own learning rate."""
    config = learner.config
    groups: list[tuple[nn.Module, float]] = [(learner.networks, config.learning_rate)]
    if learner.camera is not None:
        groups.append((learner.camera, config.camera_rate))
    return [
        {"params": list(part.parameters()), "lr": rate, "initial_lr": rate} for part, rate in groups
    ]
