"""Training of one step: features of a batch, the probe's predictions and their loss."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.networks.features import Features
from rilievo.networks.probed import Probed
from rilievo.train.probe.batches import Batch
from rilievo.train.probe.config import ProbeConfig
from rilievo.train.probe.objective import depth_objective, normals_objective


class Loss(NamedTuple):
    """Losses of one batch; parts that are not learned are zero.

    Attributes:
        total: Loss that is minimised.
        depth: Depth loss.
        normals: Normals loss, before its weight.
    """

    total: Tensor
    depth: Tensor
    normals: Tensor


class Learner(nn.Module):
    """Probed network with its losses.

    Attributes:
        probed: Network that is trained.
        config: Configuration of the run.
    """

    def __init__(self, probed: Probed, config: ProbeConfig) -> None:
        super().__init__()
        self.probed, self.config = probed, config
        self.is_tuned = config.backbone_rate > 0
        probed.backbone.requires_grad_(self.is_tuned)

    @property
    def learned(self) -> nn.Module:
        """Part of the network whose weights change."""
        return self.probed if self.is_tuned else self.probed.probe

    def train(self, mode: bool = True) -> "Learner":
        """Set the mode; a frozen backbone stays in evaluation mode, batch statistics included."""
        super().train(mode)
        if not self.is_tuned:
            self.probed.backbone.eval()
        return self

    def forward(self, asked: Callable[["Learner"], Loss]) -> Loss:
        """Call ``asked`` with this module, such as its method ``loss``.

        Fabric wraps this call, and would take apart records that are passed to it.
        """
        return asked(self)

    def loss(self, *, batch: Batch, features: Features | None) -> Loss:
        """Compute the losses of a batch.

        Args:
            batch: Batch of images with a valid pixel.
            features: Features of its images; None computes them.

        Raises:
            InputError: If a feature is NaN or infinite.
        """
        if features is None:
            features = self.features(batch)
        answer = self.probed.read(features, (batch.depth.shape[-2], batch.depth.shape[-1]))
        zero = batch.depth.new_zeros(())
        depth = normals = zero
        if answer.depth is not None:
            depth = depth_objective(answer.depth.float(), batch.depth, self.config.losses)
        if answer.normals is not None:
            normals = normals_objective(
                answer.normals.float(),
                answer.kappa,
                batch.normals,
                self.config.losses,
                depth=batch.depth,
            )
        total = depth + self.config.losses.normals_weight * normals
        return Loss(total=total, depth=depth.detach(), normals=normals.detach())

    def features(self, batch: Batch) -> Features:
        """Compute the features of a batch of images and check them.

        Raises:
            InputError: If one is NaN or infinite.
        """
        with torch.set_grad_enabled(self.is_tuned and torch.is_grad_enabled()):
            features = self.probed.backbone(as_input(batch))
        check_finite(features, self.probed.backbone.name)
        return features


def as_input(batch: Batch) -> Tensor:
    """Return RGB in [0, 1], channels first, as backbones take it."""
    return batch.image.permute(0, 3, 1, 2).float() / 255


def check_finite(features: Features, name: str) -> None:
    """Check that features are finite; a probe would learn nothing from others.

    Raises:
        InputError: If one is NaN or infinite.
    """
    for layer, each in enumerate(features.maps):
        if not torch.isfinite(each).all():
            raise InputError(
                f"backbone '{name}': the features of its layer number {layer} (of those taken) are "
                "NaN or infinite: take other layers, or fp32 in place of bf16"
            )


@contextmanager
def random_of_step(seed: int, step: int) -> Iterator[None]:
    """Seed the randomness inside networks (dropout) by run and step, so that runs can resume."""
    with torch.random.fork_rng():
        torch.manual_seed(seed * 1_000_003 + step)
        yield
