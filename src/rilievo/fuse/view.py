"""One view of a clip: a small picture, its depth, its camera and its pose."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from rilievo.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One frame, all at one small size.

    Attributes:
        name: Name of the frame in messages.
        pixels: RGB.
        depth: Depth z along the optical axis, in the unit of the pose once the views agree.
        valid: Pixels whose depth counts.
        K: Intrinsics at this size [px].
        world_T_cam: Pose.
    """

    name: str
    pixels: UInt8[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]
    K: Float64[np.ndarray, "3 3"]
    world_T_cam: Float64[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        shape = self.depth.shape
        if self.pixels.shape != (*shape, 3) or self.valid.shape != shape:
            raise InputError(
                f"{self.name}: depth is {shape}, its mask {self.valid.shape} and the picture "
                f"{self.pixels.shape[:2]}; all have one size"
            )
        if not np.isfinite(self.world_T_cam).all():
            raise InputError(f"{self.name}: its pose is not finite")
        if not (self.depth[self.valid] > 0).all():
            raise InputError(f"{self.name}: has valid depth that is not positive")

    def with_depth(self, depth: Float32[np.ndarray, "h w"]) -> "View":
        """The same view with other depth at its valid pixels."""
        return replace(self, depth=depth)

    def with_valid(self, valid: Bool[np.ndarray, "h w"]) -> "View":
        """The same view with fewer pixels that count."""
        return replace(self, valid=self.valid & valid)

    def with_pose(self, world_T_cam: Float64[np.ndarray, "4 4"]) -> "View":
        """The same view from another place."""
        return replace(self, world_T_cam=world_T_cam)
