"""Masked autoencoders of transformers, used without masks and at any size.

K. He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def keep_all_patches(body: Any) -> None:
    """Make the network mask nothing."""
    body.config.mask_ratio = 0.0


def ordered_noise(body: Any, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n"]:
    """The noise whose sorting keeps all patches in their places."""
    patch = body.config.patch_size
    count = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
    rising = torch.arange(count, device=pixels.device, dtype=pixels.dtype)
    return rising.expand(pixels.shape[0], -1)


def fill_positions(body: Any) -> None:
    """Give a network of random weights the sin-cos positions that it is defined with."""
    embeddings = body.embeddings
    patch, (height, width) = embeddings.patch_size, embeddings.image_size
    stored = embeddings.position_embeddings
    grid = sine_positions(height // patch, width // patch, stored.shape[-1])
    with torch.no_grad():
        stored.copy_(torch.cat((torch.zeros_like(grid[:1]), grid))[None])


def recompute_positions(body: Any) -> None:
    """Make the network compute its sin-cos positions for each size, instead of resampling them."""
    embeddings: Any = body.embeddings

    def positions(patches: Tensor, height: int, width: int) -> Tensor:
        rows, columns = height // embeddings.patch_size, width // embeddings.patch_size
        grid = sine_positions(rows, columns, patches.shape[-1]).to(patches)
        return torch.cat((embeddings.position_embeddings[:, :1], grid[None]), dim=1)

    embeddings.interpolate_pos_encoding = positions


def sine_positions(rows: int, columns: int, channels: int) -> Float[Tensor, "n c"]:
    """Positions of a grid, row by row: sines and cosines of the column, then those of the row.

    Frequencies fall geometrically from 1 to nearly 1/10000 over a quarter of the channels.
    """
    quarter = channels // 4
    rates = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    v, u = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [each.reshape(-1, 1) * rates for each in (u, v)]
    return torch.cat([wave(each) for each in angles for wave in (torch.sin, torch.cos)], 1).float()
