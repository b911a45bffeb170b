"""Photometric error of two images."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.training.tensors import Channels, Maps

# The window is summed, not averaged: all terms below are 81 times those of the paper.
_C1 = 81 * 0.01**2
_C2 = 81 * 0.03**2


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetImage:
    """Image in 0..1 with 2s, s² + C1 and 9 Σ y² - s² + C2, s the sum over each window."""

    image: Channels
    twice: Channels
    power: Channels
    variance: Channels


def prepare_target(image: Channels) -> TargetImage:
    """Prepare an image for comparison with many others, without gradient."""
    image = image.detach()
    total = window_sum(image)
    power = total.square()
    variance = window_sum(image.square()).mul_(9).sub_(power).add_(_C2)
    return TargetImage(image=image, twice=total.mul_(2), power=power.add_(_C1), variance=variance)


def photometric_error(image: Channels, target: TargetImage, *, ssim: float = 0.85) -> Maps:
    """``ssim`` · (1 - SSIM) / 2 + (1 - ``ssim``) · |difference|; differentiable by ``image``."""
    if ssim == 0:
        return (image - target.image).abs().mean(dim=1)
    error: Tensor = _PhotometricError.apply(
        image, target.image, target.twice, target.power, target.variance, ssim
    )
    return error


def window_sum(x: Channels) -> Channels:
    """Sum over 3×3 pixels, the image reflected at its border."""
    for dim in (2, 3):
        total, last = _sum_of_both_neighbours(x, dim), x.shape[dim] - 1
        torch.mul(x.narrow(dim, 1, 1), 2, out=total.narrow(dim, 0, 1))
        torch.mul(x.narrow(dim, last - 1, 1), 2, out=total.narrow(dim, last, 1))
        x = total.add_(x)
    return x


def window_sum_adjoint(x: Channels) -> Channels:
    """Distribute gradients of window sums to their pixels."""
    for dim in (3, 2):
        total, last = _sum_of_both_neighbours(x, dim), x.shape[dim] - 1
        total.narrow(dim, 0, 1).copy_(x.narrow(dim, 1, 1))
        total.narrow(dim, last, 1).copy_(x.narrow(dim, last - 1, 1))
        # The window at the border contains its inner neighbour twice.
        total.narrow(dim, 1, 1).add_(x.narrow(dim, 0, 1))
        total.narrow(dim, last - 1, 1).add_(x.narrow(dim, last, 1))
        x = total.add_(x)
    return x


def _sum_of_both_neighbours(x: Channels, dim: int) -> Channels:
    total = torch.empty_like(x)
    inner = x.shape[dim] - 2
    torch.add(x.narrow(dim, 0, inner), x.narrow(dim, 2, inner), out=total.narrow(dim, 1, inner))
    return total


class _PhotometricError(Function):
    """Photometric error with a gradient by hand, which keeps five images instead of twenty.

    With X and Y the sums over a window, A1 = 2XY + C1, A2 = 18 Σxy - 2XY + C2, B1 = X² + Y² + C1
    and B2 = 9 Σx² - X² + 9 Σy² - Y² + C2, SSIM is A1 A2 / (B1 B2).
    """

    @staticmethod
    def forward(
        ctx: Any,
        image: Tensor,
        target: Tensor,
        twice: Tensor,
        power: Tensor,
        variance: Tensor,
        ssim: float,
    ) -> Tensor:
        differentiable = ctx.needs_input_grad[0]
        error = image.new_empty(image.shape[0], *image.shape[2:])
        slopes = image.new_empty(3 if differentiable else 0, *image.shape)
        for part in _image_slices(image):
            y = target[part]
            x = image.detach()[part]
            similarity = _ssim_and_slopes(
                x, y, twice[part], power[part], variance[part], slopes[:, part]
            )
            share = similarity.clamp_(-1, 1).sum(dim=1).mul_(-ssim / 2).add_(x.shape[1] * ssim / 2)
            share.add_((x - y).abs_().sum(dim=1), alpha=1 - ssim)
            torch.div(share, x.shape[1], out=error[part])
        ctx.ssim = ssim
        ctx.save_for_backward(image, target, slopes)
        return error

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        image, target, slopes = ctx.saved_tensors
        gradient = torch.empty_like(image)
        colours = image.shape[1]
        for part in _image_slices(image):
            x, y, arriving = image[part], target[part], upstream[0][part][:, None]
            weight = arriving * (-ctx.ssim / (2 * colours))
            by_sum, by_square, by_product = (
                window_sum_adjoint(slope.mul(weight)) for slope in slopes[:, part].unbind()
            )
            by_sum.addcmul_(by_square, x, value=18).addcmul_(by_product, y, value=18)
            sign = torch.sub(x, y).sign_()
            torch.addcmul(
                by_sum, sign, arriving, value=(1 - ctx.ssim) / colours, out=gradient[part]
            )
        return gradient, None, None, None, None, None


def _image_slices(image: Tensor) -> list[slice]:
    """Slices of one image on a CPU, else of all."""
    if image.device.type != "cpu":
        return [slice(None)]
    return [slice(k, k + 1) for k in range(image.shape[0])]


def _ssim_and_slopes(
    x: Tensor, y: Tensor, twice: Tensor, power: Tensor, variance: Tensor, slopes: Tensor
) -> Tensor:
    """SSIM; its derivatives are written to ``slopes``."""
    X = window_sum(x)
    covariance = window_sum(x * y).mul_(18).addcmul_(X, twice, value=-1).add_(_C2)
    spread = window_sum(x * x).mul_(9).addcmul_(X, X, value=-1).add_(variance)
    means = torch.mul(X, twice).add_(_C1)
    powers = torch.addcmul(power, X, X)
    inverse = torch.mul(powers, spread).reciprocal_()
    similarity = torch.mul(means, covariance).mul_(inverse)
    if slopes.shape[0]:
        by_sum, by_square, by_product = slopes
        torch.mul(means, inverse, out=by_product)
        torch.mul(similarity, powers, out=by_square).mul_(inverse).neg_()
        # 2Y (A2 - A1) - 2X SSIM (B2 - B1), over B1 B2.
        X.mul_(similarity).mul_(spread.sub_(powers)).mul_(-2)
        X.addcmul_(covariance.sub_(means), twice)
        torch.mul(X, inverse, out=by_sum)
    return similarity
