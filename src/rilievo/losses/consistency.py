"""Losses of consistency between frames: of their depth, and of the distance between them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.losses.reprojection import Warped


def depth_disagreement(seen: Warped) -> Float[Tensor, "b h w"]:
    """|z - D| / (z + D), in 0..1: the target's points against the source's depth map.

    z is the depth of a target's point in the source's camera, and D that of the source's own depth
    map at the same pixel. It is zero where the point is not in the source's image. J. Bian et al.,
    "Unsupervised Scale-consistent Depth and Ego-motion Learning from Monocular Video", NeurIPS
    2019.

    Args:
        seen: The source's depth map, of one channel, warped to the target.
    """
    D = seen.image[:, 0]
    z = torch.where(seen.in_view, seen.depth, D)
    return (z - D).abs() / (z + D)


def consistency_loss(
    disagreement: Float[Tensor, "b h w"], counted: Bool[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Mean over the pixels that count; zero if none does."""
    return (disagreement * counted).sum() / counted.sum().clamp(min=1)


def velocity_loss(
    source_T_target: Float[Tensor, "b n 4 4"], travelled: Float[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """Mean | ‖t‖ - distance | [m] over the pairs whose distance is known; zero if none is.

    It makes translation, and with it depth, metric. V. Guizilini et al., "3D Packing for
    Self-Supervised Monocular Depth Estimation", CVPR 2020.

    Args:
        source_T_target: Predicted motion.
        travelled: Distance between the two frames [m], NaN where it is unknown.
    """
    known = travelled.isfinite()
    away = source_T_target[..., :3, 3].norm(dim=-1) - torch.where(known, travelled, 0.0)
    return (away.abs() * known).sum() / known.sum().clamp(min=1)
