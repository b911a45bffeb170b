"""Losses of predicted depth against a teacher's depth of any kind.

``sign`` is the kind: 0 for log depth up to a shift, 1 for depth and -1 for inverse depth, both up
to a positive factor and a shift. The latter two are compared as in R. Ranftl et al., "Towards
Robust Monocular Depth Estimation", TPAMI 2022: each side minus its median, divided by its mean
absolute deviation, in every image.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.losses.depth import centred_error, error_size

_LEAST_DEVIATION = 1e-2
"""Least mean absolute deviation of a prediction, relative to its mean: a flat prediction at the
beginning of training would have an infinite gradient."""
_FARTHEST_FIT = 20.0
"""Largest ratio of the prediction's mean to a fitted teacher's number for a pixel to count."""


class LogError(NamedTuple):
    """Differences of log depth.

    Attributes:
        error: Predicted minus teacher's log depth; zero where pixels do not count.
        counted: Pixels that count, where the fitted teacher's numbers are a depth.
    """

    error: Float[Tensor, "b h w"]
    counted: Bool[Tensor, "b h w"]


def taught_depth_loss(
    log_depth: Float[Tensor, "b h w"],
    taught: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    sign: Float[Tensor, "b"],
) -> Float[Tensor, ""]:
    """``error_size`` of the prediction against a teacher, in the space of the teacher's kind.

    It does not depend on a factor of predicted depth, nor on the factor or shift that the teacher's
    kind leaves open.

    Args:
        log_depth: Predicted log depth.
        taught: Teacher's log depth, depth or inverse depth; read only where ``valid``.
        valid: Pixels for which the teacher has a number.
        sign: Kind of each image's ``taught``: 0, 1 or -1.
    """
    error = centred_error(log_depth, taught, valid)
    if sign.any():
        both = affine_error(log_depth, taught, valid, sign)
        error = torch.where((sign == 0)[:, None, None], error, both)
    return error_size(error, valid).mean()


def affine_error(
    log_depth: Float[Tensor, "b h w"],
    taught: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    sign: Float[Tensor, "b"],
) -> Float[Tensor, "b h w"]:
    """Predicted minus teacher's depth (sign 1) or inverse depth (-1), both normalised.

    It is zero where pixels are not valid, and where the one is a positive factor times the other
    plus a shift.
    """
    zero = torch.zeros_like(taught)
    predicted = torch.exp(sign[:, None, None] * centred_error(log_depth, zero, valid))
    ours = _normalised(predicted, valid, _LEAST_DEVIATION)
    theirs = _normalised(taught, valid, torch.finfo(taught.dtype).tiny)
    return torch.where(valid, ours - theirs, zero)


@torch.no_grad()
def log_error(
    log_depth: Float[Tensor, "b h w"],
    taught: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    sign: Float[Tensor, "b"],
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
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    mean_y, mean_p = ((x * valid).sum(dim=(1, 2)) / count for x in (y, predicted))
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


def _normalised(
    values: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"], least: float
) -> Float[Tensor, "b h w"]:
    """Subtract the median of each image's valid pixels; divide by the mean absolute deviation."""
    known = values.masked_fill(~valid, torch.nan).flatten(1)
    median = known.nanmedian(dim=1).values.nan_to_num()[:, None, None]
    off = torch.where(valid, values - median, torch.zeros_like(values))
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    deviation = off.abs().sum(dim=(1, 2)) / count
    return off / deviation.clamp(min=least)[:, None, None]
