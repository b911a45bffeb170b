"""Photographs of scenes, and pictures in which no depth can be known."""

from collections.abc import Callable, Mapping

import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image, ImageDraw

Picture = Callable[[], UInt8[np.ndarray, "h w 3"]]

PHOTOGRAPHS: Mapping[str, Picture] = {
    "coffee": skimage.data.coffee,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "chelsea": skimage.data.chelsea,
    "astronaut": skimage.data.astronaut,
    "camera": lambda: skimage.data.camera()[..., None].repeat(3, axis=2),
}


def noise() -> UInt8[np.ndarray, "h w 3"]:
    """Every pixel by chance."""
    return np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)


def drawing() -> UInt8[np.ndarray, "h w 3"]:
    """A few strokes on white paper, none of them of a solid thing."""
    page = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(page)
    for number in range(6):
        left = 30 + 55 * number
        pen.arc((left, 60 + 10 * number, left + 90, 190), 20 * number, 300, fill="black", width=3)
        pen.line((left, 250, left + 70, 90 + 20 * number), fill="black", width=2)
    return np.asarray(page)


def text() -> UInt8[np.ndarray, "h w 3"]:
    """A page of letters."""
    page = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(page)
    for line in range(18):
        pen.text((14, 10 + 16 * line), "the quick brown fox jumps over the lazy dog " * 2, "black")
    return np.asarray(page)


def mirror() -> UInt8[np.ndarray, "h w 3"]:
    """A room's half, and the same again in a mirror that fills the other half."""
    cup = skimage.data.coffee()
    return np.concatenate([cup, cup[:, ::-1]], axis=1)


# Nothing can be known of the depth of these.
UNKNOWABLE: Mapping[str, Picture] = {
    "black": lambda: np.zeros((300, 400, 3), np.uint8),
    "white": lambda: np.full((300, 400, 3), 255, np.uint8),
    "noise": noise,
    "drawing": drawing,
    "text": text,
}
ODD: Mapping[str, Picture] = {
    **UNKNOWABLE,
    "mirror": mirror,
    "panorama": lambda: np.tile(skimage.data.coffee(), (2, 14, 1))[:, :8000],
    "thumbnail": lambda: skimage.data.astronaut()[:400:10, :400:10],
    "wide": lambda: np.tile(skimage.data.chelsea()[:40], (1, 3, 1)),
    "tall": lambda: np.tile(skimage.data.chelsea()[:, :33], (5, 1, 1)),
    "least": lambda: skimage.data.chelsea()[:32, :32],
}
