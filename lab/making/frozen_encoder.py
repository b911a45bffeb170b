"""A decoder that learns alone, on features of a layout network's encoder that does not learn.

The encoder sees every view of a frame once, before the first step, and its features stay in memory.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from lab.making.layout_network import Levels

_RATE, _WEIGHT_DECAY, _GRADIENT_NORM, _WARM_UP = 4e-4, 1e-2, 1.0, 50
_LOG_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenView:
    """A view of a frame, as the encoder sees it.

    Attributes:
        levels: Features at 1/8, 1/16 and 1/32 of the view, in half precision.
    """

    levels: Levels


View = TypeVar("View", bound=SeenView)


def halved(levels: Levels) -> Levels:
    """Features of the first image of a batch, in half precision."""
    eighth, sixteenth, coarsest = (level[0].half() for level in levels)
    return eighth, sixteenth, coarsest


def levels_of(views: Sequence[SeenView]) -> Levels:
    """Features of views of one shape, as a batch."""
    eighth, sixteenth, coarsest = (
        torch.stack(levels).float() for levels in zip(*(view.levels for view in views), strict=True)
    )
    return eighth, sixteenth, coarsest


def by_shape(views: Iterable[View]) -> list[list[View]]:
    """Views in groups of one shape each: portraits have another than landscapes."""
    groups: dict[torch.Size, list[View]] = {}
    for view in views:
        groups.setdefault(view.levels[0].shape, []).append(view)
    return list(groups.values())


def drawn(views: Sequence[View], count: int, random: np.random.Generator) -> list[View]:
    """Draw views at random; one can come twice."""
    return [views[int(number)] for number in random.integers(len(views), size=count)]


def learn(
    parameters: Sequence[nn.Parameter],
    loss_of_batch: Callable[[], Tensor],
    *,
    steps: int,
    logged: Callable[[int, float], None],
) -> None:
    """Take steps of AdamW, whose rate rises at first and then falls by half a cosine.

    Args:
        parameters: Weights that learn.
        loss_of_batch: Draws a batch and computes its loss.
        steps: Number of steps.
        logged: Called with the step and its loss every 100 steps, and after the last one.
    """
    optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_WEIGHT_DECAY)
    for step in range(1, steps + 1):
        fall = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, step / _WARM_UP) * fall
        loss = loss_of_batch()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
        optimiser.step()
        if step % _LOG_STEPS == 0 or step == steps:
            logged(step, loss.item())


class RunLog:
    """Lines that are printed, and kept in ``log.txt`` of the folder of a run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "log.txt"

    def __call__(self, text: str) -> None:
        """Print a line and append it to the file."""
        print(text, flush=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
