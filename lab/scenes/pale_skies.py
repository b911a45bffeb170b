"""Outdoor scenes under pale skies: shores, squares, streets and fields on overcast days."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.scenes.buildings import house
from lab.scenes.outdoors import earth, meadow, outside, street
from lab.scenes.people import crowd, person
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import BARS, LATTICE
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Venue


def pale_sky(stage: Stage) -> Venue:
    """Build a shore, a square, a street or a field under clouds."""
    dice = stage.dice
    venue = dice.weighted((shore, square, street, meadow), (0.4, 0.3, 0.15, 0.15))(stage)
    # Through clouds the sun throws hardly any shadow.
    dim = dice.choice((0.03, 0.1, 0.3))
    stage.lights[:] = [
        replace(each, colour=dim * np.asarray(each.colour)) if each.distant else each
        for each in stage.lights
    ]
    return replace(venue, overcast=True)


def shore(stage: Stage) -> Venue:
    """Water up to the horizon, with boats, piers and posts."""
    dice = stage.dice
    grey = dice.log_uniform(0.06, 0.6)
    tint = np.array([dice.uniform(0.7, 1.0), dice.uniform(0.85, 1.0), 1.0])
    stage.ground(
        stage.material(
            Texture.SPECKLE, Texture.STONE, Texture.WALL, colour=grey * tint,
            mix=dice.uniform(0.0, 0.3), scale=dice.uniform(2.0, 12.0),
            gloss=dice.uniform(0.0, 0.3), mirror=dice.choice((0.0, 0.0, 0.0, 0.05)),
        )
    )  # fmt: skip
    for _ in range(dice.count(0, 8)):
        at = (dice.normalvariate(0, 12), dice.sign() * dice.log_uniform(6, 90), 0.0)
        if stage.is_full or not stage.claim(at, 2.5):
            continue
        with stage.frame(at, dice.angle()):
            dice.choice((boat, boat, posts, pier, mast))(stage)
    if dice.chance(0.5):
        bank(stage)
    return outside(stage, 12.0, 12.0)


def square(stage: Stage) -> Venue:
    """Open paving or snow with flags, lamps, masts and pale houses around."""
    dice = stage.dice
    if dice.chance(0.6):
        bright = dice.uniform(0.3, 0.9)
        face = stage.material(
            Texture.STONE, Texture.TILES, Texture.SPECKLE, colour=np.full(3, bright),
            mix=dice.uniform(0.0, 0.5), scale=dice.uniform(0.8, 4.0), gloss=0.0,
        )  # fmt: skip
        stage.ground(face)
    else:
        earth(stage)
    spread = dice.log_uniform(6.0, 25.0)
    makers: tuple[Callable[[Stage], None], ...] = (mast, mast, flagpole, flagpole, gantry, posts)
    for _ in range(dice.count(2, 10)):
        at = (dice.uniform(-1, 1) * spread, dice.uniform(-1, 1) * spread, 0.0)
        if stage.is_full or not stage.claim(at, 1.5):
            continue
        with stage.frame(at, dice.angle()):
            dice.choice(makers)(stage)
    for _ in range(dice.count(0, 4)):
        at = (dice.uniform(-2, 2) * spread, dice.sign() * dice.uniform(1.2, 2.5) * spread, 0.0)
        with stage.frame(at, dice.angle()):
            pale_house(stage)
    crowd(stage, dice.count(0, 6), spread * 0.6)
    return outside(stage, 1.5 * spread, 1.5 * spread)


def boat(stage: Stage) -> None:
    """A hull with a cabin, a mast with stays, sometimes a sail."""
    dice = stage.dice
    long, side = dice.uniform(2.5, 10.0), dice.uniform(0.3, 1.2)
    hull = stage.plain(np.full(3, dice.uniform(0.05, 0.9)))
    stage.ellipsoid((0, 0, 0.2), (long / 2, long / 6, side), hull)
    if dice.chance(0.5):
        high = dice.uniform(0.6, 1.6)
        stage.box((0, 0, side + high / 2), (long / 3, long / 5, high), stage.plain())
    if dice.chance(0.7):
        mast(stage)
    if dice.chance(0.3):
        tall = dice.uniform(0.8, 1.6) * long
        cloth = stage.plain(np.full(3, dice.uniform(0.5, 0.95)))
        stage.card((0, 0, side + tall / 2), long / 3, tall, cloth, turn_x(math.pi / 2))


def mast(stage: Stage) -> None:
    """A tall thin pole, sometimes with a yard, a lamp, or a lattice."""
    dice = stage.dice
    tall, thick = dice.uniform(3.0, 14.0), dice.log_uniform(0.02, 0.12)
    metal = stage.plain(np.full(3, dice.choice((0.02, 0.1, 0.4, 0.8))))
    stage.cylinder((0, 0, tall / 2), thick, tall, metal)
    if dice.chance(0.4):
        wide, high = dice.uniform(0.6, 4.0), dice.uniform(0.6, 0.98) * tall
        stage.box((0, 0, high), (wide, thick, thick), metal)
    if dice.chance(0.4):
        stage.ellipsoid((0, 0, tall), (0.25, 0.25, 0.2), stage.plain(np.full(3, 0.8)))
    if dice.chance(0.25):
        stage.card((0, 0, tall / 2), 0.8, tall, metal, turn_x(math.pi / 2), holes=LATTICE,
                   pitch=0.4, share=0.25)  # fmt: skip


def flagpole(stage: Stage) -> None:
    """A pole with a flag, in any colour that cloth has, white and grey among them."""
    dice = stage.dice
    tall, wide = dice.uniform(4.0, 11.0), dice.uniform(0.8, 2.5)
    stage.cylinder((0, 0, tall / 2), dice.uniform(0.03, 0.07), tall, stage.plain())
    cloth = stage.plain(np.full(3, dice.uniform(0.3, 0.9))) if dice.chance(0.4) else stage.plain()
    drop = dice.uniform(0.5, 0.8) * wide
    turn = turn_z(dice.normalvariate(0, 0.3)) @ turn_x(math.pi / 2)
    stage.card((wide / 2, 0, tall - drop / 2), wide, drop, cloth, turn)


def gantry(stage: Stage) -> None:
    """Two posts with a beam between them, as of a gate or a crane; wires below the beam."""
    dice = stage.dice
    tall, wide = dice.uniform(3.0, 9.0), dice.uniform(3.0, 12.0)
    iron = stage.plain(np.full(3, dice.uniform(0.02, 0.5)))
    for side in (-0.5, 0.5):
        stage.cylinder((side * wide, 0, tall / 2), dice.uniform(0.04, 0.15), tall, iron)
    stage.box((0, 0, tall), (wide, 0.15, dice.uniform(0.05, 0.4)), iron)
    if dice.chance(0.5):
        stage.card((0, 0, tall * 0.8), wide, tall * 0.3, iron, turn_x(math.pi / 2), holes=BARS,
                   pitch=dice.uniform(0.3, 1.0), share=dice.uniform(0.03, 0.15))  # fmt: skip


def posts(stage: Stage) -> None:
    """A row of posts, as of a groyne or a fence."""
    dice = stage.dice
    tall, gap = dice.uniform(0.5, 2.0), dice.uniform(0.5, 2.5)
    wood = stage.material(Texture.WOOD, gloss=0.0)
    for k in range(dice.count(3, 9)):
        stage.cylinder((k * gap, 0, tall / 2), 0.08, tall, wood)


def pier(stage: Stage) -> None:
    """A low deck on posts, with somebody on it now and then."""
    dice = stage.dice
    long, high = dice.uniform(5.0, 25.0), dice.uniform(0.4, 1.2)
    wood = stage.material(Texture.WOOD, gloss=0.0)
    stage.box((0, 0, high), (long, dice.uniform(1.5, 3.0), 0.12), wood)
    if dice.chance(0.5):
        with stage.frame((dice.uniform(-0.4, 0.4) * long, 0, high + 0.06)):
            person(stage, dice.uniform(1.5, 1.9))


def bank(stage: Stage) -> None:
    """The other side of the water: a long low dam with houses on it."""
    dice = stage.dice
    away = dice.uniform(60, 200)
    low = stage.material(
        Texture.GRASS, Texture.STONE, colour=np.full(3, dice.uniform(0.05, 0.5)), gloss=0.0
    )
    side = dice.sign()
    stage.box((0, side * away, 0.5), (800, 20, dice.uniform(1, 8)), low)
    for _ in range(dice.count(0, 5)):
        with stage.frame((dice.uniform(-80, 80), side * (away - 10), 0.0), dice.angle()):
            pale_house(stage)


def pale_house(stage: Stage) -> None:
    """A house, or a white block that only its place tells from the sky."""
    dice = stage.dice
    if dice.chance(0.5):
        house(stage, dice.uniform(6, 16), dice.uniform(6, 10))
        return
    size = (dice.uniform(5, 20), dice.uniform(5, 12), dice.uniform(4, 20))
    face = stage.material(
        Texture.WALL,
        colour=np.full(3, dice.uniform(0.5, 0.95)),
        mix=dice.uniform(0, 0.2),
        gloss=0.0,
    )
    stage.box((0, 0, size[2] / 2), size, face)
