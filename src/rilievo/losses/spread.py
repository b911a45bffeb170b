"""What a network says of its own error, and how that is learned."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_NEAR = math.log(1.25)


def spread_loss(
    log_spread: Float[Tensor, "b h w"],
    error: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, "b"]:
    """Mean negative log likelihood of log depth errors under Laplace's distribution (less ln 2).

    A. Kendall and Y. Gal, "What Uncertainties Do We Need in Bayesian Deep Learning for Computer
    Vision?", NIPS 2017, with the error taken as it is: only the spread is learned from it.

    Args:
        log_spread: Logarithm of the error to be expected.
        error: Log depth less the truth, each image's shift taken off.
        valid: Pixels that have ground truth.
    """
    loss = error.detach().abs() * torch.exp(-log_spread) + log_spread
    return (loss * valid).sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)


def confidence_of(log_spread: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """The chance that depth is right within a factor of 1.25, once brought to the true scale."""
    return 1 - torch.exp(-_NEAR * torch.exp(-log_spread))
