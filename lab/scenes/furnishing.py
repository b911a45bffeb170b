"""Things from models: dressed in colours, and stood on floors, tables and at walls."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from lab.scenes.models import Model, Skin, Use
from lab.scenes.rotations import turn_z
from lab.scenes.scene import GLASS
from lab.scenes.stage import Stage, Vector
from lab.scenes.textures import Texture

PLAIN = (Texture.WOOD, Texture.FABRIC, Texture.SPECKLE, Texture.STONE, Texture.CARPET)
"""Textures for parts that have one colour."""
BY_NAME: Mapping[str, tuple[Texture, ...]] = {
    "wood": (Texture.WOOD,),
    "carpet": (Texture.FABRIC, Texture.CARPET),
    "fur": (Texture.FABRIC, Texture.CARPET),
    "metal": (Texture.SPECKLE, Texture.STONE),
    "plant": (Texture.FOLIAGE, Texture.GRASS),
}
"""Those of parts whose names begin with a word."""


def pick(
    stage: Stage, use: Use, share: float, fits: Callable[[Model], bool] | None = None
) -> Model | None:
    """Draw a model for a use with the probability ``share``; None otherwise, or if none fits.

    Without models nothing is drawn from the dice, so scenes stay the same.
    """
    models = stage.models.uses.get(use, ())
    if not models or not stage.dice.chance(share):
        return None
    fitting = [model for model in models if fits is None or fits(model)]
    return stage.dice.choice(fitting) if fitting else None


def dress(stage: Stage, model: Model) -> int:
    """Add the materials of a model, in its own or other colours; returns the first."""
    dice = stage.dice
    tint = np.ones(3)
    if dice.chance(0.6):
        tint = dice.uniform(0.5, 1.1) * np.array(dice.vector(0.7, 1.1))
    is_changed, added = dice.chance(0.5), []
    for skin in model.skins:
        if skin.is_glass:
            added.append(stage.coat((0.02, 0.02, 0.02), mirror=GLASS))
        elif skin.texture is not None:
            added.append(stage.coat(tint, texture=skin.texture))
        elif is_changed:
            uses = suiting(skin) or PLAIN
            added.append(stage.material(*uses, scale=dice.log_uniform(0.3, 1.5)))
        elif uses := suiting(skin):
            # In its own colour, under the texture's light and dark.
            colour = tint * np.maximum(skin.colour, 0.01)
            mix, scale = dice.uniform(0.2, 0.8), dice.log_uniform(0.3, 1.5)
            added.append(stage.material(*uses, colour=colour, mix=mix, scale=scale))
        else:
            added.append(stage.plain(tint * np.maximum(skin.colour, 0.01)))
    return added[0]


def suiting(skin: Skin) -> tuple[Texture, ...]:
    """Textures that suit a part of one colour by its name; none if that tells nothing."""
    return next((uses for word, uses in BY_NAME.items() if skin.name.startswith(word)), ())


def put(stage: Stage, model: Model, at: Vector = (0, 0, 0), yaw: float = 0.0) -> None:
    """Stand a model with the middle of its foot at a place, stretched a little."""
    dice = stage.dice
    half = model.half * dice.uniform(0.94, 1.12) * np.array(dice.vector(0.95, 1.05))
    middle = np.asarray(at, float) + np.array([0.0, 0.0, half[2]])
    stage.mesh(model.tree, middle, half, dress(stage, model), turn_z(yaw))


def facing(stage: Stage, model: Model) -> float:
    """Yaw [rad] that turns a model's back, or else one of its long sides, to +y."""
    if model.back is not None:
        return (1 - model.back) * math.pi / 2
    is_across = model.size[0] >= model.size[1]
    return stage.dice.choice((0.0, math.pi)) + (0.0 if is_across else math.pi / 2)


def footprint(model: Model, yaw: float) -> tuple[float, float]:
    """Extents of a model along x and y [m], turned by a multiple of 90°."""
    x, y = float(model.size[0]), float(model.size[1])
    return (x, y) if abs(math.cos(yaw)) > 0.5 else (y, x)


def is_board(model: Model) -> bool:
    """Whether things can stand on a model."""
    return model.category == "table" and 0.3 <= model.size[2] <= 0.85
