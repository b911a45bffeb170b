"""The depth losses of Probe3D.

M. El Banani et al., "Probing the 3D Awareness of Visual Foundation Models", CVPR 2024: ten times
the scale-invariant loss of log depth (D. Eigen et al., NIPS 2014, in the form of S. F. Bhat et
al., "AdaBins", CVPR 2021) plus half a loss of its gradients at four scales.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.errors import InputError

GradientForm = Literal["head", "old"]
"""Axes of the gradient loss: rows and columns ("head"), or the batch ("old": an error in the
program behind the paper's numbers; zero for batches of one or two)."""

_OFFSET = 0.001  # [m] added to depth before its logarithm
_STRIDES = (1, 2, 4, 6)  # of the gradient loss; not powers of two
_STEP = 2  # differences are taken between pixels two apart


def probe3d_depth_loss(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    gradient: GradientForm = "head",
    farthest: float = 10.0,
) -> Float[Tensor, ""]:
    """Ten times the scale-invariant loss plus half the gradient loss.

    Args:
        predicted: Depth [m], positive.
        true: True depth [m]; read only where ``valid``.
        valid: Pixels that have ground truth.
        gradient: Axes of the gradient loss.
        farthest: Largest true depth that counts [m], whatever the range of the bins.

    Raises:
        InputError: If no pixel counts.
    """
    counted = valid & (true > 0) & (true <= farthest)
    scale = scale_invariant_loss(predicted, true, counted)
    return 10 * scale + 0.5 * log_gradient_loss(predicted, true, counted, form=gradient)


def scale_invariant_loss(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    weight: float = 0.85,
    pooled: bool = True,
) -> Float[Tensor, ""]:
    """√(mean e² - 0.85 (mean e)²), with e the error of log(depth + 1 mm).

    The root has no gradient where the prediction is exact; it is taken as zero there.

    Args:
        predicted: Depth [m], positive.
        true: True depth [m]; read only where ``valid``.
        valid: Pixels that have ground truth.
        weight: Weight of the squared mean: 1 ignores any common factor of depth, 0 ignores none.
        pooled: Whether all pixels of the batch are taken together; if not, the result is the mean
            over the images that have valid pixels.

    Raises:
        InputError: If no pixel is valid.
    """
    error = _log_error(predicted, true, valid)
    if pooled:
        error, valid = error.flatten()[None], valid.flatten()[None]
    else:
        error, valid = error.flatten(1), valid.flatten(1)
    count = valid.sum(dim=1)
    some = count > 0
    divisor = count.clamp(min=1)
    mean = error.sum(dim=1) / divisor
    square = error.square().sum(dim=1) / divisor - weight * mean.square()
    return _root(square)[some].mean()


def log_gradient_loss(
    predicted: Float[Tensor, "b h w"],
    true: Float[Tensor, "b h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    form: GradientForm = "head",
) -> Float[Tensor, ""]:
    """Sum of |differences| of the log depth error between pixels two apart, over four strides.

    At each stride 1, 2, 4, 6, the sum over pairs of valid pixels along both axes is divided by the
    number of valid pixels of the batch. A stride without a valid pixel adds nothing.

    Args:
        predicted: Depth [m], positive.
        true: True depth [m]; read only where ``valid``.
        valid: Pixels that have ground truth.
        form: Axes along which differences are taken.

    Raises:
        InputError: If no pixel is valid.
    """
    error = _log_error(predicted, true, valid)
    # The old program mistook (batch, 1, rows, columns) for (rows, columns): its first axis was the
    # batch, and its second, the only channel, has no pairs.
    axes = (1, 2) if form == "head" else (0,)
    total = torch.zeros_like(error.sum())
    for stride in _STRIDES:
        strided = (
            (slice(None), slice(None, None, stride), slice(None, None, stride))
            if form == "head"
            else (slice(None, None, stride),)
        )
        values, known = error[strided], valid[strided]
        count = known.sum().clamp(min=1)
        for axis in axes:
            total = total + _differences(values, known, axis) / count
    return total


def _differences(
    values: Float[Tensor, "b h w"], known: Bool[Tensor, "b h w"], axis: int
) -> Float[Tensor, ""]:
    pairs = values.shape[axis] - _STEP
    if pairs < 1:
        return torch.zeros_like(values.sum())
    first, second = values.narrow(axis, 0, pairs), values.narrow(axis, _STEP, pairs)
    both = known.narrow(axis, 0, pairs) & known.narrow(axis, _STEP, pairs)
    return ((first - second).abs() * both).sum()


def _log_error(
    predicted: Float[Tensor, "b h w"], true: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Predicted minus true log depth; zero where there is no ground truth."""
    if not bool(valid.any()):
        raise InputError("a batch without a valid pixel has no loss: leave such images out")
    one = torch.ones_like(predicted)
    # Replaced before the logarithm: the gradient of an unread log(0) would be NaN.
    known = torch.where(valid, predicted, one) + _OFFSET
    return known.log() - (torch.where(valid, true, one) + _OFFSET).log()


def _root(square: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    positive = square > 0
    root = torch.where(positive, square, torch.ones_like(square)).sqrt()
    return torch.where(positive, root, torch.zeros_like(root))
