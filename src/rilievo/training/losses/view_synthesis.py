"""Loss of view synthesis: right depth and motion turn neighbouring frames into the target.

C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019. Each term is
a function and a row of ``TERMS``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError
from rilievo.extensions.user_objects import load_user_object
from rilievo.geometry.transforms import scale_translation
from rilievo.training.losses.supervised import load_own_loss
from rilievo.training.losses.video_options import Scales, VideoLosses
from rilievo.training.losses.warped_frames import (
    Explanation,
    Frames,
    Views,
    WarpedSource,
    explain,
    frames_at_scale,
    warp,
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAgreement:
    """Agreement of the target's depth with that of its sources; ``trust`` is in 0..1, detached."""

    trust: Stack
    consistency: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoScene:
    """Data and options that are the same for all scales.

    With ``multiplied``, predicted translations are multiplied by mean inverse depth at every scale.
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
        """Depth of a sigmoid, by default at the finest size."""
        share = resize_bilinearly(sigmoid.to(self.views.target.dtype), size or self.full.size)[:, 0]
        return 1 / (1 / self.max_depth + (1 / self.min_depth - 1 / self.max_depth) * share)

    def motion_at(self, depth: Maps) -> tuple[Transforms, ...]:
        """Motion in the unit of ``depth``, at one scale."""
        if not self.multiplied:
            return self.motion
        mean = (1 / depth).mean(dim=(1, 2))
        pairs = zip(self.motion, self.views.source_T_target, strict=True)
        return tuple(
            scale_translation(T, mean) if reference is None else T for T, reference in pairs
        )

    def frames(self, scale: int) -> Frames:
        """Frames that a scale compares."""
        if self.options.scales is Scales.FULL or scale == 0:
            return self.full
        return frames_at_scale(self.views, self.options, self.generator, scale=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtScale:
    """Predictions at one scale, a number of halvings."""

    scale: int
    frames: Frames
    sigmoid: Sigmoids
    depth: Maps
    mask: Stack | None
    explanation: Explanation


def resize_bilinearly(x: StackAtScale, size: Size) -> Stack:
    """Resize, with the image's edges kept."""
    if (x.shape[-2], x.shape[-1]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


_LEAST_MEAN = 1e-7  # as published; avoids a division by zero if the sigmoid is zero everywhere


def depth_disagreement(view: WarpedSource) -> Maps:
    """|z - D| / (z + D), z of the target's points and D of the source (Bian et al., 2019)."""
    D = view.image[:, 0]
    z = torch.where(view.in_view, view.depth, D)
    return (z - D).abs() / (z + D)


def consistency_loss(disagreement: Maps, counted: Masks) -> Scalar:
    """Average the pixels that count; 0 if none does."""
    return (disagreement * counted).sum() / counted.sum().clamp(min=1)


def edge_aware_smoothness(sigmoid: OneChannel, image: Images) -> Scalar:
    """Edge-aware smoothness of the sigmoid d: mean |∂x d| exp(-|∂x I|) + mean |∂y d| exp(-|∂y I|).

    Its division by the image's mean (C. Wang et al., CVPR 2018) keeps a network from shrinking its
    output.
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


def _no_problem(scene: VideoScene) -> None:
    """None: the term needs nothing that could be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    lacks: Callable[[VideoScene], str | None] = _no_problem

    def weight_in(self, options: VideoLosses) -> float:
        """Weight of the term in options; 0 where it is off."""
        if not self.weight:
            return self.factor
        return self.factor * float(getattr(options, self.weight))


def _photometric_term(scene: VideoScene, at: AtScale) -> Tensor:
    return at.frames.mean(at.explanation.error)


def _smoothness_term(scene: VideoScene, at: AtScale) -> Tensor:
    return edge_aware_smoothness(at.sigmoid, scene.views.pyramid[at.scale]) / 2**at.scale


def _mask_term(scene: VideoScene, at: AtScale) -> Tensor | None:
    return None if at.mask is None else F.binary_cross_entropy(at.mask, torch.ones_like(at.mask))


def _consistency_term(scene: VideoScene) -> Tensor | None:
    return None if scene.agreement is None else scene.agreement.consistency


def _make_anchor_term(name: str) -> Callable[[VideoScene], Tensor | None]:

    def term(scene: VideoScene) -> Tensor | None:
        maps = scene.views.maps
        if name not in maps:
            return None
        return anchor_loss(scene.depth(scene.sigmoid), maps[name], maps.get(f"{name}_weights"))

    return term


def _problem_without_mask(scene: VideoScene) -> str | None:
    if scene.masks is not None:
        return None
    return "a predictive mask needs a network with a mask head: set mask in the blueprint"


TERMS: Mapping[str, Term] = {
    "photometric": Term(weight="photometric", of_scale=_photometric_term),
    "smoothness": Term(weight="smoothness", of_scale=_smoothness_term),
    "mask": Term(
        weight="predictive_mask", factor=0.2, of_scale=_mask_term, lacks=_problem_without_mask
    ),
    "consistency": Term(weight="consistency", of_batch=_consistency_term),
    "anchor": Term(weight="anchor", of_batch=_make_anchor_term("prior")),
    "corners": Term(weight="corners", of_batch=_make_anchor_term("corners")),
    "labels": Term(weight="labels", of_batch=_make_anchor_term("labels")),
}


@cache
def terms_with_own(options: VideoLosses) -> Mapping[str, Term]:
    """Terms of ``TERMS``, and the user's own."""
    terms = dict(TERMS)
    for place, weight in options.own_weights.items():
        candidate = load_user_object(place, "loss")
        own = candidate if isinstance(candidate, Term) else Term(of_scale=load_own_loss(place))
        terms[place] = replace(own, weight="", factor=weight)
    return terms


def with_early_gradient(compute: Callable[..., Scalar], *inputs: Tensor) -> Scalar:
    """Call ``compute(*inputs)`` with its gradient by ``inputs``, which saves memory."""
    if not torch.is_grad_enabled():
        return compute(*inputs)
    value: Tensor = _EarlyGradient.apply(compute, *inputs)
    return value


class _EarlyGradient(Function):
    @staticmethod
    def forward(ctx: Any, compute: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        wanted = ctx.needs_input_grad[1:]
        leaves = [x.detach().requires_grad_(w) for x, w in zip(inputs, wanted, strict=True)]
        with torch.enable_grad():
            value = compute(*leaves)
        by = [leaf for leaf in leaves if leaf.requires_grad]
        if by and value.requires_grad:
            ctx.save_for_backward(*torch.autograd.grad(value, by, materialize_grads=True))
        else:  # a constant
            ctx.save_for_backward(*(torch.zeros_like(tensor) for tensor in by))
        return value.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradients = iter(ctx.saved_tensors)
        wanted = ctx.needs_input_grad
        return tuple(next(gradients) * upstream[0] if want else None for want in wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLoss:
    """Loss, its weighted terms, and images for display; only ``total`` has a gradient."""

    total: Scalar
    terms: Mapping[str, Scalar]
    depth: Maps
    warped: tuple[Images, ...]
    automask: Masks
    still_error: Maps
    warped_error: Maps


def video_loss(
    views: Views,
    sigmoids: tuple[Sigmoids, ...],
    source_T_target: tuple[Transforms, ...],
    *,
    min_depth: float,
    max_depth: float,
    scales: tuple[int, ...],
    options: VideoLosses,
    generator: torch.Generator | None,
    masks: tuple[StackAtScale, ...] | None = None,
    source_sigmoids: tuple[Sigmoids, ...] | None = None,
    multiplied: bool = False,
) -> VideoLoss:
    """Compute the loss of one batch, in the precision of its frames even under autocast.

    Sigmoids are in 0..1, the finest first: 1 is ``min_depth``, 0 is ``max_depth``. ``masks`` are
    factors of errors; ``source_sigmoids`` are for consistency.
    """
    if options.scales is Scales.NATIVE and views.source_pyramids is None:
        raise InputError(
            "native scales compare sources at coarser sizes too, and these frames have none: open "
            "them with source_pyramids"
        )
    with torch.autocast(views.target.device.type, enabled=False):
        scene = VideoScene(
            views=views,
            motion=source_T_target,
            options=options,
            generator=generator,
            min_depth=min_depth,
            max_depth=max_depth,
            full=frames_at_scale(views, options, generator),
            sigmoid=sigmoids[0],
            masks=masks if options.predictive_mask else None,
            source_sigmoids=source_sigmoids,
            multiplied=multiplied,
        )
        terms = terms_with_own(options)
        for term in terms.values():
            if term.weight_in(options) and (missing := term.lacks(scene)) is not None:
                raise InputError(missing)
        scene = replace(scene, agreement=_agreement_if_needed(scene))
        parts = [
            _loss_at_scale(scene, terms, *entry)
            for entry in enumerate(zip(scales, sigmoids, strict=True))
        ]
        return _average_scales_and_add_batch(scene, terms, parts)


def _average_scales_and_add_batch(
    scene: VideoScene, all_terms: Mapping[str, Term], parts: list["_ScaleLoss"]
) -> VideoLoss:
    total = torch.stack([part.cost for part in parts]).mean()
    terms = {
        name: torch.stack([part.terms[name] for part in parts]).mean() for name in parts[0].terms
    }
    for name, term in all_terms.items():
        weight = term.weight_in(scene.options)
        if weight and term.of_batch and (value := term.of_batch(scene)) is not None:
            total = total + weight * value
            terms[name] = weight * value.detach()
    finest = parts[0]
    assert finest.explanation is not None, "the first scale is kept"
    return VideoLoss(
        total=total,
        terms=terms,
        depth=finest.depth,
        warped=finest.explanation.images,
        automask=finest.explanation.moved,
        still_error=scene.full.still,
        warped_error=finest.explanation.warped_error,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScaleLoss:
    cost: Tensor
    terms: dict[str, Tensor]
    depth: Tensor
    explanation: Explanation | None


def _loss_at_scale(
    scene: VideoScene,
    all_terms: Mapping[str, Term],
    scale_index: int,
    scale_and_sigmoid: tuple[int, Tensor],
) -> _ScaleLoss:
    scale, sigmoid = scale_and_sigmoid
    frames, sources = scene.frames(scale), len(scene.motion)
    outcomes: list[_ScaleLoss] = []

    def cost(sigmoid: Tensor, K: Tensor, *others: Tensor) -> Tensor:
        here = replace(scene, motion=others[:sources])
        mask = others[sources] if others[sources:] else None
        at = _predictions_at_scale(here, replace(frames, K=K), scale, sigmoid, mask)
        weights = {name: term.weight_in(scene.options) for name, term in all_terms.items()}
        terms = {
            name: weights[name] * value
            for name, term in all_terms.items()
            if weights[name] and term.of_scale and (value := term.of_scale(here, at)) is not None
        }
        total = sum(terms.values(), sigmoid.new_zeros(()))
        detached = {name: value.detach() for name, value in terms.items()}
        explanation = None if scale_index else at.explanation.detached()
        depth = at.depth.detach()
        outcomes.append(
            _ScaleLoss(cost=total, terms=detached, depth=depth, explanation=explanation)
        )
        return total

    masks = () if scene.masks is None else (scene.masks[scale_index],)
    value = with_early_gradient(cost, sigmoid, frames.K, *scene.motion, *masks)
    return replace(outcomes[0], cost=value)


def _predictions_at_scale(
    scene: VideoScene, frames: Frames, scale: int, sigmoid: Tensor, mask: Tensor | None
) -> AtScale:
    sigmoid = sigmoid.to(scene.views.target.dtype)
    depth = scene.depth(sigmoid, frames.size)
    mask = None if mask is None else resize_bilinearly(mask.to(sigmoid.dtype), frames.size)
    trust = None
    if scene.agreement is not None and scene.options.motion_mask:
        trust = scene.agreement.trust
    explanation = explain(
        frames, depth, scene.motion_at(depth), scene.options, masks=mask, trust=trust
    )
    return AtScale(
        scale=scale,
        frames=frames,
        sigmoid=sigmoid,
        depth=depth,
        mask=mask,
        explanation=explanation,
    )


def _agreement_if_needed(scene: VideoScene) -> SourceAgreement | None:
    if not scene.options.needs_source_depth:
        return None
    if scene.source_sigmoids is None:
        raise InputError("consistency and the motion mask need disparities of the sources too")
    full, trusts, losses = scene.full, [], []
    depth = scene.depth(scene.sigmoid)
    for source, T in zip(scene.source_sigmoids, scene.motion_at(depth), strict=True):
        projection = warp(scene.depth(source)[:, None], depth, full.K, T)
        apart = depth_disagreement(projection)
        counted = projection.in_view if full.valid is None else projection.in_view & full.valid
        losses.append(consistency_loss(apart, counted))
        trusts.append(1 - apart.detach())
    return SourceAgreement(trust=torch.stack(trusts, dim=1), consistency=torch.stack(losses).mean())
