"""Pictures of an answer, no larger than the page shows them."""

import base64
import io
import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from rilievo.io.colour import (
    ColourRange,
    Drawn,
    colour_range,
    colourise,
    normals_picture,
    range_of,
)
from rilievo.types import DepthKind, DepthMap, Prediction

SIDE = 1280
"""Longest side of a picture on the page [px]."""

_QUALITY = 90
_RADIUS = 9

Picture = UInt8[np.ndarray, "h w 3"]


def shrinking(shape: tuple[int, int]) -> int:
    """Step between the pixels of the photograph that the page shows, along rows and columns."""
    return max(1, math.ceil(max(shape) / SIDE))


def photo_picture(prediction: Prediction) -> Picture:
    """The photograph."""
    assert prediction.photo is not None, "made by a model"
    pixels, step = prediction.photo.pixels, shrinking(prediction.shape)
    if step == 1:
        return pixels
    height, width = prediction.shape
    size = (math.ceil(width / step), math.ceil(height / step))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def small_depth(depth: DepthMap) -> DepthMap:
    """Subsample depth to the pixels that the page shows."""
    step = shrinking(depth.shape)
    if step == 1:
        return depth
    return DepthMap(
        values=np.ascontiguousarray(depth.values[::step, ::step]),
        kind=depth.kind,
        valid=np.ascontiguousarray(depth.valid[::step, ::step]),
    )


def depth_picture(depth: DepthMap, colour_map: str, limits: ColourRange) -> Picture:
    """Draw depth in colour; near is bright."""
    return colourise(small_depth(depth), colour_map=colour_map, limits=limits)


def depth_limits(depth: DepthMap, near_far: tuple[float, float] | None) -> ColourRange:
    """Colour range that a visitor asked for, or that of the map itself.

    Raises:
        OptionError: If the range is not valid.
    """
    if near_far is None:
        return colour_range(small_depth(depth))
    return range_of(*near_far, depth.kind, Drawn.INVERSE_DEPTH)


def normals_of(prediction: Prediction) -> Picture:
    """Draw normals in the usual colours."""
    assert prediction.normals is not None, "asked for only where there are some"
    step = shrinking(prediction.shape)
    return normals_picture(np.ascontiguousarray(prediction.normals[:, ::step, ::step]))


def confidence_of(prediction: Prediction) -> Picture:
    """Draw confidence in grey; white is the highest."""
    assert prediction.confidence is not None, "asked for only where there is some"
    step = shrinking(prediction.shape)
    grey = np.rint(prediction.confidence[::step, ::step] * np.float32(255)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def marked(
    picture: Picture, spots: list[tuple[str, float | int, float | int]], step: int
) -> Picture:
    """Draw named points on a picture, and a line between the first two.

    Args:
        picture: Picture of the page.
        spots: Name, column and row of each point, in pixels of the photograph.
        step: Step of the picture's pixels in the photograph [px].
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    radius = max(_RADIUS, max(image.size) // 64)
    font = ImageFont.load_default(2 * radius)
    places = [((u + 0.5) / step - 0.5, (v + 0.5) / step - 0.5) for _, u, v in spots]
    if len(places) >= 2:
        for width, colour in ((5, "black"), (2, "white")):
            draw.line(places[:2], fill=colour, width=width)
    for (name, _, _), (x, y) in zip(spots, places, strict=True):
        for extra, colour in ((2, "black"), (0, "white")):
            reach = radius + extra
            box = (x - reach, y - reach, x + reach, y + reach)
            draw.ellipse(box, outline=colour, width=2 + extra)
        draw.point((x, y), fill="white")
        # Labels are beside the point, and inside the picture.
        left = x + 1.5 * radius if x < image.width - 4 * radius else x - 3 * radius
        top = min(max(y - 2.6 * radius, 0), image.height - 2.6 * radius)
        draw.text((left, top), name, "white", font, stroke_width=2, stroke_fill="black")
    return np.asarray(image)


def jpeg(picture: Picture) -> bytes:
    """Encode a picture as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def colour_bar(colour_map: str) -> str:
    """Draw the colour map from far to near, as a data URL."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    values = DepthMap(values=ramp, kind=DepthKind.AFFINE_INVERSE)
    picture = colourise(values, colour_map=colour_map, limits=ColourRange(low=0.0, high=1.0))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
