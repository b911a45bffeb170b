"""Losses of depth [m] and normals against the ground truth."""

import math
from collections.abc import Callable, Mapping
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.errors import InputError, OptionError
from rilievo.extensions.foreign_code import load_user_object
from rilievo.extensions.subpackages import resolve_name
from rilievo.training.losses.supervised_options import (
    ANGULAR,
    DEPTH_LOSSES,
    NORMALS_LOSSES,
    PROBE,
    UNCERTAIN,
    GradientForm,
    Losses,
)
from rilievo.training.tensors import Maps, Masks, Normals, Numbers, Scalar

_MIN_SQUARED_LENGTH = 0.5
"""Least squared length of a stored normal; it is about 1, or 0 where there is no normal."""
_BERHU_LIMIT = 0.2
"""Fraction of the batch's largest error above which errors count squared."""
_LOG_OFFSET = 0.001
"""Added to depth before its logarithm [m]."""
_GRADIENT_STRIDES = (1, 2, 4, 6)
"""Strides of the gradient loss [px], as published; they are not powers of two."""
_PAIR_DISTANCE = 2
"""Distance of the pixels whose errors the gradient loss compares, in strides."""
_SQUARED_MEAN_WEIGHT = 0.85
"""AdaBins' weight of the squared mean error; 1 would ignore any common factor of depth."""
_MAX_COSINE = 1 - 1e-4
"""Upper limit of |cosine|, as in Probe3D: the arc cosine has no finite gradient at 1."""


@cache
def load_own_loss(import_path: str) -> Callable[..., Scalar]:
    """Load a loss function of the user, and wrap it so that its result is checked.

    ``import_path`` is ``package.module:NAME`` or ``path/to/file.py:NAME``.

    Raises:
        OptionError: If there is no such function, or, when it is called, if it returns anything
            but a tensor of one number.
    """
    function = load_user_object(import_path, "loss")
    if not callable(function):
        raise OptionError(
            f"loss '{import_path}' is of type {type(function).__name__}, expected a function"
        )

    def checked_loss(*inputs: object) -> Scalar:
        """Call the function, and check that it returns a scalar."""
        value = function(*inputs)
        if not (isinstance(value, Tensor) and value.ndim == 0):
            raise OptionError(
                f"loss '{import_path}' returned {value!r:.60}; expected a scalar tensor"
            )
        return value

    return checked_loss


def check_valid(valid: Masks) -> None:
    """Raise ``InputError`` for a batch without a valid pixel."""
    if not bool(valid.any()):
        raise InputError(
            "no image of the batch has a valid pixel, so the loss is undefined: leave out images "
            "without valid pixels"
        )


def l1_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean |error| [m]."""
    return _valid_errors(predicted, true, valid).abs().mean()


def mse_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean squared error [m²]."""
    return _valid_errors(predicted, true, valid).square().mean()


def berhu_loss(predicted: Maps, true: Maps, valid: Masks) -> Scalar:
    """Mean of |e| up to c and (e² + c²) / 2c beyond, c a fifth of the largest |e| (Laina 2016)."""
    error = _valid_errors(predicted, true, valid).abs()
    limit = _BERHU_LIMIT * error.detach().max()
    # An exact prediction has limit 0; nothing is beyond it, but 0/0 would spoil the gradient.
    divisor = torch.where(limit > 0, 2 * limit, torch.ones_like(limit))
    quadratic = (error.square() + limit**2) / divisor
    return torch.where(error > limit, quadratic, error).mean()


def _valid_errors(predicted: Maps, true: Maps, valid: Masks) -> Numbers:
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
    squared_loss = error.square().mean() - _SQUARED_MEAN_WEIGHT * error.mean().square()
    if bool(squared_loss > 0):
        return squared_loss.sqrt()
    # The square root has no finite gradient at 0.
    return 0 * squared_loss


def log_gradient_loss(
    predicted: Maps,
    true: Maps,
    valid: Masks,
    *,
    form: GradientForm = GradientForm.HEAD,
) -> Scalar:
    """Sum |differences| of log depth errors between pixels two strides apart, over four strides.

    The sum of each stride is divided by its number of valid pixels, as in Probe3D. With the form
    ``OLD``, images of the batch are compared in place of pixels: the old program took tensors
    (batch, 1, rows, columns) for (rows, columns), and found no pairs along the single channel.
    """
    error = _log_error(predicted, true, valid)
    every_image = slice(None)
    total = torch.zeros_like(error.sum())
    for stride in _GRADIENT_STRIDES:
        if form is GradientForm.HEAD:
            sampled = (every_image, slice(None, None, stride), slice(None, None, stride))
            axes = (1, 2)
        else:
            sampled = (slice(None, None, stride),)
            axes = (0,)
        sampled_error = error[sampled]
        sampled_valid = valid[sampled]
        num_valid = sampled_valid.sum().clamp(min=1)
        for axis in axes:
            total = total + _sum_of_differences(sampled_error, sampled_valid, axis) / num_valid
    return total


def _sum_of_differences(values: Maps, valid: Masks, axis: int) -> Scalar:
    """Sum of |differences| between valid pixels two apart along an axis."""
    num_pairs = values.shape[axis] - _PAIR_DISTANCE
    if num_pairs < 1:
        return torch.zeros_like(values.sum())
    earlier = values.narrow(axis, 0, num_pairs)
    later = values.narrow(axis, _PAIR_DISTANCE, num_pairs)
    both_valid = valid.narrow(axis, 0, num_pairs) & valid.narrow(axis, _PAIR_DISTANCE, num_pairs)
    return ((earlier - later).abs() * both_valid).sum()


def _log_error(predicted: Maps, true: Maps, valid: Masks) -> Maps:
    """Log predicted minus log true depth; 0 where not valid."""
    check_valid(valid)
    ones = torch.ones_like(predicted)
    # Replaced before the logarithm: the gradient of an unread log(0) would be NaN.
    log_predicted = (torch.where(valid, predicted, ones) + _LOG_OFFSET).log()
    log_true = (torch.where(valid, true, ones) + _LOG_OFFSET).log()
    return log_predicted - log_true


def angular_loss(predicted: Normals, true: Normals, valid: Masks) -> Scalar:
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
    """Uncertainty-aware angular loss of G. Bae et al. (ICCV 2021).

    Mean of κθ + log(1 + exp(-κπ)) - log(κ² + 1), where θ is the angle [rad], and κ, the predicted
    concentration, is positive.
    """
    angles = _valid_angles_in_radians(predicted, true, valid)
    concentration = kappa[valid]
    angular_term = concentration * angles + torch.log1p(torch.exp(-concentration * math.pi))
    return (angular_term - torch.log(concentration.square() + 1)).mean()


def _valid_angles_in_radians(predicted: Normals, true: Normals, valid: Masks) -> Numbers:
    check_valid(valid)
    valid_predicted = predicted.permute(0, 2, 3, 1)[valid]
    valid_true = true.permute(0, 2, 3, 1)[valid]
    cosines = F.cosine_similarity(valid_predicted, valid_true, dim=1)
    return torch.acos(cosines.clamp(-_MAX_COSINE, _MAX_COSINE))


def has_normal(true: Normals) -> Masks:
    """Pixels that have a true normal."""
    return true.square().sum(dim=1) > _MIN_SQUARED_LENGTH


def find_loss(name: str, losses_by_name: Mapping[str, str]) -> Callable[..., Scalar]:
    """Find a loss in ``DEPTH_LOSSES`` or ``NORMALS_LOSSES``, or load the user's own."""
    if name in losses_by_name:
        return resolve_name(f"rilievo.training.losses.{losses_by_name[name]}")
    return load_own_loss(name)


def probe_loss(predicted: Maps, true: Maps, valid: Masks, losses: Losses) -> Scalar:
    """Add the loss of AdaBins and that of gradients of log depth, with their weights."""
    gradient_loss = log_gradient_loss(predicted, true, valid, form=losses.gradient_form)
    value_loss = scale_invariant_loss(predicted, true, valid)
    return losses.scale_invariant_weight * value_loss + losses.gradient_weight * gradient_loss


def depth_objective(predicted: Maps, true: Maps, losses: Losses) -> Scalar:
    """Loss of depth over the pixels whose true depth is not 0; 0 if there are none."""
    valid = true > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.depth == PROBE:
        return probe_loss(predicted, true, valid, losses)
    return find_loss(losses.depth, DEPTH_LOSSES)(predicted, true, valid)


def normals_objective(
    predicted: Normals,
    kappa: Maps | None,
    true: Normals,
    losses: Losses,
    *,
    depth: Maps,
) -> Scalar:
    """Loss of normals over the pixels that have a true normal; 0 if there are none.

    ``kappa`` is the concentration of the predicted normals, or None. Pixels without truth are 0 in
    ``true`` and ``depth``. With ``losses.zero_normals``, pixels with true depth count instead.
    """
    valid = has_normal(true)
    if losses.zero_normals and depth.any():
        valid = depth > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.normals == UNCERTAIN and kappa is not None:
        return angular_von_mises_fisher_loss(predicted, kappa.float(), true, valid)
    # Without kappa, the angle alone can be learned.
    loss_name = ANGULAR if losses.normals == UNCERTAIN else losses.normals
    return find_loss(loss_name, NORMALS_LOSSES)(predicted, true, valid)
