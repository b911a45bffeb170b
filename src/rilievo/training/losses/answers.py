"""Losses of a model's answer by the kind of its depth, over the valid pixels of each image.

Each ignores what the kind leaves open. Depth up to scale is compared as its logarithm less the mean
of the image. Affine depth and affine inverse depth are compared as R. Ranftl et al., "Towards
Robust Monocular Depth Estimation" (TPAMI 2022) do, each side less its median and over its mean
absolute deviation. Both add their gradients at four scales. Metric depth has the scale-invariant
loss of D. Eigen et al. (NIPS 2014) in AdaBins' form, which keeps the scale.
"""

import torch
from torch import Tensor

from rilievo.shapes import Bool
from rilievo.training.losses.supervised import scale_invariant_loss
from rilievo.training.tensors import Maps, Masks, PerImage, Scalar
from rilievo.types import DepthKind

SCALES = 4
"""Sizes at which gradients are compared: 1, 1/2, 1/4 and 1/8."""
LEAST_DEVIATION = 1e-2
"""Least mean absolute deviation of a prediction, relative to its mean: a flat prediction at the
beginning of training would have an infinite gradient."""
_FINE = 2  # sizes at which edges of measured depth are wrong
_GRADIENTS = 0.5  # weight of the gradients, as of MiDaS
_LEAST = 1e-6


def target_of(kind: DepthKind, depth: Maps) -> Maps:
    """Truth in the space of an answer: inverse depth [1/m] of affine inverse depth, else depth [m].

    Zero, for unknown, stays zero.
    """
    if kind is not DepthKind.AFFINE_INVERSE:
        return depth
    return torch.where(depth > 0, 1 / depth.clamp(min=_LEAST), torch.zeros_like(depth))


def answer_loss(kind: DepthKind, predicted: Maps, target: Maps, valid: Masks) -> Scalar:
    """Loss of a batch whose target is in the space of the answer; zero without a valid pixel.

    >>> depth = torch.rand(1, 8, 8) + 1
    >>> answer_loss(DepthKind.UP_TO_SCALE, 3 * depth, depth, depth > 0) < 1e-5
    tensor(True)
    """
    counted = valid.flatten(1).any(dim=1)
    if not bool(counted.any()):
        return 0 * predicted.sum()
    if kind is DepthKind.METRIC:
        return scale_invariant_loss(predicted.clamp(min=_LEAST), target, valid)
    error = answer_error(kind, predicted, target, valid)
    sizes = mean_of(error.abs(), valid) + _GRADIENTS * gradient_error(error, valid, scales=SCALES)
    return sizes.sum() / counted.sum()


def answer_error(kind: DepthKind, predicted: Maps, target: Maps, valid: Masks) -> Maps:
    """Predicted minus target, without what the kind leaves open; zero where pixels are not valid.

    Metric depth and depth up to scale are compared as logarithms.
    """
    if kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        size = mean_of(predicted.detach().abs(), valid).clamp(min=_LEAST)[:, None, None]
        ours = normalised(predicted / size, valid, LEAST_DEVIATION)
        theirs = normalised(target, valid, torch.finfo(target.dtype).tiny)
        return torch.where(valid, ours - theirs, torch.zeros_like(ours))
    one = torch.ones_like(target)
    logs = predicted.clamp(min=_LEAST).log(), torch.where(valid, target, one).log()
    if kind is DepthKind.METRIC:
        return torch.where(valid, logs[0] - logs[1], torch.zeros_like(one))
    return centred_error(*logs, valid)


def centred_error(
    predicted: Maps,
    true: Maps,
    valid: Masks,
) -> Maps:
    """Predicted minus true, minus its mean over the image's valid pixels; zero elsewhere."""
    error = torch.where(valid, predicted - true, 0.0)
    return torch.where(valid, error - mean_of(error, valid)[:, None, None], 0.0)


def gradient_error(
    error: Maps,
    valid: Masks,
    *,
    scales: int,
    exact: Bool[Tensor, "b"] | None = None,
) -> PerImage:
    """Mean |difference| of horizontal neighbours plus that of vertical ones, summed over scales.

    A pair counts if both pixels are valid; each scale takes every second pixel of the last one. Of
    images that are not ``exact``, if given, the two finest scales do not count.
    """
    total = torch.zeros_like(error[:, 0, 0])
    for scale in range(scales):
        across = (error[:, :, 1:] - error[:, :, :-1]).abs()
        down = (error[:, 1:, :] - error[:, :-1, :]).abs()
        errors = mean_of(across, valid[:, :, 1:] & valid[:, :, :-1])
        errors = errors + mean_of(down, valid[:, 1:, :] & valid[:, :-1, :])
        total = total + (errors if exact is None or scale >= _FINE else errors * exact)
        error, valid = error[:, ::2, ::2], valid[:, ::2, ::2]
    return total


def normalised(values: Maps, valid: Masks, least: float) -> Maps:
    """Subtract the median of each image's valid pixels; divide by the mean absolute deviation.

    ``least`` bounds the deviation from below.
    """
    numbers = values.masked_fill(~valid, torch.nan).flatten(1)
    median = numbers.nanmedian(dim=1).values.nan_to_num()[:, None, None]
    off = torch.where(valid, values - median, torch.zeros_like(values))
    return off / mean_of(off.abs(), valid).clamp(min=least)[:, None, None]


def mean_of(values: Maps, valid: Masks) -> PerImage:
    """Mean over the valid pixels of each image; zero where there are none."""
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    return (values * valid).sum(dim=(1, 2)) / count
