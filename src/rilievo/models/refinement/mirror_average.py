"""Average a prediction with the one of the mirror image."""

import numpy as np

from rilievo.models.base import Inference, Model
from rilievo.models.refinement.blending import blending_space, depth_in_space
from rilievo.models.refinement.mirror_images import MirrorModel, valid_in_both


class FlipAveraged(MirrorModel):
    """Model whose answer is the mean of those for the photograph and for its mirror image."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, {"flip": True})

    def _merge_mirror_image(self, answer: Inference, mirrored: Inference) -> Inference:
        depth, valid = None, valid_in_both(answer.valid, mirrored.valid)
        if answer.depth is not None and mirrored.depth is not None:
            space = blending_space(self.card)
            values, mirrored_values = (
                depth_in_space(answer, space),
                depth_in_space(mirrored, space),
            )
            compared = np.ones(values.shape, bool) if valid is None else valid
            # The two answers may differ in scale (and shift), and only their shape is averaged.
            matched = space.match(mirrored_values, values, compared)
            depth = space.leave((values + matched) / 2)
        return Inference(
            depth=depth,
            valid=valid,
            normals=_mean_or_none(answer.normals, mirrored.normals),
            confidence=_mean_or_none(answer.confidence, mirrored.confidence),
            sky=_mean_or_none(answer.sky, mirrored.sky),
            camera=answer.camera,
        )


def _mean_or_none(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return None if first is None or second is None else (first + second) / 2
