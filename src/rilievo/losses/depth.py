"""Losses of log depth that ignore one unknown factor per image.

D. Eigen et al., "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network",
NIPS 2014, introduced the scale-invariant error; R. Ranftl et al., "Towards Robust Monocular Depth
Estimation", TPAMI 2022, the gradient term over scales.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_SMALLEST_SPREAD = 1e-2  # keeps the square root's gradient finite where the prediction is exact


def log_depth_loss(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    spread_weight: float = 0.3,
    gradient_weight: float = 0.5,
    scales: int = 4,
) -> Float[Tensor, ""]:
    """Mean |e| + 0.3 std(e) + 0.5 Σ mean |∇e|; e is the log-depth error minus its image mean.

    Images without a valid pixel count as zero.

    Args:
        predicted: Predicted log depth.
        true: True log depth; read only where ``valid``.
        valid: Pixels that have ground truth.
        spread_weight: Weight of the standard deviation.
        gradient_weight: Weight of the gradients.
        scales: Number of sizes, 1, 1/2, 1/4 …, at which gradients are taken.
    """
    error = centred_error(predicted, true, valid)
    return error_size(
        error, valid, spread_weight=spread_weight, gradient_weight=gradient_weight, scales=scales
    ).mean()


def error_size(
    error: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    spread_weight: float = 0.3,
    gradient_weight: float = 0.5,
    scales: int = 4,
) -> Float[Tensor, "b"]:
    """Mean |e| + 0.3 std(e) + 0.5 Σ mean |∇e| of each image; as in ``log_depth_loss``.

    Args:
        error: Centred error in any unit; zero where pixels are not valid.
        valid: Pixels that have ground truth.
        spread_weight: Weight of the standard deviation.
        gradient_weight: Weight of the gradients.
        scales: Number of sizes, 1, 1/2, 1/4 …, at which gradients are taken.
    """
    absolute = _mean(error.abs(), valid)
    spread = (_mean(error.square(), valid) + _SMALLEST_SPREAD**2).sqrt() - _SMALLEST_SPREAD
    gradient = gradient_error(error, valid, scales=scales)
    return absolute + spread_weight * spread + gradient_weight * gradient


def centred_error(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, "b h w"]:
    """Predicted minus true, minus its mean over the image's valid pixels; zero elsewhere."""
    error = torch.where(valid, predicted - true, 0.0)
    return torch.where(valid, error - _mean(error, valid)[:, None, None], 0.0)


def gradient_error(
    error: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"], *, scales: int
) -> Float[Tensor, "b"]:
    """Mean |difference| of horizontal neighbours plus that of vertical ones, summed over scales.

    A pair counts if both pixels are valid; each scale takes every second pixel of the last one.
    """
    total = torch.zeros_like(error[:, 0, 0])
    for _ in range(scales):
        across = (error[:, :, 1:] - error[:, :, :-1]).abs()
        down = (error[:, 1:, :] - error[:, :-1, :]).abs()
        total = total + _mean(across, valid[:, :, 1:] & valid[:, :, :-1])
        total = total + _mean(down, valid[:, 1:, :] & valid[:, :-1, :])
        error, valid = error[:, ::2, ::2], valid[:, ::2, ::2]
    return total


def _mean(values: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b"]:
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    return (values * valid).sum(dim=(1, 2)) / count
