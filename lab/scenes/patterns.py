"""Procedural textures of surfaces: plaster, wood, stone, cloth, leaves.

Each pattern is a function of a random generator that returns sRGB values in [0, 1] on a square of
``SIDE`` texels that repeats without seams.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, Shaped

SIDE = 256
Mask = Float32[np.ndarray, "256 256"]
Pattern = Float32[np.ndarray, "256 256 3"]
Colour = Float32[np.ndarray, "3"]
Tones = Shaped[np.ndarray, "..."]
Draw = np.random.Generator

V, U = (np.mgrid[0:SIDE, 0:SIDE] / SIDE).astype(np.float32)


def noise(
    draw: Draw, cells: int = 8, *, stretch: float = 1.0, octaves: int = 5, gain: float = 0.6
) -> Mask:
    """Smooth noise in [0, 1]; ``stretch`` above 1 elongates it along u, below 1 along v."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for octave in range(octaves):
        columns = max(2, min(SIDE, round(cells * 2**octave / max(stretch, 1.0))))
        rows = max(2, min(SIDE, round(cells * 2**octave * min(stretch, 1.0))))
        grid = draw.standard_normal((rows, columns)).astype(np.float32)
        grid = np.pad(grid, 2, mode="wrap")
        size = (round(SIDE * (columns + 4) / columns), round(SIDE * (rows + 4) / rows))
        wide = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        top, left = round(2 * SIDE / rows), round(2 * SIDE / columns)
        total += gain**octave * wide[top : top + SIDE, left : left + SIDE]
    total -= total.min()
    return total / (total.max() + 1e-6)


def colour(draw: Draw, low: float = 0.05, high: float = 0.95, saturation: float = 0.4) -> Colour:
    """Random colour with its largest channel between ``low`` and ``high``; half of them warm."""
    shape = 1.0 - saturation * draw.uniform(0.0, 1.0, 3)
    if draw.random() < 0.5:
        shape = np.sort(shape)[::-1]
    return (draw.uniform(low, high) * shape / shape.max()).astype(np.float32)


def near(draw: Draw, base: Colour, spread: float) -> Colour:
    """Random colour close to another."""
    return np.clip(base + draw.normal(0.0, spread, 3), 0.0, 1.0).astype(np.float32)


def blend(first: Tones, second: Tones, mask: Mask) -> Pattern:
    """Blend colours or patterns: ``first`` where the mask is 0, ``second`` where it is 1."""
    share = mask[..., None]
    return (first * (1.0 - share) + second * share).astype(np.float32)


def sprinkle(
    draw: Draw, ground: Pattern, colours: Sequence[Colour], count: int, sizes: tuple[float, float],
    slender: float = 1.0,
) -> Pattern:  # fmt: skip
    """Scatter filled ellipses over a pattern; sizes in texels, ``slender`` = width / length."""
    canvas = np.ascontiguousarray(ground)
    for _ in range(count):
        x, y = draw.integers(0, SIDE, 2)
        length = draw.uniform(*sizes)
        axes = (max(1, round(length)), max(1, round(length * slender)))
        paint = near(draw, colours[int(draw.integers(len(colours)))], 0.05).tolist()
        turn = draw.uniform(0.0, 180.0)
        # Repeated across the borders, so that the pattern repeats without seams.
        for dx in (-SIDE, 0, SIDE):
            for dy in (-SIDE, 0, SIDE):
                if -40 < x + dx < SIDE + 40 and -40 < y + dy < SIDE + 40:
                    at = (int(x + dx), int(y + dy))
                    cv2.ellipse(canvas, at, axes, turn, 0, 360, paint, -1, cv2.LINE_AA)
    return canvas


def plaster(draw: Draw) -> Pattern:
    """Nearly plain wall with faint stains and grain."""
    base = colour(draw, 0.4, 0.95, 0.25)
    stains = blend(base, base * draw.uniform(0.75, 0.97), noise(draw, int(draw.integers(2, 12))))
    grain = 1.0 + draw.uniform(0.0, 0.06) * draw.standard_normal((SIDE, SIDE, 1))
    return np.clip(stains * grain, 0, 1).astype(np.float32)


def wallpaper(draw: Draw) -> Pattern:
    """Stripes or small repeated figures."""
    base = colour(draw, 0.3, 0.95, 0.4)
    other = near(draw, base, 0.15)
    repeats = int(draw.integers(2, 12))
    if draw.random() < 0.4:
        edge = draw.uniform(0.2, 0.8)
        return blend(base, other, ((U * repeats) % 1 < edge).astype(np.float32))
    tile = np.broadcast_to(base, (SIDE, SIDE, 3)).astype(np.float32)
    tones, count = [other, near(draw, other, 0.2)], int(draw.integers(2, 9))
    tile = sprinkle(draw, tile, tones, count, (12.0, 60.0), draw.uniform(0.2, 1))
    small = cv2.resize(tile, (SIDE // repeats, SIDE // repeats), interpolation=cv2.INTER_AREA)
    return cv2.resize(np.tile(small, (repeats, repeats, 1)), (SIDE, SIDE))


def wood(draw: Draw) -> Pattern:
    """Grain along u: knots and streaks of a brown, sometimes painted or bleached."""
    dark = np.array([0.35, 0.2, 0.1]) * draw.uniform(0.3, 1.6)
    if draw.random() < 0.25:
        dark = colour(draw, 0.3, 0.9, 0.3)
    light = np.clip(dark * draw.uniform(1.1, 2.0) + draw.uniform(0, 0.1), 0, 0.95)
    bend = noise(draw, 3, stretch=3.0, octaves=3)
    rings = 0.5 + 0.5 * np.sin((V * draw.uniform(4.0, 14.0) + bend * draw.uniform(1, 5)) * 6.2832)
    streaks = noise(draw, int(draw.integers(24, 64)), stretch=12.0, octaves=3)
    return blend(dark, light, np.clip(0.45 * rings + 0.75 * streaks - 0.1, 0, 1).astype(np.float32))


def planks(draw: Draw) -> Pattern:
    """Boards side by side, each with its own shade and joints."""
    base = wood(draw)
    rows = int(draw.integers(3, 13))
    row = np.minimum((V * rows).astype(int), rows - 1)
    shade = draw.uniform(0.75, 1.15, (rows, 2))
    start = draw.uniform(0, 1, rows)
    half = (((U + start[row]) % 1.0) > 0.5).astype(int)
    gaps = ((V * rows) % 1 < 0.05) | (np.abs(((U + start[row]) * 2) % 1 - 0.5) > 0.495)
    board = base * shade[row, half][..., None]
    return np.clip(np.where(gaps[..., None], board * 0.35, board), 0, 1).astype(np.float32)


def parquet(draw: Draw) -> Pattern:
    """Squares of strips in alternating directions."""
    base = wood(draw)
    cells, strips = int(draw.integers(1, 4)) * 2, int(draw.integers(3, 7))
    crosswise = ((np.floor(U * cells) + np.floor(V * cells)) % 2).astype(bool)
    along = np.where(crosswise, U, V) * cells
    shade = draw.uniform(0.75, 1.15, (cells, cells, strips))
    i, j = (V * cells).astype(int), (U * cells).astype(int)
    k = np.minimum(((along % 1) * strips).astype(int), strips - 1)
    gap = ((along * strips) % 1 < 0.08).astype(np.float32)
    turned = np.where(crosswise[..., None], base.transpose(1, 0, 2), base)
    return np.clip(turned * (shade[i, j, k] * (1 - 0.5 * gap))[..., None], 0, 1).astype(np.float32)


def marble(draw: Draw) -> Pattern:
    """Veins along the zero lines of noise."""
    base = colour(draw, 0.15, 0.95, 0.2)
    vein = near(draw, base, 0.3)
    field = noise(draw, int(draw.integers(2, 6)), octaves=6, gain=0.55)
    lines = np.exp(-np.abs(field - 0.5) * draw.uniform(8, 40))
    return blend(blend(base, vein, lines.astype(np.float32)), base * 0.85, noise(draw, 4))


def concrete(draw: Draw) -> Pattern:
    """Grey noise of many scales, with pores."""
    base = colour(draw, 0.2, 0.8, 0.15)
    rough = blend(base * draw.uniform(0.5, 0.9), base, noise(draw, int(draw.integers(3, 20)),
                  octaves=6, gain=draw.uniform(0.5, 0.9)))  # fmt: skip
    speckle = 1 + draw.uniform(0, 0.2) * draw.standard_normal((SIDE, SIDE, 1))
    return np.clip(rough * speckle, 0, 1).astype(np.float32)


def tiles(draw: Draw) -> Pattern:
    """Square or oblong tiles with grout; one tone, two tones or marbled."""
    base = marble(draw) if draw.random() < 0.3 else plaster(draw)
    columns, rows = (int(n) for n in draw.integers(1, 5, 2) * 2)
    if draw.random() < 0.5:
        rows = columns
    shade = draw.normal(1.0, draw.uniform(0, 0.1), (rows, columns))
    if draw.random() < 0.35:
        checks = (np.arange(rows)[:, None] + np.arange(columns)) % 2
        shade = np.where(checks == 1, draw.uniform(0.1, 0.8), 1.0)
    toned = base * shade[(V * rows).astype(int), (U * columns).astype(int)][..., None]
    width = draw.uniform(0.01, 0.04)
    grout = ((U * columns) % 1 < width * columns / 2) | ((V * rows) % 1 < width * rows / 2)
    return np.clip(blend(toned, colour(draw, 0.2, 0.9, 0.1), grout.astype(np.float32)), 0, 1)


def bricks(draw: Draw) -> Pattern:
    """Rows of bricks with individual shades, in mortar."""
    base = np.array([0.55, 0.25, 0.18], np.float32) * draw.uniform(0.5, 1.5)
    base = base if draw.random() < 0.6 else colour(draw, 0.2, 0.9, 0.25)
    columns, rows = int(draw.integers(2, 9)), int(draw.integers(3, 10)) * 2
    row = (V * rows).astype(int)
    along = (U * columns + 0.5 * (row % 2)) % columns
    shade = draw.normal(1.0, draw.uniform(0.03, 0.2), (rows, columns))
    wall = (
        base * shade[row, along.astype(int)][..., None] * (0.8 + 0.4 * noise(draw, 16))[..., None]
    )
    gap = ((along % 1) < 0.06) | ((V * rows) % 1 < 0.12)
    return np.clip(blend(wall, colour(draw, 0.3, 0.9, 0.1), gap.astype(np.float32)), 0, 1)


def cobbles(draw: Draw) -> Pattern:
    """Stones of uneven size: gravel, paving, dry walls."""
    seeds = np.ones((SIDE, SIDE), np.uint8)
    points = draw.integers(0, SIDE, (int(draw.integers(60, 1500)), 2))
    seeds[points[:, 0], points[:, 1]] = 0
    seeds = np.pad(seeds, 48, mode="wrap")
    away, label = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = slice(48, 48 + SIDE)
    away, label = away[inside, inside], label[inside, inside]
    shade = draw.normal(1.0, draw.uniform(0.1, 0.35), label.max() + 1)[label]
    hollow = 1.0 - 0.7 * np.clip(away / (np.percentile(away, 97) + 1e-6), 0, 1) ** 3
    stones = colour(draw, 0.2, 0.75, 0.25) * (shade * hollow)[..., None]
    return np.clip(stones, 0, 1).astype(np.float32)


def plaid(draw: Draw) -> Pattern:
    """Crossed stripes of several colours."""

    def band() -> Float32[np.ndarray, "256 3"]:
        line = np.broadcast_to(colour(draw, 0.2, 0.9, 0.6), (SIDE, 3)).copy()
        for _ in range(draw.integers(2, 7)):
            start = int(draw.integers(0, SIDE))
            line[start : start + int(draw.integers(4, 60))] = colour(draw, 0.05, 0.95, 0.7)
        return np.roll(line, 13, 0).astype(np.float32)

    columns, rows = band(), band()
    weave = 1 + 0.05 * draw.standard_normal((SIDE, SIDE, 1))
    cloth = 0.5 * (columns[None] + rows[:, None]) * weave
    repeats = int(draw.integers(1, 6))
    small = cv2.resize(
        cloth.astype(np.float32), (SIDE // repeats,) * 2, interpolation=cv2.INTER_AREA
    )
    return np.clip(cv2.resize(np.tile(small, (repeats, repeats, 1)), (SIDE, SIDE)), 0, 1)


def cloth(draw: Draw) -> Pattern:
    """Plain weave, folds of shade, sometimes with a print."""
    base = colour(draw, 0.05, 0.9, 0.7)
    threads = (
        0.5 + 0.25 * (np.sin(U * 402) + np.sin(V * 402)) + 0.1 * draw.standard_normal((SIDE,) * 2)
    )
    woven = blend(base * 0.8, base, np.clip(threads, 0, 1).astype(np.float32))
    if draw.random() < 0.4:
        tones = [colour(draw, 0.1, 0.95, 0.8) for _ in range(3)]
        woven = sprinkle(
            draw, woven, tones, int(draw.integers(5, 90)), (3.0, 22.0), draw.uniform(0.2, 1)
        )
    return np.clip(woven * (0.8 + 0.3 * noise(draw, 4))[..., None], 0, 1).astype(np.float32)


def carpet(draw: Draw) -> Pattern:
    """A rug: mirrored ornament inside borders."""
    tones = [colour(draw, 0.1, 0.85, 0.8) for _ in range(4)]
    quarter = np.broadcast_to(tones[0], (SIDE, SIDE, 3)).astype(np.float32)
    quarter = sprinkle(
        draw, quarter, tones, int(draw.integers(20, 120)), (5.0, 40.0), draw.uniform(0.2, 1)
    )
    small = cv2.resize(quarter, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    rug = np.concatenate([small, small[:, ::-1]], 1)
    rug = np.ascontiguousarray(np.concatenate([rug, rug[::-1]], 0))
    for inset in sorted(draw.integers(4, 60, int(draw.integers(0, 4))).tolist()):
        tone = tones[draw.integers(4)].tolist()
        cv2.rectangle(
            rug, (inset, inset), (SIDE - inset, SIDE - inset), tone, int(draw.integers(2, 9))
        )
    return np.clip(rug * (1 + 0.08 * draw.standard_normal((SIDE, SIDE, 1))), 0, 1).astype(
        np.float32
    )


def grass(draw: Draw) -> Pattern:
    """Blades over soil."""
    green = np.array([0.3, 0.42, 0.15], np.float32) * draw.uniform(0.5, 1.5)
    soil = np.array([0.3, 0.25, 0.15], np.float32) * draw.uniform(0.4, 1.4)
    ground = blend(soil, green, noise(draw, 6))
    tones = [green, near(draw, green, 0.1), green * 0.5, soil]
    return np.clip(sprinkle(draw, ground, tones, 700, (3.0, 12.0), 0.15), 0, 1)


def leaves(draw: Draw) -> Pattern:
    """Foliage seen from outside: leaves over dark gaps."""
    green = np.array([0.2, 0.35, 0.1], np.float32) * draw.uniform(0.5, 1.8)
    if draw.random() < 0.15:
        green = colour(draw, 0.2, 0.8, 0.8)
    ground = blend(green * 0.15, green * 0.5, noise(draw, 10))
    tones = [green, near(draw, green, 0.08), green * 0.7, green * 0.4]
    return np.clip(
        sprinkle(draw, ground, tones, int(draw.integers(200, 700)), (4.0, 14.0), 0.45), 0, 1
    )


def speckle(draw: Draw) -> Pattern:
    """Fine grain of two tones: terrazzo, asphalt, sand."""
    base = colour(draw, 0.1, 0.8, 0.3)
    ground = blend(base * 0.85, base, noise(draw, 6))
    tones = [near(draw, base, 0.15), base * 0.5, colour(draw, 0.2, 0.95, 0.3)]
    count, sizes = int(draw.integers(100, 900)), (1.0, draw.uniform(1.5, 6))
    return np.clip(sprinkle(draw, ground, tones, count, sizes, 0.7), 0, 1)


def blotches(draw: Draw) -> Pattern:
    """Clouds of two unrelated colours."""
    mask = noise(draw, int(draw.integers(2, 16)), stretch=draw.choice([0.2, 1.0, 5.0]))
    sharp = np.clip((mask - 0.5) * draw.uniform(1, 12) + 0.5, 0, 1)
    return blend(
        colour(draw, saturation=0.8), colour(draw, saturation=0.8), sharp.astype(np.float32)
    )
