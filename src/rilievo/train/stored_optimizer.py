"""Moments and rates of Adam from a checkpoint, checked before a run resumes with them."""

from typing import Any

import torch
from torch.optim import Optimizer

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
_MOST = 1e9
"""Bound above any learning rate and any number of steps."""


def load_optimizer(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Load and check an optimizer's moments and rates; torch itself accepts any.

    Raises:
        ValueError: If they are those of another optimizer, or of other weights.
    """
    before = [_fixed(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(stored)
    if [_fixed(group) for group in optimizer.param_groups] != before:
        raise ValueError("its optimizer has other settings")
    if not all(0 <= float(group["lr"]) < _MOST for group in optimizer.param_groups):
        raise ValueError("its learning rate is none")
    for parameter, moments in optimizer.state.items():
        for name, each in moments.items():
            shape = torch.Size() if name == "step" else parameter.shape
            if name not in _MOMENTS or not isinstance(each, torch.Tensor) or each.shape != shape:
                raise ValueError(f"its optimizer has a '{name}' that fits no weight")
            if name == "step" and not 0 <= each.item() < _MOST:
                raise ValueError("its optimizer has done a number of steps that is none")
        if moments and len(moments) < len(_MOMENTS):
            raise ValueError("its optimizer lacks some moments")


def _fixed(group: dict[str, Any]) -> dict[str, Any]:
    """Settings of a parameter group that a schedule does not change."""
    return {name: value for name, value in group.items() if name not in ("params", "lr")}
