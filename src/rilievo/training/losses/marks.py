"""Loss of what a network says of every pixel: that it sees sky, or lies on a step of depth."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.training.losses.depth_losses import mean_of


def mark_loss(
    log_odds: Float[Tensor, "b h w"], true: Bool[Tensor, "b h w"], known: Bool[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Mean negative log likelihood over the known pixels of each image, then over the images.

    Images in which nothing is known do not count; without any other the loss is zero.
    """
    each = F.binary_cross_entropy_with_logits(log_odds, true.float(), reduction="none")
    counted = known.any(dim=2).any(dim=1)
    return torch.sum(mean_of(each, known)) / counted.sum().clamp(min=1)
