"""Losses of surface normals."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def cosine_loss(
    predicted: Float[Tensor, "b 3 h w"],
    true: Float[Tensor, "b 3 h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, "b"]:
    """Mean over each image of 1 - cos of the angle to the true normal, in [0, 2].

    Images without a valid pixel count as zero.

    Args:
        predicted: Directions of any length.
        true: Unit normals; read only where ``valid``.
        valid: Pixels that have ground truth.
    """
    cosine = (F.normalize(predicted, dim=1) * true).sum(dim=1)
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    return ((1 - cosine) * valid).sum(dim=(1, 2)) / count
