"""How well depth and motion turn the sources into the target, a pixel at a time."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.losses.frames import Frames
from rilievo.losses.photometric import photometric_error
from rilievo.losses.reprojection import Warped, warp
from rilievo.losses.video_options import VideoLosses

WORST = 1.0
"""The largest photometric error there is: that of a point which the source cannot have seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What depth and motion make of the sources.

    Attributes:
        error: What counts: of the best source (or their mean), weighted by ``trust``; where the
            automask leaves a pixel out, the constant error of unmoved sources.
        warped_error: Of the best source (or their mean) alone, whatever ``masks`` say.
        moved: Pixels that the warp explains better than sources as they are.
        images: Each source as the target's camera sees it.
    """

    error: Float[Tensor, "b h w"]
    warped_error: Float[Tensor, "b h w"]
    moved: Bool[Tensor, "b h w"]
    images: tuple[Float[Tensor, "b 3 h w"], ...]

    def detached(self) -> "Explanation":
        """Without what a gradient would need."""
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
    """Warp every source and compare.

    Args:
        frames: Target and sources.
        depth: Of the target, at the same size.
        source_T_target: Of each source.
        options: How they are compared.
        masks: Factors of each source's error, before the best one is chosen.
        trust: Factors of the error of the one that was chosen; no gradient reaches them.
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
        # With two sources of equal error the first is chosen, and alone gets a gradient.
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
