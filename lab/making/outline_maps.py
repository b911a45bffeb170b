"""Operations on batches of maps that an outline head's training shares: windows and steps."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Maps1 = Float[Tensor, "b c h w"]
Mask1 = Bool[Tensor, "b 1 h w"]

STEP = float(np.log(1.1))
"""Difference of log depth of two neighbours that is a step: a tenth of depth."""


def window_means(x: Maps1, side: int) -> Maps1:
    """Means of windows of ``side`` pixels, an odd number; at the border, of the pixels inside."""
    reach = side // 2
    down = F.avg_pool2d(x, (side, 1), 1, (reach, 0), count_include_pad=False)
    return F.avg_pool2d(down, (1, side), 1, (0, reach), count_include_pad=False)


def most(x: Maps1, side: int) -> Maps1:
    """Largest values of windows of ``side`` pixels, an odd number."""
    reach = side // 2
    return F.max_pool2d(F.max_pool2d(x, (side, 1), 1, (reach, 0)), (1, side), 1, (0, reach))


def widened(mask: Mask1, reach: int) -> Mask1:
    """Pixels with a marked one within ``reach`` pixels, down and across."""
    return most(mask.float(), 2 * reach + 1) > 0


def steps_of(logs: Float[Tensor, "b 1 h w"], valid: Mask1, least: float = STEP) -> Mask1:
    """Pixels at a step to the right or lower neighbour."""
    steps = torch.zeros_like(valid)
    for one, other in _NEIGHBOURS:
        far = (logs[one] - logs[other]).abs() > least
        far = far & valid[one] & valid[other]
        steps[one] |= far
        steps[other] |= far
    return steps


def outlines_of(true: Float[Tensor, "b 1 h w"]) -> Mask1:
    """Pixels on both sides of an outline of exact log depth, which is infinite where there is sky.

    Inverse depth is linear on a plane, and 0 in the sky. An outline is where it changes by a tenth
    or more, and far more than beside: so ground that goes up to the horizon has none, however
    steep its depth.
    """
    inverse = torch.where(torch.isfinite(true), torch.exp(-true), 0.0)
    outlines = torch.zeros_like(true, dtype=torch.bool)
    for axis in (-2, -1):
        x = inverse.transpose(axis, -1)
        change = x[..., 1:] - x[..., :-1]
        padded = F.pad(change, (_BESIDE, _BESIDE, 0, 0), mode="replicate")
        means = F.avg_pool2d(padded, (1, _BESIDE), 1)
        before, after = means[..., : change.shape[-1]], means[..., _BESIDE + 1 :]
        # Beside a thin thing depth changes back: only what goes on in the same sense counts.
        beside = torch.maximum(before * change.sign(), after * change.sign())
        nearest = torch.maximum(x[..., 1:], x[..., :-1])
        farthest = torch.minimum(x[..., 1:], x[..., :-1])
        bend = torch.where(farthest > 0, _BEND, _SKY_BEND)
        steps = (change.abs() > _RELATIVE_STEP * nearest) & (change.abs() > bend * beside)
        marked = outlines.transpose(axis, -1)
        marked[..., 1:] |= steps
        marked[..., :-1] |= steps
    # A slanting horizon leaves dots.
    return outlines & (F.avg_pool2d(outlines.float(), 7, 1, 3, divisor_override=1) >= _FEWEST)


def borders_of(mask: Mask1) -> Mask1:
    """Pixels on both sides of a mask's border."""
    border = torch.zeros_like(mask)
    for one, other in _NEIGHBOURS:
        differs = mask[one] != mask[other]
        border[one] |= differs
        border[other] |= differs
    return border


_RELATIVE_STEP = 1 - 1 / 1.1
_BESIDE, _FEWEST = 4, 5
"""Pixels on each side of a change, and pixels of an outline in 7x7 of them."""
_BEND, _SKY_BEND = 5.0, 9.0
"""Change of inverse depth over that beside from which there is an outline, and before the sky:
rendered ground ends a few pixels below the horizon."""
_NEIGHBOURS = (
    (np.s_[..., :, :-1], np.s_[..., :, 1:]),
    (np.s_[..., :-1, :], np.s_[..., 1:, :]),
)
