"""Test pictures that show little or nothing; always the same ones."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from real_frames import Picture

SIZE = (480, 640)
"""(height, width) of most of them [px]."""
LITTLE_TO_SEE = ("black", "white", "noise", "line drawing", "page of text")
"""Pictures whose depth nobody could tell."""
_PANORAMA = (1000, 8000)
_THUMBNAIL = (40, 40)
_LINE = "All rooms have walls, and most have a door, a window and a floor to stand on. "


def hard_pictures(photograph: UInt8[np.ndarray, "h w 3"]) -> Iterator[Picture]:
    """Yield the pictures, some made from ``photograph``."""
    random = np.random.default_rng(0)
    height, width = SIZE
    yield Picture(label="black", pixels=np.zeros((*SIZE, 3), np.uint8))
    yield Picture(label="white", pixels=np.full((*SIZE, 3), 255, np.uint8))
    yield Picture(label="noise", pixels=random.integers(0, 256, (*SIZE, 3), np.uint8))
    yield Picture(label="line drawing", pixels=_drawing())
    yield Picture(label="page of text", pixels=_page())
    half = _resized(photograph, (height, width // 2))
    yield Picture(label="mirror", pixels=np.concatenate([half, half[:, ::-1]], axis=1))
    part = _resized(photograph, (_PANORAMA[0], _PANORAMA[1] // 4))
    strip = np.concatenate([part, part[:, ::-1], part, part[:, ::-1]], axis=1)
    yield Picture(label="8000-pixel panorama", pixels=strip)
    yield Picture(label="40-pixel thumbnail", pixels=_resized(photograph, _THUMBNAIL))


def _drawing() -> UInt8[np.ndarray, "h w 3"]:
    """Draw a house and a tree in thin lines."""
    image = Image.new("RGB", (SIZE[1], SIZE[0]), "white")
    pen = ImageDraw.Draw(image)
    pen.line([(0, 400), (640, 390)], "black", 2)
    pen.rectangle((150, 220, 380, 398), outline="black", width=2)
    pen.line([(140, 222), (265, 120), (390, 222)], "black", 2)
    pen.rectangle((240, 310, 290, 397), outline="black", width=2)
    pen.rectangle((175, 250, 225, 290), outline="black", width=2)
    pen.line([(500, 392), (500, 280)], "black", 3)
    pen.ellipse((440, 160, 560, 290), outline="black", width=2)
    return np.asarray(image)


def _page() -> UInt8[np.ndarray, "h w 3"]:
    image = Image.new("RGB", (SIZE[1], SIZE[0]), (250, 248, 240))
    pen = ImageDraw.Draw(image)
    for line, top in enumerate(range(40, 440, 14)):
        pen.text((50, top), (_LINE * 3)[line * 7 % 60 :][:88], fill=(20, 20, 20))
    return np.asarray(image)


def _resized(
    pixels: UInt8[np.ndarray, "_ _ 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS, reducing_gap=2.0))
