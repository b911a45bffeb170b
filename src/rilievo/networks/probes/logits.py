"""Outputs of a probe before they are read as depth or normals, and their place in the image."""

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
        values: The outputs; they cover the whole padded image.
        scale: Factor of the last enlargement, which is still to be done.
        enlargement: Method of the last enlargement.
        padded: Height and width of the padded image, which the network saw [px].
        box: Box of the image in the padded image.
        crop: Whether the padding is cut away; if not, the whole is stretched over the image, as
            Probe3D's program does.
    """

    values: Float[Tensor, "b o h w"]
    scale: int
    enlargement: Enlargement
    padded: tuple[int, int]
    box: Box
    crop: bool

    def channels(self, start: int, stop: int) -> "Logits":
        """Select some of the outputs, if one probe serves several tasks."""
        return replace(self, values=self.values[:, start:stop])


def enlarged(logits: Logits) -> Float[Tensor, "b o h2 w2"]:
    """Apply the last enlargement to the outputs."""
    return enlarge(logits.values, logits.scale, logits.enlargement)


def placed(
    whole: Float[Tensor, "b c h w"],
    logits: Logits,
    size: tuple[int, int],
    interpolation: Interpolation = "bilinear",
) -> Float[Tensor, "b c h2 w2"]:
    """Cut the image's part out of a map of the padded image, and resize it.

    Args:
        whole: Any map that covers the padded image.
        logits: Outputs whose ``box``, ``padded`` and ``crop`` are used.
        size: Height and width of the result [px].
        interpolation: Interpolation between the map's cells.
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
    """Positions of the image's pixels on an axis of the map, which spans -1 to 1."""
    pixel = torch.arange(count, dtype=like.dtype, device=like.device)
    place = start + (pixel + 0.5) * (length / count)  # the padded image's left edge is 0
    if corners:
        return 2 * (place - 0.5) / (padded - 1) - 1
    return 2 * place / padded - 1
