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
    """Image y in 0..1, with the parts of SSIM that depend on it alone.

    Y is the sum over each window.

    Attributes:
        image: y.
        twice_sum: 2Y.
        squared_sum: Y² + C1.
        variance_term: 9 Σ y² - Y² + C2.
    """

    image: Channels
    twice_sum: Channels
    squared_sum: Channels
    variance_term: Channels


def prepare_target(image: Channels) -> TargetImage:
    """Prepare an image for comparison with many others, without gradient."""
    image = image.detach()
    total = window_sum(image)
    squared_sum = total.square()
    variance_term = window_sum(image.square()).mul_(9).sub_(squared_sum).add_(_C2)
    return TargetImage(
        image=image,
        twice_sum=total.mul_(2),
        squared_sum=squared_sum.add_(_C1),
        variance_term=variance_term,
    )


def photometric_error(image: Channels, target: TargetImage, *, ssim: float = 0.85) -> Maps:
    """Compute ``ssim`` · (1 - SSIM) / 2 + (1 - ``ssim``) · |difference|, the mean over colours.

    Differentiable by ``image``.
    """
    if ssim == 0:
        return (image - target.image).abs().mean(dim=1)
    error: Tensor = _PhotometricError.apply(
        image, target.image, target.twice_sum, target.squared_sum, target.variance_term, ssim
    )
    return error


def window_sum(x: Channels) -> Channels:
    """Sum over 3×3 pixels, with the image reflected at its border: one axis after the other."""
    summed = x
    for dim in (2, 3):
        neighbours = _sum_of_both_neighbours(summed, dim)
        last = summed.shape[dim] - 1
        # By reflection, both neighbours of a border pixel are its inner neighbour.
        torch.mul(summed.narrow(dim, 1, 1), 2, out=neighbours.narrow(dim, 0, 1))
        torch.mul(summed.narrow(dim, last - 1, 1), 2, out=neighbours.narrow(dim, last, 1))
        # In place, in the memory of the neighbours.
        summed = neighbours.add_(summed)
    return summed


def window_sum_adjoint(x: Channels) -> Channels:
    """Distribute gradients of window sums to the pixels of the windows.

    ``window_sum`` is linear, and this is the transpose of its matrix.
    """
    distributed = x
    for dim in (3, 2):
        neighbours = _sum_of_both_neighbours(distributed, dim)
        last = distributed.shape[dim] - 1
        neighbours.narrow(dim, 0, 1).copy_(distributed.narrow(dim, 1, 1))
        neighbours.narrow(dim, last, 1).copy_(distributed.narrow(dim, last - 1, 1))
        # A window at the border contains its inner pixel twice, by reflection.
        neighbours.narrow(dim, 1, 1).add_(distributed.narrow(dim, 0, 1))
        neighbours.narrow(dim, last - 1, 1).add_(distributed.narrow(dim, last, 1))
        # In place, in the memory of the neighbours.
        distributed = neighbours.add_(distributed)
    return distributed


def _sum_of_both_neighbours(x: Channels, dim: int) -> Channels:
    """Sum of the pixels before and after each pixel; the first and last are not written."""
    total = torch.empty_like(x)
    num_inner = x.shape[dim] - 2
    before = x.narrow(dim, 0, num_inner)
    after = x.narrow(dim, 2, num_inner)
    torch.add(before, after, out=total.narrow(dim, 1, num_inner))
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
        twice_sum: Tensor,
        squared_sum: Tensor,
        variance_term: Tensor,
        ssim: float,
    ) -> Tensor:
        """Compute the error, and the derivatives of SSIM if ``image`` needs a gradient."""
        num_colours = image.shape[1]
        needs_gradient = ctx.needs_input_grad[0]
        error = image.new_empty(image.shape[0], *image.shape[2:])
        ssim_derivatives = image.new_empty(3 if needs_gradient else 0, *image.shape)
        for batch in _batch_slices(image):
            x = image.detach()[batch]
            y = target[batch]
            similarity = _ssim_and_derivatives(
                x,
                y,
                twice_sum[batch],
                squared_sum[batch],
                variance_term[batch],
                ssim_derivatives[:, batch],
            )
            # Sum over colours of ssim (1 - SSIM) / 2 + (1 - ssim) |x - y|, in place.
            similarity_sum = similarity.clamp_(-1, 1).sum(dim=1)
            colour_sum = similarity_sum.mul_(-ssim / 2).add_(num_colours * ssim / 2)
            colour_sum.add_((x - y).abs_().sum(dim=1), alpha=1 - ssim)
            torch.div(colour_sum, num_colours, out=error[batch])
        ctx.ssim = ssim
        ctx.save_for_backward(image, target, ssim_derivatives)
        return error

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute the gradient of the error by ``image``; all other arguments have none.

        SSIM depends on a pixel x by the sums over the windows around it: Σx, 9 Σx² and 18 Σxy.
        The chain rule leads from the loss L to the error, to SSIM, to these sums, and to x.
        """
        image, target, ssim_derivatives = ctx.saved_tensors
        num_colours = image.shape[1]
        dL_dimage = torch.empty_like(image)
        for batch in _batch_slices(image):
            x = image[batch]
            y = target[batch]
            dL_derror = upstream[0][batch][:, None]
            dL_dssim = dL_derror * (-ctx.ssim / (2 * num_colours))

            # By the terms that a pixel adds to the sums of its windows: x, 9 x² and 18 xy.
            dL_dvalue, dL_dsquare, dL_dproduct = (
                window_sum_adjoint(dssim_dsum.mul(dL_dssim))
                for dssim_dsum in ssim_derivatives[:, batch].unbind()
            )

            # By x: d(9 x²)/dx is 18 x, and d(18 xy)/dx is 18 y.
            dL_dx = dL_dvalue.addcmul_(dL_dsquare, x, value=18)
            dL_dx = dL_dx.addcmul_(dL_dproduct, y, value=18)

            # The derivative of |x - y| is the sign of x - y.
            sign = torch.sub(x, y).sign_()
            difference_weight = (1 - ctx.ssim) / num_colours
            torch.addcmul(dL_dx, sign, dL_derror, value=difference_weight, out=dL_dimage[batch])
        return dL_dimage, None, None, None, None, None


def _batch_slices(image: Tensor) -> list[slice]:
    """Slices of the batch that are computed at a time: one image on a CPU, all on a GPU."""
    if image.device.type != "cpu":
        return [slice(None)]
    return [slice(index, index + 1) for index in range(image.shape[0])]


def _ssim_and_derivatives(
    x: Tensor,
    y: Tensor,
    twice_sum: Tensor,
    squared_sum: Tensor,
    variance_term: Tensor,
    ssim_derivatives: Tensor,
) -> Tensor:
    """Compute SSIM of each window, and write its derivatives unless their tensor is empty.

    They are those by X, 9 Σx² and 18 Σxy, in this order. The letters are those of
    ``_PhotometricError``. Memory of operands that are no longer needed is reused.
    """
    X = window_sum(x)
    A2 = window_sum(x * y).mul_(18).addcmul_(X, twice_sum, value=-1).add_(_C2)
    B2 = window_sum(x * x).mul_(9).addcmul_(X, X, value=-1).add_(variance_term)
    A1 = torch.mul(X, twice_sum).add_(_C1)
    B1 = torch.addcmul(squared_sum, X, X)
    inverse = torch.mul(B1, B2).reciprocal_()
    similarity = torch.mul(A1, A2).mul_(inverse)
    if ssim_derivatives.shape[0]:
        dssim_dX, dssim_dsquare, dssim_dproduct = ssim_derivatives
        # dSSIM / d(18 Σxy) = A1 / (B1 B2)
        torch.mul(A1, inverse, out=dssim_dproduct)
        # dSSIM / d(9 Σx²) = -SSIM / B2
        torch.mul(similarity, B1, out=dssim_dsquare).mul_(inverse).neg_()
        # dSSIM / dX = (2Y (A2 - A1) - 2X SSIM (B2 - B1)) / (B1 B2)
        X.mul_(similarity).mul_(B2.sub_(B1)).mul_(-2)
        X.addcmul_(A2.sub_(A1), twice_sum)
        torch.mul(X, inverse, out=dssim_dX)
    return similarity
