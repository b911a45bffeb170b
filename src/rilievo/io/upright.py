"""Convert video frames to what viewers see: upright, with square pixels, in RGB."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8

from rilievo.io.pyav import Colorspace, VideoFrame, VideoStream

_UNSPECIFIED = 2
"""FFmpeg's number for an unspecified colour space."""

_MAX_PIXEL_ASPECT = 8
"""Largest plausible aspect ratio of a pixel; beyond it the file is wrong and pixels count as
square.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Transposition and mirroring that make stored pixels upright, in this order."""

    transpose: bool
    mirror_rows: bool
    mirror_columns: bool

    def apply(self, pixels: UInt8[np.ndarray, "a b 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Apply it to the pixels of a frame."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirror_rows:
            pixels = pixels[::-1]
        if self.mirror_columns:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels)


def rgb(picture: VideoFrame, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Convert one frame to RGB, all frames to one size."""
    height, width = shape
    # Untagged YCbCr is BT.709 in high definition and BT.601 below, as players assume.
    untagged_hd = picture.colorspace == _UNSPECIFIED and picture.height >= 720
    return picture.to_ndarray(
        format="rgb24",
        width=width,
        height=height,
        src_colorspace=Colorspace.ITU709 if untagged_hd else None,
    )


def turn_of(picture: VideoFrame) -> Turn:
    """Rotation of the frames, from the display matrix (a b u; c d v; x y w) in 16.16 fixed point.

    A stored pixel (p, q) is shown at (a p + c q, b p + d q), up to a translation.
    """
    data = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Turn(transpose=False, mirror_rows=False, mirror_columns=False)
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(data), np.int32))  # pyright: ignore[reportArgumentType]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(transpose=True, mirror_rows=b < 0, mirror_columns=c < 0)
    return Turn(transpose=False, mirror_rows=d < 0, mirror_columns=a < 0)


def square_shape(stream: VideoStream) -> tuple[int, int]:
    """Size (height, width) with square pixels; the side with too few samples is stretched."""
    height, width = stream.height, stream.width
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _MAX_PIXEL_ASPECT) <= aspect <= _MAX_PIXEL_ASPECT:
        return height, width
    if aspect > 1:
        return height, round(width * aspect)
    return round(height / aspect), width
