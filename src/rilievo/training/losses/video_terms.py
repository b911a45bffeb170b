"""Terms of the loss on video: each is a function and a row of ``TERMS``."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.frozen import frozen
from rilievo.geometry.transforms import scale_translation
from rilievo.registry import load_outside
from rilievo.shapes import Size
from rilievo.training.losses.photometric import Warped
from rilievo.training.losses.supervised import own_loss
from rilievo.training.losses.video_options import Scales, VideoLosses
from rilievo.training.losses.warped_frames import Explanation, Frames, Views, frames_of
from rilievo.training.tensors import (
    Images,
    Maps,
    Masks,
    OneChannel,
    Scalar,
    Sigmoids,
    Stack,
    StackAtScale,
    Transforms,
)


@frozen
class SourceAgreement:
    """Agreement of the target's depth with that of its sources; ``trust`` is in 0..1, detached."""

    trust: Stack
    consistency: Scalar


@frozen
class VideoScene:
    """Data and options that are the same for all scales.

    Attributes:
        motion: ``source_T_target`` of each source.
        multiplied: Whether predicted translations are multiplied by mean inverse depth at every
            scale.
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
        """Return depth at a size, by default the finest."""
        share = resized(sigmoid.to(self.views.target.dtype), size or self.full.size)[:, 0]
        return 1 / (1 / self.max_depth + (1 / self.min_depth - 1 / self.max_depth) * share)

    def motion_at(self, depth: Maps) -> tuple[Transforms, ...]:
        """Return motion in the unit of a scale's depth."""
        if not self.multiplied:
            return self.motion
        mean = (1 / depth).mean(dim=(1, 2))
        pairs = zip(self.motion, self.views.source_T_target, strict=True)
        return tuple(
            scale_translation(T, mean) if reference is None else T for T, reference in pairs
        )

    def frames(self, scale: int) -> Frames:
        """Return the frames that a scale compares."""
        if self.options.scales is Scales.FULL or scale == 0:
            return self.full
        return frames_of(self.views, self.options, self.generator, scale=scale)


@frozen
class AtScale:
    """Predictions at one scale, a number of halvings."""

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


_LEAST_MEAN = 1e-7  # as published; avoids a division by zero if the sigmoid is zero everywhere


def depth_disagreement(view: Warped) -> Maps:
    """|z - D| / (z + D), z of the target's points and D of the source (Bian et al., 2019)."""
    D = view.image[:, 0]
    z = torch.where(view.in_view, view.depth, D)
    return (z - D).abs() / (z + D)


def consistency_loss(disagreement: Maps, counted: Masks) -> Scalar:
    """Average the pixels that count; 0 if none does."""
    return (disagreement * counted).sum() / counted.sum().clamp(min=1)


def edge_aware_smoothness(sigmoid: OneChannel, image: Images) -> Scalar:
    """Edge-aware smoothness of the sigmoid d over its image's mean.

    Mean |∂x d| exp(-|∂x I|) + mean |∂y d| exp(-|∂y I|).

    The division (C. Wang et al., CVPR 2018) keeps a network from shrinking its output.
    """
    shape = sigmoid / (sigmoid.mean(dim=(2, 3), keepdim=True) + _LEAST_MEAN)
    total = sigmoid.new_zeros(())
    for dim in (2, 3):
        edge = image.diff(dim=dim).abs().mean(dim=1, keepdim=True)
        total = total + (shape.diff(dim=dim).abs() * edge.neg().exp()).mean()
    return total


def anchor_loss(
    depth: Maps,
    prior: Maps,
    weights: Maps | None = None,
) -> Scalar:
    """Weighted mean of |log depth - log prior| less the median of each image."""
    counted = torch.ones_like(prior) if weights is None else weights
    counted = torch.where(prior > 0, counted, 0.0)
    apart = depth.log() - prior.clamp(min=1e-6).log()
    differences = torch.where(counted > 0, apart.detach(), torch.nan)
    # An image without a pixel that counts has no median, and counts for nothing.
    middle = differences.flatten(1).nanmedian(dim=1).values.nan_to_num()
    left = (apart - middle[:, None, None]).abs()
    return (left * counted).sum() / counted.sum().clamp(min=1)


def _always(scene: VideoScene) -> None:
    """Return no error: the term needs nothing that could be missing."""


@frozen
class Term:
    """One term of the loss.

    Attributes:
        weight: Field of ``VideoLosses`` that is its weight or turns it on.
        factor: Factor of that weight; the weight itself of a term of one's own.
        of_batch: Function of its value for a batch, or None.
        of_scale: The same for one scale; its gradient is computed at once.
        lacks: Function that returns what is missing.
    """

    weight: str = ""
    factor: float = 1.0
    of_batch: Callable[[VideoScene], Tensor | None] | None = None
    of_scale: Callable[[VideoScene, AtScale], Tensor | None] | None = None
    lacks: Callable[[VideoScene], str | None] = _always

    def weight_in(self, options: VideoLosses) -> float:
        """Return the weight of the term; 0 where it is off."""
        if not self.weight:
            return self.factor
        return self.factor * float(getattr(options, self.weight))


def _photometric(scene: VideoScene, at: AtScale) -> Tensor:
    return at.frames.mean(at.explanation.error)


def _smoothness(scene: VideoScene, at: AtScale) -> Tensor:
    return edge_aware_smoothness(at.sigmoid, scene.views.pyramid[at.scale]) / 2**at.scale


def _mask(scene: VideoScene, at: AtScale) -> Tensor | None:
    return None if at.mask is None else F.binary_cross_entropy(at.mask, torch.ones_like(at.mask))


def _consistency(scene: VideoScene) -> Tensor | None:
    return None if scene.agreement is None else scene.agreement.consistency


def _kept_near(name: str) -> Callable[[VideoScene], Tensor | None]:

    def term(scene: VideoScene) -> Tensor | None:
        maps = scene.views.maps
        if name not in maps:
            return None
        return anchor_loss(scene.depth(scene.sigmoid), maps[name], maps.get(f"{name}_weights"))

    return term


def _lacks_mask(scene: VideoScene) -> str | None:
    if scene.masks is not None:
        return None
    return "a predictive mask needs a network with a mask head: set mask in the blueprint"


TERMS: Mapping[str, Term] = {
    "photometric": Term(weight="photometric", of_scale=_photometric),
    "smoothness": Term(weight="smoothness", of_scale=_smoothness),
    "mask": Term(weight="predictive_mask", factor=0.2, of_scale=_mask, lacks=_lacks_mask),
    "consistency": Term(weight="consistency", of_batch=_consistency),
    "anchor": Term(weight="anchor", of_batch=_kept_near("prior")),
    "corners": Term(weight="corners", of_batch=_kept_near("corners")),
    "labels": Term(weight="labels", of_batch=_kept_near("labels")),
}


@cache
def terms_of(options: VideoLosses) -> Mapping[str, Term]:
    """Return the table's terms, and the user's own, each like ``Term.of_scale`` or a ``Term``."""
    terms = dict(TERMS)
    for place, weight in options.own_weights.items():
        candidate = load_outside(place, "loss")
        own = candidate if isinstance(candidate, Term) else Term(of_scale=own_loss(place))
        terms[place] = replace(own, weight="", factor=weight)
    return terms
