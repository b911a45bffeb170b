"""Photometric error, per pixel, of sources warped to the target by depth and motion."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.losses.frames import Frames
from rilievo.losses.photometric import photometric_error
from rilievo.losses.reprojection import Warped, warp
from rilievo.losses.video_options import VideoLosses

WORST = 1.0
"""Largest photometric error, given to points that the source cannot have seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Sources warped to the target, and their photometric errors.

    Attributes:
        error: Error that counts: that of the best source (or their mean), weighted by ``trust``;
            where the automask leaves a pixel out, the constant error of unmoved sources.
        warped_error: Error of the best warped source (or their mean), without masks and trust.
        moved: Pixels that warped sources explain better than unmoved ones.
        images: Each source as the target's camera would see it.
    """

    error: Float[Tensor, "b h w"]
    warped_error: Float[Tensor, "b h w"]
    moved: Bool[Tensor, "b h w"]
    images: tuple[Float[Tensor, "b 3 h w"], ...]

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
    depth: Float[Tensor, "b h w"],
    source_T_target: tuple[Float[Tensor, "b 4 4"], ...],
    options: VideoLosses,
    *,
    masks: Float[Tensor, "b n h w"] | None = None,
    trust: Float[Tensor, "b n h w"] | None = None,
) -> Explanation:
    """Warp every source to the target and compare them.

    Args:
        frames: Target and sources.
        depth: Depth of the target, at the same size.
        source_T_target: Motion of each source.
        options: Options of the comparison.
        masks: Factors of each source's error, applied before the best one is chosen.
        trust: Factors of each source's error, applied after the best one is chosen; detached.
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
    whole = torch.stack([_error(frames, each, options) for each in warped], dim=1)
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
        images=tuple(each.image for each in warped),
    )


def _error(frames: Frames, warped: Warped, options: VideoLosses) -> Float[Tensor, "b h w"]:
    error = photometric_error(warped.image, frames.target, ssim=options.ssim)
    return torch.where(warped.in_front, error, WORST) if options.in_front else error
