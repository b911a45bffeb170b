"""Terms of the loss on video: a new one is a function and a row of ``TERMS``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.losses.anchor import anchor_loss
from rilievo.losses.consistency import velocity_loss
from rilievo.losses.depth_hints import hint_loss
from rilievo.losses.smoothness import edge_aware_smoothness
from rilievo.losses.video_options import VideoLosses
from rilievo.losses.video_scene import AtScale, Scene


def _always(scene: Scene) -> None:
    """Return no error: the term needs nothing that could be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of the loss.

    Attributes:
        weight: Field of ``VideoLosses`` with its weight, or that turns it on; None for a term that
            always counts.
        factor: Factor of that weight.
        of_batch: Function that returns its value for a batch, before its weight; None where the
            batch has nothing for it.
        of_scale: The same for one scale of disparity; the term is then the mean over scales, and
            its gradient is computed at once, so that scales do not add memory.
        lacks: Function that returns what is missing, as the line of an error; None if nothing is.
    """

    weight: str
    factor: float = 1.0
    of_batch: Callable[[Scene], Tensor | None] | None = None
    of_scale: Callable[[Scene, AtScale], Tensor | None] | None = None
    lacks: Callable[[Scene], str | None] = _always

    def weight_in(self, options: VideoLosses) -> float:
        """Weight of the term; 0 where it is off."""
        return self.factor * float(getattr(options, self.weight))


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
}
"""Terms by name, under which ``VideoLoss`` has their weighted values."""
