"""Losses of a model's depth, which ignore what its kind of depth leaves open.

Metric depth is compared as it is. Depth up to scale is compared up to one factor per image, and
affine depth or inverse depth up to a factor and a shift. The latter, and the loss of gradients,
follow R. Ranftl et al., "Towards Robust Monocular Depth Estimation" (MiDaS), TPAMI 2022.
"""

import torch
from torch import Tensor

from rilievo.arrays.shapes import Bool
from rilievo.records.depth_map import DepthKind
from rilievo.training.losses.supervised import scale_invariant_loss
from rilievo.training.tensors import Maps, Masks, PerImage, Scalar

SCALES = 4
"""Number of sizes at which gradients are compared: 1, 1/2, 1/4 and 1/8."""
LEAST_DEVIATION = 1e-2
"""Lower limit of a prediction's mean absolute deviation, as a fraction of its mean size.

A constant prediction would be divided by zero otherwise.
"""
_INEXACT_SCALES = 2
"""Number of the finest scales at which the edges of measured depth are wrong."""
_GRADIENT_WEIGHT = 0.5
"""Weight of the gradients, as in MiDaS."""
_MIN_DEPTH = 1e-6
"""Lower limit of depth before its logarithm or its inverse."""


def depth_target(kind: DepthKind, depth: Maps) -> Maps:
    """Convert depth [m], 0 where unknown, to what a model of this kind should predict.

    Returns:
        Inverse depth [1/m] for affine inverse depth, otherwise depth [m]; 0 where unknown.
    """
    if kind is not DepthKind.AFFINE_INVERSE:
        return depth
    inverse_depth = 1 / depth.clamp(min=_MIN_DEPTH)
    return torch.where(depth > 0, inverse_depth, torch.zeros_like(depth))


def answer_loss(kind: DepthKind, predicted: Maps, target: Maps, valid: Masks) -> Scalar:
    """Compute the loss of a batch of predictions against a target from ``depth_target``.

    The loss of metric depth is the scale-invariant loss over all valid pixels. That of other kinds
    is the mean |error| plus the error of gradients, averaged over the images with a valid pixel. It
    is 0 if no pixel is valid.

    Examples:
        >>> depth = torch.rand(1, 8, 8) + 1
        >>> answer_loss(DepthKind.UP_TO_SCALE, 3 * depth, depth, depth > 0) < 1e-5
        tensor(True)
    """
    has_valid_pixel = valid.flatten(1).any(dim=1)
    if not bool(has_valid_pixel.any()):
        return 0 * predicted.sum()
    if kind is DepthKind.METRIC:
        return scale_invariant_loss(predicted.clamp(min=_MIN_DEPTH), target, valid)

    error = answer_error(kind, predicted, target, valid)
    absolute_error = mean_of_valid(error.abs(), valid)
    image_losses = absolute_error + _GRADIENT_WEIGHT * gradient_error(error, valid, scales=SCALES)
    return image_losses.sum() / has_valid_pixel.sum()


def answer_error(kind: DepthKind, predicted: Maps, target: Maps, valid: Masks) -> Maps:
    """Subtract the target from the prediction, after removing what the kind leaves open.

    Returns:
        Errors without a unit; 0 where not valid. For metric depth, the difference of logarithms.
        For depth up to scale, the same less its mean in each image. For affine depth and affine
        inverse depth, the difference after both maps were centred and scaled.
    """
    if kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        return _affine_error(predicted, target, valid)

    log_predicted = predicted.clamp(min=_MIN_DEPTH).log()
    log_target = torch.where(valid, target, torch.ones_like(target)).log()
    if kind is DepthKind.METRIC:
        return torch.where(valid, log_predicted - log_target, torch.zeros_like(target))
    return centred_error(log_predicted, log_target, valid)


def _affine_error(predicted: Maps, target: Maps, valid: Masks) -> Maps:
    """Difference of prediction and target after centring and scaling; 0 where not valid."""
    # The division by the mean size makes ``LEAST_DEVIATION`` a relative limit.
    mean_size = mean_of_valid(predicted.detach().abs(), valid).clamp(min=_MIN_DEPTH)
    relative = predicted / mean_size[:, None, None]
    standardised = centre_and_scale(relative, valid, LEAST_DEVIATION)
    standardised_target = centre_and_scale(target, valid, torch.finfo(target.dtype).tiny)
    return torch.where(valid, standardised - standardised_target, torch.zeros_like(standardised))


def centred_error(predicted: Maps, true: Maps, valid: Masks) -> Maps:
    """Subtract the truth, and then the mean error of the image; 0 where not valid."""
    error = torch.where(valid, predicted - true, 0.0)
    mean_error = mean_of_valid(error, valid)[:, None, None]
    return torch.where(valid, error - mean_error, 0.0)


def gradient_error(
    error: Maps,
    valid: Masks,
    *,
    scales: int,
    exact: Bool[Tensor, "b"] | None = None,
) -> PerImage:
    """Sum the mean |difference| of neighbouring errors over scales.

    Every scale takes each second row and column of the scale before. A pair of pixels counts if
    both are valid. If ``exact`` is given, the two finest scales do not count for images whose edges
    are not exact.
    """
    total = torch.zeros_like(error[:, 0, 0])
    scaled_error = error
    scaled_valid = valid
    for scale in range(scales):
        difference = _mean_neighbour_difference(scaled_error, scaled_valid)
        if exact is not None and scale < _INEXACT_SCALES:
            difference = difference * exact
        total = total + difference
        scaled_error = scaled_error[:, ::2, ::2]
        scaled_valid = scaled_valid[:, ::2, ::2]
    return total


def _mean_neighbour_difference(values: Maps, valid: Masks) -> PerImage:
    """Mean |difference| of valid neighbours in a row, plus that of neighbours in a column."""
    horizontal = (values[:, :, 1:] - values[:, :, :-1]).abs()
    vertical = (values[:, 1:, :] - values[:, :-1, :]).abs()
    horizontal_mean = mean_of_valid(horizontal, valid[:, :, 1:] & valid[:, :, :-1])
    vertical_mean = mean_of_valid(vertical, valid[:, 1:, :] & valid[:, :-1, :])
    return horizontal_mean + vertical_mean


def centre_and_scale(values: Maps, valid: Masks, min_deviation: float) -> Maps:
    """Subtract each image's median, and divide by its mean absolute deviation.

    The deviation is at least ``min_deviation``. Pixels that are not valid become 0.
    """
    valid_values = values.masked_fill(~valid, torch.nan).flatten(1)
    # NaN, in an image without valid pixels, becomes 0.
    median = valid_values.nanmedian(dim=1).values.nan_to_num()[:, None, None]
    centred = torch.where(valid, values - median, torch.zeros_like(values))
    deviation = mean_of_valid(centred.abs(), valid).clamp(min=min_deviation)
    return centred / deviation[:, None, None]


def mean_of_valid(values: Maps, valid: Masks) -> PerImage:
    """Average the valid pixels of each image; 0 if there are none."""
    count = valid.sum(dim=(1, 2)).clamp(min=1)
    return (values * valid).sum(dim=(1, 2)) / count
