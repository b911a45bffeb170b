"""Corners of a grey frame, found again in another frame; depth and rays between pixels.

Corners are tracked forward and back (Lucas and Kanade with a pyramid, Bouguet 2001), and those that
return to their start count.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, UInt8

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
    start, end = follow_corners((first, second), tracking or Tracking())
    good = np.isfinite(end[:, 0])
    share = float(good.mean()) if len(good) else 0.0
    return Tracks(start=start[good], way=(end - start)[good], share=share)


def follow_corners(
    frames: Sequence[UInt8[np.ndarray, "h w"]], tracking: Tracking
) -> list[Float64[np.ndarray, "n 2"]]:
    """Track corners of the first frame from frame to frame, each time forward and back.

    Returns:
        Positions (x, y) [px] in every frame; NaN from the frame on in which a corner is lost.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("measuring motion", "train") from missing
    corners = cv2.goodFeaturesToTrack(frames[0], tracking.corners, tracking.quality, tracking.apart)
    if corners is None:
        return [np.zeros((0, 2))] * len(frames)
    options = {"winSize": tracking.window, "maxLevel": tracking.levels}
    # OpenCV's stubs require an array for the result; its manual says that None creates one.
    track: Any = cv2.calcOpticalFlowPyrLK
    places = [corners[:, 0].astype(np.float64)]
    alive = np.ones(len(corners), bool)
    now = corners
    for one, other in itertools.pairwise(frames):
        there, found, _ = track(one, other, now, None, **options)
        back, found_back, _ = track(other, one, there, None, **options)
        off = np.linalg.norm((back - now)[:, 0], axis=1)
        alive &= (found[:, 0] == 1) & (found_back[:, 0] == 1) & (off < tracking.comes_back)
        places.append(np.where(alive[:, None], there[:, 0].astype(np.float64), np.nan))
        now = there
    return places


def grey(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Brightness of an RGB frame."""
    return ((frame.astype(np.uint16) @ np.array(_GREY, np.uint16)) >> 8).astype(np.uint8)


def depth_at(
    depth: Float[np.ndarray, "h w"], places: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n"]:
    """Depth at positions (x, y) [px], linear between pixels; NaN outside and where unknown."""
    height, width = depth.shape
    x, y = places[:, 0], places[:, 1]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    left = np.clip(np.floor(x).astype(int), 0, max(width - 2, 0))
    top = np.clip(np.floor(y).astype(int), 0, max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    with np.errstate(invalid="ignore"):
        upper = depth[top, left] * (1 - across) + depth[top, right] * across
        lower = depth[bottom, left] * (1 - across) + depth[bottom, right] * across
        found = upper * (1 - down) + lower * down
        return np.where(inside & np.isfinite(found) & (found > 0), found, np.nan)


def rays_at(
    places: Float64[np.ndarray, "n 2"], K: Float[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "n 3"]:
    """Points of depth 1 at positions (x, y) [px]."""
    rays = (places - K[[0, 1], [2, 2]]) / K[[0, 1], [0, 1]]
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
