"""Reads photographed materials as textures, from contact sheets and an ``index.json``.

The index is a list of objects: ``sheet`` (a picture below the folder), ``x``, ``y``, ``w``, ``h``
[px from the top left], ``category``, and ``seam``: the step across the edge when the picture is
repeated, over that between neighbours inside.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lab.scenes.patterns import SIDE, Draw, Pattern
from rilievo.errors import InputError
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable

Swatch = UInt8[np.ndarray, "_ _ 3"]

LARGEST_SEAM = 2.5
"""Largest ``seam`` of a picture that repeats without a visible seam."""
_EDGE = 1  # pixels that the white around the pictures bleeds into

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "wall": ("Plaster", "Wallpaper", "Paint", "Concrete", "Fabric", "OfficeCeiling"),
    "wood": ("Wood", "WoodFloor", "Planks", "WoodSiding", "Chipboard", "Bamboo"),
    "tiles": ("Tiles", "GlazedTerracotta", "Porcelain"),
    "stone": ("Marble", "Onyx", "Travertine", "Granite", "Concrete", "PavingStones", "Asphalt"),
    "brick": ("Bricks",),
    "fabric": ("Fabric", "Carpet"),
    "carpet": ("Carpet", "Tatami", "Fabric"),
    "grass": ("Grass", "Moss", "Ground", "Gravel", "Snow"),
    "speckle": ("Terrazzo", "Cork", "Rubber", "Metal", "Plastic", "Rust", "DiamondPlate"),
}
"""Categories of materials that suit each use of a texture."""


def read_swatches(folder: Path) -> dict[str, list[Swatch]]:
    """Read every material of a folder that repeats without a seam, by category.

    Raises:
        InputError: If the folder has no readable index, or a sheet is missing or broken.
    """
    index = folder / "index.json"
    try:
        entries = json.loads(index.read_text(encoding="utf-8"))
        sheets: dict[str, np.ndarray] = {}
        found: dict[str, list[Swatch]] = {}
        for entry in entries:
            if entry["seam"] >= LARGEST_SEAM:
                continue
            name = entry["sheet"]
            if name not in sheets:
                with Image.open(folder / name) as image:
                    sheets[name] = np.asarray(image.convert("RGB"))
            top, left = entry["y"] + _EDGE, entry["x"] + _EDGE
            bottom, right = entry["y"] + entry["h"] - _EDGE, entry["x"] + entry["w"] - _EDGE
            found.setdefault(entry["category"], []).append(sheets[name][top:bottom, left:right])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{printable(folder)}: no folder of materials, which has an index.json and the sheets "
            f"that it names ({reason(error)})"
        ) from error
    return found


def makers(
    swatches: Mapping[str, Sequence[Swatch]], use: str, most: int, seed: int
) -> list[Callable[[Draw], Pattern]]:
    """Functions that each make a texture of a different material, at most ``most``.

    Args:
        swatches: Materials by category.
        use: Use of the textures, in ``CATEGORIES``; other uses have no materials.
        most: Largest number of materials, drawn at random.
        seed: Seed of that draw.
    """
    fitting = [
        swatch for category in CATEGORIES.get(use, ()) for swatch in swatches.get(category, ())
    ]
    order = np.random.default_rng(seed).permutation(len(fitting))[:most]
    return [partial(_repeated, fitting[int(k)]) for k in order]


def _repeated(swatch: Swatch, draw: Draw) -> Pattern:
    """Repeat a material twice in each direction, with varied brightness and fine noise."""
    half = SIDE // 2
    one = cv2.resize(swatch, (half, half), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    sheet = np.tile(one, (2, 2, 1))
    sheet = sheet ** np.float32(np.exp(draw.normal(0, 0.15)))
    # The pictures are small: seen from near, they would be smoother than real surfaces.
    sheet += draw.normal(0, draw.uniform(0.0, 0.025), (SIDE, SIDE, 1)).astype(np.float32)
    return np.clip(sheet, 0, 1).astype(np.float32)
