"""Losses of an embedded model: depth, normals, and the agreement of the two."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.losses.depth import taught_depth_loss
from rilievo.losses.normals import agreement_loss, cosine_loss
from rilievo.networks.small import SmallNet, double
from rilievo.train.batches import Batch
from rilievo.train.config import TrainConfig


class EmbeddedLearner(nn.Module):
    """Network of an embedded model with its losses."""

    def __init__(self, network: SmallNet, config: TrainConfig) -> None:
        super().__init__()
        self.network, self._config = network, config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``loss``, and its parts before their weights."""
        surface = self.network(batch.image)
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(batch.image.device.type, enabled=False):
            depth = taught_depth_loss(surface.log_depth, batch.log_depth, batch.valid, batch.sign)
            # The network gives normals at half the image's size.
            half = (..., slice(None, None, 2), slice(None, None, 2))
            true, known = batch.normals[half], batch.normals_valid[half]
            normals = cosine_loss(surface.normals, true, known).mean()
            # Depth with an unknown shift does not show which surfaces are smooth.
            both = batch.valid & batch.normals_valid & (batch.sign == 0)[:, None, None]
            # Depth also follows the network's own normals, the more reliable of the two.
            seen = F.normalize(double(surface.normals.detach()), dim=1)
            agreement, own = (
                agreement_loss(surface.log_depth, batch.camera, batch.log_depth, each, both).mean()
                for each in (batch.normals, seen)
            )
        config = self._config
        total = (
            depth
            + config.normals_weight * normals
            + config.agreement_weight * agreement
            + config.own_agreement_weight * own
        )
        return {
            "loss": total,
            "depth_loss": depth,
            "normals_loss": normals,
            "agreement_loss": agreement,
            "own_agreement_loss": own,
        }
