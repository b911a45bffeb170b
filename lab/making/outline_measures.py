"""Measures of outlines: their width, and steps and errors against the truth of rendered frames."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lab.making.outline_maps import Mask1, borders_of, steps_of

_SIDE, _SPAN, _RISE, _FEWEST = 480, 0.04, 0.25, 30
_BLUR, _POINTS = 0.7, 6000
_INVENTED, _BESIDE = 8, 16
"""Pixels from a true step from which a step is invented, and within which a pixel is beside it."""


class StepScores(NamedTuple):
    """Scores of log depth against the truth; means over the frames.

    Attributes:
        f1: F1 of steps of a tenth of depth, within 2 px of true ones.
        invented: Steps farther than 8 px from true ones [% of the pixels of land].
        abs_rel: Mean relative error of depth, medians matched.
        near_steps: The same within 16 px of true steps.
        near_sky: The same within 16 px of the sky.
    """

    f1: float
    invented: float
    abs_rel: float
    near_steps: float
    near_sky: float


def outline_width(logs: Float[Tensor, "h w"]) -> float:
    """Median width of outlines of log depth [% of the diagonal]; NaN where there are too few.

    At ridges of the slope of inverse depth, the step across 4% of the diagonal to each side over
    the steepest slope on the way; steps of a quarter of the picture's range or more count.
    """
    inverse = torch.exp(-logs.float())
    every = inverse.flatten().sort().values
    low, high = every[len(every) // 100], every[len(every) * 99 // 100]
    picture = ((inverse - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)[None, None]
    scale = _SIDE / max(logs.shape)
    size = (round(logs.shape[0] * scale), round(logs.shape[1] * scale))
    mode = "area" if scale < 1 else "bilinear"
    picture = _blurred(F.interpolate(picture, size=size, mode=mode))
    down, across = torch.gradient(picture[0, 0])
    slope = torch.hypot(down, across)
    diagonal = float(np.hypot(*size))
    reach = int(_SPAN * diagonal)
    steep = slope > slope.flatten().kthvalue(int(0.9 * slope.numel())).values
    rows, columns = torch.nonzero(steep, as_tuple=True)
    chosen = np.random.default_rng(0).permutation(len(rows))[:_POINTS]
    chosen = torch.from_numpy(chosen).to(logs.device)
    rows, columns = rows[chosen], columns[chosen]
    steepest, way = slope[rows, columns], torch.arange(-reach, reach + 1, device=logs.device)
    y = rows[:, None] + (down[rows, columns] / steepest)[:, None] * way
    x = columns[:, None] + (across[rows, columns] / steepest)[:, None] * way
    places = torch.stack([2 * x / (size[1] - 1) - 1, 2 * y / (size[0] - 1) - 1], dim=-1)[None]
    profile = F.grid_sample(picture, places, padding_mode="border", align_corners=True)[0, 0]
    rise = profile.diff(dim=1)
    step = profile.amax(dim=1) - profile.amin(dim=1)
    middle = (rise.argmax(dim=1) - reach + 0.5).abs() <= 1
    ridge = middle & (step > _RISE)
    widths = (step / rise.amax(dim=1))[ridge] / diagonal * 100
    return float(widths.median()) if len(widths) >= _FEWEST else float("nan")


def step_scores(logs: Float[Tensor, "b 1 h w"], true: Float[Tensor, "b 1 h w"]) -> StepScores:
    """Compare log depth with the truth, which is infinite where there is sky."""
    rows = [_scores(*each) for each in zip(logs.split(1), true.split(1), strict=True)]
    table = np.array([row for row in rows if row is not None], float).reshape(-1, 5)
    known = np.isfinite(table)
    means = np.where(known, table, 0).sum(0) / np.maximum(known.sum(0), 1)
    means = np.where(known.any(0), means, np.nan)
    return StepScores(*map(float, means))


def _scores(logs: Tensor, true: Tensor) -> list[float] | None:
    land = torch.isfinite(true)
    if not land.any():
        return None
    truth = torch.where(land, true, 0.0)
    true_steps, steps = steps_of(truth, land), steps_of(logs, land)
    precision = _share(steps & _within_disc(true_steps), steps)
    recall = _share(true_steps & _within_disc(steps), true_steps)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-9)
    invented = 100 * _share(steps & ~_dilated(true_steps, _INVENTED), land)
    error = logs - truth
    error = (error - error[land].median()).expm1().abs()
    beside = _dilated(true_steps, _BESIDE) & land
    coast = _dilated(borders_of(land), _BESIDE) & land
    means = [_mean(error, each) for each in (land, beside, coast)]
    return torch.stack([f1, invented, *means]).tolist()


def _share(part: Mask1, whole: Mask1) -> Tensor:
    return part.sum() / whole.sum().clamp(min=1)


def _mean(values: Tensor, mask: Mask1) -> Tensor:
    return torch.where(mask, values, 0.0).sum() / mask.sum()


def _within_disc(mask: Mask1) -> Mask1:
    y, x = np.mgrid[-2:3, -2:3]
    disc = torch.from_numpy((np.hypot(x, y) <= 2).astype(np.float32)).to(mask.device)
    return F.conv2d(mask.float(), disc[None, None], padding=2) > 0.5


def _dilated(mask: Mask1, times: int) -> Mask1:
    x = mask.float()
    for _ in range(times):
        x = torch.maximum(F.max_pool2d(x, (3, 1), 1, (1, 0)), F.max_pool2d(x, (1, 3), 1, (0, 1)))
    return x > 0


def _blurred(picture: Tensor) -> Tensor:
    place = torch.arange(-3, 4, device=picture.device)
    kernel = torch.exp(-0.5 * (place / _BLUR) ** 2)
    kernel = kernel / kernel.sum()
    x = F.pad(picture, (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(x, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
