"""Floors as a robot sees them: from 0.15 m to 0.5 m, mostly floor in the lower half."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.figures import somebody
from lab.scenes.furnishing import pick, put
from lab.scenes.models import Use
from lab.scenes.near import put_aside
from lab.scenes.people import person
from lab.scenes.rooms import furnished
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue
from lab.scenes.walls import cartons

EYE = (0.23, 0.42)
"""Least and largest height of the camera [m], which moves by up to 0.08 m about it."""
FIELD = (50.0, 95.0)
"""Least and largest field of view [degrees]."""


def robot_floor(stage: Stage) -> Venue:
    """Build a hall or a room around a camera that is close to its floor."""
    dice = stage.dice
    width, length, height = hall_size(stage)
    x, y = dice.uniform(-0.45, 0.45) * (width - 0.8), dice.uniform(-0.5, 0.2) * (length - 0.8)
    yaw = math.pi / 2 + 0.6 * math.atan2(x, 0.5 * length - y) + dice.normalvariate(0.0, 0.5)
    floor_of(stage, width, length)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        stage.claim((0.0, 0.0, 0.0), dice.uniform(0.4, 1.2))
        stage.claim((0.0, dice.uniform(0.9, 1.8), 0.0), dice.uniform(0.4, 0.9))
        ahead(stage)
    for _ in range(dice.count(0, 2) if width > 7 else 0):
        pillar = dice.uniform(-0.45, 0.45) * width, dice.uniform(-0.45, 0.45) * length, 0.0
        if stage.claim(pillar, 0.4):
            stuff = stage.material(Texture.WALL, Texture.STONE, Texture.TILES, mix=0.5, scale=2.0)
            thick = dice.uniform(0.25, 0.6)
            at = (pillar[0], pillar[1], height / 2)
            if dice.chance(0.5):
                stage.cylinder(at, thick / 2, height, stuff)
            else:
                stage.box(at, (thick, thick, height), stuff)
    venue = furnished(stage, width, length, height)
    standpoint = Standpoint(
        origin=stage.world((x, y, dice.uniform(*EYE))), yaw=yaw,
        pitch=math.radians(dice.normalvariate(-5, 6)), roll=0.03, pitch_spread=0.03,
    )  # fmt: skip
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint, field=FIELD)


def hall_size(stage: Stage) -> tuple[float, float, float]:
    """Width, length and height [m]: halls, rooms and passages."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.45:
        return dice.uniform(6, 18), dice.uniform(8, 24), dice.uniform(2.8, 6.0)
    if kind < 0.8:
        return dice.uniform(3, 7), dice.uniform(4, 9), dice.uniform(2.4, 3.2)
    return dice.uniform(1.6, 3.2), dice.uniform(8, 22), dice.uniform(2.3, 3.2)


def floor_of(stage: Stage, width: float, length: float) -> None:
    """Lay a floor: plain or patterned, dull or polished, sometimes with joints or a line."""
    dice = stage.dice
    mirror = dice.uniform(0.02, 0.22) if dice.chance(0.5) else 0.0
    kind = dice.random()
    if kind < 0.45:
        colour = dice.uniform(0.05, 0.7) * np.array(dice.vector(0.8, 1.0))
        floor = stage.material(
            Texture.SPECKLE, Texture.STONE, colour=colour, mix=dice.choice((0.0, 0.1, 0.3)),
            scale=dice.uniform(1, 4), gloss=dice.uniform(0, 0.4), mirror=mirror,
        )  # fmt: skip
    else:
        floor = stage.material(
            Texture.TILES, Texture.WOOD, Texture.STONE, Texture.SPECKLE, Texture.CARPET,
            mix=dice.uniform(0.3, 1), scale=dice.log_uniform(0.6, 4.0), mirror=mirror,
        )  # fmt: skip
    stage.box((0, 0, 0.003), (width, length, 0.006), floor)
    if dice.chance(0.2):
        tape = stage.plain(dice.vector(0.2, 0.9), gloss=0.0)
        stage.box((dice.uniform(-0.3, 0.3) * width, 0, 0.007), (0.08, length, 0.003), tape)


def ahead(stage: Stage) -> None:
    """Put things ahead of the camera: legs of people, chairs and tables, boxes, things lying."""
    dice = stage.dice
    for _ in range(dice.weighted((0, 1, 2, 3, 5), (0.3, 0.25, 0.2, 0.15, 0.1))):
        deep = dice.log_uniform(0.7, 6.0)
        at = (dice.normalvariate(0.0, 0.45) * (0.6 + deep), deep, 0.0)
        if stage.claim(at, 0.25):
            with stage.frame(at, dice.angle()):
                somebody(stage)
    if dice.chance(0.45):
        deep = dice.log_uniform(1.0, 4.0)
        at = (dice.normalvariate(0.0, 0.4) * (0.6 + deep), deep, 0.0)
        with stage.frame(at, dice.angle()):
            seats(stage)
    if dice.chance(0.3):
        put_aside(stage)
    for _ in range(dice.count(0, 3)):
        deep = dice.log_uniform(0.6, 5.0)
        at = (dice.normalvariate(0.0, 0.4) * (0.4 + deep), deep, 0.0)
        with stage.frame(at, dice.angle()):
            thing_on_floor(stage)


def seats(stage: Stage) -> None:
    """A table with chairs around it, or chairs in a row; someone may sit."""
    dice = stage.dice
    if not stage.claim((0.0, 0.0, 0.0), 0.8):
        return
    if dice.chance(0.6):
        wide, deep = dice.uniform(0.8, 2.0), dice.uniform(0.6, 1.0)
        furniture.table(stage, wide, deep, dice.uniform(0.68, 0.78))
        for k in range(dice.count(1, 5)):
            side = 1 if k % 2 else -1
            x = dice.uniform(-0.4, 0.4) * wide
            at = (x, side * (deep / 2 + dice.uniform(0.05, 0.4)), 0.0)
            with stage.frame(at, (0.0 if side > 0 else math.pi) + dice.normalvariate(0, 0.4)):
                chair(stage)
        return
    for k in range(dice.count(2, 5)):
        with stage.frame((0.6 * (k - 2), 0.0, 0.0), dice.normalvariate(0.0, 0.1)):
            chair(stage)


def chair(stage: Stage) -> None:
    """A chair, sometimes with somebody on it."""
    dice = stage.dice
    model = pick(stage, Use.FLOOR, 0.4, lambda model: model.category == "chair")
    if model is not None:
        put(stage, model)
        return
    furniture.chair(stage)
    if dice.chance(0.25):
        person(stage, dice.uniform(1.5, 1.9), seated=True)


def thing_on_floor(stage: Stage) -> None:
    """Something low on the floor: boxes, a bag, a bin, a threshold, things left lying."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.3:
        if stage.claim((0.0, 0.0, 0.0), 0.4):
            cartons(stage)
    elif kind < 0.55:
        clutter(stage, 0.8, 0.8, 0.006, dice.count(1, 4))
    elif kind < 0.75:
        if stage.claim((0.0, 0.0, 0.0), 0.25):
            tall, wide = dice.uniform(0.25, 0.7), dice.uniform(0.1, 0.2)
            stage.cylinder((0, 0, tall / 2), wide, tall, stage.material(), taper=1.2)
    elif kind < 0.9:
        if stage.claim((0.0, 0.0, 0.0), 0.3):
            bag = stage.material(Texture.FABRIC, mix=dice.uniform(0, 0.6), scale=0.4)
            size = (dice.uniform(0.1, 0.2), dice.uniform(0.15, 0.3), dice.uniform(0.12, 0.28))
            stage.ellipsoid((0, 0, size[2] * 0.9), size, bag)
    else:
        strip = stage.plain(np.full(3, dice.uniform(0.05, 0.6)))
        stage.box((0, 0, 0.01), (dice.uniform(0.8, 3.0), 0.08, 0.02), strip)
