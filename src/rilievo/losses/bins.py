"""AdaBins' loss that draws adaptive bins to the true depths of an image."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.errors import InputError


def bins_chamfer_loss(
    centres: Float[Tensor, "b n"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, ""]:
    """Mean squared distance from bins to the nearest true depth, plus the reverse [m²].

    Each direction is averaged over its own points, the batch over the images with ground truth.
    S. F. Bhat et al., "AdaBins", CVPR 2021, equation 5. Nearest neighbours on a line are found by
    sorting, so that no table of all pairs is made.

    Args:
        centres: Centres of each image's bins [m], in any order.
        true: True depth [m]; read only where ``valid``.
        valid: Pixels that have ground truth.

    Raises:
        InputError: If no pixel is valid.
    """
    known = valid.flatten(1).any(dim=1)
    if not bool(known.any()):
        raise InputError("a batch without a valid pixel has no loss: leave such images out")
    losses = [
        _chamfer(centres[image], true[image][valid[image]])
        for image in known.nonzero().flatten().tolist()
    ]
    return torch.stack(losses).mean()


def _chamfer(centres: Float[Tensor, "n"], depths: Float[Tensor, "m"]) -> Float[Tensor, ""]:
    centres, depths = centres.sort().values, depths.sort().values
    to_depth = (centres - _nearest(centres, depths)).square().mean()
    return to_depth + (depths - _nearest(depths, centres)).square().mean()


def _nearest(points: Float[Tensor, "k"], others: Float[Tensor, "l"]) -> Float[Tensor, "k"]:
    """Find the nearest of ``others``, which are sorted, for each point."""
    above = torch.searchsorted(others.detach(), points.detach()).clamp(max=len(others) - 1)
    below = (above - 1).clamp(min=0)
    nearer = (points - others[below]).abs() < (others[above] - points).abs()
    return others[torch.where(nearer, below, above)]
