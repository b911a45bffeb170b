"""Calibration of the camera of a clip, and frames without lens distortion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.errors import InputError, needing
from rilievo.frozen import frozen
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.io.files.limits import printable
from rilievo.io.lens_files import pinhole_K, read_lens
from rilievo.shapes import Bool, Field, Float64, Mask, Matrix, Pixels


@frozen
class FrameCalibration:
    """Calibration of a camera of frames.

    Attributes:
        shape: (height, width) of the frames that K is for; None where it is not known.
        lens: Distortion; None where there is none. Its centre and focal lengths are those of K.
    """

    K: Matrix
    shape: tuple[int, int] | None = None
    lens: Distorted | None = None


def read_calibration(path: Path) -> FrameCalibration:
    """Read the calibration file of a pinhole, or of a lens with Brown's distortion."""
    record = read_lens(path)
    if record.name not in ("pinhole", "opencv") or record.is_plain:
        raise InputError(
            f"{printable(path)}: has a lens of kind '{record.name}', and frames are straightened "
            "for pinhole and opencv alone: straighten them first, with the program that calibrated "
            "them"
        )
    lens = record.lens(record.size or (2, 2))
    return FrameCalibration(
        K=pinhole_K(*record.numbers[:4]),
        shape=record.size,
        lens=lens if isinstance(lens, Distorted) else None,
    )


@frozen
class Straightening:
    """Map from the pixels of an undistorted frame to the frame as it was taken.

    Attributes:
        valid: Pixels of the undistorted frame that lie inside the one that was taken.
    """

    x: Field
    y: Field
    valid: Mask


def straightening(lens: Distorted, K: Matrix, shape: tuple[int, int]) -> Straightening:
    """Compute the map that undistorts frames of a size, with the same K before and after.

    A polynomial that turns back far from the middle would show parts of the frame twice; pixels
    beyond its turning point are not valid.
    """
    height, width = shape
    column, row = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    x = np.broadcast_to((column - K[0, 2]) / K[0, 0], shape)
    y = np.broadcast_to(((row - K[1, 2]) / K[1, 1])[:, None], shape)
    seen_x, seen_y = lens.distort(x, y)
    u, v = seen_x * K[0, 0] + K[0, 2], seen_y * K[1, 1] + K[1, 2]
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    return Straightening(
        x=u.astype(np.float32), y=v.astype(np.float32), valid=inside & _grows(lens, np.hypot(x, y))
    )


def straight(pixels: Pixels, how: Straightening) -> Pixels:
    """Undistort a frame with bilinear interpolation; black where nothing was seen."""
    with needing("frames of a distorting lens", "train"):
        import cv2
    return cv2.remap(pixels, how.x, how.y, cv2.INTER_LINEAR)


def shrunk_mask(valid: Mask, size: tuple[int, int]) -> Bool[np.ndarray, "new_h new_w"]:
    """Resize a mask; pixels of the result have no invalid pixel under them."""
    height, width = size
    levels = Image.fromarray(valid.astype(np.uint8) * 255)
    return np.asarray(levels.resize((width, height), Image.Resampling.BOX)) == 255


def _grows(lens: Distorted, radius: Float64[np.ndarray, "h w"]) -> Mask:
    """Whether the radial part still grows at each radius, all the way from the middle."""
    steps = np.linspace(0.0, float(radius.max()) + 1e-9, 1000)
    radii, _ = replace(lens, p=(0.0, 0.0)).distort(steps, np.zeros_like(steps))
    falls = np.flatnonzero(np.diff(radii) <= 0)
    return radius <= (steps[falls[0]] if falls.size else np.inf)
