"""Loss of view synthesis: with the right depth and motion, warped neighbours look like the target.

C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019. Each term is
a function and a row of ``TERMS``. ``video_loss`` adds the weighted terms of each scale, averages
the scales, and adds the terms of the batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError
from rilievo.extensions.foreign_code import load_user_object
from rilievo.geometry.transforms import scale_translation
from rilievo.training.losses.supervised import load_own_loss
from rilievo.training.losses.video_options import Scales, VideoLosses
from rilievo.training.losses.warped_frames import (
    Explanation,
    Frames,
    Views,
    WarpedSource,
    compare_warped_sources,
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

_MIN_PRIOR_DEPTH = 1e-6
"""Lower limit of a prior's depth before its logarithm, in the prior's unit."""
_MEAN_SIGMOID_OFFSET = 1e-7
"""Added to a mean sigmoid before the division by it, as published; 0 could be a divisor."""

Auxiliary = TypeVar("Auxiliary")
"""What a function returns besides the scalar that is differentiated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAgreement:
    """Agreement of the target's depth with that of its sources (Bian et al. 2019).

    Attributes:
        trust: 1 less the relative difference of depth, in 0..1, for each source; detached.
        consistency: Mean relative difference of depth.
    """

    trust: Stack
    consistency: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoScene:
    """Data and options that are the same for all scales; ``video_loss`` explains most of them.

    Attributes:
        motion: ``source_T_target`` of each source, known or predicted.
        full: Frames at the finest size.
        sigmoid: Predictions of the target at the finest scale.
        masks: Predicted masks; None without a predictive mask.
        agreement: Agreement with the depth of the sources; None if nothing needs it.
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
    scale_translations: bool = False

    def depth(self, sigmoid: Sigmoids, size: Size | None = None) -> Maps:
        """Depth of a sigmoid, in which inverse depth is linear; by default at the finest size."""
        sigmoid = sigmoid.to(self.views.target.dtype)
        resized = resize_bilinearly(sigmoid, size or self.full.size)[:, 0]
        min_inverse = 1 / self.max_depth
        max_inverse = 1 / self.min_depth
        return 1 / (min_inverse + (max_inverse - min_inverse) * resized)

    @property
    def motion_mask(self) -> Stack | None:
        """Weights of errors in 0..1, low at moving objects; None if the option is off."""
        if self.agreement is None or not self.options.motion_mask:
            return None
        return self.agreement.trust

    def motion_at(self, depth: Maps) -> tuple[Transforms, ...]:
        """Motion of each source in the unit of ``depth``, which is the depth at one scale."""
        if not self.scale_translations:
            return self.motion
        mean_inverse_depth = (1 / depth).mean(dim=(1, 2))
        motions = []
        for motion, known_motion in zip(self.motion, self.views.source_T_target, strict=True):
            is_predicted = known_motion is None
            if is_predicted:
                motions.append(scale_translation(motion, mean_inverse_depth))
            else:
                motions.append(motion)
        return tuple(motions)

    def frames(self, scale: int) -> Frames:
        """Frames that a scale compares."""
        if self.options.scales is Scales.FULL or scale == 0:
            return self.full
        return frames_at_scale(self.views, self.options, self.generator, scale=scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtScale:
    """Predictions at one scale.

    Attributes:
        scale: Number of halvings of the sigmoid's size.
        frames: Frames that are compared, at the finest size or at the size of the scale.
        depth: Depth at the size of ``frames``.
        mask: Predicted masks at the same size; None without a predictive mask.
    """

    scale: int
    frames: Frames
    sigmoid: Sigmoids
    depth: Maps
    mask: Stack | None
    explanation: Explanation


def resize_bilinearly(x: StackAtScale, size: Size) -> Stack:
    """Resize so that the edges of the image stay in place."""
    if (x.shape[-2], x.shape[-1]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def depth_disagreement(warped_depth: WarpedSource) -> Maps:
    """Compute |z - D| / (z + D) (J.-W. Bian et al., NeurIPS 2019); 0 out of the source's view.

    z is the depth of the target's points in the source's camera. D is the predicted depth of the
    source at their pixels, which is the image of ``warped_depth``.
    """
    source_depth = warped_depth.image[:, 0]
    # Out of view, z is replaced by D, so that the difference is 0.
    point_depth = torch.where(warped_depth.in_view, warped_depth.depth, source_depth)
    return (point_depth - source_depth).abs() / (point_depth + source_depth)


def consistency_loss(disagreement: Maps, is_counted: Masks) -> Scalar:
    """Average the disagreement of the pixels that count; 0 if none does."""
    return (disagreement * is_counted).sum() / is_counted.sum().clamp(min=1)


def edge_aware_smoothness(sigmoid: OneChannel, image: Images) -> Scalar:
    """Edge-aware smoothness: mean |∂x d| exp(-|∂x I|) + mean |∂y d| exp(-|∂y I|).

    d is the normalised sigmoid, and I the image. The sigmoid is divided by its mean in the image
    (C. Wang et al., CVPR 2018), because a network could shrink its output otherwise.
    """
    normalised = sigmoid / (sigmoid.mean(dim=(2, 3), keepdim=True) + _MEAN_SIGMOID_OFFSET)
    total = sigmoid.new_zeros(())
    for dim in (2, 3):
        image_gradient = image.diff(dim=dim).abs().mean(dim=1, keepdim=True)
        sigmoid_gradient = normalised.diff(dim=dim).abs()
        total = total + (sigmoid_gradient * image_gradient.neg().exp()).mean()
    return total


def anchor_loss(
    depth: Maps,
    prior: Maps,
    weights: Maps | None = None,
) -> Scalar:
    """Weighted mean of |e - median e|, where e is log depth - log prior of each image.

    Without the median, a factor between the units of depth and prior would count. ``prior`` is not
    positive where it is unknown, and ``weights`` are in 0..1, by default 1.
    """
    if weights is None:
        weights = torch.ones_like(prior)
    weights = torch.where(prior > 0, weights, 0.0)

    difference = depth.log() - prior.clamp(min=_MIN_PRIOR_DEPTH).log()
    weighted_difference = torch.where(weights > 0, difference.detach(), torch.nan)
    # The median is NaN in an image without weighted pixels, where any finite value will do.
    median = weighted_difference.flatten(1).nanmedian(dim=1).values.nan_to_num()

    error = (difference - median[:, None, None]).abs()
    return (error * weights).sum() / weights.sum().clamp(min=1)


def _no_problem(scene: VideoScene) -> None:
    """Return None, since the term needs nothing that could be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of the loss.

    Attributes:
        weight: Field of ``VideoLosses`` that is its weight or turns it on; "" for a term of the
            user's own.
        factor: Factor of that weight; for a term of the user's own, its weight.
        of_batch: Function that returns its value for a batch; None for a term of scales. The value
            is None for a batch that lacks the data.
        of_scale: The same for one scale. The gradient of this value is computed at once.
        lacks: Function that returns an error message if the scene lacks what the term needs.
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


def _photometric_term(scene: VideoScene, predictions: AtScale) -> Tensor:
    """Photometric error of the best warped sources, averaged over the pixels that count."""
    return predictions.frames.mean(predictions.explanation.error)


def _smoothness_term(scene: VideoScene, predictions: AtScale) -> Tensor:
    """Edge-aware smoothness, which counts half as much at each coarser scale, as published."""
    image = scene.views.pyramid[predictions.scale]
    return edge_aware_smoothness(predictions.sigmoid, image) / 2**predictions.scale


def _mask_term(scene: VideoScene, predictions: AtScale) -> Tensor | None:
    """Cross entropy with a mask of ones, without which the network would leave everything out."""
    mask = predictions.mask
    if mask is None:
        return None
    return F.binary_cross_entropy(mask, torch.ones_like(mask))


def _consistency_term(scene: VideoScene) -> Tensor | None:
    if scene.agreement is None:
        return None
    return scene.agreement.consistency


def _make_anchor_term(map_name: str) -> Callable[[VideoScene], Tensor | None]:
    """Make the term that keeps depth near one of the maps in ``Views.maps``."""

    def term(scene: VideoScene) -> Tensor | None:
        maps = scene.views.maps
        if map_name not in maps:
            return None
        depth = scene.depth(scene.sigmoid)
        return anchor_loss(depth, maps[map_name], maps.get(f"{map_name}_weights"))

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
    """Terms of ``TERMS``, and the user's own, which are a ``Term`` or a function of one scale."""
    terms = dict(TERMS)
    for import_path, weight in options.own_weights.items():
        term = load_user_object(import_path, "loss")
        if not isinstance(term, Term):
            term = Term(of_scale=load_own_loss(import_path))
        terms[import_path] = replace(term, weight="", factor=weight)
    return terms


def with_early_gradient(
    compute: Callable[..., tuple[Scalar, Auxiliary]], *inputs: Tensor | None
) -> tuple[Scalar, Auxiliary]:
    """Call ``compute(*inputs)``, and compute the gradient of its scalar at once.

    The graph of the scalar, which holds the intermediate results, is thereby freed before the
    backward pass. Gradients reach only tensors that are among the inputs. Besides the scalar,
    ``compute`` returns anything that needs no gradient.
    """
    if not torch.is_grad_enabled():
        return compute(*inputs)
    return _EarlyGradient.apply(compute, *inputs)


class _EarlyGradient(Function):
    """Scalar function that computes its gradients in the forward pass, and keeps no graph."""

    @staticmethod
    def forward(
        ctx: Any,
        compute: Callable[..., tuple[Tensor, Auxiliary]],
        *inputs: Tensor | None,
    ) -> tuple[Tensor, Auxiliary]:
        """Compute the value and its gradients."""
        # The first argument of this function is ``compute``, which needs no gradient.
        input_needs_gradient = ctx.needs_input_grad[1:]
        leaves = [
            None if tensor is None else tensor.detach().requires_grad_(needs_gradient)
            for tensor, needs_gradient in zip(inputs, input_needs_gradient, strict=True)
        ]
        with torch.enable_grad():
            value, auxiliary = compute(*leaves)
        variables = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        is_constant = not value.requires_grad
        if not variables or is_constant:
            gradients = [torch.zeros_like(variable) for variable in variables]
        else:
            gradients = torch.autograd.grad(value, variables, materialize_grads=True)
        ctx.save_for_backward(*gradients)
        return value.detach(), auxiliary

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, value_gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the chain rule to the gradients that ``forward`` stored.

        It stored one for each input that needs a gradient, in their order. The others get None.
        """
        stored_gradients = iter(ctx.saved_tensors)
        return tuple(
            next(stored_gradients) * value_gradient if needs_gradient else None
            for needs_gradient in ctx.needs_input_grad
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScaleDetails:
    """What a scale's loss was computed from, without gradients.

    Attributes:
        terms: Values of the weighted terms.
        explanation: Warped sources and their errors; None except at the finest scale.
    """

    terms: Mapping[str, Tensor]
    depth: Tensor
    explanation: Explanation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScaleLoss:
    """Loss of one scale; only ``total`` has a gradient."""

    total: Tensor
    details: _ScaleDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLoss:
    """Loss, its weighted terms, and images for display; only ``total`` has a gradient.

    Attributes:
        warped: Sources warped by the depth of the finest scale.
        automask: Pixels that warped sources explain better than unmoved ones.
        identity_error: Photometric error of the unmoved sources, ``Frames.identity_error``.
        warped_error: Photometric error of the warped sources, ``Explanation.warped_error``.
    """

    total: Scalar
    terms: Mapping[str, Scalar]
    depth: Maps
    warped: tuple[Images, ...]
    automask: Masks
    identity_error: Maps
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
    scale_translations: bool = False,
) -> VideoLoss:
    """Compute the loss of one batch, in the precision of its frames even under autocast.

    Sigmoids are in 0..1, the finest first: 1 is ``min_depth``, 0 is ``max_depth``. ``scales`` are
    the numbers of halvings of their sizes. ``masks`` are factors of errors in 0..1 for a predictive
    mask. Consistency and the motion mask need ``source_sigmoids``. With ``scale_translations``,
    predicted translations are multiplied by the mean inverse depth of each scale. ``generator``
    draws the noise that breaks ties of the automask; None adds no noise.

    Raises:
        InputError: If a term with a weight lacks what it needs.
    """
    if options.scales is Scales.NATIVE and views.source_pyramids is None:
        raise InputError(
            "native scales also need the sources at coarser sizes, which these frames do not have: "
            "open the frames with source_pyramids"
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
            scale_translations=scale_translations,
        )
        terms = terms_with_own(options)
        _check_terms(terms, scene)
        scene = replace(scene, agreement=_agreement_if_needed(scene))

        scale_losses = [
            _loss_at_scale(scene, terms, index, scale, sigmoid)
            for index, (scale, sigmoid) in enumerate(zip(scales, sigmoids, strict=True))
        ]
        return _average_scales_and_add_batch(scene, terms, scale_losses)


def _check_terms(terms: Mapping[str, Term], scene: VideoScene) -> None:
    """Raise ``InputError`` if a term with a weight lacks what it needs."""
    for term in terms.values():
        problem = term.lacks(scene) if term.weight_in(scene.options) else None
        if problem is not None:
            raise InputError(problem)


def _average_scales_and_add_batch(
    scene: VideoScene, all_terms: Mapping[str, Term], scale_losses: Sequence[_ScaleLoss]
) -> VideoLoss:
    """Average the losses over scales, and add the terms that are computed once for the batch."""
    finest = scale_losses[0].details
    total = torch.stack([scale_loss.total for scale_loss in scale_losses]).mean()
    term_values = {}
    for name in finest.terms:
        values = [scale_loss.details.terms[name] for scale_loss in scale_losses]
        term_values[name] = torch.stack(values).mean()

    for name, term in all_terms.items():
        weight = term.weight_in(scene.options)
        if not weight or term.of_batch is None:
            continue
        value = term.of_batch(scene)
        if value is not None:
            total = total + weight * value
            term_values[name] = weight * value.detach()

    assert finest.explanation is not None, "the finest scale keeps its explanation"
    return VideoLoss(
        total=total,
        terms=term_values,
        depth=finest.depth,
        warped=finest.explanation.images,
        automask=finest.explanation.automask,
        identity_error=scene.full.identity_error,
        warped_error=finest.explanation.warped_error,
    )


def _loss_at_scale(
    scene: VideoScene,
    all_terms: Mapping[str, Term],
    scale_index: int,
    scale: int,
    sigmoid: Tensor,
) -> _ScaleLoss:
    """Compute the loss of one scale, with an early gradient, so that the scales share memory.

    ``scale_index`` is the index of the scale among the predictions, and ``scale`` its number of
    halvings.
    """
    frames = scene.frames(scale)
    mask = None if scene.masks is None else scene.masks[scale_index]
    is_finest = scale_index == 0

    def compute_total(
        sigmoid: Tensor, K: Tensor, mask: Tensor | None, *motion: Tensor
    ) -> tuple[Tensor, _ScaleDetails]:
        """Compute the total of the weighted terms.

        The arguments are all tensors that may need a gradient, so they replace those of ``scene``
        and ``frames``.
        """
        scale_scene = replace(scene, motion=motion)
        predictions = _depth_and_warped_sources(
            scale_scene, replace(frames, K=K), scale, sigmoid, mask
        )
        terms = _weighted_terms(all_terms, scale_scene, predictions)
        details = _ScaleDetails(
            terms={name: value.detach() for name, value in terms.items()},
            depth=predictions.depth.detach(),
            explanation=predictions.explanation.detached() if is_finest else None,
        )
        return sum(terms.values(), sigmoid.new_zeros(())), details

    total, details = with_early_gradient(compute_total, sigmoid, frames.K, mask, *scene.motion)
    return _ScaleLoss(total=total, details=details)


def _weighted_terms(
    all_terms: Mapping[str, Term], scene: VideoScene, predictions: AtScale
) -> dict[str, Tensor]:
    """Terms of one scale that have a weight and a value, times their weight."""
    weighted = {}
    for name, term in all_terms.items():
        weight = term.weight_in(scene.options)
        if not weight or term.of_scale is None:
            continue
        value = term.of_scale(scene, predictions)
        if value is not None:
            weighted[name] = weight * value
    return weighted


def _depth_and_warped_sources(
    scene: VideoScene, frames: Frames, scale: int, sigmoid: Tensor, mask: Tensor | None
) -> AtScale:
    """Convert a network's sigmoid to depth, warp the sources by it, and compare them to the target.

    Under autocast, networks predict in half precision; the loss is computed in that of the frames.
    """
    dtype = scene.views.target.dtype
    sigmoid = sigmoid.to(dtype)
    if mask is not None:
        mask = resize_bilinearly(mask.to(dtype), frames.size)
    depth = scene.depth(sigmoid, frames.size)
    explanation = compare_warped_sources(
        frames,
        depth,
        scene.motion_at(depth),
        scene.options,
        masks=mask,
        trust=scene.motion_mask,
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
    """Compare the depth of the target with that of its sources; None if nothing needs it.

    The predicted depth of each source is warped to the target. Where depth and motion are right, it
    is the depth that the target's points have in the camera of the source.
    """
    if not scene.options.needs_source_depth:
        return None
    if scene.source_sigmoids is None:
        raise InputError("consistency and the motion mask also need the disparities of the sources")

    frames = scene.full
    depth = scene.depth(scene.sigmoid)
    trusts = []
    losses = []
    for sigmoid, motion in zip(scene.source_sigmoids, scene.motion_at(depth), strict=True):
        source_depth = scene.depth(sigmoid)
        warped_depth = warp(source_depth[:, None], depth, frames.K, motion)
        disagreement = depth_disagreement(warped_depth)
        is_counted = warped_depth.in_view
        if frames.valid is not None:
            is_counted = is_counted & frames.valid
        losses.append(consistency_loss(disagreement, is_counted))
        trusts.append(1 - disagreement.detach())
    return SourceAgreement(trust=torch.stack(trusts, dim=1), consistency=torch.stack(losses).mean())
