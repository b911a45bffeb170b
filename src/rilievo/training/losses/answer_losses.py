"""Losses of a model's answer by the kind of its depth; each ignores what the kind leaves open."""

import torch
from torch import Tensor

from rilievo.arrays.shapes import Bool
from rilievo.records.depth_map import DepthKind
from rilievo.training.losses.supervised import scale_invariant_loss
from rilievo.training.tensors import Maps, Masks, PerImage, Scalar

SCALES = 4
LEAST_DEVIATION = 1e-2
_FINE = 2  # sizes at which edges of measured depth are wrong
_GRADIENTS = 0.5  # weight of the gradients, as of MiDaS
_LEAST = 1e-6


def depth_target(kind: DepthKind, depth: Maps) -> Maps:
    """Inverse depth [1/m] for affine inverse depth, else depth [m]; 0 where unknown."""
    if kind is not DepthKind.AFFINE_INVERSE:
        return depth
    return torch.where(depth > 0, 1 / depth.clamp(min=_LEAST), torch.zeros_like(depth))


def answer_loss(kind: DepthKind, predicted: Maps, target: Maps, valid: Masks) -> Scalar:
    """Compute the loss of a batch against a target in the answer's space; 0 without a valid pixel.

    Examples:
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
    sizes = mean_of_valid(error.abs(), valid) + _GRADIENTS * gradient_error(
        error, valid, scales=SCALES
    )
    return sizes.sum() / counted.sum()


def answer_error(kind: DepthKind, predicted: Maps, target: Maps, valid: Masks) -> Maps:
    """Subtract the target; metric depth and depth up to scale are compared as logarithms."""
    if kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        size = mean_of_valid(predicted.detach().abs(), valid).clamp(min=_LEAST)[:, None, None]
        ours = centre_and_scale(predicted / size, valid, LEAST_DEVIATION)
        theirs = centre_and_scale(target, valid, torch.finfo(target.dtype).tiny)
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
    """Subtract the truth and the mean error of the image."""
    error = torch.where(valid, predicted - true, 0.0)
    return torch.where(valid, error - mean_of_valid(error, valid)[:, None, None], 0.0)


def gradient_error(
    error: Maps,
    valid: Masks,
    *,
    scales: int,
    exact: Bool[Tensor, "b"] | None = None,
) -> PerImage:
    """Sum the mean |difference| of valid neighbours; the two finest scales only where ``exact``."""
    total = torch.zeros_like(error[:, 0, 0])
    for scale in range(scales):
        across = (error[:, :, 1:] - error[:, :, :-1]).abs()
        down = (error[:, 1:, :] - error[:, :-1, :]).abs()
        errors = mean_of_valid(across, valid[:, :, 1:] & valid[:, :, :-1])
        errors = errors + mean_of_valid(down, valid[:, 1:, :] & valid[:, :-1, :])
        total = total + (errors if exact is None or scale >= _FINE else errors * exact)
        error, valid = error[:, ::2, ::2], valid[:, ::2, ::2]
    return total


def centre_and_scale(values: Maps, valid: Masks, least: float) -> Maps:
    """Subtract the median; divide by the mean absolute deviation, at least ``least``."""
    numbers = values.masked_fill(~valid, torch.nan).flatten(1)
    median = numbers.nanmedian(dim=1).values.nan_to_num()[:, None, None]
    off = torch.where(valid, values - median, torch.zeros_like(values))
    return off / mean_of_valid(off.abs(), valid).clamp(min=least)[:, None, None]


def mean_of_valid(values: Maps, valid: Masks) -> PerImage:
    """Average the valid pixels of each image; 0 without any."""
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    return (values * valid).sum(dim=(1, 2)) / count
