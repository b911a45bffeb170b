"""Average a prediction with the one of the mirror image."""

import numpy as np

from rilievo.models.base import Inference, Model
from rilievo.models.refinement.blending import blending_space, depth_in_space
from rilievo.models.refinement.mirror_images import MirrorModel, valid_in_both


class FlipAveraged(MirrorModel):
    """Model that averages the inferences for a photograph and for its mirror image."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, {"flip": True})

    def _merge(self, inference: Inference, mirrored: Inference) -> Inference:
        """Average an inference with that of the mirror image, which is flipped back already."""
        valid = valid_in_both(inference.valid, mirrored.valid)
        depth = None
        if inference.depth is not None and mirrored.depth is not None:
            space = blending_space(self.card)
            values = depth_in_space(inference, space)
            mirrored_values = depth_in_space(mirrored, space)
            is_compared = np.ones(values.shape, bool) if valid is None else valid
            # The two may differ in scale (and shift), and only their shapes are averaged.
            matched_values = space.match(mirrored_values, values, is_compared)
            depth = space.to_depth((values + matched_values) / 2)
        return Inference(
            depth=depth,
            valid=valid,
            normals=_mean_or_none(inference.normals, mirrored.normals),
            confidence=_mean_or_none(inference.confidence, mirrored.confidence),
            sky=_mean_or_none(inference.sky, mirrored.sky),
            camera=inference.camera,
        )


def _mean_or_none(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return None if first is None or second is None else (first + second) / 2
