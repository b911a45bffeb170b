"""Average a prediction with the one of the mirror image."""

import numpy as np

from rilievo.models.base import Inference, Model
from rilievo.models.refinement.blending import blending_space, depth_in_space
from rilievo.models.refinement.mirror_images import MirrorModel, valid_in_both


class FlipAveraged(MirrorModel):
    """Average with the mirror image's prediction."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, {"flip": True})

    def _merge_mirror_image(self, one: Inference, other: Inference) -> Inference:
        depth, valid = None, valid_in_both(one.valid, other.valid)
        if one.depth is not None and other.depth is not None:
            space = blending_space(self.card)
            ours, theirs = depth_in_space(one, space), depth_in_space(other, space)
            inside = np.ones(ours.shape, bool) if valid is None else valid
            # Two predictions of one network may differ in scale (and shift); only shape is
            # averaged.
            depth = space.leave((ours + space.match(theirs, ours, inside)) / 2)
        return Inference(
            depth=depth,
            valid=valid,
            normals=_mean_or_none(one.normals, other.normals),
            confidence=_mean_or_none(one.confidence, other.confidence),
            sky=_mean_or_none(one.sky, other.sky),
            camera=one.camera,
        )


def _mean_or_none(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    return None if one is None or other is None else (one + other) / 2
