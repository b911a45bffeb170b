"""The detail network with its losses, which are taken after layout has been put right."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lab.making.detail_recipe import DetailConfig
from lab.making.distil.depth_losses import error_size, sky_loss
from lab.making.distil.frames.frame_batches import Batch
from lab.making.distil.normals_losses import agreement_loss, cosine_loss
from lab.making.lasting_task import Learner
from lab.making.layout_learner import cells_of
from rilievo.training.losses.answer_losses import centred_error
from rilievo.training.networks.small import SmallNet

_LAYOUT_AREA = 49152
"""Pixels of the image that a layout network sees of the same photograph."""
_DEPTH_CELL, _NORMALS_CELL = 16, 8
"""Sides of the cells of the corrections, in pixels of that image."""


def corrected(
    values: Float[Tensor, "b *c h w"],
    true: Float[Tensor, "b *c h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    side: int,
) -> Float[Tensor, "b *c h w"]:
    """Values whose means over cells of ``side`` pixels are the true ones; in between, linearly.

    Cells without a true value are skipped.
    """
    planes, wanted = ((each if each.dim() == 4 else each[:, None]) for each in (values, true))
    missing, known = cells_of(wanted - planes, valid, side=side)
    weight = known.float()[:, None]
    size = planes.shape[-2:]
    field, share = (_enlarged(each, side, size) for each in (missing * weight, weight))
    result = planes + field / share.clamp(min=1e-3)
    return result if values.dim() == 4 else result[:, 0]


def _enlarged(
    cells: Float[Tensor, "b c h2 w2"], side: int, size: torch.Size
) -> Float[Tensor, "b c h w"]:
    """Enlarge means of cells; a last part of a cell has the value at its border."""
    whole = F.interpolate(cells, scale_factor=float(side), mode="bilinear", align_corners=False)
    rest = (0, size[1] - whole.shape[-1], 0, size[0] - whole.shape[-2])
    return F.pad(whole, rest, mode="replicate") if any(rest) else whole


class DetailLearner(Learner[SmallNet]):
    """Network with the losses of its outputs."""

    def __init__(self, network: SmallNet, config: DetailConfig) -> None:
        super().__init__()
        self.network: SmallNet = network
        self._config = config

    def begin(self, step: int) -> None:
        """Do nothing: all learn from the first step on."""

    def train(self, mode: bool = True) -> "DetailLearner":
        """Enter training mode; norms keep their statistics, and the expected error stays."""
        super().train(mode)
        for layer in self.network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``loss``, and its parts before their weights."""
        surface = self.network(batch.image)
        height, width = batch.image.shape[1:3]
        enlarged = (height * width / _LAYOUT_AREA) ** 0.5
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(batch.image.device.type, enabled=False):
            valid = batch.valid
            side = round(enlarged * _DEPTH_CELL)
            log_depth = corrected(surface.log_depth, batch.log_depth, valid, side=side)
            error = centred_error(log_depth, batch.log_depth, valid)
            exact = batch.marked.flatten(1).any(dim=1)
            depth = error_size(error, valid, exact=exact).mean()
            # The network gives normals at half the image's size.
            half = (..., slice(None, None, 2), slice(None, None, 2))
            true, known = batch.normals[half], batch.normals_valid[half]
            seen = F.normalize(surface.normals, dim=1)
            side = max(1, round(enlarged * _NORMALS_CELL / 2))
            normals = cosine_loss(corrected(seen, true, known, side=side), true, known).mean()
            both = valid & batch.normals_valid
            agreement = agreement_loss(
                log_depth, batch.camera, batch.log_depth, batch.normals, both
            ).mean()
            sky = sky_loss(surface.sky, batch.sky, batch.marked)
        config = self._config
        return {
            "loss": depth
            + config.normals_weight * normals
            + config.agreement_weight * agreement
            + config.sky_weight * sky,
            "depth_loss": depth,
            "normals_loss": normals,
            "agreement_loss": agreement,
            "sky_loss": sky,
        }
