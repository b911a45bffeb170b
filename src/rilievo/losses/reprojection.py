"""Warping of a source frame to the target's camera, by the target's depth and their motion."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.geometry.intrinsics import LEAST_DEPTH, seen_from

PUBLISHED_EPSILON = 1e-7
"""Number that Monodepth2 adds to the depth by which it divides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warped:
    """A source frame, resampled where it sees the target's points.

    Attributes:
        image: Source resampled at the target's pixels; beyond its border, the border's colours.
        pixels: Coordinates (u, v) of the target's points in the source [px].
        depth: Depth of the points in the source's camera; not positive behind it.
    """

    image: Float[Tensor, "b c h w"]
    pixels: Float[Tensor, "b 2 h w"]
    depth: Float[Tensor, "b h w"]

    @property
    def in_front(self) -> Bool[Tensor, "b h w"]:
        """Points that the source's camera could see, inside its image or not."""
        return self.depth > LEAST_DEPTH

    @property
    def in_view(self) -> Bool[Tensor, "b h w"]:
        """Points that lie inside the source's image."""
        height, width = self.depth.shape[-2:]
        u, v = self.pixels.unbind(dim=1)
        return self.in_front & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)


def depth_of_sigmoid(
    sigmoid: Float[Tensor, "b 1 h w"], *, min_depth: float, max_depth: float
) -> Float[Tensor, "b h w"]:
    """Depth whose inverse lies between 1 / ``max_depth`` (sigmoid 0) and 1 / ``min_depth`` (1)."""
    return 1 / (1 / max_depth + (1 / min_depth - 1 / max_depth) * sigmoid[:, 0])


def warp(
    source: Float[Tensor, "b c h w"],
    depth: Float[Tensor, "b h w"],
    K: Float[Tensor, "b 3 3"],
    source_T_target: Float[Tensor, "b 4 4"],
    *,
    align_corners: bool = True,
    in_front: bool = True,
) -> Warped:
    """Warp a source frame to the target's camera.

    Args:
        source: Source frame.
        depth: Depth of the target's pixels.
        K: Intrinsics of both frames, at this size [px].
        source_T_target: Transform from points of the target's camera to the source's.
        align_corners: Same as in ``VideoLosses``.
        in_front: Whether points behind the source's camera are distinguished by
            ``Warped.in_front``; False mirrors them into its image as the published program does.
    """
    epsilon = None if in_front else PUBLISHED_EPSILON
    seen = seen_from(depth, K, source_T_target, epsilon=epsilon)
    pixels = seen[:, :2]
    image = sample_image(source, pixels, align_corners=align_corners)
    return Warped(image=image, pixels=pixels, depth=seen[:, 2])


def sample_image(
    image: Float[Tensor, "b c h w"],
    pixels: Float[Tensor, "b 2 h w"],
    *,
    align_corners: bool = True,
) -> Float[Tensor, "b c h w"]:
    """Sample colours bilinearly at (u, v) [px]; beyond the border, those of the border.

    If ``align_corners`` is False, the centres of the first and last pixel are mistaken for the
    image's edges: points move away from its middle, by half a pixel at the border.
    """
    height, width = image.shape[-2:]
    scale = torch.tensor([[[2 / (width - 1)]], [[2 / (height - 1)]]], dtype=pixels.dtype)
    grid = torch.addcmul(pixels.new_tensor(-1), pixels, scale.to(pixels.device))
    return F.grid_sample(
        image,
        grid.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="border",
        align_corners=align_corners,
    )
