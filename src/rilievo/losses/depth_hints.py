"""Loss towards depth from another source, used only where it explains the images better.

J. Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def hint_loss(
    depth: Float[Tensor, "b h w"],
    error: Float[Tensor, "b h w"],
    hint: Float[Tensor, "b h w"],
    hint_error: Float[Tensor, "b h w"],
) -> Float[Tensor, "b h w"]:
    """log(1 + |depth - hint|) where the hint has the lower photometric error, else zero.

    Args:
        depth: Predicted depth.
        error: Photometric error of ``depth``, or of unmoved sources where that is lower.
        hint: Depth in the same unit; not positive where there is none.
        hint_error: Photometric error of ``hint``.
    """
    trusted = (hint > 0) & (hint_error < error)
    return torch.where(trusted, (depth - hint).abs(), 0.0).log1p()
