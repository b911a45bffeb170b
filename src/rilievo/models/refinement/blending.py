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
    """How depth enters and leaves the space, and how one depth is matched to another in it."""

    enter: Callable[[Field], Field]
    leave: Callable[[Field], Field]
    match: Callable[[Field, Field, Mask], Field]


def blending_space(card: ModelCard) -> BlendingSpace:
    """Logarithms for depth of a known zero; inverse depth as it is, up to scale and shift."""
    if card.kind is not None and card.kind.is_depth:
        return BlendingSpace(
            enter=lambda depth: np.log(limit_depth(depth, card.resizing)),
            leave=np.exp,
            match=_match_median,
        )
    return BlendingSpace(enter=np.asarray, leave=np.asarray, match=_match_scale_and_shift)


def _match_median(values: Field, reference: Field, inside: Mask) -> Field:
    return values + np.median((reference - values)[inside]) if inside.any() else values


def _match_scale_and_shift(values: Field, reference: Field, inside: Mask) -> Field:
    if not inside.any():
        return values
    middle, level = values[inside].mean(), reference[inside].mean()
    centred, target = values[inside] - middle, reference[inside] - level
    power = float((centred * centred).sum())
    scale = float((centred * target).sum()) / power if power > 0 else 1.0
    return (values - middle) * (scale if scale > 0 else 1) + level


def depth_in_space(inference: Inference, space: BlendingSpace) -> Field:
    """Depth of an inference in the space; invalid pixels get the least valid depth."""
    depth, valid = inference.depth, inference.valid
    assert depth is not None, "asked for depth alone"
    if valid is None or valid.all():
        return space.enter(depth)
    least = depth[valid].min() if valid.any() else np.float32(1)
    return space.enter(np.where(valid, depth, least))
