"""What is minimised of depth and of normals."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rilievo.train.probe.config import DepthLoss, Losses, NormalsLoss


def depth_objective(
    predicted: Float[Tensor, "b h w"], true: Float[Tensor, "b h w"], losses: Losses
) -> Float[Tensor, ""]:
    """How wrong depth is where there is truth."""
    valid = true > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.depth in (DepthLoss.PROBE, DepthLoss.SCALE_INVARIANT):
        ratio = torch.where(valid, torch.log(predicted + 1e-3) - torch.log(true + 1e-3), 0.0)
        g = ratio[valid]
        spread = g.square().mean() - 0.85 * g.mean().square()
        loss = torch.sqrt(spread + 1e-8)
        return 10 * loss if losses.depth is DepthLoss.PROBE else loss
    error = (predicted - true)[valid]
    if losses.depth is DepthLoss.MSE:
        return error.square().mean()
    return error.abs().mean()


def normals_objective(
    predicted: Float[Tensor, "b 3 h w"],
    kappa: Float[Tensor, "b h w"] | None,
    true: Float[Tensor, "b 3 h w"],
    losses: Losses,
) -> Float[Tensor, ""]:
    """How wrong normals are where there is truth."""
    valid = true.square().sum(dim=1) > 0.5
    if not valid.any():
        return 0 * predicted.sum()
    cosine = F.cosine_similarity(predicted, true, dim=1)[valid].clamp(-1 + 1e-4, 1 - 1e-4)
    theta = torch.acos(cosine)
    if losses.normals is NormalsLoss.ANGULAR or kappa is None:
        return theta.mean()
    k = kappa[valid]
    return (k * theta + torch.log1p(torch.exp(-k * torch.pi)) - torch.log(k.square() + 1)).mean()
