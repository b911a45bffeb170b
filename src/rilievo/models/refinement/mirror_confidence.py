"""Confidence from agreement with the mirror image.

This is "Post" of M. Poggi et al., "On the uncertainty of self-supervised monocular depth
estimation", CVPR 2020.
"""

from dataclasses import replace

import numpy as np

from rilievo.arrays.shapes import Field, Mask
from rilievo.errors import OptionError
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.mirror_images import MirrorModel, valid_in_both

# Width of the window, as a share of the image's.
WIDTH = 1 / 24

# Logit of the chance that depth is right within a factor of 1.25 at a difference of e^-3, and its
# change with the logarithm of the difference; fitted on rendered mirrors.
LEVEL, SLOPE = 1.16, -0.42

MIDDLE = -3.0

# Least difference of log depth.
LEAST = 1e-3


class MirrorConfidence(MirrorModel):
    """Model whose confidence is agreement with the mirror image."""

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

    def _merge_mirror_image(self, one: Inference, other: Inference) -> Inference:
        assert one.depth is not None, "checked when the model was wrapped"
        assert other.depth is not None, "checked when the model was wrapped"
        valid = valid_in_both(one.valid, other.valid)
        inside = np.ones(one.depth.shape, bool) if valid is None else valid
        difference = mirror_difference(one.depth, other.depth, inside)
        return replace(one, confidence=confidence_from_difference(difference))


def mirror_difference(
    depth: Field,
    mirrored: Field,
    inside: Mask,
) -> Field:
    """Local mean of the absolute log ratio, less its median."""
    if not inside.any():
        return np.full(depth.shape, np.inf, np.float32)
    ratio = np.zeros(depth.shape)
    ratio[inside] = np.log(depth[inside] / mirrored[inside])
    ratio[inside] = np.abs(ratio[inside] - np.median(ratio[inside]))
    ratio[~inside] = ratio.max()
    reach = max(1, round(WIDTH * depth.shape[1] / 2))
    return _window_means(_window_means(ratio, reach, 0), reach, 1).astype(np.float32)


def confidence_from_difference(difference: Field) -> Field:
    """Chance of depth within a factor of 1.25."""
    logit = LEVEL + SLOPE * (np.log(np.maximum(difference, LEAST)) - MIDDLE)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def _window_means(values: np.ndarray, reach: int, axis: int) -> np.ndarray:
    length = values.shape[axis]
    sums = np.insert(np.cumsum(values, axis=axis), 0, 0, axis=axis)
    first = np.maximum(np.arange(length) - reach, 0)
    last = np.minimum(np.arange(length) + reach + 1, length)
    count = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
    return (sums.take(last, axis=axis) - sums.take(first, axis=axis)) / count
