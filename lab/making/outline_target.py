"""Target of an outline head: the network's own answer with the outlines of the truth.

A guided filter (K. He, J. Sun and X. Tang, ECCV 2010) of the fused log depth, with the exact log
depth as the guide. So the layout teaches nothing, and where the network sees no step, none is asked
for. Pixels next to true steps hardly count, as depth is melted there. Land and sky each have a line
of their own, so that land beside the sky is continued from land.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lab.making.outline_maps import (
    Maps1,
    Mask1,
    borders_of,
    most,
    steps_of,
    widened,
    window_means,
)

REACH = 24
"""Pixels on each side of the middle of a window."""
_NEAR = 6
"""Pixels from a step at which a pixel counts fully."""
_LEAST = 0.02**2
_PULL = 2e-3
_SLOPES = (-0.2, 3.0)


def outlined(
    logs: Float[Tensor, "b 1 h w"],
    true: Float[Tensor, "b 1 h w"],
    *,
    reach: int = REACH,
    near: int = _NEAR,
    every: int = 2,
) -> Float[Tensor, "b 1 h w"]:
    """Log depth with the outlines of the truth.

    Args:
        logs: Log depth of the network.
        true: Exact log depth; infinite where there is sky.
        reach: Pixels on each side of the middle of a window.
        near: Pixels from a step at which a pixel counts fully.
        every: Spacing of the pixels to which lines are fitted.
    """
    land = torch.isfinite(true)
    count = land.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    guide = torch.where(land, true, 0.0)
    guide = torch.where(land, guide - guide.sum(dim=(2, 3), keepdim=True) / count, 0.0)
    steps = steps_of(guide, land) | borders_of(land)
    distance = 1 + torch.stack([(~widened(steps, each)).float() for each in range(near)]).sum(0)
    counts = (distance / (near + 1)).square() * (distance > 1) + _LEAST
    thin = (..., slice(every // 2, None, every), slice(every // 2, None, every))
    small, values, weight, ground = guide[thin], logs[thin], counts[thin], land[thin].float()
    side = 2 * (reach // every) + 1
    on_land, on_sky = weight * (ground + 1e-6), weight * (1 - ground + 1e-6)
    means = window_means(
        torch.cat(
            [
                on_land,
                on_land * small,
                on_land * values,
                on_land * small * values,
                on_land * small * small,
                on_sky,
                on_sky * values,
            ],
            dim=1,
        ),
        side,
    )
    total, g, v, gv, gg, sky_total, sky_v = means.split(1, dim=1)
    g, v = g / total, v / total
    slope = ((gv / total - g * v) / (gg / total - g * g + _PULL)).clamp(*_SLOPES)
    coefficients = torch.cat(
        [on_land * slope, on_land * (v - slope * g), on_sky * (sky_v / sky_total)], dim=1
    )
    weights = torch.cat([total, total, sky_total], dim=1)
    lines = window_means(coefficients, side) / weights
    lines = F.interpolate(lines, size=logs.shape[-2:], mode="bilinear", align_corners=False)
    slope, offset, sky = lines.split(1, dim=1)
    return torch.where(land, slope * guide + offset, sky)


def near_steps(logs: Maps1, *, least: float, reach: int) -> Mask1:
    """Pixels within ``reach`` of a place whose 3x3 pixels span ``least`` of log depth or more."""
    span = F.max_pool2d(logs, 3, 1, 1) + F.max_pool2d(-logs, 3, 1, 1)
    return most((span > least).float(), 2 * reach + 1) > 0
