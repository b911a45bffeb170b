"""Loss that keeps learned depth near that of another network, up to one factor an image."""

import torch
from jaxtyping import Float
from torch import Tensor


def anchor_loss(depth: Float[Tensor, "b h w"], prior: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """Mean of |log depth - log prior| after the median of each image is taken away.

    Args:
        depth: Predicted depth.
        prior: Depth by another network in any unit; pixels that are not positive do not count.
    """
    known = prior > 0
    apart = torch.where(known, depth.log() - prior.clamp(min=1e-6).log(), torch.nan)
    middle = apart.detach().flatten(1).nanmedian(dim=1).values
    left = torch.where(known, apart - middle[:, None, None], 0.0).abs()
    return left.sum() / known.sum().clamp(min=1)
