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

WINDOW_FRACTION = 1 / 24
"""Side of the window in which differences are averaged, as a fraction of the image's width."""

_REFERENCE_LOG_DIFFERENCE = -3.0
_LOGIT_AT_REFERENCE, _LOGIT_SLOPE = 1.16, -0.42
"""Logit of the probability that depth is right within a factor of 1.25, as a line.

It is a function of the log of the difference from the mirror image. The line has this value where
that log is ``_REFERENCE_LOG_DIFFERENCE``, and this slope. It was fitted to rendered pictures and
their mirror images.
"""

MIN_DIFFERENCE = 1e-3
"""Least difference of log depth."""


class MirrorConfidence(MirrorModel):
    """Model whose confidence is agreement with the mirror image."""

    def __init__(self, model: Model) -> None:
        kind = model.card.kind
        if kind is None or not kind.is_depth:
            predicted = "no depth" if kind is None else f"depth of kind '{kind}'"
            raise OptionError(
                f"confidence 'mirror' compares logarithms of depth, but model '{model.card.name}' "
                f"predicts {predicted}; choose a model of kind 'metric' or 'up_to_scale'"
            )
        super().__init__(model, {"confidence": "mirror"})
        self.card = replace(model.card, confidence=True)

    def _merge(self, inference: Inference, mirrored: Inference) -> Inference:
        assert inference.depth is not None, "checked when the model was wrapped"
        assert mirrored.depth is not None, "checked when the model was wrapped"
        valid = valid_in_both(inference.valid, mirrored.valid)
        compared = np.ones(inference.depth.shape, bool) if valid is None else valid
        difference = mirror_difference(inference.depth, mirrored.depth, compared)
        return replace(inference, confidence=confidence_from_difference(difference))


def mirror_difference(depth: Field, mirrored: Field, compared: Mask) -> Field:
    """Local mean of the absolute difference of log depth, after the median factor is removed.

    Pixels that are not compared get the largest difference. If no pixel is compared, the difference
    is infinite.
    """
    if not compared.any():
        return np.full(depth.shape, np.inf, np.float32)
    differences = np.zeros(depth.shape)
    log_ratios = np.log(depth[compared] / mirrored[compared]).astype(np.float64)
    differences[compared] = np.abs(log_ratios - np.median(log_ratios))
    differences[~compared] = differences.max()
    radius = max(1, round(WINDOW_FRACTION * depth.shape[1] / 2))
    row_means = _window_means(differences, radius, axis=0)
    return _window_means(row_means, radius, axis=1).astype(np.float32)


def confidence_from_difference(difference: Field) -> Field:
    """Probability that depth is right within a factor of 1.25 (logistic regression)."""
    log_difference = np.log(np.maximum(difference, MIN_DIFFERENCE))
    logit = _LOGIT_AT_REFERENCE + _LOGIT_SLOPE * (log_difference - _REFERENCE_LOG_DIFFERENCE)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def _window_means(values: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Moving mean along an axis, by cumulative sums; windows are cut off at the ends."""
    length = values.shape[axis]
    cumulative_sums = np.insert(np.cumsum(values, axis=axis), 0, 0, axis=axis)
    start = np.maximum(np.arange(length) - radius, 0)
    stop = np.minimum(np.arange(length) + radius + 1, length)
    pixel_count = (stop - start).reshape((-1, 1) if axis == 0 else (1, -1))
    window_sums = cumulative_sums.take(stop, axis=axis) - cumulative_sums.take(start, axis=axis)
    return window_sums / pixel_count
