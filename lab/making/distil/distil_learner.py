"""The network that learns, with its losses."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.making.distil.depth_losses import sky_loss, taught_depth_loss
from lab.making.distil.distil_config import TrainConfig
from lab.making.distil.frames.frame_batches import Batch
from lab.making.distil.normals_losses import agreement_loss, cosine_loss
from rilievo.training.losses.supervised import load_own_loss
from rilievo.training.networks.small import SmallNet, double_bilinearly


class DistilLearner(nn.Module):
    """Network with the losses of its outputs."""

    def __init__(self, network: SmallNet, config: TrainConfig) -> None:
        super().__init__()
        self.network, self._config = network, config
        own = config.depth_loss
        self._depth_loss = taught_depth_loss if own is None else load_own_loss(own)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``loss``, and its parts before their weights."""
        surface = self.network(batch.image)
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(batch.image.device.type, enabled=False):
            depth = self._depth_loss(surface.log_depth, batch.log_depth, batch.valid, batch.sign)
            # The network gives normals at half the image's size.
            half = (..., slice(None, None, 2), slice(None, None, 2))
            true, known = batch.normals[half], batch.normals_valid[half]
            normals = cosine_loss(surface.normals, true, known).mean()
            # Depth with an unknown shift does not show which surfaces are smooth.
            both = batch.valid & batch.normals_valid & (batch.sign == 0)[:, None, None]
            # Depth also follows the network's own normals, the more reliable of the two.
            seen = F.normalize(double_bilinearly(surface.normals.detach()), dim=1)
            agreement, own = (
                agreement_loss(surface.log_depth, batch.camera, batch.log_depth, each, both).mean()
                for each in (batch.normals, seen)
            )
            sky = sky_loss(surface.sky, batch.sky, batch.marked)
        config = self._config
        loss = (
            depth
            + config.normals_weight * normals
            + config.agreement_weight * agreement
            + config.own_agreement_weight * own
            + config.sky_weight * sky
        )
        return {
            "loss": loss,
            "depth_loss": depth,
            "normals_loss": normals,
            "agreement_loss": agreement,
            "own_agreement_loss": own,
            "sky_loss": sky,
        }
