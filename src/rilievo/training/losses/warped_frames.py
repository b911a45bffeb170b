"""Frames warped to another camera, and how well they explain it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Bool, Float
from rilievo.geometry.intrinsics import LEAST_DEPTH, project_to_source, resize_K
from rilievo.training.losses.photometric import TargetImage, photometric_error, prepare_target
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

PUBLISHED_EPSILON = 1e-7


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
