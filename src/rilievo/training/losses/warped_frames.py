"""Frames warped to another camera, and how well they explain its frame.

T. Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017. The minimum
over the sources and the automask are those of C. Godard et al., ICCV 2019.
"""

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
"""Added to depth in the source's camera before the division by it, as in Godard et al."""
WORST = 1.0
"""Photometric error of points that the source cannot have seen."""
_TIE_NOISE = 1e-5
"""Standard deviation of noise on the errors of unmoved sources.

Unmoved and warped sources are equal if the camera stood still; the noise breaks these ties.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpedSource:
    """Source frame, resampled where it sees the target's points.

    Attributes:
        image: Colours, or other channels, of the source at ``pixels``.
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
        in_columns = (u >= 0) & (u <= width - 1)
        in_rows = (v >= 0) & (v <= height - 1)
        return self.in_front & in_columns & in_rows


def warp(
    source: Channels,
    depth: Maps,
    K: Intrinsics,
    source_T_target: Transforms,
    *,
    align_corners: bool = True,
    in_front: bool = True,
) -> WarpedSource:
    """Warp a source frame to the target's camera by the target's depth.

    If ``in_front``, the divisor of a position is positive. Otherwise it is the point's depth in the
    source's camera plus ``PUBLISHED_EPSILON``, which mirrors points behind that camera.
    """
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
    grid_per_pixel = torch.tensor([[[2 / (width - 1)]], [[2 / (height - 1)]]], dtype=pixels.dtype)
    grid = torch.addcmul(pixels.new_tensor(-1), pixels, grid_per_pixel.to(pixels.device))
    return F.grid_sample(
        image,
        grid.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=align_corners,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Batch of target frames, each with the same number of source frames, RGB in 0..1.

    The loss compares ``target`` and ``sources``; networks see ``target_seen`` and ``sources_seen``,
    whose colours may be changed.

    Attributes:
        pyramid: ``target`` at scales 0 to 3, each half as large as the scale before.
        source_T_target: Known motion of each source [unit of depth]; None where a network
            predicts it.
        true_motion: Motion [m] by poses or the baseline, for each source; NaN without poses.
        source_pyramids: ``sources`` at scales 0 to 3, for ``Scales.NATIVE``; otherwise None.
        valid: Pixels of the target that count; None for all.
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
    """Target and sources at one size.

    Attributes:
        valid: Pixels that count; None for all.
        still: Photometric error of the best unmoved source, or the mean of all, with noise.
    """

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
    """Take the frames of a scale, which is a number of halvings.

    The generator is that of the noise on ``still``; None adds no noise.
    """
    target = views.target
    sources = views.sources
    if scale:
        assert views.source_pyramids is not None, "sources have the sizes that are compared"
        target = views.pyramid[scale]
        sources = tuple(pyramid[scale] for pyramid in views.source_pyramids)

    prepared_target = prepare_target(target)
    still_errors = torch.stack(
        [photometric_error(source, prepared_target, ssim=options.ssim) for source in sources], dim=1
    )
    if not options.minimum:
        still_errors = still_errors.mean(dim=1, keepdim=True)
    if generator is not None:
        noise = torch.randn(still_errors.shape, generator=generator, device=generator.device)
        still_errors = still_errors.add(noise.to(still_errors), alpha=_TIE_NOISE)

    valid = None
    if views.valid is not None:
        valid = _shrink_where_all_valid(views.valid, 2**scale)
    return Frames(
        target=prepared_target,
        sources=sources,
        K=_K_at_scale(views, options, scale),
        valid=valid,
        still=still_errors.amin(dim=1),
    )


def _K_at_scale(views: Views, options: VideoLosses, scale: int) -> Intrinsics:
    if not scale:
        return views.K
    height, width = views.target.shape[-2:]
    new_height, new_width = views.pyramid[scale].shape[-2:]
    if options.pixel_centres:
        return resize_K(views.K, size=(height, width), new_size=(new_height, new_width))
    factors = views.K.new_tensor([new_width / width, new_height / height, 1.0])
    return views.K * factors[:, None]


def _shrink_where_all_valid(valid: Bool[Tensor, "b _ _"], factor: int) -> Bool[Tensor, "b _ _"]:
    """Shrink a mask by a factor; a pixel is valid if all pixels that it covers are."""
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

    ``masks`` are factors of errors before the best source is chosen; ``trust`` after it.
    """
    warped = tuple(
        warp(
            source,
            depth,
            frames.K,
            motion,
            align_corners=options.align_corners,
            in_front=options.in_front,
        )
        for source, motion in zip(frames.sources, source_T_target, strict=True)
    )
    unmasked_errors = torch.stack(
        [_error_or_worst_behind(frames, projection, options) for projection in warped], dim=1
    )

    errors = unmasked_errors if masks is None else unmasked_errors * masks
    if options.minimum:
        # If two sources have the same error, only the first gets a gradient.
        warped_error, best_source = errors.min(dim=1)
        error = warped_error
        if trust is not None:
            error = error * trust.gather(1, best_source[:, None])[:, 0]
    else:
        warped_error = errors.mean(dim=1)
        error = warped_error if trust is None else (errors * trust).mean(dim=1)
    if masks is not None:
        warped_error = (
            unmasked_errors.amin(dim=1) if options.minimum else unmasked_errors.mean(dim=1)
        )

    moved = warped_error.detach() < frames.still
    if options.automask:
        error = torch.where(moved, error, frames.still)
    return Explanation(
        error=error,
        warped_error=warped_error,
        moved=moved,
        images=tuple(projection.image for projection in warped),
    )


def _error_or_worst_behind(frames: Frames, warped: WarpedSource, options: VideoLosses) -> Maps:
    error = photometric_error(warped.image, frames.target, ssim=options.ssim)
    if not options.in_front:
        return error
    return torch.where(warped.in_front, error, WORST)
