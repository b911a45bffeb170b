"""Outline head of ``rilievo/base``, perhaps with a picking on its layout, and its files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lab.making.outline_frozen import Views
from lab.making.outline_network import (
    LayoutPick,
    OutlineNet,
    enlarged,
    fuse,
    sharpened,
    sharpened_softly,
)
from rilievo.errors import InputError
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable


class Answer(NamedTuple):
    """Log depth before and after the head, and what moved.

    Attributes:
        fused: Log depth that is displaced.
        displacement: Displacement at half the size.
        coarse: Layout at an eighth of the size; None without a picking.
    """

    fused: Float[Tensor, "b 1 h w"]
    displacement: Float[Tensor, "b 2 h2 w2"]
    coarse: Float[Tensor, "b 1 h8 w8"] | None


class Head(nn.Module):
    """Outline head of ``rilievo/base``, perhaps with a picking on its layout."""

    def __init__(self, *, pick: bool) -> None:
        super().__init__()
        self.outline = OutlineNet()
        self.pick = LayoutPick() if pick else None

    def forward(self, views: Views) -> Answer:
        """Displace the answers of frozen networks."""
        # Planes one after another: torch's own depthwise kernels are the faster ones here.
        half, quarter = (each.float().contiguous() for each in (views.features, views.quarter))
        coarse, fine, sky = views.coarse, views.fine, views.sky
        picked = None
        if self.pick is not None:
            picked = self.pick(quarter, coarse, fine, sky)
            coarse = enlarged(picked, (fine.shape[2], fine.shape[3]))
        fused = fuse(coarse if picked is None else picked, fine, sky)
        maps = torch.cat([fused, fine, coarse], dim=1)
        return Answer(fused, self.outline(half, quarter, maps, sky), picked)

    @torch.no_grad()
    def measure(self, views: Views) -> None:
        """Set the scales of the features from some pictures."""
        for name, features in (("half", views.features), ("quarter", views.quarter)):
            deviation = features.float().flatten(2).std(dim=2).mean(dim=0)
            for part in (self.outline, self.pick):
                if part is not None and hasattr(part, f"{name}_features"):
                    getattr(part, f"{name}_features").measure(deviation)


def head_arrays(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Weights under the names that the graph's writer reads."""
    return {name: value.detach().float().cpu().numpy() for name, value in state.items()}


def read_head(path: Path) -> Head:
    """Read a head from the archive of a run.

    Raises:
        InputError: If it holds none.
    """
    try:
        with np.load(path) as arrays:
            state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        head = Head(pick=any(name.startswith("pick.") for name in state))
        head.load_state_dict(state)
    except Exception as error:  # zipfile, numpy and torch raise errors of many kinds
        raise InputError(f"{printable(path)}: no outline head ({reason(error)})") from error
    return head.eval()


def straight_through(answer: Answer, sky: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Log depth of whole pixels, with the gradients of bilinear picks."""
    soft = sharpened_softly(answer.fused, answer.displacement, sky)
    with torch.no_grad():
        exact = sharpened(answer.fused, answer.displacement, sky)
    return soft + (exact - soft).detach()
