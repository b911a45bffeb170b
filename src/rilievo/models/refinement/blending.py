"""Spaces in which depths of one scene are matched and averaged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Mask
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.resampling.resizing import limit_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendingSpace:
    """Space in which depths are averaged.

    Attributes:
        enter: Takes depth to the space.
        leave: Takes values of the space back to depth.
        match: Takes values, reference values and the pixels to compare, and returns the values
            with the scale (and shift) of the reference.
    """

    enter: Callable[[Field], Field]
    leave: Callable[[Field], Field]
    match: Callable[[Field, Field, Mask], Field]


def blending_space(card: ModelCard) -> BlendingSpace:
    """Logarithms, in which a scale is a shift; affine values as they are, up to scale and shift."""
    if card.kind is not None and card.kind.is_depth:
        return BlendingSpace(
            enter=lambda depth: np.log(limit_depth(depth, card.resizing)),
            leave=np.exp,
            match=_match_median,
        )
    return BlendingSpace(enter=np.asarray, leave=np.asarray, match=_match_scale_and_shift)


def _match_median(values: Field, reference: Field, compared: Mask) -> Field:
    if not compared.any():
        return values
    return values + np.median((reference - values)[compared])


def _match_scale_and_shift(values: Field, reference: Field, compared: Mask) -> Field:
    """Match by least squares; a falling line is replaced by one of scale 1."""
    if not compared.any():
        return values
    mean, reference_mean = values[compared].mean(), reference[compared].mean()
    centred, centred_reference = values[compared] - mean, reference[compared] - reference_mean
    variance = float((centred * centred).sum())
    scale = float((centred * centred_reference).sum()) / variance if variance > 0 else 1.0
    return (values - mean) * (scale if scale > 0 else 1) + reference_mean


def depth_in_space(inference: Inference, space: BlendingSpace) -> Field:
    """Depth of an answer in the space; invalid pixels get the least valid depth."""
    depth, valid = inference.depth, inference.valid
    assert depth is not None, "asked for depth alone"
    if valid is None or valid.all():
        return space.enter(depth)
    least = depth[valid].min() if valid.any() else np.float32(1)
    return space.enter(np.where(valid, depth, least))
