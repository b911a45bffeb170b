"""Photometric error of two images, and warping of one to the camera of the other.

SSIM is over 3×3 equally weighted pixels, as in C. Godard et al. (ICCV 2019). Its gradient by hand
keeps five images, where autograd keeps twenty.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.frozen import frozen
from rilievo.geometry.intrinsics import LEAST_DEPTH, seen_from
from rilievo.shapes import Float
from rilievo.training.tensors import Channels, Intrinsics, Maps, Masks, Transforms

# The window is summed, not averaged: all terms below are 81 times those of the paper.
_C1 = 81 * 0.01**2
_C2 = 81 * 0.03**2
PUBLISHED_EPSILON = 1e-7
"""Number that Monodepth2 adds to the depth by which it divides."""


@frozen
class TargetImage:
    """An image in 0..1 with 2s, s² + C1 and 9 Σ y² - s² + C2, s the sum over each window."""

    image: Channels
    twice: Channels
    power: Channels
    variance: Channels


def target_of(image: Channels) -> TargetImage:
    """Prepare an image for comparison with many others; no gradient reaches it."""
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
        total, last = _neighbours(x, dim), x.shape[dim] - 1
        torch.mul(x.narrow(dim, 1, 1), 2, out=total.narrow(dim, 0, 1))
        torch.mul(x.narrow(dim, last - 1, 1), 2, out=total.narrow(dim, last, 1))
        x = total.add_(x)
    return x


def window_spread(x: Channels) -> Channels:
    """Apply the adjoint of ``window_sum``."""
    for dim in (3, 2):
        total, last = _neighbours(x, dim), x.shape[dim] - 1
        total.narrow(dim, 0, 1).copy_(x.narrow(dim, 1, 1))
        total.narrow(dim, last, 1).copy_(x.narrow(dim, last - 1, 1))
        # The window at the border contains its inner neighbour twice.
        total.narrow(dim, 1, 1).add_(x.narrow(dim, 0, 1))
        total.narrow(dim, last - 1, 1).add_(x.narrow(dim, last, 1))
        x = total.add_(x)
    return x


def _neighbours(x: Channels, dim: int) -> Channels:
    total = torch.empty_like(x)
    inner = x.shape[dim] - 2
    torch.add(x.narrow(dim, 0, inner), x.narrow(dim, 2, inner), out=total.narrow(dim, 1, inner))
    return total


class _PhotometricError(Function):
    """Photometric error; a CPU takes an image at a time, whose colours fit into its cache.

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
        for part in _parts(image):
            y = target[part]
            x = image.detach()[part]
            similarity = _similarity(
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
        for part in _parts(image):
            x, y, arriving = image[part], target[part], upstream[0][part][:, None]
            weight = arriving * (-ctx.ssim / (2 * colours))
            by_sum, by_square, by_product = (
                window_spread(slope.mul(weight)) for slope in slopes[:, part].unbind()
            )
            by_sum.addcmul_(by_square, x, value=18).addcmul_(by_product, y, value=18)
            sign = torch.sub(x, y).sign_()
            torch.addcmul(
                by_sum, sign, arriving, value=(1 - ctx.ssim) / colours, out=gradient[part]
            )
        return gradient, None, None, None, None, None


def _parts(image: Tensor) -> list[slice]:
    if image.device.type != "cpu":
        return [slice(None)]
    return [slice(k, k + 1) for k in range(image.shape[0])]


def _similarity(
    x: Tensor, y: Tensor, twice: Tensor, power: Tensor, variance: Tensor, slopes: Tensor
) -> Tensor:
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


@frozen
class Warped:
    """A source frame, resampled where it sees the target's points.

    Attributes:
        pixels: Coordinates (u, v) of the target's points in the source [px].
        depth: Depth in the source's camera; not positive behind it.
    """

    image: Channels
    pixels: Float[Tensor, "b 2 h w"]
    depth: Maps

    @property
    def in_front(self) -> Masks:
        """Points in front of the source's camera."""
        return self.depth > LEAST_DEPTH

    @property
    def in_view(self) -> Masks:
        """Points that lie inside the source's image."""
        height, width = self.depth.shape[-2:]
        u, v = self.pixels.unbind(dim=1)
        return self.in_front & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)


def warp(
    source: Channels,
    depth: Maps,
    K: Intrinsics,
    source_T_target: Transforms,
    *,
    align_corners: bool = True,
    in_front: bool = True,
) -> Warped:
    """Warp a source frame to the target's camera, by the depth of the target's pixels."""
    epsilon = None if in_front else PUBLISHED_EPSILON
    projection = seen_from(depth, K, source_T_target, epsilon=epsilon)
    pixels = projection[:, :2]
    image = sample_image(source, pixels, align_corners=align_corners)
    return Warped(image=image, pixels=pixels, depth=projection[:, 2])


def sample_image(
    image: Channels,
    pixels: Float[Tensor, "b 2 h w"],
    *,
    align_corners: bool = True,
) -> Channels:
    """Sample colours bilinearly at (u, v) [px]; beyond the border, those of the border."""
    height, width = image.shape[-2:]
    scale = torch.tensor([[[2 / (width - 1)]], [[2 / (height - 1)]]], dtype=pixels.dtype)
    grid = torch.addcmul(pixels.new_tensor(-1), pixels, scale.to(pixels.device))
    return F.grid_sample(
        image,
        grid.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=align_corners,
    )
