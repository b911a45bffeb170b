"""The loss of view synthesis: right depth and motion turn neighbouring frames into the target.

C. Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019, with later
additions by others. It is independent of the networks: its input is disparities and motions, its
output a loss and images for display.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.errors import InputError
from rilievo.losses.anchor import anchor_loss
from rilievo.losses.consistency import consistency_loss, depth_disagreement, velocity_loss
from rilievo.losses.explanation import explain
from rilievo.losses.frames import Frames, frames_of
from rilievo.losses.reprojection import warp
from rilievo.losses.scale_terms import DepthRange, Scene, Term, term_of
from rilievo.losses.video_options import Scales, VideoLosses
from rilievo.losses.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLoss:
    """The loss, its terms, and images for display; only ``total`` has a gradient.

    Attributes:
        total: Mean over scales of photometric error, weighted smoothness, hints and mask, plus
            the weighted extras that do not belong to a scale.
        photometric: Mean of the photometric error that counts, at each scale.
        smoothness: Smoothness at each scale, before its weight.
        extras: Further terms by name, before their weights: consistency, velocity, anchor, corners,
            hints, mask.
        depth: Depth from the finest scale, at the size of the comparison.
        warped: Each source as the target's camera would see it, at the finest scale.
        automask: Pixels that warped sources explain better than unmoved ones.
        still_error: Photometric error of unmoved sources, with its noise.
        warped_error: Photometric error of warped sources, at the finest scale.
    """

    total: Float[Tensor, ""]
    photometric: tuple[Float[Tensor, ""], ...]
    smoothness: tuple[Float[Tensor, ""], ...]
    extras: Mapping[str, Float[Tensor, ""]]
    depth: Float[Tensor, "b h w"]
    warped: tuple[Float[Tensor, "b 3 h w"], ...]
    automask: Bool[Tensor, "b h w"]
    still_error: Float[Tensor, "b h w"]
    warped_error: Float[Tensor, "b h w"]


def video_loss(
    views: Views,
    sigmoids: tuple[Float[Tensor, "b 1 _ _"], ...],
    source_T_target: tuple[Float[Tensor, "b 4 4"], ...],
    *,
    min_depth: float,
    max_depth: float,
    scales: tuple[int, ...],
    options: VideoLosses,
    generator: torch.Generator | None,
    masks: tuple[Float[Tensor, "b n _ _"], ...] | None = None,
    source_sigmoids: tuple[Float[Tensor, "b 1 _ _"], ...] | None = None,
    multiplied: bool = False,
) -> VideoLoss:
    """Compute the loss of one batch, in the precision of its frames even under autocast.

    Args:
        views: Target and source frames.
        sigmoids: Disparity of the target, in 0..1, the finest first.
        source_T_target: Motion of each source, predicted or known.
        min_depth: Depth that a sigmoid of 1 means.
        max_depth: Depth that a sigmoid of 0 means.
        scales: Number of halvings of the target's size of each sigmoid.
        options: Terms and weights of the loss.
        generator: Generator of the noise on the errors of unmoved sources, drawn once per size;
            None for no noise.
        masks: Factor of each source's error, in 0..1, at the sizes of ``sigmoids``; for the
            predictive mask.
        source_sigmoids: Finest disparity of each source, predicted from that frame; for
            consistency and the motion mask.
        multiplied: Whether predicted translations are multiplied by the mean inverse depth,
            separately at every scale, as the published program does for the pose network 'cnn'.

    Raises:
        InputError: If an option needs an input that is missing.
    """
    _check(views, masks, source_sigmoids, options)
    with torch.autocast(views.target.device.type, enabled=False):
        full = frames_of(views, options, generator)
        scene = Scene(
            views=views,
            motion=source_T_target,
            options=options,
            generator=generator,
            depths=DepthRange(min_depth=min_depth, max_depth=max_depth),
            full=full,
            hint_error=_hint_error(views, full, options),
            multiplied=multiplied,
        )
        extras = _velocity(scene, sigmoids[0]) | _towards_known(scene, sigmoids[0])
        if source_sigmoids is not None and options.needs_source_depth:
            agreement = _agreement(scene, sigmoids[0], source_sigmoids)
            extras["consistency"] = agreement.consistency
            scene = replace(scene, trust=agreement.trust)
        every = masks or (None,) * len(sigmoids)
        terms = [
            term_of(scene, scale, sigmoid, mask, pictured=scale == scales[0])
            for scale, sigmoid, mask in zip(scales, sigmoids, every, strict=True)
        ]
        return _sum_up(scene, terms, extras)


def _sum_up(scene: Scene, terms: list[Term], extras: dict[str, Tensor]) -> VideoLoss:
    options, finest = scene.options, terms[0].seen
    assert finest is not None, "the first scale is pictured"
    total = torch.stack([term.cost for term in terms]).mean()
    for name in ("consistency", "velocity", "anchor", "corners"):
        weight = getattr(options, name)
        if name in extras:
            total = total + weight * extras[name]
    for name in ("hints", "mask"):
        found = [value for term in terms if (value := getattr(term, name)) is not None]
        if found:
            extras[name] = torch.stack(found).mean()
    return VideoLoss(
        total=total,
        photometric=tuple(term.photometric for term in terms),
        smoothness=tuple(term.smoothness for term in terms),
        extras={name: value.detach() for name, value in extras.items()},
        depth=finest.depth,
        warped=finest.explanation.images,
        automask=finest.explanation.moved,
        still_error=scene.full.still,
        warped_error=finest.explanation.warped_error,
    )


def _velocity(scene: Scene, sigmoid: Tensor) -> dict[str, Tensor]:
    """Compute the velocity term of predicted motion; empty if there is none."""
    travelled = scene.views.travelled
    predicted = [k for k, known in enumerate(scene.views.source_T_target) if known is None]
    if not scene.options.velocity or travelled is None or not predicted:
        return {}
    known = scene.motion_at(scene.depth(sigmoid))
    motion = torch.stack([known[k] for k in predicted], dim=1)
    return {"velocity": velocity_loss(motion, travelled[:, predicted])}


def _towards_known(scene: Scene, sigmoid: Tensor) -> dict[str, Tensor]:
    """Compute the differences from the prior's depth and that of corners, where they count."""
    views, options = scene.views, scene.options
    known = {"anchor": (options.anchor, views.prior), "corners": (options.corners, views.corners)}
    return {
        name: anchor_loss(scene.depth(sigmoid), depth)
        for name, (weight, depth) in known.items()
        if weight and depth is not None
    }


class _Agreement(NamedTuple):
    """Trust in each pixel of each source, in 0..1, and the mean disagreement."""

    trust: Tensor | None
    consistency: Tensor


def _agreement(scene: Scene, sigmoid: Tensor, sources: tuple[Tensor, ...]) -> _Agreement:
    full, trusts, losses = scene.full, [], []
    depth = scene.depth(sigmoid)
    for source, T in zip(sources, scene.motion_at(depth), strict=True):
        known = scene.depth(source)
        seen = warp(known[:, None], depth, full.K, T)
        apart = depth_disagreement(seen)
        counted = seen.in_view if full.valid is None else seen.in_view & full.valid
        losses.append(consistency_loss(apart, counted))
        trusts.append(1 - apart.detach())
    trust = torch.stack(trusts, dim=1) if scene.options.motion_mask else None
    return _Agreement(trust=trust, consistency=torch.stack(losses).mean())


def _hint_error(views: Views, full: Frames, options: VideoLosses) -> Tensor | None:
    """Photometric error of hints, for the best source with known motion, whose unit hints have."""
    if not options.hints or views.hints is None:
        return None
    known = [k for k, T in enumerate(views.source_T_target) if T is not None]
    sources = replace(full, sources=tuple(full.sources[k] for k in known))
    motion = tuple(T for T in views.source_T_target if T is not None)
    depth = torch.where(views.hints > 0, views.hints, 1.0)
    with torch.no_grad():
        return explain(sources, depth, motion, options).warped_error


def _check(
    views: Views,
    masks: tuple[Tensor, ...] | None,
    source_sigmoids: tuple[Tensor, ...] | None,
    options: VideoLosses,
) -> None:
    if options.predictive_mask and masks is None:
        raise InputError(
            "a predictive mask needs a network with a mask head: set mask in the blueprint"
        )
    if options.scales is Scales.NATIVE and views.source_pyramids is None:
        raise InputError(
            "native scales compare sources at coarser sizes too, and these frames have none: open "
            "them with source_pyramids"
        )
    if options.needs_source_depth and source_sigmoids is None:
        raise InputError("consistency and the motion mask need disparities of the sources too")
    if options.velocity and views.travelled is None:
        raise InputError(
            "velocity needs distances between frames, and these have none: give poses, or leave "
            "velocity at 0"
        )
    if options.hints and views.hints is None:
        raise InputError("these frames have no depth hints: train on stereo pairs, or leave hints")
    if options.hints and all(T is None for T in views.source_T_target):
        raise InputError("depth hints need a source with known motion, such as the other eye")
