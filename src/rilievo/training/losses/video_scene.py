"""Inputs of the terms of the loss on video."""

import torch
import torch.nn.functional as F

from rilievo.frozen import frozen
from rilievo.geometry.transforms import scale_translation
from rilievo.shapes import Size
from rilievo.training.losses.video_options import Scales, VideoLosses
from rilievo.training.losses.warped_frames import Explanation, Frames, Views, frames_of
from rilievo.training.tensors import Maps, Scalar, Sigmoids, Stack, StackAtScale, Transforms


@frozen
class SourceAgreement:
    """Agreement of the depth of the target with that of its sources.

    ``trust`` is a factor of each source's error, in 0..1, detached; ``consistency`` the mean
    disagreement.
    """

    trust: Stack
    consistency: Scalar


@frozen
class VideoScene:
    """Data and options that are the same for all scales.

    Attributes:
        motion: ``source_T_target`` of each source.
        multiplied: Whether predicted translations are multiplied by mean inverse depth, separately
            at every scale.
        masks: Predicted masks of all scales; None without.
        source_sigmoids: Finest disparity of each source; None where it was not predicted.
        agreement: Agreement with the depth of the sources; None where no option needs it.
    """

    views: Views
    motion: tuple[Transforms, ...]
    options: VideoLosses
    generator: torch.Generator | None
    min_depth: float
    max_depth: float
    full: Frames
    sigmoid: Sigmoids
    masks: tuple[StackAtScale, ...] | None = None
    source_sigmoids: tuple[Sigmoids, ...] | None = None
    agreement: SourceAgreement | None = None
    multiplied: bool = False

    def depth(self, sigmoid: Sigmoids, size: Size | None = None) -> Maps:
        """Depth at a size, by default the finest; inverse depth is interpolated.

        It lies between 1 / ``max_depth`` (sigmoid 0) and 1 / ``min_depth`` (1).
        """
        share = resized(sigmoid.to(self.views.target.dtype), size or self.full.size)[:, 0]
        return 1 / (1 / self.max_depth + (1 / self.min_depth - 1 / self.max_depth) * share)

    def motion_at(self, depth: Maps) -> tuple[Transforms, ...]:
        """Motion in the unit of a scale's depth."""
        if not self.multiplied:
            return self.motion
        mean = (1 / depth).mean(dim=(1, 2))
        pairs = zip(self.motion, self.views.source_T_target, strict=True)
        return tuple(
            scale_translation(T, mean) if reference is None else T for T, reference in pairs
        )

    def frames(self, scale: int) -> Frames:
        """Frames to compare for the disparity of a scale."""
        if self.options.scales is Scales.FULL or scale == 0:
            return self.full
        return frames_of(self.views, self.options, self.generator, scale=scale)


@frozen
class AtScale:
    """Predictions at one scale, and how well they explain the target.

    Attributes:
        scale: Number of halvings of the target's size.
        depth: Depth at the size of the comparison.
        mask: Predicted mask at that size; None without.
    """

    scale: int
    frames: Frames
    sigmoid: Sigmoids
    depth: Maps
    mask: Stack | None
    explanation: Explanation


def resized(x: StackAtScale, size: Size) -> Stack:
    """Resize bilinearly, with the image's edges kept."""
    if (x.shape[-2], x.shape[-1]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
