"""People, busts and animals from models, or people of solids where there are none."""

import numpy as np

from lab.scenes.furnishing import put
from lab.scenes.models import Model, Skin
from lab.scenes.people import person
from lab.scenes.rotations import turn_z
from lab.scenes.scene import GLASS
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture

_BARE = ("eye", "teeth", "hooves", "horns", "nose", "muzzle", "black", "white")
"""Beginnings of the names of parts that keep their plain colour."""
_COATS = (Texture.FABRIC, Texture.CARPET, Texture.SPECKLE, Texture.GRASS)
_SITS = "sitting"


def coat(stage: Stage, model: Model) -> int:
    """Add the materials of a person or an animal in about its own colours; returns the first."""
    dice = stage.dice
    tint = dice.uniform(0.6, 1.1) * np.array(dice.vector(0.85, 1.1))
    first, *_ = [_skin(stage, skin, tint) for skin in model.skins]
    return first


def _skin(stage: Stage, skin: Skin, tint: Point) -> int:
    dice, colour = stage.dice, np.maximum(skin.colour, 0.01)
    if skin.is_glass:
        return stage.coat((0.02, 0.02, 0.02), mirror=GLASS)
    if skin.texture is not None:
        return stage.coat(tint, texture=skin.texture)
    if skin.name.lower().startswith(_BARE):
        return stage.plain(colour, gloss=0.2)
    mix, scale = dice.uniform(0.0, 0.6), dice.log_uniform(0.15, 0.8)
    return stage.material(*_COATS, colour=tint * colour, mix=mix, scale=scale, gloss=0.0)


def set_figure(stage: Stage, model: Model, yaw: float = 0.0) -> Point:
    """Stand a model at the origin of the current frame; returns the place of its head, or chest."""
    half = model.half * stage.dice.uniform(0.92, 1.08)
    turn, lift = turn_z(yaw), np.array([0.0, 0.0, half[2]])
    stage.mesh(model.tree, lift, half, coat(stage, model), turn)
    chest = model.centre + np.array([0.0, 0.0, 0.35 * model.size[2]])
    head = chest if model.head is None else np.array(model.head)
    return stage.world(turn @ ((head - model.centre) * half / model.half) + lift)


def somebody(stage: Stage, *, upright: bool = True) -> Point:
    """A person who faces -y, of a model where there is one; returns the place of the head."""
    dice = stage.dice
    models = [m for m in stage.models.categories.get("person", ()) if not upright or _stands(m)]
    if models and dice.chance(0.85):
        model = dice.choice(models)
        if not model.pose.startswith(_SITS) or "floor" in model.pose or "knees" in model.pose:
            return set_figure(stage, model)
        seat = stage.material(Texture.WOOD, Texture.STONE)
        stage.box((0, 0.1, 0.22), (0.5, 0.45, 0.42), seat)
        return set_figure(stage, model)
    height = dice.uniform(1.2, 1.9)
    person(stage, height)
    return stage.world((0, -0.03, 0.93 * height))


def _stands(model: Model) -> bool:
    return model.size[2] > 1.2 and not model.pose.startswith(_SITS)


def bust(stage: Stage) -> Point | None:
    """A head with shoulders on a trunk, which hides where it is cut; None without such models."""
    models = stage.models.categories.get("bust", ())
    if not models:
        return None
    dice = stage.dice
    cloth = stage.material(Texture.FABRIC, mix=dice.uniform(0, 0.8), scale=0.4, gloss=0.0)
    chest = dice.uniform(0.8, 1.3)
    stage.ellipsoid((0, 0.02, chest - 0.22), (0.25, 0.14, 0.4), cloth)
    stage.cylinder((0, 0.02, chest / 2 - 0.2), 0.2, chest - 0.3, cloth)
    with stage.frame((0, 0, chest)):
        return set_figure(stage, dice.choice(models))


def animal(stage: Stage, *, most: float = 5.0) -> tuple[Point, float] | None:
    """An animal no longer than ``most`` [m]: the place of its head or chest, and its length [m]."""
    models = [m for m in stage.models.categories.get("animal", ()) if m.size.max() < most]
    if not models:
        return None
    model = stage.dice.choice(models)
    return set_figure(stage, model), float(model.size.max())


def thing(stage: Stage, category: str) -> bool:
    """Stand a model of a category; False without any."""
    models = stage.models.categories.get(category, ())
    if models:
        put(stage, stage.dice.choice(models))
    return bool(models)
