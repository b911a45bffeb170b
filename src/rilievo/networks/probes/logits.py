"""What a probe says before it is read as depth or normals, and where that lies in the image."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rilievo.networks.features import Box
from rilievo.networks.probes.enlarge import Enlargement, enlarge

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """Outputs of a probe, before their last enlargement.

    Attributes:
        values: The outputs; they cover the whole of what the network saw.
        scale: The last enlargement, still to be done.
        enlargement: How.
        padded: Height and width of what the network saw [px].
        box: Where the image lies in it.
        crop: Cut the padding away; else stretch the whole over the image, as Probe3D's program
            does.
    """

    values: Float[Tensor, "b o h w"]
    scale: int
    enlargement: Enlargement
    padded: tuple[int, int]
    box: Box
    crop: bool

    def channels(self, start: int, stop: int) -> "Logits":
        """Some of the outputs, where one probe serves several tasks."""
        return replace(self, values=self.values[:, start:stop])


def enlarged(logits: Logits) -> Float[Tensor, "b o h2 w2"]:
    """The outputs after the last enlargement."""
    return enlarge(logits.values, logits.scale, logits.enlargement)


def placed(
    whole: Float[Tensor, "b c h w"],
    logits: Logits,
    size: tuple[int, int],
    interpolation: Interpolation = "bilinear",
) -> Float[Tensor, "b c h2 w2"]:
    """The image's part of a map of what the network saw, at the image's size.

    Args:
        whole: Any map that covers what the network saw.
        logits: Says where the image lies in it.
        size: Height and width wanted [px].
        interpolation: Between the map's cells.
    """
    corners = logits.enlargement == "corners"
    covers = (logits.box.height, logits.box.width) == logits.padded
    if covers or not logits.crop:
        if whole.shape[2:] == size:
            return whole
        return F.interpolate(whole, size=size, mode=interpolation, align_corners=corners)
    rows = _positions(logits.box.top, logits.box.height, logits.padded[0], size[0], whole, corners)
    columns = _positions(
        logits.box.left, logits.box.width, logits.padded[1], size[1], whole, corners
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2)
    return F.grid_sample(
        whole,
        grid.expand(len(whole), *grid.shape),
        mode=interpolation,
        padding_mode="border",
        align_corners=corners,
    )


def _positions(
    start: int, length: int, padded: int, count: int, like: Tensor, corners: bool
) -> Float[Tensor, "count"]:
    """Where the image's pixels lie on an axis of the map, which spans -1 to 1."""
    pixel = torch.arange(count, dtype=like.dtype, device=like.device)
    place = start + (pixel + 0.5) * (length / count)  # the padded image's left edge is 0
    if corners:
        return 2 * (place - 0.5) / (padded - 1) - 1
    return 2 * place / padded - 1
