"""Spaces in which several depth maps of one scene are matched and averaged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Mask
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.resampling.resizing import limit_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendingSpace:
    """Space in which depth maps are averaged.

    Attributes:
        from_depth: Converts depth to the space.
        to_depth: Converts values of the space to depth.
        match: Takes values, reference values and the mask of pixels to compare. Returns the values
            with the scale (and shift) of the reference.
    """

    from_depth: Callable[[Field], Field]
    to_depth: Callable[[Field], Field]
    match: Callable[[Field, Field, Mask], Field]


def blending_space(card: ModelCard) -> BlendingSpace:
    """Space for the depth of a model.

    It is the logarithm of depth, in which another scale is a shift, or affine values as they are,
    which are matched by scale and shift.
    """
    if card.kind is not None and card.kind.is_depth:
        return BlendingSpace(
            from_depth=lambda depth: np.log(limit_depth(depth, card.resizing)),
            to_depth=np.exp,
            match=_match_median,
        )
    return BlendingSpace(from_depth=np.asarray, to_depth=np.asarray, match=_match_scale_and_shift)


def _match_median(values: Field, reference: Field, compared: Mask) -> Field:
    """Shift values by their median difference from the reference."""
    if not compared.any():
        return values
    return values + np.median((reference - values)[compared])


def _match_scale_and_shift(values: Field, reference: Field, compared: Mask) -> Field:
    """Fit scale and shift to the reference by least squares (linear regression).

    The scale is 1 if the fit is not positive, as near and far must not be swapped, or if the values
    are constant.
    """
    if not compared.any():
        return values
    mean = values[compared].mean()
    reference_mean = reference[compared].mean()
    deviations = values[compared] - mean
    reference_deviations = reference[compared] - reference_mean
    squared_deviations = float((deviations * deviations).sum())
    scale = 1.0
    if squared_deviations > 0:
        scale = float((deviations * reference_deviations).sum()) / squared_deviations
    if not scale > 0:  # also if it is NaN
        scale = 1.0
    return (values - mean) * scale + reference_mean


def depth_in_space(inference: Inference, space: BlendingSpace) -> Field:
    """Depth in the space; invalid pixels get the smallest valid depth, which is always allowed."""
    depth, valid = inference.depth, inference.valid
    assert depth is not None, "the caller checks that there is depth"
    if valid is None or valid.all():
        return space.from_depth(depth)
    min_depth = depth[valid].min() if valid.any() else np.float32(1)
    return space.from_depth(np.where(valid, depth, min_depth))
