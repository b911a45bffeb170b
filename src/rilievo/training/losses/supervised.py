"""Losses of depth [m] and normals against the truth."""

import math
from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.errors import InputError, OptionError
from rilievo.extensions.user_objects import load_user_object
from rilievo.training.tensors import Maps, Masks, Normals, Numbers, Scalar

# Rows and columns ("head"), or the batch ("old", an error behind the paper's numbers).
GradientForm = Literal["head", "old"]
_BERHU_SHARE = 0.2  # of the batch's largest error; errors above it count squared
_OFFSET = 0.001  # [m] added to depth before its logarithm
_STRIDES = (1, 2, 4, 6)  # of the gradient loss; not powers of two
_STEP = 2  # differences are taken between pixels two apart
_FORGIVEN = 0.85  # AdaBins' share of the squared mean; 1 would ignore any common factor of depth


@cache
def load_own_loss(place: str) -> Callable[..., Scalar]:
    """Load a loss, ``package.module:NAME`` or ``path/to/file.py:NAME``."""
    function = load_user_object(place, "loss")
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
    return _differences_at_valid(predicted, true, valid).abs().mean()


def mse_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean squared error [m²]."""
    return _differences_at_valid(predicted, true, valid).square().mean()


def berhu_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean of |e| up to c and (e² + c²) / 2c beyond, c a fifth of the largest |e| (Laina 2016)."""
    error = _differences_at_valid(predicted, true, valid).abs()
    limit = _BERHU_SHARE * error.detach().max()
    # An exact prediction has limit 0; nothing is beyond it, but 0/0 would spoil the gradient.
    divisor = torch.where(limit > 0, 2 * limit, torch.ones_like(limit))
    return torch.where(error > limit, (error.square() + limit**2) / divisor, error).mean()


def _differences_at_valid(predicted: Maps, true: Maps, valid: Masks) -> Numbers:
    check_valid(valid)
    return (predicted - true)[valid]


def scale_invariant_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Compute the scale-invariant loss of AdaBins (Bhat et al., CVPR 2021), without its factor.

    √(mean e² - 0.85 (mean e)²), where e is the difference of log(depth + 1 mm), and the means are
    over the valid pixels of the whole batch. AdaBins multiplies it by 10. Its program divides the
    variance by n - 1, and adds no millimetre; Probe3D's adds it. The loss of Eigen et al. (NeurIPS
    2014) has no root, a factor of 0.5 in place of 0.85, and means over each image.
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
            total = total + _sum_of_differences(values, mask, axis) / count
    return total


def _sum_of_differences(values: Maps, masks: Masks, axis: int) -> Scalar:
    """Sum of |differences| between valid pixels two apart."""
    pairs = values.shape[axis] - _STEP
    if pairs < 1:
        return torch.zeros_like(values.sum())
    first, second = values.narrow(axis, 0, pairs), values.narrow(axis, _STEP, pairs)
    both = masks.narrow(axis, 0, pairs) & masks.narrow(axis, _STEP, pairs)
    return ((first - second).abs() * both).sum()


def _log_error(predicted: Maps, true: Maps, valid: Masks) -> Maps:
    """Log predicted minus log true; 0 where invalid."""
    check_valid(valid)
    one = torch.ones_like(predicted)
    # Replaced before the logarithm: the gradient of an unread log(0) would be NaN.
    depths = torch.where(valid, predicted, one) + _OFFSET
    return depths.log() - (torch.where(valid, true, one) + _OFFSET).log()


_LARGEST_COSINE = 1 - 1e-4  # Probe3D clamps: the arc cosine has no finite gradient at 1


def angular_loss(
    predicted: Normals,
    true: Normals,
    valid: Masks,
) -> Scalar:
    """Mean angle [rad] over the valid pixels, without gradient below 0.8° and above 179.2°."""
    return _valid_angles_in_radians(predicted, true, valid).mean()


def normals_mse_loss(predicted: Normals, true: Normals, valid: Masks) -> Scalar:
    """Mean squared difference of components."""
    check_valid(valid)
    return (predicted - true).permute(0, 2, 3, 1)[valid].square().mean()


def angular_von_mises_fisher_loss(
    predicted: Normals,
    kappa: Maps,
    true: Normals,
    valid: Masks,
) -> Scalar:
    """Uncertainty-aware angular loss of G. Bae et al. (ICCV 2021), with κ positive.

    Mean of κθ + log(1 + exp(-κπ)) - log(κ² + 1).
    """
    angles, concentration = _valid_angles_in_radians(predicted, true, valid), kappa[valid]
    likelihood = concentration * angles + torch.log1p(torch.exp(-concentration * math.pi))
    return (likelihood - torch.log(concentration.square() + 1)).mean()


def _valid_angles_in_radians(
    predicted: Normals,
    true: Normals,
    valid: Masks,
) -> Numbers:
    check_valid(valid)
    chosen = [x.permute(0, 2, 3, 1)[valid] for x in (predicted, true)]
    cosines = F.cosine_similarity(*chosen, dim=1)
    return torch.acos(cosines.clamp(-_LARGEST_COSINE, _LARGEST_COSINE))
