"""Losses of depth and of normals, as a configuration chooses them."""

from jaxtyping import Float
from torch import Tensor

from rilievo.losses.normals import angular_loss, angular_von_mises_fisher_loss
from rilievo.losses.supervised import (
    berhu_loss,
    l1_loss,
    log_gradient_loss,
    mse_loss,
    scale_invariant_loss,
)
from rilievo.train.probe.config import DepthLoss, Losses, NormalsLoss

_PLAIN = {
    DepthLoss.SCALE_INVARIANT: scale_invariant_loss,
    DepthLoss.L1: l1_loss,
    DepthLoss.MSE: mse_loss,
    DepthLoss.BERHU: berhu_loss,
}
_LEAST_LENGTH = 0.5  # squared: unit normals are kept in half precision, zero is no normal


def depth_objective(
    predicted: Float[Tensor, "b h w"], true: Float[Tensor, "b h w"], losses: Losses
) -> Float[Tensor, ""]:
    """Depth loss where there is truth; zero where the batch has none.

    Args:
        predicted: Depth in the unit of the truth.
        true: True depth; 0 where there is none.
        losses: Choice of losses.
    """
    valid = true > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.depth is not DepthLoss.PROBE:
        return _PLAIN[losses.depth](predicted, true, valid)
    form = losses.gradient_form.value
    gradient = log_gradient_loss(predicted, true, valid, form=form)
    scale = scale_invariant_loss(predicted, true, valid)
    return losses.scale_invariant_weight * scale + losses.gradient_weight * gradient


def normals_objective(
    predicted: Float[Tensor, "b 3 h w"],
    kappa: Float[Tensor, "b h w"] | None,
    true: Float[Tensor, "b 3 h w"],
    losses: Losses,
    *,
    depth: Float[Tensor, "b h w"],
) -> Float[Tensor, ""]:
    """Normals loss where there is truth; zero where the batch has none.

    Args:
        predicted: Unit normals.
        kappa: Concentration of the predicted normals; None where the network has none.
        true: True normals; zero where there is none.
        losses: Choice of losses.
        depth: True depth; 0 where there is none, and everywhere in a dataset without depth.
    """
    valid = true.square().sum(dim=1) > _LEAST_LENGTH
    if losses.zero_normals and depth.any():
        valid = depth > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.normals is NormalsLoss.ANGULAR or kappa is None:
        return angular_loss(predicted, true, valid)
    return angular_von_mises_fisher_loss(predicted, kappa.float(), true, valid)
