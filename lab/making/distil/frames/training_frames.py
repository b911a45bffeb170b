"""Training frames: one photograph or rendering with its log depth and normals."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Bool, Float32, Int8, UInt8
from rilievo.errors import InputError
from rilievo.records.depth_map import DepthKind

Camera = tuple[float, float, float, float]
"""fx, fy, cx, cy [px]; fx and fy are NaN where they are not known."""
FARTHEST = 200.0
"""Farthest depth [m]; surfaces beyond it count as if they were at this depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image with its targets.

    Attributes:
        log_depth: Natural logarithm of depth [m]; finite everywhere, read only where ``valid``. For
            the affine kinds, depth or inverse depth itself, with unknown factor and shift.
        valid: Pixels that have depth; disjoint from ``sky``.
        sky: Pixels that see no surface.
        normals: 127 times the unit normal in the camera frame, towards the camera.
        kind: Kind of depth; ``sky`` is marked only for metric and up-to-scale depth.
        is_rendered: Whether depth and sky are exact to the pixel, as in rendered scenes.
    """

    image: UInt8[np.ndarray, "h w 3"]
    log_depth: Float32[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]
    sky: Bool[np.ndarray, "h w"]
    normals: Int8[np.ndarray, "3 h w"]
    normals_valid: Bool[np.ndarray, "h w"]
    camera: Camera
    kind: DepthKind = DepthKind.METRIC
    is_rendered: bool = False

    def __post_init__(self) -> None:
        size = self.image.shape[:2]
        for name in ("log_depth", "valid", "sky", "normals", "normals_valid"):
            shape = getattr(self, name).shape
            if shape[-2:] != size:
                raise InputError(f"a training frame has an image of {size} but {name} of {shape}")


@runtime_checkable
class FrameSource(Protocol):
    """Source that training frames are drawn from."""

    def draw(self, random: np.random.Generator) -> Frame:
        """Return one frame; the same state of ``random`` and the same frames give the same one."""
        ...

    def __len__(self) -> int: ...
