"""Loss of view synthesis: right depth and motion turn neighbouring frames into the target.

C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.training.losses.photometric import warp
from rilievo.training.losses.video_options import Scales, VideoLosses
from rilievo.training.losses.video_terms import (
    AtScale,
    SourceAgreement,
    Term,
    VideoScene,
    consistency_loss,
    depth_disagreement,
    resized,
    terms_of,
)
from rilievo.training.losses.warped_frames import Explanation, Frames, Views, explain, frames_of
from rilievo.training.tensors import Images, Maps, Masks, Scalar, Sigmoids, StackAtScale, Transforms


def immediately(compute: Callable[..., Scalar], *inputs: Tensor) -> Scalar:
    """Call ``compute(*inputs)`` with its gradient by ``inputs``, which saves memory.

    All else that ``compute`` hands out must be detached.
    """
    if not torch.is_grad_enabled():
        return compute(*inputs)
    value: Tensor = _Immediately.apply(compute, *inputs)
    return value


class _Immediately(Function):
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


@frozen
class VideoLoss:
    """The loss, its weighted terms, and images for display; only ``total`` has a gradient."""

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
    factors of errors; ``source_sigmoids`` are for consistency. With ``multiplied``, predicted
    translations are multiplied by mean inverse depth at every scale.

    Raises:
        InputError: If an option needs an input that is missing.
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
            full=frames_of(views, options, generator),
            sigmoid=sigmoids[0],
            masks=masks if options.predictive_mask else None,
            source_sigmoids=source_sigmoids,
            multiplied=multiplied,
        )
        terms = terms_of(options)
        for term in terms.values():
            if term.weight_in(options) and (missing := term.lacks(scene)) is not None:
                raise InputError(missing)
        scene = replace(scene, agreement=_agreement(scene))
        parts = [
            _scale(scene, terms, *entry) for entry in enumerate(zip(scales, sigmoids, strict=True))
        ]
        return _sum_up(scene, terms, parts)


def _sum_up(scene: VideoScene, every: Mapping[str, Term], parts: list["_Found"]) -> VideoLoss:
    total = torch.stack([part.cost for part in parts]).mean()
    terms = {
        name: torch.stack([part.terms[name] for part in parts]).mean() for name in parts[0].terms
    }
    for name, term in every.items():
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


@frozen
class _Found:
    cost: Tensor
    terms: dict[str, Tensor]
    depth: Tensor
    explanation: Explanation | None


def _scale(
    scene: VideoScene, every: Mapping[str, Term], place: int, item: tuple[int, Tensor]
) -> _Found:
    scale, sigmoid = item
    frames, sources = scene.frames(scale), len(scene.motion)
    outcomes: list[_Found] = []

    def cost(sigmoid: Tensor, K: Tensor, *others: Tensor) -> Tensor:
        here = replace(scene, motion=others[:sources])
        mask = others[sources] if others[sources:] else None
        at = _at_scale(here, replace(frames, K=K), scale, sigmoid, mask)
        weights = {name: term.weight_in(scene.options) for name, term in every.items()}
        terms = {
            name: weights[name] * value
            for name, term in every.items()
            if weights[name] and term.of_scale and (value := term.of_scale(here, at)) is not None
        }
        total = sum(terms.values(), sigmoid.new_zeros(()))
        detached = {name: value.detach() for name, value in terms.items()}
        explanation = None if place else at.explanation.detached()
        depth = at.depth.detach()
        outcomes.append(_Found(cost=total, terms=detached, depth=depth, explanation=explanation))
        return total

    masks = () if scene.masks is None else (scene.masks[place],)
    value = immediately(cost, sigmoid, frames.K, *scene.motion, *masks)
    return replace(outcomes[0], cost=value)


def _at_scale(
    scene: VideoScene, frames: Frames, scale: int, sigmoid: Tensor, mask: Tensor | None
) -> AtScale:
    sigmoid = sigmoid.to(scene.views.target.dtype)
    depth = scene.depth(sigmoid, frames.size)
    mask = None if mask is None else resized(mask.to(sigmoid.dtype), frames.size)
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


def _agreement(scene: VideoScene) -> SourceAgreement | None:
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
