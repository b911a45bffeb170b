"""Photometric error of two images: a mixture of SSIM and the absolute difference of colours.

SSIM is that of Wang et al. 2004 over windows of 3×3 pixels, and the mixture that of Godard et al.
2019 (Monodepth2).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.training.tensors import Channels, Maps

# Constants of SSIM for colours in 0..1. Windows of nine pixels are summed, not averaged, so that
# both factors of SSIM, and these constants, are 81 times those of the paper.
_C1 = 81 * 0.01**2
_C2 = 81 * 0.03**2


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetImage:
    """Image y in 0..1, with what SSIM needs of it; Y is the sum over each window.

    Attributes:
        image: The image.
        twice: 2Y.
        power: Y² + C1.
        variance: 9 Σ y² - Y² + C2.
    """

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
    """Compute ``ssim`` · (1 - SSIM) / 2 + (1 - ``ssim``) · |difference|, the mean over colours.

    Differentiable by ``image``.
    """
    if ssim == 0:
        return (image - target.image).abs().mean(dim=1)
    error: Tensor = _PhotometricError.apply(
        image, target.image, target.twice, target.power, target.variance, ssim
    )
    return error


def window_sum(x: Channels) -> Channels:
    """Sum over 3×3 pixels, with the image reflected at its border."""
    for dim in (2, 3):
        total = _sum_of_both_neighbours(x, dim)
        last = x.shape[dim] - 1
        torch.mul(x.narrow(dim, 1, 1), 2, out=total.narrow(dim, 0, 1))
        torch.mul(x.narrow(dim, last - 1, 1), 2, out=total.narrow(dim, last, 1))
        x = total.add_(x)
    return x


def window_sum_adjoint(x: Channels) -> Channels:
    """Distribute gradients of window sums to the pixels of the windows."""
    for dim in (3, 2):
        total = _sum_of_both_neighbours(x, dim)
        last = x.shape[dim] - 1
        total.narrow(dim, 0, 1).copy_(x.narrow(dim, 1, 1))
        total.narrow(dim, last, 1).copy_(x.narrow(dim, last - 1, 1))
        # The window at the border contains its inner neighbour twice.
        total.narrow(dim, 1, 1).add_(x.narrow(dim, 0, 1))
        total.narrow(dim, last - 1, 1).add_(x.narrow(dim, last, 1))
        x = total.add_(x)
    return x


def _sum_of_both_neighbours(x: Channels, dim: int) -> Channels:
    """Sum of the pixels before and after each pixel; the first and last are not written."""
    total = torch.empty_like(x)
    inner = x.shape[dim] - 2
    torch.add(x.narrow(dim, 0, inner), x.narrow(dim, 2, inner), out=total.narrow(dim, 1, inner))
    return total


class _PhotometricError(Function):
    """Photometric error whose gradient, written by hand, keeps five images instead of twenty.

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
        colours = image.shape[1]
        needs_gradient = ctx.needs_input_grad[0]
        error = image.new_empty(image.shape[0], *image.shape[2:])
        slopes = image.new_empty(3 if needs_gradient else 0, *image.shape)
        for part in _image_slices(image):
            x = image.detach()[part]
            y = target[part]
            similarity = _ssim_and_slopes(
                x, y, twice[part], power[part], variance[part], slopes[:, part]
            )
            similarity_sum = similarity.clamp_(-1, 1).sum(dim=1)
            colour_sum = similarity_sum.mul_(-ssim / 2).add_(colours * ssim / 2)
            colour_sum.add_((x - y).abs_().sum(dim=1), alpha=1 - ssim)
            torch.div(colour_sum, colours, out=error[part])
        ctx.ssim = ssim
        ctx.save_for_backward(image, target, slopes)
        return error

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute the gradient of the error by ``image``; all other arguments have none.

        SSIM depends on a pixel x by the sums over the windows around it: Σx, 9 Σx² and 18 Σxy.
        ``slopes`` holds the derivatives of SSIM by these three sums.
        """
        image, target, slopes = ctx.saved_tensors
        colours = image.shape[1]
        gradient = torch.empty_like(image)
        for part in _image_slices(image):
            x = image[part]
            y = target[part]
            error_gradient = upstream[0][part][:, None]

            # From the error to SSIM, and from the sums over windows to the terms of each pixel:
            # x, 9 x² and 18 xy.
            similarity_gradient = error_gradient * (-ctx.ssim / (2 * colours))
            by_value, by_square, by_product = (
                window_sum_adjoint(slope.mul(similarity_gradient))
                for slope in slopes[:, part].unbind()
            )

            # From the terms to x: d(9 x²)/dx is 18 x, and d(18 xy)/dx is 18 y.
            by_ssim = by_value.addcmul_(by_square, x, value=18)
            by_ssim = by_ssim.addcmul_(by_product, y, value=18)

            # The derivative of |x - y| is the sign of x - y.
            sign = torch.sub(x, y).sign_()
            difference_weight = (1 - ctx.ssim) / colours
            torch.addcmul(
                by_ssim, sign, error_gradient, value=difference_weight, out=gradient[part]
            )
        return gradient, None, None, None, None, None


def _image_slices(image: Tensor) -> list[slice]:
    """Slices of the images that are computed at a time: one image on a CPU, else all."""
    if image.device.type != "cpu":
        return [slice(None)]
    return [slice(index, index + 1) for index in range(image.shape[0])]


def _ssim_and_slopes(
    x: Tensor, y: Tensor, twice: Tensor, power: Tensor, variance: Tensor, slopes: Tensor
) -> Tensor:
    """Compute SSIM of each window, and write its derivatives to ``slopes`` unless that is empty.

    The derivatives are those by X, 9 Σx² and 18 Σxy. Letters are those of ``_PhotometricError``.
    """
    X = window_sum(x)
    A2 = window_sum(x * y).mul_(18).addcmul_(X, twice, value=-1).add_(_C2)
    B2 = window_sum(x * x).mul_(9).addcmul_(X, X, value=-1).add_(variance)
    A1 = torch.mul(X, twice).add_(_C1)
    B1 = torch.addcmul(power, X, X)
    inverse = torch.mul(B1, B2).reciprocal_()
    similarity = torch.mul(A1, A2).mul_(inverse)
    if slopes.shape[0]:
        by_sum, by_square, by_product = slopes
        torch.mul(A1, inverse, out=by_product)
        torch.mul(similarity, B1, out=by_square).mul_(inverse).neg_()
        # 2Y (A2 - A1) - 2X SSIM (B2 - B1), over B1 B2. The values are not needed any more, so
        # that X, A2 and B2 become parts of it.
        X.mul_(similarity).mul_(B2.sub_(B1)).mul_(-2)
        X.addcmul_(A2.sub_(A1), twice)
        torch.mul(X, inverse, out=by_sum)
    return similarity
