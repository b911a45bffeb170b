"""Losses of predicted and true depth [m]; ``InputError`` without a valid pixel."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from rilievo.errors import InputError, OptionError
from rilievo.registry import load_outside
from rilievo.training.tensors import Maps, Masks, Numbers, Scalar

GradientForm = Literal["head", "old"]
"""Axes of the gradient loss: rows and columns ("head"), or the batch ("old", an error behind the
paper's numbers)."""

_BERHU_SHARE = 0.2  # of the batch's largest error; errors above it count squared
_OFFSET = 0.001  # [m] added to depth before its logarithm
_STRIDES = (1, 2, 4, 6)  # of the gradient loss; not powers of two
_STEP = 2  # differences are taken between pixels two apart
_FORGIVEN = 0.85  # share of the squared mean: 1 would ignore any common factor of depth


@cache
def own_loss(place: str) -> Callable[..., Scalar]:
    """Load a loss of the user's own, ``package.module:NAME`` or ``path/to/file.py:NAME``.

    Raises:
        OptionError: If there is none, or it returns more than a number.
    """
    function = load_outside(place, "loss")
    if not callable(function):
        raise OptionError(f"loss '{place}' is a {type(function).__name__}, expected a function")

    def loss(*values: object) -> Scalar:
        value = function(*values)
        if not (isinstance(value, Tensor) and value.ndim == 0):
            raise OptionError(
                f"loss '{place}' returned {value!r:.60}, expected a tensor of one number"
            )
        return value

    return loss


def check_valid(valid: Masks) -> None:
    """Refuse a batch without a valid pixel."""
    if not bool(valid.any()):
        raise InputError("a batch without a valid pixel has no loss: leave such images out")


def l1_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean |error| [m]."""
    return _signed_differences(predicted, true, valid).abs().mean()


def mse_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean squared error [m²]."""
    return _signed_differences(predicted, true, valid).square().mean()


def berhu_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean of |e| up to c and (e² + c²) / 2c beyond, c a fifth of the largest |e| (Laina 2016)."""
    error = _signed_differences(predicted, true, valid).abs()
    limit = _BERHU_SHARE * error.detach().max()
    # An exact prediction has limit 0; nothing is beyond it, but 0/0 would spoil the gradient.
    divisor = torch.where(limit > 0, 2 * limit, torch.ones_like(limit))
    return torch.where(error > limit, (error.square() + limit**2) / divisor, error).mean()


def _signed_differences(predicted: Maps, true: Maps, valid: Masks) -> Numbers:
    check_valid(valid)
    return (predicted - true)[valid]


def scale_invariant_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Scale-invariant loss of AdaBins (CVPR 2021).

    √(mean e² - 0.85 (mean e)²), e the error of log(depth + 1 mm).
    """
    error = _log_error(predicted, true, valid)[valid]
    square = error.square().mean() - _FORGIVEN * error.mean().square()
    return square.sqrt() if bool(square > 0) else 0 * square


def log_gradient_loss(
    predicted: Maps,
    true: Maps,
    valid: Masks,
    *,
    form: GradientForm = "head",
) -> Scalar:
    """Sum mean |differences| of log depth errors between pixels two apart, over four strides."""
    error = _log_error(predicted, true, valid)
    # The old program mistook (batch, 1, rows, columns) for (rows, columns): its first axis was the
    # batch, and its second, the only channel, has no pairs.
    axes = (1, 2) if form == "head" else (0,)
    total = torch.zeros_like(error.sum())
    for stride in _STRIDES:
        every = slice(None, None, stride)
        strided = (slice(None), every, every) if form == "head" else (every,)
        values, mask = error[strided], valid[strided]
        count = mask.sum().clamp(min=1)
        for axis in axes:
            total = total + _differences(values, mask, axis) / count
    return total


def _differences(values: Maps, masks: Masks, axis: int) -> Scalar:
    pairs = values.shape[axis] - _STEP
    if pairs < 1:
        return torch.zeros_like(values.sum())
    first, second = values.narrow(axis, 0, pairs), values.narrow(axis, _STEP, pairs)
    both = masks.narrow(axis, 0, pairs) & masks.narrow(axis, _STEP, pairs)
    return ((first - second).abs() * both).sum()


def _log_error(predicted: Maps, true: Maps, valid: Masks) -> Maps:
    check_valid(valid)
    one = torch.ones_like(predicted)
    # Replaced before the logarithm: the gradient of an unread log(0) would be NaN.
    depths = torch.where(valid, predicted, one) + _OFFSET
    return depths.log() - (torch.where(valid, true, one) + _OFFSET).log()
