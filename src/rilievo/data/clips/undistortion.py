"""Frames without lens distortion."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Bool, Field, Float64, Mask, Matrix, Pixels, Size
from rilievo.errors import explain_missing_extra
from rilievo.geometry.cameras.distorted import Distorted

_RADIUS_STEPS = 1000
"""Radii at which the distortion is sampled to find its turning point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndistortionMap:
    """Map from the pixels of an undistorted frame to the original.

    ``x`` and ``y`` are the column and row in the original [px], and ``valid`` is the mask of the
    pixels that lie inside of it.
    """

    x: Field
    y: Field
    valid: Mask


def undistortion_map(lens: Distorted, K: Matrix, shape: Size) -> UndistortionMap:
    """Compute the map that undistorts frames and keeps their K.

    Pixels beyond the radius at which the distortion turns back are invalid, because the lens model
    says nothing about them.
    """
    height, width = shape
    columns = np.arange(width, dtype=np.float64)
    rows = np.arange(height, dtype=np.float64)
    # Undistorted image coordinates at depth 1.
    x = np.broadcast_to((columns - K[0, 2]) / K[0, 0], shape)
    y = np.broadcast_to(((rows - K[1, 2]) / K[1, 1])[:, None], shape)
    distorted_x, distorted_y = lens.distort(x, y)
    u = distorted_x * K[0, 0] + K[0, 2]
    v = distorted_y * K[1, 1] + K[1, 2]
    is_inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    return UndistortionMap(
        x=u.astype(np.float32),
        y=v.astype(np.float32),
        valid=is_inside & _is_before_turning_point(lens, np.hypot(x, y)),
    )


def _is_before_turning_point(lens: Distorted, radius: Float64[np.ndarray, "h w"]) -> Mask:
    """Mask of the radii below the first one at which the distorted radius stops growing."""
    radii = np.linspace(0.0, float(radius.max()) + 1e-9, _RADIUS_STEPS)
    radial_lens = replace(lens, p=(0.0, 0.0))
    distorted_radii, _ = radial_lens.distort(radii, np.zeros_like(radii))
    falling_steps = np.flatnonzero(np.diff(distorted_radii) <= 0)
    if not falling_steps.size:
        return np.ones(radius.shape, bool)
    return radius <= radii[falling_steps[0]]


def undistort(pixels: Pixels, undistortion: UndistortionMap) -> Pixels:
    """Undistort a frame; pixels outside of the original are black."""
    with explain_missing_extra("undistorting frames", "fuse"):
        import cv2
    return cv2.remap(pixels, undistortion.x, undistortion.y, cv2.INTER_LINEAR)


def shrink_mask(valid: Mask, size: Size) -> Bool[np.ndarray, "new_h new_w"]:
    """Resize a mask; pixels that cover any invalid one are invalid."""
    height, width = size
    levels = Image.fromarray(valid.astype(np.uint8) * 255)
    return np.asarray(levels.resize((width, height), Image.Resampling.BOX)) == 255
