"""Plain losses of depth for supervised training: mean over the valid pixels of the batch."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.errors import InputError

_BERHU_SHARE = 0.2  # of the batch's largest error; errors above it count squared


def l1_loss(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, ""]:
    """Mean |error| [m].

    Raises:
        InputError: If no pixel is valid.
    """
    return _errors(predicted, true, valid).abs().mean()


def mse_loss(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, ""]:
    """Mean squared error [m²].

    Raises:
        InputError: If no pixel is valid.
    """
    return _errors(predicted, true, valid).square().mean()


def berhu_loss(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, ""]:
    """Mean of |e| up to c and (e² + c²) / 2c beyond, with c a fifth of the batch's largest |e| [m].

    I. Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks", 3DV
    2016. The limit c is not differentiated.

    Raises:
        InputError: If no pixel is valid.
    """
    error = _errors(predicted, true, valid).abs()
    limit = _BERHU_SHARE * error.detach().max()
    # An exact prediction has limit 0; nothing is beyond it, but 0/0 would spoil the gradient.
    divisor = torch.where(limit > 0, 2 * limit, torch.ones_like(limit))
    return torch.where(error > limit, (error.square() + limit**2) / divisor, error).mean()


def _errors(
    predicted: Float[Tensor, "b h w"], true: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]
) -> Float[Tensor, "n"]:
    if not bool(valid.any()):
        raise InputError("a batch without a valid pixel has no loss: leave such images out")
    return (predicted - true)[valid]
