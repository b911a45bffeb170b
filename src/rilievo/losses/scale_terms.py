"""Terms that one scale of disparity adds to the loss of a batch of video."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rilievo.geometry.transforms import scale_translation
from rilievo.losses.depth_hints import hint_loss
from rilievo.losses.explanation import Explanation, explain
from rilievo.losses.frames import Frames, frames_of
from rilievo.losses.immediate import immediately
from rilievo.losses.reprojection import depth_of_sigmoid
from rilievo.losses.smoothness import edge_aware_smoothness
from rilievo.losses.video_options import Scales, VideoLosses
from rilievo.losses.views import Views

MASK_WEIGHT = 0.2
"""Weight of the cross entropy that keeps a predicted mask from leaving everything out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthRange:
    """Range of depth that a sigmoid spans."""

    min_depth: float
    max_depth: float

    def depth(
        self, sigmoid: Float[Tensor, "b 1 _ _"], size: tuple[int, int]
    ) -> Float[Tensor, "b h w"]:
        """Depth of a sigmoid at another size; inverse depth is interpolated."""
        return depth_of_sigmoid(
            resized(sigmoid, size), min_depth=self.min_depth, max_depth=self.max_depth
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Data and options that are the same for all scales.

    Attributes:
        views: The batch.
        motion: ``source_T_target`` of each source.
        multiplied: Whether predicted translations are multiplied by mean inverse depth, separately
            at every scale.
        options: Terms and weights of the loss.
        generator: Same as in ``frames_of``.
        depths: Range of depth that sigmoids span.
        full: Frames at the finest size.
        hint_error: Photometric error of ``views.hints``; None without hints.
        trust: Same as in ``explain``; None without a motion mask.
    """

    views: Views
    motion: tuple[Float[Tensor, "b 4 4"], ...]
    options: VideoLosses
    generator: torch.Generator | None
    depths: DepthRange
    full: Frames
    hint_error: Float[Tensor, "b h w"] | None = None
    trust: Float[Tensor, "b n h w"] | None = None
    multiplied: bool = False

    def depth(self, sigmoid: Float[Tensor, "b 1 _ _"]) -> Float[Tensor, "b h w"]:
        """Depth at the finest size."""
        return self.depths.depth(sigmoid.to(self.views.target.dtype), self.full.size)

    def motion_at(self, depth: Float[Tensor, "b h w"]) -> tuple[Float[Tensor, "b 4 4"], ...]:
        """Motion in the unit of a scale's depth."""
        if not self.multiplied:
            return self.motion
        mean = (1 / depth).mean(dim=(1, 2))
        pairs = zip(self.motion, self.views.source_T_target, strict=True)
        return tuple(scale_translation(T, mean) if known is None else T for T, known in pairs)

    def frames(self, scale: int) -> Frames:
        """Frames to compare for the disparity of a scale."""
        if self.options.scales is Scales.FULL or scale == 0:
            return self.full
        return frames_of(self.views, self.options, self.generator, scale=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A scale's depth, at the size of the comparison, and the sources warped by it."""

    depth: Float[Tensor, "b h w"]
    explanation: Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Contribution of one scale to the loss; only ``cost`` has a gradient.

    Attributes:
        cost: Weighted sum of the terms below.
        photometric: Mean of the photometric error that counts.
        smoothness: Smoothness, before its weight.
        hints: Mean of ``hint_loss``; None without hints.
        mask: Cross entropy of the predicted mask; None without one.
        seen: Depth and warped sources; None unless asked for.
    """

    cost: Float[Tensor, ""]
    photometric: Float[Tensor, ""]
    smoothness: Float[Tensor, ""]
    hints: Float[Tensor, ""] | None
    mask: Float[Tensor, ""] | None
    seen: Seen | None


def term_of(
    scene: Scene,
    scale: int,
    sigmoid: Float[Tensor, "b 1 _ _"],
    mask: Float[Tensor, "b n _ _"] | None,
    *,
    pictured: bool,
) -> Term:
    """Compute the term of one scale and its gradient at once, so that scales do not add memory.

    Gradients reach the sigmoid, the mask, the motion and the intrinsics.

    Args:
        scene: Data and options that are the same for all scales.
        scale: Number of halvings of the target's size.
        sigmoid: Disparity at this scale.
        mask: Same as in ``video_loss``, at this scale.
        pictured: Whether depth and warped sources are kept for display.
    """
    frames, sources = scene.frames(scale), len(scene.motion)
    kept: list[Term] = []

    def cost(sigmoid: Tensor, K: Tensor, *others: Tensor) -> Tensor:
        term = _term(
            replace(scene, motion=others[:sources]),
            replace(frames, K=K),
            scale,
            sigmoid,
            others[sources] if others[sources:] else None,
        )
        kept.append(term if pictured else replace(term, seen=None))
        return term.cost

    masks = () if mask is None or not scene.options.predictive_mask else (mask,)
    value = immediately(cost, sigmoid, frames.K, *scene.motion, *masks)
    return replace(kept[0], cost=value)


def _term(scene: Scene, frames: Frames, scale: int, sigmoid: Tensor, mask: Tensor | None) -> Term:
    """Compute the term; all but ``cost`` is detached, since it outlives the graph."""
    options, views = scene.options, scene.views
    sigmoid = sigmoid.to(views.target.dtype)
    depth = scene.depths.depth(sigmoid, frames.size)
    mask = None if mask is None else resized(mask.to(sigmoid.dtype), frames.size)
    motion = scene.motion_at(depth)
    explanation = explain(frames, depth, motion, options, masks=mask, trust=scene.trust)
    photometric = frames.mean(explanation.error)
    smoothness = edge_aware_smoothness(sigmoid, views.pyramid[scale])
    explanation, hints, entropy = explanation.detached(), None, None
    cost = options.photometric * photometric + options.smoothness / 2**scale * smoothness
    if views.hints is not None and scene.hint_error is not None:
        hints = frames.mean(hint_loss(depth, explanation.error, views.hints, scene.hint_error))
        cost = cost + hints
    if mask is not None:
        entropy = F.binary_cross_entropy(mask, torch.ones_like(mask))
        cost = cost + MASK_WEIGHT * entropy
    return Term(
        cost=cost,
        photometric=photometric.detach(),
        smoothness=smoothness.detach(),
        hints=None if hints is None else hints.detach(),
        mask=None if entropy is None else entropy.detach(),
        seen=Seen(depth=depth.detach(), explanation=explanation),
    )


def resized(x: Float[Tensor, "b n _ _"], size: tuple[int, int]) -> Float[Tensor, "b n h w"]:
    """Resize bilinearly, with the image's edges kept."""
    if (x.shape[-2], x.shape[-1]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
