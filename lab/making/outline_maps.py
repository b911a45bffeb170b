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


def borders_of(mask: Mask1) -> Mask1:
    """Pixels on both sides of a mask's border."""
    border = torch.zeros_like(mask)
    for one, other in _NEIGHBOURS:
        differs = mask[one] != mask[other]
        border[one] |= differs
        border[other] |= differs
    return border


_NEIGHBOURS = (
    (np.s_[..., :, :-1], np.s_[..., :, 1:]),
    (np.s_[..., :-1, :], np.s_[..., 1:, :]),
)
