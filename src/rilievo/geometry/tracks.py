"""Corners of a grey frame, found again in another frame.

Corners are tracked forward and back (Lucas and Kanade with a pyramid, Bouguet 2001), and those that
return to their start count.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from rilievo.errors import MissingExtraError

_GREY = (77, 150, 29)
"""Weights of red, green and blue, of 256 (ITU-R BT.601)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Settings of the search for corners and of their tracking.

    Attributes:
        corners: Largest number of corners.
        quality: Smallest strength of a corner, as a share of the strongest.
        apart: Smallest distance between two corners [px].
        window: (width, height) of the compared patches [px].
        levels: Number of halvings of the frames.
        comes_back: Largest distance of a corner from its start after tracking forward and back
            [px].
    """

    corners: int = 300
    quality: float = 0.01
    apart: int = 7
    window: tuple[int, int] = (15, 15)
    levels: int = 4
    comes_back: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Corners that were found again.

    Attributes:
        start: Position (x, y) in the first frame [px].
        way: Displacement to the second frame [px].
        share: Share of the tracked corners that were found again, in [0, 1].
    """

    start: Float64[np.ndarray, "n 2"]
    way: Float64[np.ndarray, "n 2"]
    share: float

    @property
    def end(self) -> Float64[np.ndarray, "n 2"]:
        """Position (x, y) in the second frame [px]."""
        return self.start + self.way


def track_corners(
    first: UInt8[np.ndarray, "h w"],
    second: UInt8[np.ndarray, "h w"],
    tracking: Tracking | None = None,
) -> Tracks:
    """Track corners of the first frame to the second and back, and keep those that return.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("measuring motion", "train") from missing
    asked = tracking or Tracking()
    corners = cv2.goodFeaturesToTrack(first, asked.corners, asked.quality, asked.apart)
    if corners is None:
        return Tracks(start=np.zeros((0, 2)), way=np.zeros((0, 2)), share=0.0)
    options = {"winSize": asked.window, "maxLevel": asked.levels}
    # OpenCV's stubs require an array for the result; its manual says that None creates one.
    track: Any = cv2.calcOpticalFlowPyrLK
    there, found, _ = track(first, second, corners, None, **options)
    back, found_back, _ = track(second, first, there, None, **options)
    off = np.linalg.norm((back - corners)[:, 0], axis=1)
    good = (found[:, 0] == 1) & (found_back[:, 0] == 1) & (off < asked.comes_back)
    start, way = corners[good, 0], (there - corners)[good, 0]
    return Tracks(
        start=start.astype(np.float64), way=way.astype(np.float64), share=float(good.mean())
    )


def grey(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Brightness of an RGB frame."""
    return ((frame.astype(np.uint16) @ np.array(_GREY, np.uint16)) >> 8).astype(np.uint8)
