"""Openings in a wall: windows that emit light, with curtains or blinds, and doors.

Coordinates are in the wall's frame (see ``walls``).
"""

import math

import numpy as np

from lab.scenes import furniture
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import BARS, Light
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def window(stage: Stage, x: float, height: float) -> None:
    """A bright window with its frame that emits light, sometimes with curtains or blinds."""
    dice = stage.dice
    wide, tall = dice.uniform(0.6, 1.8), dice.uniform(0.7, min(1.6, height - 0.9))
    z = min(dice.uniform(1.3, 1.6), height - tall / 2 - 0.1)
    view = stage.material(
        Texture.PHOTO, Texture.FACADE, Texture.FOLIAGE,
        colour=np.ones(3), mix=dice.choice((0.3, 1.0)),
        scale=(wide, tall), emission=dice.uniform(0.5, 4), gloss=0.0,
    )  # fmt: skip
    frame = stage.plain(np.full(3, dice.uniform(0.2, 0.8)))
    stage.box((x, 0, z), (wide, 0.04, tall), view)
    for a in (-1, 0, 1):
        stage.box((x + a * wide / 2, -0.02, z), (0.06, 0.07, tall + 0.06), frame)
    for a in (-1, 1):
        stage.box((x, -0.02, z + a * tall / 2), (wide, 0.07, 0.06), frame)
    colour = np.array([1.0, dice.uniform(0.9, 1.0), dice.uniform(0.8, 1.2)])
    stage.lights.append(
        Light(
            position=stage.world((x, -0.25, z)),
            distant=False,
            size=0.35,
            colour=dice.uniform(1, 5) * colour,
        )
    )
    kind = dice.random()
    if kind < 0.4:
        curtains(stage, x, wide)
    elif kind < 0.55:
        slats = stage.plain()
        turn = turn_x(math.pi / 2) @ turn_z(math.pi / 2)
        drop = tall * dice.uniform(0.3, 1.0)
        at = (x, -0.08, z + (tall - drop) / 2)
        stage.card(
            at, drop, wide, slats, turn, holes=BARS, pitch=0.06, share=dice.uniform(0.3, 0.8)
        )


def curtains(stage: Stage, x: float, wide: float) -> None:
    """Folds of cloth on both sides of a window."""
    dice = stage.dice
    cloth, rod = furniture.upholstery(stage), stage.plain()
    for a in (-1, 1):
        for fold in range(dice.count(2, 6)):
            at = (x + a * (wide / 2 + 0.05 + fold * 0.07), -0.1 + 0.02 * (fold % 2), 1.2)
            stage.cylinder(at, 0.045, 2.2, cloth)
    along = turn_z(math.pi / 2) @ turn_x(math.pi / 2)
    stage.cylinder((x, -0.1, 2.32), 0.012, wide + 0.9, rod, along)


def door(stage: Stage, x: float) -> None:
    """A closed door with frame, panels and handle."""
    dice = stage.dice
    wide, leaf = dice.uniform(0.75, 0.95), furniture.timber(stage)
    frame = leaf if dice.chance(0.4) else stage.plain()
    stage.box((x, -0.01, 1.0), (wide, 0.05, 2.02), leaf)
    for a in (-1, 1):
        stage.box((x + a * wide / 2, -0.02, 1.03), (0.08, 0.07, 2.08), frame)
    stage.box((x, -0.02, 2.06), (wide + 0.08, 0.07, 0.08), frame)
    if dice.chance(0.5):
        for z in (0.55, 1.5):
            stage.box((x, -0.04, z), (wide * 0.65, 0.02, 0.75), leaf)
    stage.box(
        (x + dice.sign() * wide * 0.4, -0.07, 1.0), (0.12, 0.03, 0.02), stage.plain(gloss=0.5)
    )
