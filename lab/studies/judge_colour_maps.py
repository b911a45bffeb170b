"""Compare colour maps of depth: structure they show, and bands they draw where depth is smooth.

Usage: python lab/studies/judge_colour_maps.py PHOTOGRAPH... [-o SHEET.png]

Colour distances are CIEDE2000. ``seen`` is the share of the places where depth differs by 5 % or
more over twelve pixels of a 512-pixel photograph at which the colours differ by 5 or more; ``band``
is the largest step along the map over the mean one, 1 for an even map. The sheet shows a plane, a
sphere and the photographs.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

import rilievo
from rilievo.io.colour_pictures import (
    COLOUR_MAPS,
    ColourRange,
    colour_levels,
    colour_range,
    colour_table,
)
from rilievo.types import DepthKind, DepthMap

SIDE, CELL, APART, BETWEEN = 512, 300, 12, 8


def smooth_surfaces() -> list[DepthMap]:
    """Draw a plane that recedes, and a sphere before a wall."""
    y, x = np.mgrid[:384, :512]
    inside = 1 - ((x - 256) / 120) ** 2 - ((y - 180) / 120) ** 2
    sphere = np.where(inside > 0, 3 - np.sqrt(np.maximum(inside, 0)), 6)
    plane = 1 / (0.15 + 0.85 * y / 383)
    return [
        DepthMap(values=values.astype(np.float32), kind=DepthKind.METRIC)
        for values in (plane, sphere)
    ]


def main() -> None:
    """Print a row a map, and write the sheet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    depths = smooth_surfaces()
    for path in options.photographs:
        image = Image.open(path).convert("RGB")
        image.thumbnail((SIDE, SIDE))
        depths.append(rilievo.predict(np.asarray(image)).depth)
    colours = {name: rgb2lab(colour_table(name)[None] / 255)[0] for name in COLOUR_MAPS}
    shares: dict[str, list[float]] = {name: [] for name in COLOUR_MAPS}
    for depth in depths[2:]:
        levels, logs = colour_levels(depth, colour_range(depth)).astype(int), np.log(depth.values)
        steps = np.abs(logs[::4, APART:] - logs[::4, :-APART]) > 0.05
        if steps.sum() < 100:
            continue
        left, right = levels[::4, :-APART][steps], levels[::4, APART:][steps]
        for name, table in colours.items():
            shares[name].append(float((deltaE_ciede2000(table[left], table[right]) > 5).mean()))
    for name, table in colours.items():
        along = deltaE_ciede2000(table[:-BETWEEN:BETWEEN], table[BETWEEN::BETWEEN])
        seen, band = np.mean(shares[name]), along.max() / along.mean()
        print(f"{name:9} seen {seen:.2f}  band {band:.2f}")
    if options.output:
        rows = [_row(depth, colour_range(depth)) for depth in depths]
        Image.fromarray(np.concatenate(rows)).save(options.output)


def _row(depth: DepthMap, limits: ColourRange) -> np.ndarray:
    levels = Image.fromarray(colour_levels(depth, limits)).resize((CELL, CELL * 3 // 4))
    return np.concatenate([colour_table(name)[np.asarray(levels)] for name in COLOUR_MAPS], axis=1)


if __name__ == "__main__":
    main()
