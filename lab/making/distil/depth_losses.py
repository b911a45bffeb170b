"""Losses of predicted log depth against a teacher's, of its expected error, and of sky.

``sign`` is the kind: 0 for log depth up to a shift, 1 for depth and -1 for inverse depth, both up
to a positive factor and a shift. The latter two are compared as in R. Ranftl et al., "Towards
Robust Monocular Depth Estimation", TPAMI 2022, which also has the gradient term over scales: each
side minus its median, divided by its mean absolute deviation, in every image.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Bool
from rilievo.training.losses.answer_losses import (
    LEAST_DEVIATION,
    centre_and_scale,
    centred_error,
    gradient_error,
    mean_of_valid,
)
from rilievo.training.tensors import Maps, Masks, PerImage, Scalar

_SMALLEST_SPREAD = 1e-2  # keeps the square root's gradient finite where the prediction is exact
_NEAR = math.log(1.25)
_FARTHEST_FIT = 20.0
"""Largest ratio of the prediction's mean to a fitted teacher's number for a pixel to count."""


def error_size(
    error: Maps,
    valid: Masks,
    *,
    scales: int = 4,
    exact: Bool[Tensor, "b"] | None = None,
) -> PerImage:
    """Mean |e| + 0.3 std(e) + 0.5 Σ mean |∇e| of each image; 0 without a valid pixel.

    Of images that are not ``exact``, if given, the gradients at the two finest sizes do not count:
    measured depth has edges elsewhere than the photograph.

    The error, in any unit, is centred, and zero where pixels are not valid. Gradients are taken at
    ``scales`` sizes, 1, 1/2, 1/4 …
    """
    absolute = mean_of_valid(error.abs(), valid)
    spread = (mean_of_valid(error.square(), valid) + _SMALLEST_SPREAD**2).sqrt() - _SMALLEST_SPREAD
    return absolute + 0.3 * spread + 0.5 * gradient_error(error, valid, scales=scales, exact=exact)


def spread_loss(
    log_spread: Maps,
    error: Maps,
    valid: Masks,
) -> PerImage:
    """Mean negative log likelihood of log depth errors under Laplace's distribution, minus ln 2.

    A. Kendall and Y. Gal, "What Uncertainties Do We Need in Bayesian Deep Learning for Computer
    Vision?", NIPS 2017. The error is detached: only the spread is learned from it.
    """
    return mean_of_valid(error.detach().abs() * torch.exp(-log_spread) + log_spread, valid)


def confidence_of(log_spread: Maps) -> Maps:
    """Probability that depth, once aligned to the true scale, is right within a factor of 1.25."""
    return 1 - torch.exp(-_NEAR * torch.exp(-log_spread))


class LogError(NamedTuple):
    """Predicted minus teacher's log depth, and the pixels where the fitted numbers are a depth."""

    error: Maps
    counted: Masks


def taught_depth_loss(
    log_depth: Maps,
    taught: Maps,
    valid: Masks,
    sign: PerImage,
    exact: Bool[Tensor, "b"] | None = None,
) -> Scalar:
    """``error_size`` of the prediction against a teacher, in the space of the teacher's kind.

    It does not depend on a factor of predicted depth, nor on the factor or shift that the teacher's
    kind leaves open. ``taught`` is read only where ``valid``.
    """
    error = centred_error(log_depth, taught, valid)
    if sign.any():
        both = affine_error(log_depth, taught, valid, sign)
        error = torch.where((sign == 0)[:, None, None], error, both)
    return error_size(error, valid, exact=exact).mean()


def affine_error(
    log_depth: Maps,
    taught: Maps,
    valid: Masks,
    sign: PerImage,
) -> Maps:
    """Predicted minus teacher's depth (sign 1) or inverse depth (-1), both normalised.

    It is zero where pixels are not valid, and where the one is a positive factor times the other
    plus a shift.
    """
    zero = torch.zeros_like(taught)
    predicted = torch.exp(sign[:, None, None] * centred_error(log_depth, zero, valid))
    ours = centre_and_scale(predicted, valid, LEAST_DEVIATION)
    theirs = centre_and_scale(taught, valid, torch.finfo(taught.dtype).tiny)
    return torch.where(valid, ours - theirs, zero)


@torch.no_grad()
def log_error(
    log_depth: Maps,
    taught: Maps,
    valid: Masks,
    sign: PerImage,
) -> LogError:
    """Differences of log depth after fitting the factor and shift that the teacher leaves open.

    Log depth is fitted by its mean, depth and inverse depth by least squares to the prediction's.
    The latter two count where the fit is positive and not too small compared with its mean.
    """
    error = centred_error(log_depth, taught, valid)
    if not sign.any():
        return LogError(error=error, counted=valid)
    zero = torch.zeros_like(taught)
    predicted = torch.exp(sign[:, None, None] * centred_error(log_depth, zero, valid))
    y = torch.where(valid, taught, zero)
    mean_y, mean_p = mean_of_valid(y, valid), mean_of_valid(predicted, valid)
    off_y, off_p = y - mean_y[:, None, None], predicted - mean_p[:, None, None]
    spread = (off_y.square() * valid).sum(dim=(1, 2))
    factor = (off_y * off_p * valid).sum(dim=(1, 2)) / spread.clamp(min=1e-12)
    # A teacher that contradicts the prediction (negative factor) is treated as flat.
    fitted = factor.clamp(min=0)[:, None, None] * off_y + mean_p[:, None, None]
    is_depth = valid & (fitted > mean_p[:, None, None] / _FARTHEST_FIT)
    of_fit = sign[:, None, None] * (predicted.log() - fitted.clamp(min=1e-6).log())
    is_log = (sign == 0)[:, None, None]
    counted = torch.where(is_log, valid, is_depth)
    return LogError(error=torch.where(is_log, error, of_fit * is_depth), counted=counted)


def sky_loss(log_odds: Maps, true: Masks, known: Masks) -> Scalar:
    """Mean negative log likelihood over the known pixels of each image, then over the images.

    Images in which nothing is known do not count; without any other the loss is zero.
    """
    losses = F.binary_cross_entropy_with_logits(log_odds, true.float(), reduction="none")
    counted = known.any(dim=2).any(dim=1)
    return torch.sum(mean_of_valid(losses, known)) / counted.sum().clamp(min=1)
