"""Source frames warped to the target's camera, and how well they explain the target frame.

T. Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017. The minimum
over the sources and the automask are those of C. Godard et al., ICCV 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Bool, Float
from rilievo.geometry.intrinsics import MIN_DEPTH, project_to_source, resize_K
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

If the camera stood still, unmoved and warped sources have the same error. The noise breaks the tie.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpedSource:
    """Source frame, sampled at the points that the target sees.

    Attributes:
        image: Colours, or other channels, of the source at ``pixels``.
        pixels: Coordinates (u, v) of the target's points in the source [px].
        depth: Depth of the target's points in the source's camera; not positive behind it.
    """

    image: Channels
    pixels: Float[Tensor, "b 2 h w"]
    depth: Maps

    @property
    def in_front(self) -> Masks:
        """Points in front of the source's camera."""
        return self.depth > MIN_DEPTH

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

    If ``in_front``, projection divides by a positive depth. Otherwise it divides by the point's
    depth in the source's camera plus ``PUBLISHED_EPSILON``, which mirrors points behind it.
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
    # grid_sample expects the outermost pixel centres at -1 and 1: grid = 2 u / (width - 1) - 1.
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
        identity_error: Photometric error of the best unmoved source, or the mean of all, with
            noise that breaks ties.
    """

    target: TargetImage
    sources: tuple[Images, ...]
    K: Intrinsics
    valid: Masks | None
    identity_error: Maps

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

    ``generator`` draws the noise on the errors of the unmoved sources; None adds no noise.
    """
    target = views.target
    sources = views.sources
    if scale:
        assert views.source_pyramids is not None, "native scales come with pyramids of the sources"
        target = views.pyramid[scale]
        sources = tuple(pyramid[scale] for pyramid in views.source_pyramids)

    prepared_target = prepare_target(target)
    valid = None
    if views.valid is not None:
        valid = _shrink_where_all_valid(views.valid, 2**scale)
    return Frames(
        target=prepared_target,
        sources=sources,
        K=_K_at_scale(views, options, scale),
        valid=valid,
        identity_error=_identity_error(prepared_target, sources, options, generator),
    )


def _identity_error(
    target: TargetImage,
    sources: tuple[Images, ...],
    options: VideoLosses,
    generator: torch.Generator | None,
) -> Maps:
    """Photometric error of the unmoved sources, as ``Frames.identity_error`` explains it."""
    source_errors = [photometric_error(source, target, ssim=options.ssim) for source in sources]
    errors = torch.stack(source_errors, dim=1)
    if not options.minimum:
        errors = errors.mean(dim=1, keepdim=True)
    if generator is not None:
        # Added before the minimum over the sources, as in the published program.
        noise = torch.randn(errors.shape, generator=generator, device=generator.device)
        errors = errors.add(noise.to(errors), alpha=_TIE_NOISE)
    # The mean over the sources is a single error, which is its own minimum.
    return errors.amin(dim=1)


def _K_at_scale(views: Views, options: VideoLosses, scale: int) -> Intrinsics:
    """Intrinsics at the size of a scale.

    Without ``pixel_centres``, K is multiplied by the factors of the size as in the published
    program, which moves pixel centres by up to half a pixel.
    """
    if not scale:
        return views.K
    height, width = views.target.shape[-2:]
    new_height, new_width = views.pyramid[scale].shape[-2:]
    if options.pixel_centres:
        return resize_K(views.K, size=(height, width), new_size=(new_height, new_width))
    row_factors = views.K.new_tensor([new_width / width, new_height / height, 1.0])
    return views.K * row_factors[:, None]


def _shrink_where_all_valid(valid: Bool[Tensor, "b _ _"], factor: int) -> Bool[Tensor, "b _ _"]:
    """Shrink a mask by a factor; a pixel is valid if all pixels that it covers are."""
    if factor == 1:
        return valid
    has_invalid = F.max_pool2d((~valid)[:, None].float(), factor)[:, 0]
    return has_invalid == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Sources warped to the target, and their photometric errors.

    Attributes:
        error: Error that the loss averages: that of warped sources, or of unmoved ones where the
            automask leaves a pixel out.
        warped_error: Error of the best warped source (or their mean), without masks and trust.
        automask: Pixels that warped sources explain better than unmoved ones.
        images: Warped sources.
    """

    error: Maps
    warped_error: Maps
    automask: Masks
    images: tuple[Images, ...]

    def detached(self) -> "Explanation":
        """Detach all tensors from the graph."""
        return Explanation(
            error=self.error.detach(),
            warped_error=self.warped_error.detach(),
            automask=self.automask,
            images=tuple(image.detach() for image in self.images),
        )


def compare_warped_sources(
    frames: Frames,
    depth: Maps,
    source_T_target: tuple[Transforms, ...],
    options: VideoLosses,
    *,
    masks: Stack | None = None,
    trust: Stack | None = None,
) -> Explanation:
    """Warp every source to the target and compare them: minimum reprojection and auto-masking.

    ``masks`` and ``trust`` are factors of the errors of each source. The masks also affect which
    source of a pixel is the best; the trust does not.
    """
    warped_sources = tuple(
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
        [_error_or_worst_behind(frames, source, options) for source in warped_sources], dim=1
    )

    masked_errors = unmasked_errors if masks is None else unmasked_errors * masks
    if options.minimum:
        error = _error_of_best_source(masked_errors, trust)
        warped_error = unmasked_errors.min(dim=1).values
    else:
        weighted_errors = masked_errors if trust is None else masked_errors * trust
        error = weighted_errors.mean(dim=1)
        warped_error = unmasked_errors.mean(dim=1)

    # Pixels that unmoved sources explain as well, such as those of a car ahead, do not move as the
    # camera does. Their error is replaced by one that has no gradient.
    automask = warped_error.detach() < frames.identity_error
    counted_error = error
    if options.automask:
        counted_error = torch.where(automask, error, frames.identity_error)
    return Explanation(
        error=counted_error,
        warped_error=warped_error,
        automask=automask,
        images=tuple(source.image for source in warped_sources),
    )


def _error_of_best_source(errors: Stack, trust: Stack | None) -> Maps:
    """Error of the best source of each pixel, times the trust in this source."""
    # Unlike amin, min gives a gradient only to the first of two equal sources.
    error, best_source = errors.min(dim=1)
    if trust is None:
        return error
    return error * trust.gather(1, best_source[:, None])[:, 0]


def _error_or_worst_behind(frames: Frames, source: WarpedSource, options: VideoLosses) -> Maps:
    """Photometric error of a warped source; ``WORST`` for points behind its camera."""
    error = photometric_error(source.image, frames.target, ssim=options.ssim)
    if not options.in_front:
        return error
    return torch.where(source.in_front, error, WORST)
