"""Confidence by disagreement: how far a photograph's depth differs from that of its mirror image.

A network that is wrong is often wrong in another way about the mirror image; one that is right
answers alike. On cameras that a learned confidence has not seen, this difference ranks errors
better, for a second pass of the network. It is "Post" of M. Poggi et al., "On the uncertainty of
self-supervised monocular depth estimation", CVPR 2020, of log depth and averaged over a window.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from rilievo.errors import OptionError
from rilievo.models.base import Inference, Model, WrappedModel
from rilievo.models.processing.refinement import mirror, mirror_back
from rilievo.types import Photo

WIDTH = 1 / 24
"""Width of the window that differences are averaged over, as a share of the image's width."""
LEVEL, SLOPE = 1.16, -0.42
"""Logit of the chance that depth is right within a factor of 1.25 at a difference of e^-3, and its
change with the logarithm of the difference; fitted by ``tools/fit_mirror_confidence.py``."""
MIDDLE = -3.0
LEAST = 1e-3
"""Least difference of log depth that counts, so that the logarithm is finite."""


class MirrorConfidence(WrappedModel):
    """A model whose confidence is its agreement with itself about the mirror image.

    Depth and normals stay those of the photograph. Needs depth, and costs a second pass.
    """

    def __init__(self, model: Model) -> None:
        kind = model.card.kind
        if kind is None or not kind.is_depth:
            what = "no depth" if kind is None else f"depth of kind '{kind}'"
            raise OptionError(
                f"confidence 'mirror' compares logarithms of depth, and model '{model.card.name}' "
                f"gives {what}: take a model of kind 'metric' or 'up_to_scale'"
            )
        super().__init__(model, {"confidence": "mirror"})
        self.card = replace(model.card, confidence=True)

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Predict both the photograph and its mirror image, and compare."""
        straight = self.model.infer(photos)
        mirrored = self.model.infer([mirror(photo) for photo in photos])
        return [
            replace(one, confidence=_agreement(one, mirror_back(other)))
            for one, other in zip(straight, mirrored, strict=True)
        ]


def _agreement(one: Inference, other: Inference) -> Float32[np.ndarray, "h w"]:
    assert one.depth is not None, "checked when the model was wrapped"
    assert other.depth is not None, "checked when the model was wrapped"
    inside = np.ones(one.depth.shape, bool)
    for valid in (one.valid, other.valid):
        inside &= True if valid is None else valid
    return confidence_of(mirror_difference(one.depth, other.depth, inside))


def mirror_difference(
    depth: Float32[np.ndarray, "h w"],
    mirrored: Float32[np.ndarray, "h w"],
    inside: Bool[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    """Average the absolute difference of two log depths, less its median, over a window.

    Args:
        depth: Depth of the photograph, up to scale.
        mirrored: Depth of its mirror image, mirrored back, up to another scale.
        inside: Pixels where both are valid; elsewhere the difference is the greatest of all.
    """
    if not inside.any():
        return np.full(depth.shape, np.inf, np.float32)
    ratio = np.zeros(depth.shape)
    ratio[inside] = np.log(depth[inside] / mirrored[inside])
    ratio[inside] = np.abs(ratio[inside] - np.median(ratio[inside]))
    ratio[~inside] = ratio.max()
    reach = max(1, round(WIDTH * depth.shape[1] / 2))
    return _boxed(_boxed(ratio, reach, 0), reach, 1).astype(np.float32)


def confidence_of(difference: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Chance that depth is right within a factor of 1.25, from the difference to the mirror."""
    logit = LEVEL + SLOPE * (np.log(np.maximum(difference, LEAST)) - MIDDLE)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def _boxed(values: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """Means over ``2 * reach + 1`` values along an axis, fewer at its ends."""
    length = values.shape[axis]
    sums = np.insert(np.cumsum(values, axis=axis), 0, 0, axis=axis)
    first = np.maximum(np.arange(length) - reach, 0)
    last = np.minimum(np.arange(length) + reach + 1, length)
    count = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
    return (sums.take(last, axis=axis) - sums.take(first, axis=axis)) / count
