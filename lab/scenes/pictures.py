"""Pictorial textures: photographs, posters, pages, screens, façades.

They appear to have depth but are flat, which a network must learn.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lab.scenes.patterns import (
    SIDE,
    Draw,
    Mask,
    Pattern,
    U,
    V,
    blend,
    blotches,
    bricks,
    colour,
    concrete,
    near,
    noise,
    plaster,
    sprinkle,
)
from rilievo.errors import InputError, MissingExtraError

Photograph = UInt8[np.ndarray, "_ _ 3"]

FREE_PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel",
                    "hubble_deep_field", "moon", "rocket")  # fmt: skip
"""Photographs in scikit-image's wheel that are CC0 or in the public domain by its own notes."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


def scikit_image_photographs() -> list[Photograph]:
    """The free photographs that come with scikit-image, RGB.

    Raises:
        MissingExtraError: If scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise MissingExtraError("the photographs of scikit-image", "train") from error
    photographs = [np.asarray(getattr(data, name)()) for name in FREE_PHOTOGRAPHS]
    return [np.repeat(p[..., None], 3, 2) if p.ndim == 2 else p[..., :3] for p in photographs]


def read_photographs(folders: Sequence[Path]) -> list[Photograph]:
    """Read every photograph in the folders, in the order of their names.

    Raises:
        InputError: If a folder is missing or has no photograph, or one is broken.
    """
    photographs = []
    for folder in folders:
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise InputError(f"{folder}: no photograph here ({', '.join(SUFFIXES)})")
        for path in paths:
            try:
                with Image.open(path) as image:
                    photographs.append(np.asarray(image.convert("RGB")))
            except (OSError, Image.DecompressionBombError) as error:
                raise InputError(f"{path}: cannot be read as a photograph: {error}") from error
    return photographs


def crop(draw: Draw, photographs: Sequence[Photograph]) -> Pattern:
    """A square piece of a photograph at any scale, sometimes mirrored and re-coloured."""
    photograph = photographs[int(draw.integers(len(photographs)))]
    height, width, _ = photograph.shape
    side = int(min(height, width) * draw.uniform(0.2, 1.0))
    top, left = draw.integers(0, height - side + 1), draw.integers(0, width - side + 1)
    square = photograph[top : top + side, left : left + side].astype(np.float32) / 255
    square = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if draw.random() < 0.5:
        square = square[:, ::-1]
    if draw.random() < 0.1:
        square = square[::-1]
    grey = square.mean(2, keepdims=True)
    square = grey + (square - grey) * draw.uniform(0.2, 1.4)
    if draw.random() < 0.15:
        square = grey * colour(draw, 0.7, 1.0, 0.5)
    contrast, lift = draw.uniform(0.6, 1.2), draw.normal(0, 0.06)
    if draw.random() < 0.2:
        square = square[..., draw.permutation(3)]
    return np.clip((square - 0.5) * contrast + 0.5 + lift, 0, 1).astype(np.float32)


def collage(draw: Draw, photographs: Sequence[Photograph]) -> Pattern:
    """A poster: pieces of photographs, plain panels, discs and lettering."""
    sheet = crop(draw, photographs) if draw.random() < 0.4 else blotches(draw)
    if draw.random() < 0.4:
        sheet = np.broadcast_to(colour(draw, 0.1, 1.0, 0.7), (SIDE, SIDE, 3)).copy()
    sheet = np.ascontiguousarray(sheet)
    for _ in range(draw.integers(1, 8)):
        top, left = draw.integers(0, SIDE - 24, 2)
        height = int(draw.integers(16, SIDE - top + 1))
        width = int(draw.integers(16, SIDE - left + 1))
        kind = draw.random()
        if kind < 0.5:
            piece = cv2.resize(crop(draw, photographs), (width, height))
            sheet[top : top + height, left : left + width] = piece
        elif kind < 0.8:
            sheet[top : top + height, left : left + width] = colour(draw, saturation=0.9)
        else:
            at, radius = (int(left), int(top)), int(draw.integers(8, 70))
            cv2.circle(sheet, at, radius, colour(draw, saturation=0.9).tolist(), -1, cv2.LINE_AA)
    if draw.random() < 0.5:
        tone = np.full(3, draw.uniform(0.7, 1.0) if sheet.mean() < 0.5 else draw.uniform(0.0, 0.3))
        sheet = blend(sheet, tone, lettering(draw, int(draw.integers(1, 5))))
    return sheet.astype(np.float32)


def lettering(draw: Draw, lines: int) -> Mask:
    """Lines of random letters, 1 where there is ink."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    baseline = int(draw.integers(20, SIDE // 2))
    for _ in range(lines):
        size = draw.uniform(0.3, 2.2)
        alphabet = "ABCDEFGHIKLMNOPRSTUVaeiourstnlm 0123456789"
        text = "".join(draw.choice(list(alphabet), int(draw.integers(3, 24))))
        at = (int(draw.integers(0, 50)), baseline)
        font, width = int(draw.integers(0, 5)), int(draw.integers(1, 4))
        cv2.putText(ink, text, at, font, size, 255, width, cv2.LINE_AA)
        baseline += int(12 + 24 * size)
    return ink.astype(np.float32) / 255


def page(draw: Draw) -> Pattern:
    """Print: lines of words as bars, a heading, sometimes a figure."""
    sheet = np.broadcast_to(colour(draw, 0.8, 1.0, 0.08), (SIDE, SIDE, 3)).copy()
    ink = draw.uniform(0.0, 0.35)
    pitch = int(draw.integers(5, 16))
    margin = int(draw.integers(6, 30))
    for y in range(margin, SIDE - margin, pitch):
        x = margin
        while x < SIDE - margin:
            width = int(draw.integers(4, 30))
            sheet[y : y + max(1, pitch // 2), x : min(x + width, SIDE - margin)] = ink
            x += width + 4
    if draw.random() < 0.5:
        top, left = draw.integers(margin, SIDE - 90, 2)
        figure = cv2.resize(blotches(draw), (80, 70))
        sheet[top : top + 70, left : left + 80] = figure
    return sheet.astype(np.float32)


def screen(draw: Draw, photographs: Sequence[Photograph]) -> Pattern:
    """A monitor: windows, bars, text lines."""
    sheet = crop(draw, photographs) if draw.random() < 0.5 else blotches(draw) * 0.5
    for _ in range(draw.integers(1, 4)):
        top, left = draw.integers(0, SIDE // 2, 2)
        height, width = draw.integers(60, SIDE // 2, 2)
        panel = page(draw) if draw.random() < 0.6 else 1.0 - page(draw)
        sheet[top : top + height, left : left + width] = cv2.resize(
            panel, (int(width), int(height))
        )
        sheet[top : top + 8, left : left + width] = colour(draw, saturation=0.6)
    return np.clip(sheet, 0, 1).astype(np.float32)


def spines(draw: Draw) -> Pattern:
    """Spines of books in rows."""
    sheet = np.full((SIDE, SIDE, 3), 0.08, np.float32)
    rows = int(draw.integers(1, 4))
    pitch = SIDE // rows
    for row in range(rows):
        x = 0
        while x < SIDE:
            width, height = int(draw.integers(6, 30)), int(pitch * draw.uniform(0.65, 0.95))
            tone, foot = colour(draw, 0.05, 0.95, 0.8), (row + 1) * pitch - 4
            sheet[foot - height : foot, x : x + width - 1] = tone
            band = foot - int(height * draw.uniform(0.2, 0.9))
            sheet[band : band + int(draw.integers(3, 14)), x : x + width - 1] = near(
                draw, tone, 0.3
            )
            x += width
    return sheet


def facade(draw: Draw) -> Pattern:
    """Rows of windows in a wall, with frames, reflections, drawn curtains and lit rooms."""
    wall = draw.choice(np.array([0, 1, 2, 3], dtype=int))
    sheet = (plaster, bricks, concrete, plaster)[int(wall)](draw)
    columns, rows = (int(n) for n in draw.integers(1, 7, 2))
    wide, tall = draw.uniform(0.35, 0.9), draw.uniform(0.4, 0.9)
    trim = colour(draw, 0.2, 0.95, 0.2)
    glass = colour(draw, 0.05, 0.5, 0.5)
    gleam = noise(draw, 3)
    for i in range(rows):
        for j in range(columns):
            middle_x, middle_y = (j + 0.5) * SIDE / columns, (i + 0.5) * SIDE / rows
            a, b = wide * SIDE / columns / 2, tall * SIDE / rows / 2
            top, bottom = int(middle_y - b), int(middle_y + b)
            left, right = int(middle_x - a), int(middle_x + a)
            sheet[max(0, top - 3) : bottom + 4, max(0, left - 3) : right + 4] = trim
            pane = near(draw, glass, 0.05) + 0.35 * gleam[top:bottom, left:right, None]
            if draw.random() < 0.2:
                pane = np.broadcast_to(colour(draw, 0.5, 0.95, 0.2), pane.shape)
            sheet[top:bottom, left:right] = pane
            if draw.random() < 0.6:
                sheet[top:bottom, int(middle_x) : int(middle_x) + 2] = trim
                sheet[int(middle_y) : int(middle_y) + 2, left:right] = trim
    ledge = (V * rows) % 1 > 0.97
    if draw.random() < 0.4:
        sheet = blend(sheet, trim, ledge.astype(np.float32))
    return np.clip(sheet, 0, 1).astype(np.float32)


def landscape(draw: Draw) -> Pattern:
    """A painted view: sky, receding ridges, a foreground."""
    sheet = blend(colour(draw, 0.5, 1.0, 0.4), colour(draw, 0.6, 1.0, 0.3), V)
    tone = colour(draw, 0.3, 0.8, 0.5)
    for ridge in range(draw.integers(2, 6)):
        height = 0.3 + 0.13 * ridge + 0.25 * (noise(draw, int(draw.integers(2, 6)))[0] - 0.5)
        below = np.clip((V - height[None]) * SIDE, 0, 1).astype(np.float32)
        sheet = blend(sheet, tone * (0.5 + 0.5 * noise(draw, 8))[..., None], below)
        tone = near(draw, tone * 0.8, 0.05)
    if draw.random() < 0.5:
        disc = np.clip(20 - np.hypot(U - draw.random(), V - 0.25) * SIDE, 0, 1)
        sheet = blend(sheet, colour(draw, 0.8, 1.0, 0.4), disc.astype(np.float32))
    tones = [colour(draw, saturation=0.8) for _ in range(3)]
    return np.clip(sprinkle(draw, sheet, tones, int(draw.integers(0, 60)), (2.0, 12.0), 0.6), 0, 1)
