"""Lens distortion, and its removal from frames.

Brown's model with the rational extension, as OpenCV and ROS have it (``plumb_bob`` and
``rational_polynomial``): a point (x, y) of the plane z = 1, with r² = x² + y², is seen at

    x (1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶) + 2 p1 x y + p2 (r² + 2 x²)

and y likewise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from PIL import Image

from rilievo.errors import MissingExtraError


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """Coefficients of lens distortion.

    Attributes:
        k: Radial coefficients k1 to k6.
        p: Tangential coefficients p1 and p2, of a lens that is not parallel to the sensor.
    """

    k: tuple[float, float, float, float, float, float]
    p: tuple[float, float]

    @property
    def is_straight(self) -> bool:
        """Whether the lens has no distortion."""
        return not any((*self.k, *self.p))


@dataclass(frozen=True, slots=True, kw_only=True)
class Straightening:
    """Map from the pixels of an undistorted frame to the frame as it was taken.

    Attributes:
        x: Column in the frame as it was taken [px].
        y: Row in the frame as it was taken [px].
        valid: Pixels of the undistorted frame that lie inside the one that was taken.
    """

    x: Float32[np.ndarray, "h w"]
    y: Float32[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]


def distorted(lens: Lens, points: Float64[np.ndarray, "2 *n"]) -> Float64[np.ndarray, "2 *n"]:
    """Apply the distortion to points (x, y) of the plane z = 1; the result is on that plane too."""
    x, y = points
    k1, k2, k3, k4, k5, k6 = lens.k
    p1, p2 = lens.p
    r = x * x + y * y
    radial = (1 + r * (k1 + r * (k2 + r * k3))) / (1 + r * (k4 + r * (k5 + r * k6)))
    return np.stack(
        (
            x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x),
            y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y,
        )
    )


def straightening(
    lens: Lens, K: Float64[np.ndarray, "3 3"], shape: tuple[int, int]
) -> Straightening:
    """Compute the map that undistorts frames of a size, with the same K before and after.

    A polynomial that turns back far from the middle would show parts of the frame twice; pixels
    beyond its turning point are not valid.
    """
    height, width = shape
    column, row = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    x = np.broadcast_to((column - K[0, 2]) / K[0, 0], shape)
    y = np.broadcast_to(((row - K[1, 2]) / K[1, 1])[:, None], shape)
    seen = distorted(lens, np.stack((x, y)))
    u, v = seen[0] * K[0, 0] + K[0, 2], seen[1] * K[1, 1] + K[1, 2]
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    return Straightening(
        x=u.astype(np.float32), y=v.astype(np.float32), valid=inside & _grows(lens, np.hypot(x, y))
    )


def straight(pixels: UInt8[np.ndarray, "h w 3"], how: Straightening) -> UInt8[np.ndarray, "h w 3"]:
    """Undistort a frame with bilinear interpolation; black where nothing was seen.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("frames of a distorting lens", "train") from missing
    return cv2.remap(pixels, how.x, how.y, cv2.INTER_LINEAR)


def shrunk_mask(
    valid: Bool[np.ndarray, "h w"], size: tuple[int, int]
) -> Bool[np.ndarray, "new_h new_w"]:
    """Resize a mask; pixels of the result have no invalid pixel under them."""
    height, width = size
    levels = Image.fromarray(valid.astype(np.uint8) * 255)
    return np.asarray(levels.resize((width, height), Image.Resampling.BOX)) == 255


def _grows(lens: Lens, radius: Float64[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Whether the radial part still grows at each radius, all the way from the middle."""
    steps = np.linspace(0.0, float(radius.max()) + 1e-9, 1000)
    seen = distorted(Lens(k=lens.k, p=(0.0, 0.0)), np.stack((steps, np.zeros_like(steps))))[0]
    falls = np.flatnonzero(np.diff(seen) <= 0)
    return radius <= (steps[falls[0]] if falls.size else np.inf)
