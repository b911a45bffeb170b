"""Streets at night: lit windows and signs, lamps that flare, dark walls and a dark sky."""

import math

import numpy as np

from lab.scenes.figures import somebody
from lab.scenes.outdoors import earth, park, roadway
from lab.scenes.plants import tree
from lab.scenes.scene import Ambience, Light
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Venue, unit

_LAMPS = 3
"""Most lamps that give light; others only shine."""


def night_street(stage: Stage) -> Venue:
    """Build a street along x between lit houses, with lamps and people."""
    dice = stage.dice
    earth(stage)
    road = dice.uniform(4, 12)
    roadway(stage, road)
    front = road / 2 + dice.uniform(2, 8)
    for side in (-1, 1):
        x = -45.0
        while x < 50.0:
            wide = dice.uniform(5, 18)
            with stage.frame((x + wide / 2, side * front, 0.0), 0.0 if side > 0 else math.pi):
                if dice.chance(0.8):
                    lit_house(stage, wide, is_near=abs(x) < 28)
                elif dice.chance(0.7):
                    tree(stage, dice.uniform(3, 9))
            x += wide + dice.choice((0.0, 0.0, dice.uniform(0, 5)))
    lamps(stage, road)
    for _ in range(dice.count(0, 6)):
        park(stage, road)
    for _ in range(dice.count(0, 5)):
        at = (dice.uniform(-12, 12), dice.uniform(-1, 1) * front, 0.0)
        if not stage.is_full and stage.claim(at, 0.3):
            with stage.frame(at, dice.angle()):
                somebody(stage)
    return Venue(
        stage=stage, approach=Approach.STREET, width=40.0, length=2 * front, height=20.0,
        ambience=moonlight(stage), flares=dice.chance(0.6), daylight=dice.log_uniform(0.003, 0.12),
    )  # fmt: skip


def moonlight(stage: Stage) -> Ambience:
    """Random ambient light of a night, blue or the orange of a town."""
    dice = stage.dice
    tint = np.array(dice.choice(((0.5, 0.7, 1.0), (1.0, 0.75, 0.5), (0.9, 0.9, 1.0))))
    bright = dice.log_uniform(0.02, 0.25)
    return Ambience(
        direction=unit(np.array([0.0, 0.0, 1.0])), bright=bright * tint,
        dark=bright * dice.uniform(0.3, 0.8) * tint, reach=dice.uniform(1.0, 4.0),
    )  # fmt: skip


def lit_house(stage: Stage, wide: float, *, is_near: bool) -> None:
    """A house on y >= 0 whose windows are lit, dark, or a lit shop with its sign."""
    dice = stage.dice
    storey, floors = dice.uniform(2.7, 3.6), dice.count(1, 6)
    tall, deep = storey * floors, dice.uniform(6, 12)
    use = dice.choice((Texture.WALL, Texture.BRICK, Texture.STONE))
    stage.box((0, deep / 2, tall / 2), (wide, deep, tall), stage.material(use, gloss=0.0))
    if not is_near:
        return
    warm = np.array([1.0, dice.uniform(0.6, 0.95), dice.uniform(0.3, 0.9)])
    bright = stage.plain(warm, emission=dice.uniform(1.0, 8.0))
    room = stage.material(Texture.FACADE, Texture.PHOTO, colour=warm, mix=0.6, scale=2.0,
                          emission=dice.uniform(0.5, 5.0))  # fmt: skip
    dark, trim = stage.plain((0.01, 0.01, 0.015), gloss=0.5), stage.plain()
    count, lit = max(1, int(wide / dice.uniform(1.6, 4.0))), dice.uniform(0.1, 0.8)
    size = dice.uniform(0.7, 1.3), dice.uniform(1.0, 1.7)
    first = 0
    if dice.chance(0.45):
        first = 1
        stage.box((0, -0.02, 1.4), (0.9 * wide, 0.06, 2.2), dice.choice((bright, room, room)))
        sign = stage.material(Texture.PICTURE, mix=1.0, scale=(0.5 * wide, 0.6),
                              emission=dice.uniform(1.0, 8.0))  # fmt: skip
        stage.box((0, -0.12, 2.85), (0.5 * wide, 0.1, 0.6), sign)
    for floor in range(first, min(floors, 4)):
        for k in range(count):
            at = ((k + 0.5) * wide / count - wide / 2, 0.0, (floor + 0.55) * storey)
            face = dice.choice((bright, room)) if dice.chance(lit) else dark
            stage.box(at, (size[0], 0.05, size[1]), face)
            if dice.chance(0.5):
                stage.box((at[0], -0.06, at[2] - size[1] / 2 - 0.05), (size[0], 0.14, 0.06), trim)


def lamps(stage: Stage, road: float) -> None:
    """Lamps along the road; the first ones light it."""
    dice = stage.dice
    tall, gap, side = dice.uniform(3.0, 7.0), dice.uniform(8.0, 25.0), dice.sign()
    post = stage.plain((0.03, 0.03, 0.03))
    warm = np.array([1.0, dice.uniform(0.6, 1.0), dice.uniform(0.3, 1.0)])
    glow = stage.plain(warm, emission=dice.uniform(20, 80))
    start = dice.uniform(-0.5, 0.5) * gap
    for k in (0, -1, 1, 2, -2):
        at = (start + k * gap, side * (road / 2 + 0.6), tall)
        stage.cylinder((at[0], at[1], tall / 2), 0.06, tall, post)
        stage.ellipsoid((at[0], at[1], tall + 0.12), (0.16, 0.16, 0.12), glow)
        if len(stage.lights) < _LAMPS:
            below = np.array([at[0], at[1], tall - 0.1])
            strong = dice.uniform(2.0, 12.0) * warm
            stage.lights.append(Light(position=below, distant=False, size=0.1, colour=strong))
