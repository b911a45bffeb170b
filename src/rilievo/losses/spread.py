"""The error that a network expects of its own depth: its loss, and the confidence from it."""

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
    """Mean negative log likelihood of log depth errors under Laplace's distribution, minus ln 2.

    A. Kendall and Y. Gal, "What Uncertainties Do We Need in Bayesian Deep Learning for Computer
    Vision?", NIPS 2017. The error is detached: only the spread is learned from it.

    Args:
        log_spread: Natural logarithm of the expected error.
        error: Predicted minus true log depth, with each image's shift removed.
        valid: Pixels that have ground truth.
    """
    loss = error.detach().abs() * torch.exp(-log_spread) + log_spread
    return (loss * valid).sum(dim=(1, 2)) / valid.sum(dim=(1, 2)).clamp(min=1)


def confidence_of(log_spread: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Probability that depth, once aligned to the true scale, is right within a factor of 1.25."""
    return 1 - torch.exp(-_NEAR * torch.exp(-log_spread))
