"""Losses of depth for supervised training, over the valid pixels of a batch.

The scale-invariant loss and that of gradients are Probe3D's: M. El Banani et al., "Probing the 3D
Awareness of Visual Foundation Models", CVPR 2024, with ten times the former (D. Eigen et al., NIPS
2014, in the form of S. F. Bhat et al., "AdaBins", CVPR 2021) plus half the latter at four scales.

All take predicted and true depth [m] and a mask; truth is read only where the mask is set. They
raise ``InputError`` if no pixel is valid.
"""

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from rilievo.errors import InputError, OptionError
from rilievo.plugins import load_outside
from rilievo.training.tensors import Maps, Masks, Numbers, Scalar

GradientForm = Literal["head", "old"]
"""Axes of the gradient loss: rows and columns ("head"), or the batch ("old": an error in the
program behind the paper's numbers; zero for batches of one or two)."""

_BERHU_SHARE = 0.2  # of the batch's largest error; errors above it count squared
_OFFSET = 0.001  # [m] added to depth before its logarithm
_STRIDES = (1, 2, 4, 6)  # of the gradient loss; not powers of two
_STEP = 2  # differences are taken between pixels two apart
_FORGIVEN = 0.85  # share of the squared mean: 1 would ignore any common factor of depth


@cache
def own_loss(place: str) -> Callable[..., Scalar]:
    """Load a loss of the user's own: a function that returns one number.

    Args:
        place: ``package.module:NAME`` or ``path/to/file.py:NAME``.

    Raises:
        OptionError: If there is no such function; when called, if it returns something else.
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
    return _errors(predicted, true, valid).abs().mean()


def mse_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean squared error [m²]."""
    return _errors(predicted, true, valid).square().mean()


def berhu_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean of |e| up to c and (e² + c²) / 2c beyond, with c a fifth of the batch's largest |e| [m].

    I. Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks", 3DV
    2016. The limit c is not differentiated.
    """
    error = _errors(predicted, true, valid).abs()
    limit = _BERHU_SHARE * error.detach().max()
    # An exact prediction has limit 0; nothing is beyond it, but 0/0 would spoil the gradient.
    divisor = torch.where(limit > 0, 2 * limit, torch.ones_like(limit))
    return torch.where(error > limit, (error.square() + limit**2) / divisor, error).mean()


def _errors(predicted: Maps, true: Maps, valid: Masks) -> Numbers:
    check_valid(valid)
    return (predicted - true)[valid]


def scale_invariant_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """√(mean e² - 0.85 (mean e)²), with e the error of log(depth + 1 mm), over the whole batch.

    The root has no gradient where the prediction is exact; it is taken as zero there.
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
    """Sum of |differences| of the log depth error between pixels two apart, over four strides.

    At each stride 1, 2, 4, 6, the sum over pairs of valid pixels along both axes is divided by the
    number of valid pixels of the batch. A stride without a valid pixel adds nothing.
    """
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
    """Predicted minus true log depth; zero where there is no ground truth."""
    check_valid(valid)
    one = torch.ones_like(predicted)
    # Replaced before the logarithm: the gradient of an unread log(0) would be NaN.
    depths = torch.where(valid, predicted, one) + _OFFSET
    return depths.log() - (torch.where(valid, true, one) + _OFFSET).log()
