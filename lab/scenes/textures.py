"""The bank of textures for scenes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import cv2
import numpy as np
from jaxtyping import UInt8

from lab.scenes import patterns, pictures, prints
from lab.scenes.models import NO_MODELS, Models
from lab.scenes.patterns import SIDE, Draw, Pattern
from lab.scenes.pictures import Photograph
from lab.scenes.swatches import Swatch
from lab.scenes.swatches import makers as swatch_makers

MOST_SWATCHES = 60
"""Most photographed materials for each use; with all of them a bank would take 0.4 GB."""
SMALLEST = 8
"""Side of the last mip level, in texels."""


class Texture(StrEnum):
    """Use of a texture."""

    PHOTO = "photo"
    PICTURE = "picture"
    SCREEN = "screen"
    PAGE = "page"
    WALL = "wall"
    WOOD = "wood"
    TILES = "tiles"
    STONE = "stone"
    BRICK = "brick"
    FABRIC = "fabric"
    CARPET = "carpet"
    FACADE = "facade"
    GRASS = "grass"
    FOLIAGE = "foliage"
    SPECKLE = "speckle"
    SPINES = "spines"
    PRINT = "print"
    GRID = "grid"
    LITTER = "litter"


BY_NAME = (Texture.PRINT, Texture.GRID, Texture.LITTER)
"""Uses that are drawn by name alone, so that scenes older than they are stay the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureBank:
    """Textures with their mip levels, grouped by use, and the models that wear some of them.

    Attributes:
        texels: sRGB texels, one row per texture: its levels one after another, from ``SIDE`` down
            to ``SMALLEST`` texels per side, each in row-major order.
        groups: Range of rows of ``texels`` for each use.
        models: Models, whose textures are rows of ``texels`` too.
    """

    texels: UInt8[np.ndarray, "textures texels 3"]
    groups: Mapping[Texture, range]
    models: Models = NO_MODELS


def flatten_levels(pattern: Pattern) -> UInt8[np.ndarray, "texels 3"]:
    """Compute all mip levels of a texture, one after another."""
    level = np.round(np.clip(pattern, 0.0, 1.0) * 255).astype(np.uint8)
    levels = [level.reshape(-1, 3)]
    while level.shape[0] > SMALLEST:
        half = (level.shape[1] // 2, level.shape[0] // 2)
        level = np.asarray(cv2.resize(level, half, interpolation=cv2.INTER_AREA), np.uint8)
        levels.append(level.reshape(-1, 3))
    return np.concatenate(levels)


def make_textures(
    photographs: Sequence[Photograph],
    *,
    swatches: Mapping[str, Sequence[Swatch]] | None = None,
    seed: int = 0,
    share: float = 1.0,
) -> TextureBank:
    """Draw a bank of textures.

    Args:
        photographs: Photographs that are cropped, mirrored and re-coloured into pictures and
            backgrounds; if there are none, procedural paintings take their place.
        swatches: Photographed materials by category, which join the procedural textures.
        seed: The same seed, photographs and materials give the same bank.
        share: Share of the full number of textures (about 840, 220 MB), for a quick start in tests.
    """
    draw = np.random.default_rng(seed)
    levels: list[UInt8[np.ndarray, "texels 3"]] = []
    groups = {}
    for use, (count, makers) in recipes(photographs).items():
        start = len(levels)
        for k in range(max(len(makers), round(count * share))):
            levels.append(flatten_levels(makers[k % len(makers)](draw)))
        for make in swatch_makers(swatches or {}, use, round(MOST_SWATCHES * share), seed):
            levels.append(flatten_levels(make(draw)))
        groups[use] = range(start, len(levels))
    return TextureBank(texels=np.stack(levels), groups=groups)


Makers = tuple[Callable[[Draw], Pattern], ...]


def recipes(photographs: Sequence[Photograph]) -> dict[Texture, tuple[int, Makers]]:
    """Number of textures for each use, and the patterns that alternate in them."""
    p = patterns
    if photographs:
        crop = partial(pictures.crop, photographs=photographs)
        collage = partial(pictures.collage, photographs=photographs)
        screen = partial(pictures.screen, photographs=photographs)
    else:
        crop = screen = collage = pictures.landscape
    return {
        Texture.PHOTO: (170, (crop,)),
        Texture.PICTURE: (100, (collage, pictures.landscape, collage, p.blotches)),
        Texture.SCREEN: (24, (screen,)),
        Texture.PAGE: (16, (pictures.page,)),
        Texture.WALL: (50, (p.plaster, p.wallpaper, p.plaster, p.concrete)),
        Texture.WOOD: (54, (p.wood, p.planks, p.parquet)),
        Texture.TILES: (30, (p.tiles,)),
        Texture.STONE: (40, (p.marble, p.concrete, p.cobbles)),
        Texture.BRICK: (16, (p.bricks,)),
        Texture.FABRIC: (50, (p.plaid, p.cloth, p.cloth)),
        Texture.CARPET: (24, (p.carpet,)),
        Texture.FACADE: (50, (pictures.facade,)),
        Texture.GRASS: (14, (p.grass,)),
        Texture.FOLIAGE: (20, (p.leaves,)),
        Texture.SPECKLE: (24, (p.speckle,)),
        Texture.SPINES: (12, (pictures.spines,)),
        # The last, so that the textures before it stay the same.
        Texture.PRINT: (108, prints.PRINTS),
        Texture.GRID: (24, (prints.mesh, prints.trellis, prints.stripes)),
        Texture.LITTER: (16, (prints.litter,)),
    }


TEXELS = sum((SIDE >> level) ** 2 for level in range((SIDE // SMALLEST).bit_length()))
"""Length of the second axis of ``TextureBank.texels``."""
