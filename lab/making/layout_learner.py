"""The layout network with its losses."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lab.making.distil.confidence_training import learn_last
from lab.making.distil.depth_losses import error_size, spread_loss
from lab.making.distil.frames.frame_batches import Batch
from lab.making.lasting_task import Learner
from lab.making.layout_network import CELL, LayoutNet
from lab.making.layout_recipe import LayoutConfig
from rilievo.training.losses.answer_losses import centred_error, mean_of_valid

_LEAST = 0.5
"""Share of a cell's pixels that have a true value for its mean to count."""
_SCALES = 3


class Cells(NamedTuple):
    """Means of true values over cells, and the cells where they are known."""

    mean: Float[Tensor, "b *c h8 w8"]
    known: Bool[Tensor, "b h8 w8"]


def cells_of(
    values: Float[Tensor, "b *c h w"], valid: Bool[Tensor, "b h w"], *, side: int = CELL
) -> Cells:
    """Mean of the valid values in every cell of ``side`` pixels; zero where there are none."""
    planes = values if values.dim() == 4 else values[:, None]
    share = F.avg_pool2d(valid.float()[:, None], side)
    mean = F.avg_pool2d(torch.where(valid[:, None], planes, 0.0), side) / share.clamp(min=1e-6)
    return Cells(mean if values.dim() == 4 else mean[:, 0], share[:, 0] > _LEAST)


class LayoutLearner(Learner[LayoutNet]):
    """Network with the losses of its outputs."""

    def __init__(self, network: LayoutNet, config: LayoutConfig) -> None:
        super().__init__()
        self.network: LayoutNet = network
        self._config, self._risen = config, 0.0
        self.begin(0)

    def begin(self, step: int) -> None:
        """Set what depends on the number of steps: who learns, and how much from what."""
        config = self._config
        self._risen = config.risen(step)
        self.network.learns_encoder = step >= config.encoder_after
        self.network.guests_gradient = config.guests_gradient * self._risen

    def train(self, mode: bool = True) -> "LayoutLearner":
        """Enter training mode; norms of the encoder keep their statistics."""
        super().train(mode)
        self.network.encoder.eval()
        return self

    def end(self, network: LayoutNet, make: Callable[[int], Batch]) -> None:
        """Teach the averaged weights what error to expect, of images without a scene too."""
        config, network.learns_encoder = self._config, False
        low = config.precision == "bf16"

        def loss(batch: Batch) -> Tensor:
            with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=low):
                layout = network(batch.image)
            true = cells_of(batch.log_depth, batch.valid)
            error = centred_error(layout.log_depth, true.mean, true.known)
            return spread_loss(layout.log_spread, error, true.known).mean()

        if steps := config.confidence_steps:
            layers = [network.doubt, network.spread]
            learn_last(network, layers, loss, make, steps=steps, seed=config.seed)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``loss``, and its parts before their weights."""
        layout = self.network(batch.image)
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(batch.image.device.type, enabled=False):
            true = cells_of(batch.log_depth, batch.valid)
            error = centred_error(layout.log_depth, true.mean, true.known)
            depth = error_size(error, true.known, scales=_SCALES).mean()
            spread = spread_loss(layout.log_spread, error, true.known).mean()
            normals = normals_loss(layout.normals, cells_of(batch.normals, batch.normals_valid))
            sky = sky_loss(layout.sky, batch)
        config = self._config
        guests = config.normals_weight * normals + config.sky_weight * sky
        return {
            "loss": depth + max(self._risen, 0.01) * guests + config.spread_weight * spread,
            "depth_loss": depth,
            "normals_loss": normals,
            "sky_loss": sky,
            "spread_loss": spread,
        }


def normals_loss(predicted: Float[Tensor, "b 3 h8 w8"], true: Cells) -> Float[Tensor, ""]:
    """Mean over the images of 1 - cos to the mean of the true normals, times its length.

    Cells across edges have a short mean, whose direction says little.
    """
    cosine = (F.normalize(predicted, dim=1) * true.mean).sum(dim=1)
    return mean_of_valid(true.mean.norm(dim=1) - cosine, true.known).mean()


def sky_loss(log_odds: Float[Tensor, "b h8 w8"], batch: Batch) -> Float[Tensor, ""]:
    """Cross entropy with the share of sky in each cell, over the rendered frames."""
    share = cells_of(batch.sky.float(), batch.marked)
    each = F.binary_cross_entropy_with_logits(log_odds, share.mean, reduction="none")
    counted = share.known.any(dim=2).any(dim=1)
    return mean_of_valid(each, share.known).sum() / counted.sum().clamp(min=1)
