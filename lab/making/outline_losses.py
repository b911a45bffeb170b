"""Losses of an outline head: errors, slopes, fray and facets."""

from collections.abc import Callable
from types import EllipsisType
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lab.making.outline_maps import Mask1, most, widened, window_means
from lab.making.outline_target import near_steps

LogMap = Float[Tensor, "b 1 h w"]
Place = tuple[EllipsisType | slice, ...]

_BAND_STEP, _BAND = 0.08, 16
"""Step of the target [log depth] and pixels around it where errors weigh most."""
_IN_BAND, _ELSEWHERE, _SKY = 3.5, 0.4, 0.1
_LARGEST_ERROR = 1.2
"""Log error from which the relative error counts no further."""
_SPACINGS = (1, 2, 4, 8)
_SMOOTH, _STILL, _FACETS = 6, 32, (2, 4)
"""Pixels from a step at which a surface is smooth, and at which it is still; spans of facets."""
_MEASURED_STEP, _MEASURED_REACH = 0.12, 24
"""Step of measured depth within 5 px [log depth], and pixels around it where nothing is asked."""
_ALLOWED = 0.01
"""Second difference of log depth that is no facet: of displacements in whole pixels on a slope."""
_QUIET_PULL = 2.0
"""Weight of changes of the layout where it has no cause to change."""
_MEASURED = 0.2
"""Weight of a photograph's pixels."""
_MAJORITY, _RANGE = 7, 9
_LEAST_STEP = 0.05
"""Range of log depth in a window from which there is an outline in it."""


class Aim(NamedTuple):
    """Targets and weights of a batch.

    Attributes:
        target: Log depth with the outlines of the truth.
        weight: Weight of each pixel.
        land: Pixels that see a surface.
        smooth: Pixels of land without a true outline nearby.
        texture: Strength of the picture's texture, 0 to 1.
        still: Pixels of land without a true outline far and wide, whose depth has no cause to move.
    """

    target: LogMap
    weight: LogMap
    land: Mask1
    smooth: Mask1
    texture: LogMap
    still: Mask1


def aim_of(target: LogMap, land: Mask1, steps: Mask1, image: Float[Tensor, "b 3 h w"]) -> Aim:
    """Weights of a target.

    Args:
        target: Log depth with the outlines of the truth.
        land: Pixels that see a surface.
        steps: Pixels at outlines of the truth.
        image: Pictures of 0..255 as the networks saw them.
    """
    smooth, still = (~widened(steps, each) & land for each in (_SMOOTH, _STILL))
    band = near_steps(target, least=_BAND_STEP, reach=_BAND) & ~still
    weight = torch.where(band, _IN_BAND, torch.where(land, _ELSEWHERE, _SKY))
    return Aim(target, weight, land, smooth, _texture(image), still)


def still_aim(fused: LogMap, measured: LogMap, image: Float[Tensor, "b 3 h w"]) -> Aim:
    """Aim that depth stays as it is, but near steps of measured depth, where nothing is asked for.

    Args:
        fused: Log depth of the network.
        measured: Log depth of a sensor, whose steps are soft; NaN where it is unknown.
        image: Pictures of 0..255.
    """
    known = torch.isfinite(measured)
    logs = torch.where(known, measured, 0.0)
    span = F.max_pool2d(logs, 5, 1, 2) + F.max_pool2d(-logs, 5, 1, 2)
    still = ~widened((span > _MEASURED_STEP) | ~known, _MEASURED_REACH)
    none = torch.zeros_like(still)
    return Aim(fused, _MEASURED * still, ~none, still, _texture(image), none)


def _texture(image: Float[Tensor, "b 3 h w"]) -> LogMap:
    light = image.mean(dim=1, keepdim=True) / 255
    variance = window_means(light.square(), 7) - window_means(light, 7).square()
    return (variance.clamp(min=0).sqrt() * 8).clamp(max=1)


def error_loss(logs: LogMap, aim: Aim) -> Float[Tensor, ""]:
    """Half the error of log depth and half the relative error of depth: too far costs more."""
    error = logs - aim.target
    relative = error.clamp(max=_LARGEST_ERROR).expm1().abs()
    return (aim.weight * (error.abs() + relative) / 2).mean()


def slope_loss(logs: LogMap, aim: Aim) -> Float[Tensor, ""]:
    """Error of the differences to neighbours at several spacings."""
    error, total = logs - aim.target, logs.new_zeros(())
    for space in _SPACINGS:
        for one, other in _pairs(space):
            difference = (error[one] - error[other]).abs().clamp(max=1)
            total = total + (aim.weight[one] * difference).mean()
    return total / (2 * len(_SPACINGS))


def fray_loss(logs: LogMap, aim: Aim) -> Float[Tensor, ""]:
    """Share of ragged outlines: disagreement of pixels with the majority around them.

    Each pixel's place between the nearest and the farthest depth around it is compared with the
    majority of its window. Disagreement that the target has too, at corners and thin things, is
    skipped.
    """
    own, height = _disagreement(logs)
    true, _ = _disagreement(aim.target)
    excess = F.relu(own - most(true.detach(), 5))
    return (excess * height * aim.land).mean()


def _disagreement(logs: LogMap) -> tuple[LogMap, LogMap]:
    fixed = logs.detach()
    low, high = -most(-fixed, _RANGE), most(fixed, _RANGE)
    height = high - low
    place = ((logs - low) / height.clamp(min=_LEAST_STEP)).clamp(0, 1)
    majority = ((window_means(place.detach(), _MAJORITY) - 0.5) * 6 + 0.5).clamp(0, 1)
    return (place - majority).abs(), torch.where(height > _LEAST_STEP, height, 0).clamp(max=1)


def facet_loss(logs: LogMap, fused: LogMap, aim: Aim) -> Float[Tensor, ""]:
    """Second differences where the truth is smooth, beyond those of the input and the target."""
    total = logs.new_zeros(())
    weight = aim.smooth * (0.5 + 1.5 * aim.texture)
    for space in _FACETS:
        for bend, middle in _bends(space):
            allowed = torch.maximum(bend(fused).abs(), bend(aim.target).abs()) + _ALLOWED
            excess = F.relu(bend(logs).abs() - allowed.detach()).clamp(max=1)
            total = total + (weight[middle] * excess).mean()
    return total / (2 * len(_FACETS))


def still_loss(logs: LogMap, fused: LogMap, aim: Aim) -> Float[Tensor, ""]:
    """Change of log depth where it has no cause to move."""
    return (aim.still * (logs - fused).abs()).mean()


def _pairs(space: int) -> tuple[tuple[Place, Place], ...]:
    return (
        (np.s_[..., space:], np.s_[..., :-space]),
        (np.s_[..., space:, :], np.s_[..., :-space, :]),
    )


def _bends(space: int) -> tuple[tuple[Callable[[LogMap], LogMap], Place], ...]:
    def across(x: LogMap) -> LogMap:
        return x[..., : -2 * space] - 2 * x[..., space:-space] + x[..., 2 * space :]

    def down(x: LogMap) -> LogMap:
        return x[..., : -2 * space, :] - 2 * x[..., space:-space, :] + x[..., 2 * space :, :]

    return ((across, np.s_[..., space:-space]), (down, np.s_[..., space:-space, :]))


def layout_loss(
    picked: LogMap, own: LogMap, target: LogMap, land: Mask1, quiet: Mask1
) -> Float[Tensor, ""]:
    """Loss of a layout that was picked anew: errors, slopes, and a pull to what it was.

    Args:
        picked: Layout at an eighth of the size, after the picking.
        own: The same before.
        target: Layout with the outlines of the truth.
        land: Cells that are learnt.
        quiet: Cells that have no cause to change.
    """
    band = near_steps(target, least=_BAND_STEP, reach=4)
    weight = torch.where(band, _IN_BAND, 0.5) * land
    aim = Aim(target, weight, land, land, weight, land)
    gained = ((target - own).abs() / 0.1).clamp(max=1)
    pull = weight * (1 - gained) + _QUIET_PULL * quiet
    change = (pull * (picked - own).abs()).mean()
    return error_loss(picked, aim) + 0.5 * slope_loss(picked, aim) + change
