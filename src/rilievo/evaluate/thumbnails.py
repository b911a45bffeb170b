"""Small pictures for a page, written into the page itself."""

import base64
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from PIL import Image

from rilievo.depth_map import DepthKind, DepthMap
from rilievo.io.colour import (
    ColourRange,
    Drawn,
    colour_range,
    colourise,
    invalid_colour,
    normals_picture,
)
from rilievo.io.jpeg import jpeg_bytes
from rilievo.io.palette import DEPTH_COLOURS

WIDTH = 480
"""Most pixels that a picture of a report is wide."""

_QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """Numbers of a map in blocks of pixels.

    Attributes:
        values: Mean of the valid pixels of each block; 0 without one.
        valid: Blocks that have one, so that sparse truth stays to be seen.
    """

    values: Float32[np.ndarray, "c h w"]
    valid: Bool[np.ndarray, "h w"]


def shrinkage(width: int) -> int:
    """Pixels a block, along each side, so that a picture is at most ``WIDTH`` wide."""
    return max(1, math.ceil(width / WIDTH))


def shrink(values: Float[np.ndarray, "c h w"], valid: Bool[np.ndarray, "h w"]) -> Shrunk:
    """A map in square blocks; values are read only where ``valid``."""
    factor = shrinkage(valid.shape[1])
    rows, columns = (np.arange(0, side, factor) for side in valid.shape)
    numbers = np.where(valid, values, np.float32(0))
    tall = np.add.reduceat(numbers, rows, axis=1, dtype=np.float64)
    sums = np.add.reduceat(tall, columns, axis=2)
    counts = np.add.reduceat(np.add.reduceat(valid.astype(np.int64), rows, axis=0), columns, axis=1)
    return Shrunk(values=(sums / np.maximum(counts, 1)).astype(np.float32), valid=counts > 0)


def photo_uri(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    """A photograph, of the size that ``shrink`` gives its maps."""
    return _uri(Image.fromarray(pixels).reduce(shrinkage(pixels.shape[1])))


def shrunk_depth(depth: DepthMap) -> DepthMap:
    """A depth map in blocks, of the same kind."""
    small = shrink(depth.values[None], depth.valid)
    return DepthMap(values=small.values[0], kind=depth.kind, valid=small.valid)


def depth_uri(depth: DepthMap, limits: ColourRange) -> str:
    """A depth map that is small already: near is bright."""
    return _uri(Image.fromarray(colourise(depth, colour_map=DEPTH_COLOURS, limits=limits)))


def depth_limits(depth: DepthMap) -> ColourRange:
    """Limits of inverse depth, for all maps of one image."""
    return colour_range(depth)


def number_uri(
    values: Float[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    limits: ColourRange,
    colour_map: str,
) -> str:
    """A map of any numbers; the first colour stands for the smallest."""
    small = shrink(values[None], valid)
    # Numbers without a place in space, which are drawn as they are.
    numbers = DepthMap(values=small.values[0], kind=DepthKind.AFFINE, valid=small.valid)
    picture = colourise(numbers, colour_map=colour_map, limits=limits, what=Drawn.DEPTH)
    return _uri(Image.fromarray(picture))


def normals_uri(normals: Float[np.ndarray, "3 h w"], valid: Bool[np.ndarray, "h w"]) -> str:
    """Normals in the colours of the field: a wall seen head-on is light blue."""
    small = shrink(normals, valid)
    lengths = np.linalg.norm(small.values, axis=0)
    picture = normals_picture(small.values / np.maximum(lengths, np.float32(1e-6)))
    picture[~small.valid] = invalid_colour(DEPTH_COLOURS)
    return _uri(Image.fromarray(picture))


def gradient(colour_map: str) -> str:
    """A colour map as a background of CSS, from the first colour to the last."""
    ramp = DepthMap(values=np.linspace(0, 1, 17, dtype=np.float32)[None], kind=DepthKind.AFFINE)
    limits = ColourRange(low=0.0, high=1.0)
    colours = colourise(ramp, colour_map=colour_map, limits=limits, what=Drawn.DEPTH)[0]
    stops = ", ".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in colours.tolist())
    return f"linear-gradient(to right, {stops})"


def _uri(picture: Image.Image) -> str:
    # Without subsampling: colours are the numbers here.
    file = jpeg_bytes(picture, quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file).decode('ascii')}"
