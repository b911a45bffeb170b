"""Photometric error of frames warped to another camera, and how well they explain it.

SSIM is over 3×3 equally weighted pixels, as in C. Godard et al. (ICCV 2019).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.arrays.shapes import Bool, Float
from rilievo.geometry.intrinsics import LEAST_DEPTH, project_to_source, resize_K
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.tensors import (
    Channels,
    Images,
    Intrinsics,
    Maps,
    Masks,
    Scalar,
    Stack,
    Transforms,
)

# The window is summed, not averaged: all terms below are 81 times those of the paper.
_C1 = 81 * 0.01**2
_C2 = 81 * 0.03**2
PUBLISHED_EPSILON = 1e-7


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpedSource:
    """Source frame, resampled where it sees the target's points.

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
        """Points in front of the source and inside its image."""
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
) -> WarpedSource:
    """Warp a source frame to the target's camera by the target's depth."""
    epsilon = None if in_front else PUBLISHED_EPSILON
    projection = project_to_source(depth, K, source_T_target, epsilon=epsilon)
    pixels = projection[:, :2]
    image = sample_image(source, pixels, align_corners=align_corners)
    return WarpedSource(image=image, pixels=pixels, depth=projection[:, 2])


def sample_image(
    image: Channels,
    pixels: Float[Tensor, "b 2 h w"],
    *,
    align_corners: bool = True,
) -> Channels:
    """Sample colours bilinearly at (u, v) [px], clamped to the border."""
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


_NOISE = 1e-5  # breaks ties at random between unmoved and warped sources if the camera stood still
# Photometric error of points that the source cannot have seen.
WORST = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Batch of target frames, each with as many source frames, RGB in 0..1.

    Networks see ``target_seen`` and ``sources_seen``.

    Attributes:
        pyramid: ``target`` at scales 0 to 3.
        source_T_target: Known motion of each source [unit of depth]; else None.
        true_motion: The same [m] by poses or the baseline in any case; NaN without poses.
        valid: Pixels of the target that count.
        maps: Depth in any unit that learned depth is kept near, not positive where unknown:
            ``prior``, ``corners``, and ``labels`` with ``labels_weights`` in 0..1.
    """

    target: Images
    sources: tuple[Images, ...]
    target_seen: Images
    sources_seen: tuple[Images, ...]
    pyramid: tuple[Float[Tensor, "b 3 _ _"], ...]
    K: Intrinsics
    source_T_target: tuple[Transforms | None, ...]
    true_motion: tuple[Transforms | None, ...] = ()
    source_pyramids: tuple[tuple[Float[Tensor, "b 3 _ _"], ...], ...] | None = None
    valid: Masks | None = None
    maps: Mapping[str, Maps] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Target and sources at one size; ``still`` is the error of the best unmoved source."""

    target: TargetImage
    sources: tuple[Images, ...]
    K: Intrinsics
    valid: Masks | None
    still: Maps

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) [px]."""
        height, width = self.target.image.shape[-2:]
        return height, width

    def mean(self, error: Maps) -> Scalar:
        """Average the pixels that count; 0 if none does."""
        if self.valid is None:
            return error.mean()
        return torch.where(self.valid, error, 0.0).sum() / self.valid.sum().clamp(min=1)


def frames_at_scale(
    views: Views, options: VideoLosses, generator: torch.Generator | None, *, scale: int = 0
) -> Frames:
    """Take views at a scale; without a generator there is no noise."""
    target, sources = views.target, views.sources
    if scale:
        assert views.source_pyramids is not None, "sources have the sizes that are compared"
        target = views.pyramid[scale]
        sources = tuple(pyramid[scale] for pyramid in views.source_pyramids)
    prepared = prepare_target(target)
    errors = torch.stack([photometric_error(x, prepared, ssim=options.ssim) for x in sources], 1)
    chosen = errors if options.minimum else errors.mean(dim=1, keepdim=True)
    if generator is not None:
        noise = torch.randn(chosen.shape, generator=generator, device=generator.device)
        chosen = chosen.add(noise.to(chosen), alpha=_NOISE)
    return Frames(
        target=prepared,
        sources=sources,
        K=_K_at_scale(views, options, scale),
        valid=None if views.valid is None else _shrink_where_all_valid(views.valid, 2**scale),
        still=chosen.amin(dim=1),
    )


def _K_at_scale(views: Views, options: VideoLosses, scale: int) -> Intrinsics:
    if not scale:
        return views.K
    height, width = views.pyramid[scale].shape[-2:]
    size = (views.target.shape[-2], views.target.shape[-1])
    if options.pixel_centres:
        return resize_K(views.K, size=size, new_size=(height, width))
    factors = views.K.new_tensor([width / size[1], height / size[0], 1.0])
    return views.K * factors[:, None]


def _shrink_where_all_valid(valid: Bool[Tensor, "b _ _"], factor: int) -> Bool[Tensor, "b _ _"]:
    if factor == 1:
        return valid
    return F.max_pool2d((~valid)[:, None].float(), factor)[:, 0] == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Sources warped to the target, and their photometric errors.

    Attributes:
        error: Error that counts; that of unmoved sources where the automask leaves a pixel out.
        warped_error: Error of the best warped source (or their mean), without masks and trust.
        moved: Pixels that warped sources explain better than unmoved ones.
    """

    error: Maps
    warped_error: Maps
    moved: Masks
    images: tuple[Images, ...]

    def detached(self) -> "Explanation":
        """Detach all tensors from the graph."""
        return Explanation(
            error=self.error.detach(),
            warped_error=self.warped_error.detach(),
            moved=self.moved,
            images=tuple(image.detach() for image in self.images),
        )


def explain(
    frames: Frames,
    depth: Maps,
    source_T_target: tuple[Transforms, ...],
    options: VideoLosses,
    *,
    masks: Stack | None = None,
    trust: Stack | None = None,
) -> Explanation:
    """Warp every source to the target and compare them: minimum reprojection and auto-masking.

    ``masks`` are factors of errors before the best one is chosen; ``trust`` after it.
    """
    warped = tuple(
        warp(
            source,
            depth,
            frames.K,
            T,
            align_corners=options.align_corners,
            in_front=options.in_front,
        )
        for source, T in zip(frames.sources, source_T_target, strict=True)
    )
    whole = torch.stack(
        [_error_or_worst_behind(frames, projection, options) for projection in warped], dim=1
    )
    errors = whole if masks is None else whole * masks
    if options.minimum:
        # If two sources have the same error, only the first gets a gradient.
        best, chosen = errors.min(dim=1)
        error = best if trust is None else best * trust.gather(1, chosen[:, None])[:, 0]
    else:
        best = errors.mean(dim=1)
        error = best if trust is None else (errors * trust).mean(dim=1)
    if masks is not None:
        best = whole.amin(dim=1) if options.minimum else whole.mean(dim=1)
    moved = best.detach() < frames.still
    if options.automask:
        error = torch.where(moved, error, frames.still)
    return Explanation(
        error=error,
        warped_error=best,
        moved=moved,
        images=tuple(projection.image for projection in warped),
    )


def _error_or_worst_behind(frames: Frames, warped: WarpedSource, options: VideoLosses) -> Maps:
    error = photometric_error(warped.image, frames.target, ssim=options.ssim)
    return torch.where(warped.in_front, error, WORST) if options.in_front else error
