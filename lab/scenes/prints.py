"""Procedural prints of strong contrast: stripes, checks, dots, meshes, letters, skins, leaves.

Patterns are as in ``patterns``: sRGB values in [0, 1] that repeat without seams.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

from lab.scenes.patterns import SIDE, Draw, Mask, Pattern, U, V, blend, colour, near, noise

HEADINGS = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2), (3, 1), (1, 3))
"""Directions across stripes that repeat without seams, as whole numbers of repeats."""
ALPHABET = "ABCDEFGHIJKLMNOPRSTUVWXYZabcdefghiklmnoprstuvwxyz0123456789&!?"


def tones(draw: Draw) -> tuple[Pattern, Pattern]:
    """Two colours apart in brightness, each with a faint grain."""
    dark, light = colour(draw, 0.02, 0.35, 0.9), colour(draw, 0.55, 1.0, 0.5)
    if draw.random() < 0.25:
        # Two hues of about the same brightness.
        dark = colour(draw, 0.4, 0.8, 0.95)
    grain = 1.0 + draw.uniform(0.0, 0.06) * draw.standard_normal((SIDE, SIDE, 1))
    pair = (dark * grain).astype(np.float32), (light * grain).astype(np.float32)
    return pair if draw.random() < 0.5 else pair[::-1]


def across(draw: Draw, least: int, most: int) -> Mask:
    """Position across stripes of a random direction, in stripes; 1 is added with each."""
    a, b = HEADINGS[int(draw.integers(len(HEADINGS)))]
    count = max(1, round(int(draw.integers(least, most + 1)) / math.hypot(a, b)))
    return (count * (a * U + b * V)).astype(np.float32)


def edged(height: Mask, level: float) -> Mask:
    """1 where a field is above a level, with an edge of about one texel."""
    slope = np.hypot(height - np.roll(height, 1, 0), height - np.roll(height, 1, 1))
    return np.clip((height - level) / (np.median(slope) + 1e-6) + 0.5, 0.0, 1.0)


def soften(sheet: Pattern) -> Pattern:
    """Blur a pattern by about half a texel, across its borders too."""
    wide = cv2.GaussianBlur(np.pad(sheet, [(3, 3), (3, 3), (0, 0)], mode="wrap"), (0, 0), 0.6)
    return np.ascontiguousarray(wide[3:-3, 3:-3])


def stripes(draw: Draw) -> Pattern:
    """Straight stripes of two to four colours and uneven widths."""
    first, second = tones(draw)
    place = across(draw, 2, 24) % 1.0
    sheet = blend(first, second, (place < draw.uniform(0.15, 0.85)).astype(np.float32))
    for _ in range(int(draw.integers(0, 3))):
        start, width = draw.random(), draw.uniform(0.04, 0.2)
        band = ((place - start) % 1.0 < width).astype(np.float32)
        sheet = blend(sheet, colour(draw, saturation=0.9), band)
    return soften(sheet)


def waves(draw: Draw) -> Pattern:
    """Bent stripes, as of a zebra, of marbling or of water."""
    first, second = tones(draw)
    bend = noise(draw, int(draw.integers(2, 6)), octaves=int(draw.integers(1, 4)))
    phase = across(draw, 3, 14) + draw.uniform(0.5, 3.0) * bend
    ridge = np.sin(2 * math.pi * phase).astype(np.float32)
    return blend(first, second, edged(ridge, draw.uniform(-0.5, 0.5)))


def checks(draw: Draw) -> Pattern:
    """Squares or lozenges of two colours, as of a chessboard or a harlequin."""
    first, second = tones(draw)
    a, b = HEADINGS[int(draw.integers(len(HEADINGS)))]
    count = max(1, round(int(draw.integers(2, 13)) / math.hypot(a, b)))
    one, other = count * (a * U + b * V), count * (b * U - a * V)
    odd = (np.floor(2 * one) + np.floor(2 * other)) % 2
    return soften(blend(first, second, odd.astype(np.float32)))


def dots(draw: Draw) -> Pattern:
    """Discs or rings in rows, straight or staggered."""
    first, second = tones(draw)
    count = int(draw.integers(2, 14))
    row = np.floor(V * count)
    shift = 0.5 * (row % 2) if count % 2 == 0 and draw.random() < 0.6 else 0.0
    away = np.hypot((U * count + shift) % 1.0 - 0.5, (V * count) % 1.0 - 0.5)
    radius = draw.uniform(0.15, 0.46)
    inside = np.clip((radius - away) * SIDE / count + 0.5, 0.0, 1.0)
    if draw.random() < 0.25:
        inside *= np.clip((away - 0.55 * radius) * SIDE / count + 0.5, 0.0, 1.0)
    return blend(first, second, inside.astype(np.float32))


def mesh(draw: Draw) -> Pattern:
    """Thin lines in two directions, as of a net, a grid or squared paper."""
    first, second = tones(draw)
    a, b = HEADINGS[int(draw.integers(len(HEADINGS)))]
    count = max(1, round(int(draw.integers(4, 24)) / math.hypot(a, b)))
    thin = draw.uniform(0.08, 0.3)
    one, other = count * (a * U + b * V), count * (b * U - a * V)
    if draw.random() < 0.3:
        one, other = one * 2, other
    line = (one % 1.0 < thin) | (other % 1.0 < thin)
    return soften(blend(first, second, line.astype(np.float32)))


def letters(draw: Draw) -> Pattern:
    """Letters and figures of one or several sizes, as of newsprint, posters and labels."""
    first, second = tones(draw)
    ink = np.zeros((SIDE, SIDE), np.uint8)
    font, bottom = int(draw.integers(0, 5)), 4
    size = draw.uniform(0.35, 3.0)
    while bottom < SIDE:
        if draw.random() < 0.3:
            size = draw.uniform(0.35, 4.0)
        text = "".join(draw.choice(list(ALPHABET), int(draw.integers(3, 40))))
        width = max(1, round(size * draw.uniform(0.8, 2.8)))
        while text and cv2.getTextSize(text, font, size, width)[0][0] > SIDE - 14:
            text = text[:-1]
        tall = int(22 * size) + 2
        if bottom + int(1.4 * tall) > SIDE:
            break
        at = (int(draw.integers(2, 12)), bottom + tall)
        cv2.putText(ink, text, at, font, size, 255, width, cv2.LINE_AA)
        bottom += int(tall * draw.uniform(1.15, 1.7))
    mask = ink.astype(np.float32) / 255
    if draw.random() < 0.3:
        mask = np.ascontiguousarray(mask.T)
    return blend(first, second, mask)


def spots(draw: Draw) -> Pattern:
    """Patches with sharp edges, as of a cow, a leopard or camouflage."""
    first, second = tones(draw)
    field = noise(draw, int(draw.integers(3, 20)), octaves=int(draw.integers(1, 4)))
    sheet = blend(first, second, edged(field, draw.uniform(0.35, 0.65)))
    if draw.random() < 0.5:
        other = noise(draw, int(draw.integers(3, 20)), octaves=2)
        sheet = blend(sheet, colour(draw, saturation=0.7), edged(other, draw.uniform(0.5, 0.75)))
    return sheet


def litter(draw: Draw) -> Pattern:
    """Fallen or printed leaves of strong contrast, with ribs."""
    first, second = tones(draw)
    sheet = np.ascontiguousarray(blend(first, first * 0.6, noise(draw, 6)))
    leaf = second.mean(axis=(0, 1))
    hues = [leaf, near(draw, leaf, 0.15), leaf * 0.6, colour(draw, 0.2, 0.9, 0.9)]
    long = draw.uniform(9.0, 34.0)
    slender = draw.uniform(0.25, 0.6)
    turn = np.linspace(0.0, 2 * math.pi, 24, endpoint=False)
    outline = np.stack([np.cos(turn), slender * np.sin(turn) * np.abs(np.sin(turn)) ** 0.5], 1)
    for _ in range(int(draw.uniform(0.4, 2.5) * SIDE * SIDE / (2.2 * slender * long * long))):
        heading, size = draw.uniform(0.0, 2 * math.pi), long * draw.uniform(0.5, 1.0)
        c, s = math.cos(heading), math.sin(heading)
        shape = size * outline @ np.array([[c, s], [-s, c]])
        hue = near(draw, hues[int(draw.integers(len(hues)))], 0.06)
        rib = size * np.array([[c, s], [-c, -s]])
        x, y = draw.integers(0, SIDE, 2)
        for dx in (-SIDE, 0, SIDE):
            for dy in (-SIDE, 0, SIDE):
                at = np.array([x + dx, y + dy])
                if (at < -40).any() or (at > SIDE + 40).any():
                    continue
                points = np.round(16 * (shape + at)).astype(np.int32)
                cv2.fillPoly(sheet, [points], hue.tolist(), cv2.LINE_AA, 4)
                ends = np.round(16 * (rib + at)).astype(np.int32)
                cv2.line(sheet, ends[0].tolist(), ends[1].tolist(), (0.6 * hue).tolist(), 1,
                         cv2.LINE_AA, 4)  # fmt: skip
    return np.clip(sheet, 0, 1).astype(np.float32)


def panes(draw: Draw) -> Pattern:
    """Many windows of one kind in a plain wall, dark or lit, as of a tower block."""
    first, second = tones(draw)
    columns, rows = (int(n) for n in draw.integers(3, 13, 2))
    shade = draw.uniform(0.4, 1.4, (rows, columns))
    i, j = (V * rows).astype(int), (U * columns).astype(int)
    glass = np.clip(second * shade[i, j][..., None], 0, 1)
    wide, tall = draw.uniform(0.4, 0.95, 2)
    inside = (np.abs((U * columns) % 1 - 0.5) < wide / 2) & (
        np.abs((V * rows) % 1 - 0.5) < tall / 2
    )
    return soften(blend(first, glass, inside.astype(np.float32)))


def trellis(draw: Draw) -> Pattern:
    """Bars with crossed struts, as of a lattice girder that is painted on a wall."""
    first, second = tones(draw)
    count = int(draw.integers(2, 8))
    u, v = (U * count) % 1.0, (V * count) % 1.0
    thick = draw.uniform(0.06, 0.2)
    bars = (u < thick) | ((v < thick) if draw.random() < 0.7 else False)
    struts = np.abs(u - v) < 0.6 * thick
    if draw.random() < 0.7:
        struts |= np.abs(u + v - 1.0) < 0.6 * thick
    return soften(blend(first, second, (bars | struts).astype(np.float32)))


PRINTS: tuple[Callable[[Draw], Pattern], ...] = (
    stripes, checks, dots, mesh, letters, waves, stripes, spots, litter, panes, trellis, letters,
)  # fmt: skip
"""Prints in the order in which they alternate in a bank."""
