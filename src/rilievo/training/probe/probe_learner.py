"""Losses of a step of training a probe."""

import torch
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.extensions.trust import is_import_path
from rilievo.training.losses.supervised import depth_objective, load_own_loss, normals_objective
from rilievo.training.losses.supervised_options import Losses
from rilievo.training.networks.features import Features
from rilievo.training.networks.probe_network import BackboneWithProbe
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.tensors import Pictures, to_unit_range


class ProbeLearner(nn.Module):
    """Backbone with a probe, and its losses.

    Attributes:
        trains_backbone: Whether the backbone is trained too; otherwise it is frozen.
        cache: Cache of the features of a frozen backbone; None to compute them.
    """

    def __init__(
        self,
        probed: BackboneWithProbe,
        losses: Losses,
        *,
        trains_backbone: bool,
        cache: FeatureCache | None = None,
    ) -> None:
        super().__init__()
        self.probed = probed
        self.losses = losses
        self.trains_backbone = trains_backbone
        self.cache = cache
        for loss_name in (losses.depth, losses.normals):
            if is_import_path(loss_name):
                load_own_loss(loss_name)  # raises for a missing one before the first batch
        probed.backbone.requires_grad_(trains_backbone)

    @property
    def trained_part(self) -> nn.Module:
        """Part of the network whose weights are trained."""
        return self.probed if self.trains_backbone else self.probed.probe

    def train(self, mode: bool = True) -> "ProbeLearner":
        """Set the mode; a frozen backbone keeps the statistics of its norms."""
        super().train(mode)
        if not self.trains_backbone:
            self.probed.backbone.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute ``loss``, and the losses of depth and normals without their weights."""
        losses = self.losses
        true_depth = batch["depth"]
        true_normals = batch["normals"]
        size = (true_depth.shape[-2], true_depth.shape[-1])
        features = self._cached_or_computed_features(batch["image"])
        prediction = self.probed.predict_from_features(features, size)
        depth_loss = true_depth.new_zeros(())
        normals_loss = true_depth.new_zeros(())
        if prediction.depth is not None:
            depth_loss = depth_objective(prediction.depth.float(), true_depth, losses)
        if prediction.normals is not None:
            normals_loss = normals_objective(
                prediction.normals.float(), prediction.kappa, true_normals, losses, depth=true_depth
            )
        total = depth_loss + losses.normals_weight * normals_loss
        return {"loss": total, "depth_loss": depth_loss, "normals_loss": normals_loss}

    def _cached_or_computed_features(self, image: Pictures) -> Features:
        if self.cache is not None:
            return self.cache.features(image)
        with torch.set_grad_enabled(self.trains_backbone and torch.is_grad_enabled()):
            features = self.probed.backbone(to_unit_range(image))
        _check_features(features, self.probed.backbone.name)
        return features


def _check_features(features: Features, backbone_name: str) -> None:
    """Raise ``InputError`` if the features of a backbone are not finite."""
    for index, feature_map in enumerate(features.maps):
        if not torch.isfinite(feature_map).all():
            raise InputError(
                f"backbone '{backbone_name}': the features of selected layer {index} (counted from "
                "0) are NaN or infinite: select other layers, or use fp32 instead of bf16"
            )
