"""Terms of the loss on video: one of rilievo's is a function and a row of ``TERMS``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.plugins import load_outside
from rilievo.training.losses.photometric import Warped
from rilievo.training.losses.supervised import own_loss
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.video_scene import AtScale, Scene

_LEAST_MEAN = 1e-7  # as published; avoids a division by zero if the sigmoid is zero everywhere


def depth_disagreement(seen: Warped) -> Float[Tensor, "b h w"]:
    """|z - D| / (z + D), in 0..1: the target's points against the source's depth map.

    z is the depth of a target's point in the source's camera, and D that of the source's own depth
    map at the same pixel. It is zero where the point is not in the source's image. J. Bian et al.,
    "Unsupervised Scale-consistent Depth and Ego-motion Learning from Monocular Video", NeurIPS
    2019.
    """
    D = seen.image[:, 0]
    z = torch.where(seen.in_view, seen.depth, D)
    return (z - D).abs() / (z + D)


def consistency_loss(
    disagreement: Float[Tensor, "b h w"], counted: Bool[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Mean over the pixels that count; zero if none does."""
    return (disagreement * counted).sum() / counted.sum().clamp(min=1)


def velocity_loss(
    source_T_target: Float[Tensor, "b n 4 4"], travelled: Float[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """Mean | ‖t‖ - distance | [m] over the pairs whose distance is not NaN; zero if none is.

    It makes translation, and with it depth, metric. V. Guizilini et al., "3D Packing for Self-
    Supervised Monocular Depth Estimation", CVPR 2020.
    """
    known = travelled.isfinite()
    away = source_T_target[..., :3, 3].norm(dim=-1) - torch.where(known, travelled, 0.0)
    return (away.abs() * known).sum() / known.sum().clamp(min=1)


def edge_aware_smoothness(
    sigmoid: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, ""]:
    """Mean |∂x d| exp(-|∂x I|) + mean |∂y d| exp(-|∂y I|), d the sigmoid over its image's mean.

    |∂I| is the mean over colours. The division (C. Wang et al., "Learning Depth from Monocular
    Videos using Direct Methods", CVPR 2018) keeps a network from shrinking its output to be
    smooth. Each mean is over its own number of pairs, as in C. Godard et al., ICCV 2019.
    """
    shape = sigmoid / (sigmoid.mean(dim=(2, 3), keepdim=True) + _LEAST_MEAN)
    total = sigmoid.new_zeros(())
    for dim in (2, 3):
        edge = image.diff(dim=dim).abs().mean(dim=1, keepdim=True)
        total = total + (shape.diff(dim=dim).abs() * edge.neg().exp()).mean()
    return total


def hint_loss(
    depth: Float[Tensor, "b h w"],
    error: Float[Tensor, "b h w"],
    hint: Float[Tensor, "b h w"],
    hint_error: Float[Tensor, "b h w"],
) -> Float[Tensor, "b h w"]:
    """log(1 + |depth - hint|) where the hint has the lower photometric error, else zero.

    J. Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019. Hints have the unit of
    depth and are not positive where there is none; ``error`` is that of depth, or of unmoved
    sources where lower.
    """
    trusted = (hint > 0) & (hint_error < error)
    return torch.where(trusted, (depth - hint).abs(), 0.0).log1p()


def anchor_loss(depth: Float[Tensor, "b h w"], prior: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """Mean of |log depth - log prior| after the median of each image is taken away.

    The prior is another network's depth in any unit; pixels that are not positive do not count.
    """
    known = prior > 0
    apart = torch.where(known, depth.log() - prior.clamp(min=1e-6).log(), torch.nan)
    middle = apart.detach().flatten(1).nanmedian(dim=1).values
    left = torch.where(known, apart - middle[:, None, None], 0.0).abs()
    return left.sum() / known.sum().clamp(min=1)


def label_loss(
    depth: Float[Tensor, "b h w"],
    label: Float[Tensor, "b h w"],
    weights: Float[Tensor, "b h w"] | None = None,
) -> Float[Tensor, ""]:
    """Weighted mean of |log depth - log label| after each image's median is taken away.

    The label is depth in any unit; pixels that are not positive, or weigh nothing, do not count.
    """
    counted = torch.ones_like(label) if weights is None else weights
    counted = torch.where(label > 0, counted, 0.0)
    apart = depth.log() - label.clamp(min=1e-6).log()
    known = torch.where(counted > 0, apart.detach(), torch.nan)
    # An image without a label has no median, and counts for nothing.
    middle = known.flatten(1).nanmedian(dim=1).values.nan_to_num()
    left = (apart - middle[:, None, None]).abs()
    return (left * counted).sum() / counted.sum().clamp(min=1)


def _always(scene: Scene) -> None:
    """Return no error: the term needs nothing that could be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of the loss.

    Attributes:
        weight: Field of ``VideoLosses`` with its weight, or that turns it on.
        usual: Weight where that field is None.
        factor: Factor of that weight; the weight itself of a term of one's own.
        of_batch: Function that returns its value for a batch, before its weight; None where the
            batch has nothing for it.
        of_scale: The same for one scale of disparity; the term is then the mean over scales, and
            its gradient is computed at once, so that scales do not add memory.
        lacks: Function that returns what is missing, as the line of an error; None if nothing is.
    """

    weight: str = ""
    usual: float = 0.0
    factor: float = 1.0
    of_batch: Callable[[Scene], Tensor | None] | None = None
    of_scale: Callable[[Scene, AtScale], Tensor | None] | None = None
    lacks: Callable[[Scene], str | None] = _always

    def weight_in(self, options: VideoLosses) -> float:
        """Weight of the term; 0 where it is off."""
        if not self.weight:
            return self.factor
        given = getattr(options, self.weight)
        return self.factor * (self.usual if given is None else float(given))


def _photometric(scene: Scene, at: AtScale) -> Tensor:
    return at.frames.mean(at.explanation.error)


def _smoothness(scene: Scene, at: AtScale) -> Tensor:
    return edge_aware_smoothness(at.sigmoid, scene.views.pyramid[at.scale]) / 2**at.scale


def _mask(scene: Scene, at: AtScale) -> Tensor | None:
    """Cross entropy that keeps a predicted mask from leaving everything out."""
    return None if at.mask is None else F.binary_cross_entropy(at.mask, torch.ones_like(at.mask))


def _hints(scene: Scene, at: AtScale) -> Tensor | None:
    if scene.views.hints is None or scene.hint_error is None:
        return None
    error = at.explanation.error.detach()
    return at.frames.mean(hint_loss(at.depth, error, scene.views.hints, scene.hint_error))


def _consistency(scene: Scene) -> Tensor | None:
    return None if scene.agreement is None else scene.agreement.consistency


def _velocity(scene: Scene) -> Tensor | None:
    """Compute the difference of predicted motion from known distances."""
    travelled = scene.views.travelled
    predicted = [k for k, known in enumerate(scene.views.source_T_target) if known is None]
    if travelled is None or not predicted:
        return None
    motion = scene.motion_at(scene.depth(scene.sigmoid))
    return velocity_loss(
        torch.stack([motion[k] for k in predicted], dim=1), travelled[:, predicted]
    )


def _anchor(scene: Scene) -> Tensor | None:
    prior = scene.views.prior
    return None if prior is None else anchor_loss(scene.depth(scene.sigmoid), prior)


def _corners(scene: Scene) -> Tensor | None:
    corners = scene.views.corners
    return None if corners is None else anchor_loss(scene.depth(scene.sigmoid), corners)


def _labels(scene: Scene) -> Tensor | None:
    labels = scene.views.labels
    if labels is None:
        return None
    return label_loss(scene.depth(scene.sigmoid), labels, scene.views.label_weights)


def _lacks_mask(scene: Scene) -> str | None:
    if scene.masks is not None:
        return None
    return "a predictive mask needs a network with a mask head: set mask in the blueprint"


def _lacks_distances(scene: Scene) -> str | None:
    if scene.views.travelled is not None:
        return None
    return (
        "velocity needs distances between frames, and these have none: give poses, or leave "
        "velocity at 0"
    )


def _lacks_hints(scene: Scene) -> str | None:
    if scene.views.hints is None:
        return "these frames have no depth hints: train on stereo pairs, or leave hints"
    if all(T is None for T in scene.views.source_T_target):
        return "depth hints need a source with known motion, such as the other eye"
    return None


TERMS: Mapping[str, Term] = {
    "photometric": Term(weight="photometric", of_scale=_photometric),
    "smoothness": Term(weight="smoothness", of_scale=_smoothness),
    "mask": Term(weight="predictive_mask", factor=0.2, of_scale=_mask, lacks=_lacks_mask),
    "hints": Term(weight="hints", of_scale=_hints, lacks=_lacks_hints),
    "consistency": Term(weight="consistency", of_batch=_consistency),
    "velocity": Term(weight="velocity", of_batch=_velocity, lacks=_lacks_distances),
    "anchor": Term(weight="anchor", of_batch=_anchor),
    "corners": Term(weight="corners", of_batch=_corners),
    "labels": Term(weight="labels", usual=0.5, of_batch=_labels),
}
"""Terms by name, under which ``VideoLoss`` has their weighted values."""


@cache
def terms_of(options: VideoLosses) -> Mapping[str, Term]:
    """Return the table's terms, and those of the user's own by their places.

    A term of one's own is a function as ``Term.of_scale`` has it, or a whole ``Term``.
    """
    terms = dict(TERMS)
    for place, weight in options.own_weights.items():
        found = load_outside(place, "loss")
        own = found if isinstance(found, Term) else Term(of_scale=own_loss(place))
        terms[place] = replace(own, weight="", factor=weight)
    return terms
