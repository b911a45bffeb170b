"""One batch's worth of learning: depth of the targets, motion of the camera, how wrong both are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.losses.view_synthesis import VideoLoss, video_loss
from rilievo.losses.views import Views
from rilievo.networks.video.networks import VideoNetworks
from rilievo.train.video.config import VideoConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What the networks say of a batch, and how well it explains the sources.

    Attributes:
        views: With the intrinsics that were used.
        sigmoids: Of the targets, by scale.
        motions: Of each source.
        loss: How wrong it is.
    """

    views: Views
    sigmoids: tuple[Float[Tensor, "b 1 _ _"], ...]
    motions: tuple[Float[Tensor, "b 4 4"], ...]
    loss: VideoLoss


class Kept:
    """A record on its way through a module that would take it apart."""

    def __init__(self, explained: Explained) -> None:
        self.explained = explained


class Answer(NamedTuple):
    """Of one batch.

    Attributes:
        total: What is minimised.
        kept: All there is to know.
    """

    total: Tensor
    kept: Kept


class LearnedCamera(nn.Module):
    """Factors of the focal lengths, kept as logarithms so that they stay positive.

    Attributes:
        log_factors: Of fx and fy, 0 at the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_factors = nn.Parameter(torch.zeros(2))

    def forward(self, K: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 3 3"]:
        """Intrinsics with their focal lengths refined."""
        return K * torch.cat([self.log_factors, self.log_factors.new_zeros(1)]).exp()[:, None]


class Learner(nn.Module):
    """Depth and pose network with what they are to minimise.

    Attributes:
        networks: What learns.
        camera: Refined focal lengths; None where they are left.
        config: Of the run.
    """

    def __init__(self, networks: VideoNetworks, config: VideoConfig) -> None:
        super().__init__()
        self.networks, self.config = networks, config
        self.camera = LearnedCamera() if config.data.learn_camera else None

    def forward(self, asked: Callable[["Learner"], Answer]) -> Answer:
        """The answer to what is asked of it, such as its ``answer``.

        Fabric wraps this call, and would take apart records that are handed to it.
        """
        return asked(self)

    def answer(self, *, views: Views, generator: torch.Generator | None) -> Answer:
        """How wrong the networks are on a batch; ``explain`` in a form that Fabric can carry."""
        explained = self.explain(views=views, generator=generator)
        return Answer(total=explained.loss.total, kept=Kept(explained))

    def explain(self, *, views: Views, generator: torch.Generator | None) -> Explained:
        """What the networks say of a batch, and how wrong it is.

        Args:
            views: The batch.
            generator: Of the noise that breaks ties of the auto-mask; None for none.

        Raises:
            FloatingPointError: If depth or motion is NaN or infinite, saying which: what samples
                images by it would leave the memory that is its own.
        """
        blueprint, losses = self.config.blueprint, self.config.losses
        answer = self.networks(views.target_seen, views.sources_seen)
        others = None
        if losses.needs_source_depth:
            others = tuple(self.networks.depth(each)[0] for each in views.sources_seen)
        # Networks may compute with fewer bits; what is compared may not.
        with torch.autocast(views.target.device.type, enabled=False):
            if self.camera is not None:
                views = replace(views, K=self.camera(views.K))
            motions = known_or_found(views, answer.source_T_target)
            # What the published program scales by each scale's own depth, it scales in the loss.
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
    """Motion of each source: the known one where there is one, else the network's."""
    motions = []
    for known, found in zip(views.source_T_target, answer, strict=True):
        motion = found if known is None else known
        assert motion is not None, "motion is known, or a network says it"
        motions.append(motion)
    return tuple(motions)


def check_finite(what: str, *values: Tensor) -> None:
    """Refuse numbers that are none.

    Raises:
        FloatingPointError: If one is NaN or infinite.
    """
    if not all(bool(torch.isfinite(each).all()) for each in values):
        raise FloatingPointError(f"the {what} is not finite")


@contextmanager
def random_of(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """Chance inside networks as a function of seed and batch, so that runs go on alike."""
    # Those of a machine's other GPUs are none of this process's, and asking would wake them.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed * 1_000_003 + number)
        yield


def noise_of(seed: int, number: int, device: torch.device) -> torch.Generator:
    """The source of the noise that breaks ties of the auto-mask, of one batch."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + number)
