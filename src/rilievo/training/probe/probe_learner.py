"""Training of one step: features of a batch, the probe's predictions and their loss."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.plugins import is_place
from rilievo.training.losses.normals_losses import (
    angular_loss,
    angular_von_mises_fisher_loss,
    normals_mse_loss,
)
from rilievo.training.losses.supervised import (
    berhu_loss,
    l1_loss,
    log_gradient_loss,
    mse_loss,
    own_loss,
    scale_invariant_loss,
)
from rilievo.training.networks.features import Features
from rilievo.training.networks.probed import Probed
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.probe.probe_config import UNCERTAIN, Losses, ProbeConfig
from rilievo.training.tensors import Maps, Normals, Pictures, Scalar, as_input

_DEPTH: Mapping[str, Callable[..., Scalar]] = {
    "scale_invariant": scale_invariant_loss,
    "l1": l1_loss,
    "mse": mse_loss,
    "berhu": berhu_loss,
}
_NORMALS: Mapping[str, Callable[..., Scalar]] = {"angular": angular_loss, "mse": normals_mse_loss}
_LEAST_LENGTH = 0.5  # squared: unit normals are kept in half precision, zero is no normal


def depth_objective(predicted: Maps, true: Maps, losses: Losses) -> Scalar:
    """Depth loss where truth is not 0; zero where the batch has none."""
    valid = true > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.depth != "probe":
        loss = _DEPTH.get(losses.depth) or own_loss(losses.depth)
        return loss(predicted, true, valid)
    gradient = log_gradient_loss(predicted, true, valid, form=losses.gradient_form.value)
    scale = scale_invariant_loss(predicted, true, valid)
    return losses.scale_invariant_weight * scale + losses.gradient_weight * gradient


def normals_objective(
    predicted: Normals,
    kappa: Maps | None,
    true: Normals,
    losses: Losses,
    *,
    depth: Maps,
) -> Scalar:
    """Normals loss where truth is not zero; zero where the batch has none.

    ``depth`` is true depth: 0 where there is none, and everywhere in a dataset without depth.
    """
    valid = true.square().sum(dim=1) > _LEAST_LENGTH
    if losses.zero_normals and depth.any():
        valid = depth > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.normals == UNCERTAIN and kappa is not None:
        return angular_von_mises_fisher_loss(predicted, kappa.float(), true, valid)
    name = "angular" if losses.normals == UNCERTAIN else losses.normals
    return (_NORMALS.get(name) or own_loss(name))(predicted, true, valid)


class Learner(nn.Module):
    """Probed network with its losses."""

    def __init__(
        self, probed: Probed, config: ProbeConfig, cache: FeatureCache | None = None
    ) -> None:
        super().__init__()
        self.probed, self.config, self.cache = probed, config, cache
        self.is_tuned = config.backbone_rate > 0
        for loss_name in (config.losses.depth, config.losses.normals):
            if is_place(loss_name):
                own_loss(loss_name)  # refused before the first batch, not at it
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
        """Compute the losses of a batch, as ``collate`` returns it, whose images all have truth.

        Returns ``loss``, and its parts ``depth_loss`` and ``normals_loss`` before their weights;
        parts that are not learned are zero.
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

    def _features(self, image: Pictures) -> Features:
        if self.cache is not None:
            return self.cache.features(image)
        with torch.set_grad_enabled(self.is_tuned and torch.is_grad_enabled()):
            features = self.probed.backbone(as_input(image))
        check_features(features, self.probed.backbone.name)
        return features


def check_features(features: Features, name: str) -> None:
    """Check that features are finite; a probe would learn nothing from others."""
    for layer, feature_map in enumerate(features.maps):
        if not torch.isfinite(feature_map).all():
            raise InputError(
                f"backbone '{name}': the features of its layer number {layer} (of those taken) are "
                "NaN or infinite: take other layers, or fp32 in place of bf16"
            )
