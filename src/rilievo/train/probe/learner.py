"""Training of one step: features of a batch, the probe's predictions and their loss."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.networks.features import Features
from rilievo.networks.probed import Probed
from rilievo.train.probe.cache import FeatureCache
from rilievo.train.probe.config import ProbeConfig
from rilievo.train.probe.objective import depth_objective, normals_objective


class Learner(nn.Module):
    """Probed network with its losses.

    Attributes:
        probed: Network that is trained.
        config: Configuration of the run.
        cache: Cache of the features of a frozen backbone; None computes them.
    """

    def __init__(
        self, probed: Probed, config: ProbeConfig, cache: FeatureCache | None = None
    ) -> None:
        super().__init__()
        self.probed, self.config, self.cache = probed, config, cache
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

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            batch: ``image``, ``depth`` and ``normals`` as ``collate`` returns them; each image has
                a pixel with truth.

        Returns:
            ``loss``, and its parts ``depth_loss`` and ``normals_loss`` before their weights; parts
            that are not learned are zero.

        Raises:
            InputError: If a feature is NaN or infinite.
        """
        depth, normals = batch["depth"], batch["normals"]
        answer = self.probed.read(
            self._features(batch["image"]), (depth.shape[-2], depth.shape[-1])
        )
        depth_loss = normals_loss = depth.new_zeros(())
        losses = self.config.losses
        if answer.depth is not None:
            depth_loss = depth_objective(answer.depth.float(), depth, losses)
        if answer.normals is not None:
            normals_loss = normals_objective(
                answer.normals.float(), answer.kappa, normals, losses, depth=depth
            )
        total = depth_loss + losses.normals_weight * normals_loss
        return {"loss": total, "depth_loss": depth_loss, "normals_loss": normals_loss}

    def _features(self, image: UInt8[Tensor, "b h w 3"]) -> Features:
        if self.cache is not None:
            return self.cache.features(image)
        with torch.set_grad_enabled(self.is_tuned and torch.is_grad_enabled()):
            features = self.probed.backbone(as_input(image))
        check_features(features, self.probed.backbone.name)
        return features


def as_input(image: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """Return RGB in [0, 1], channels first, as backbones take it."""
    return image.permute(0, 3, 1, 2).float() / 255


def check_features(features: Features, name: str) -> None:
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
