"""Frames turned about the optical axis, without invented pixels.

The frame is turned and cut to the square that lies inside it at every angle, as ``LARGEST`` says;
depth along the optical axis stays the same. The disc inside the square is scored.
"""

import math

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

ANGLES = (-30.0, 30.0)
"""Angles [degrees] by which frames are turned."""
_MARGIN, _DISC = 0.98, 0.48
"""Sides of the square, and radius of the disc, over what would just fit."""
FEWEST = 500
"""Fewest pixels with true depth of a turned frame that is scored."""


def turned(
    image: UInt8[np.ndarray, "h w 3"], depth: Float32[np.ndarray, "h w"], angle: float
) -> tuple[UInt8[np.ndarray, "q q 3"], Float32[np.ndarray, "q q"]]:
    """Turn a frame and its depth [m], and cut the square; depth is 0 outside the disc."""
    height, width = depth.shape
    corner = math.radians(max(abs(each) for each in ANGLES))
    side = int(_MARGIN * min(height, width) / (math.cos(corner) + math.sin(corner)))
    left, top = (width - side) // 2, (height - side) // 2
    box = left, top, left + side, top + side
    photo = Image.fromarray(np.ascontiguousarray(image))
    turned_photo = photo.rotate(angle, Image.Resampling.BILINEAR).crop(box)
    turned_depth = Image.fromarray(depth).rotate(angle, Image.Resampling.NEAREST).crop(box)
    inside = disc(side)
    return np.asarray(turned_photo), np.where(inside, np.asarray(turned_depth), np.float32(0))


def disc(side: int) -> Bool[np.ndarray, "side side"]:
    """Return the pixels of the disc of a square."""
    middle = (side - 1) / 2
    rows, columns = np.mgrid[:side, :side]
    return np.hypot(rows - middle, columns - middle) < _DISC * side
