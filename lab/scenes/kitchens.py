"""Kitchens along a wall, in the wall's frame (see ``walls``)."""

import math

import numpy as np

from lab.scenes import furniture
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import GLASS, OPEN
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def kitchen(stage: Stage, wide: float) -> None:
    """Cabinets under a worktop with sink and hob, cabinets above, a refrigerator."""
    dice = stage.dice
    run, height = min(wide * dice.uniform(0.5, 1.0), 5.0), dice.uniform(0.85, 0.95)
    x = -wide / 2 + run / 2 + dice.random() * (wide - run)
    with stage.frame((x, -0.3, 0.0)):
        counter(stage, run, 0.6, height)
        stage.subjects.append(stage.world((0, 0, height)))
        stage.claim((0, 0, 0), run * 0.35)
    if dice.chance(0.8):
        with stage.frame((x, -0.18, dice.uniform(1.35, 1.6))):
            above = run * dice.uniform(0.4, 1.0)
            furniture.cabinet(stage, above, 0.36, dice.uniform(0.5, 0.8), laid=False)
    if dice.chance(0.4):
        with stage.frame((x + run / 2 + 0.35, -0.33, 0.0)):
            furniture.cabinet(stage, 0.65, 0.66, dice.uniform(1.5, 2.1), laid=False)


def counter(stage: Stage, run: float, deep: float, height: float) -> None:
    """Cabinets under a worktop with basin and hob."""
    dice = stage.dice
    furniture.cabinet(stage, run, deep, height)
    top = stage.material(Texture.STONE, Texture.WOOD, Texture.SPECKLE, mix=dice.uniform(0, 1))
    stage.box((0, -0.01, height - 0.018), (run, deep + 0.04, 0.04), top)
    fittings(stage, run, height)


def fittings(stage: Stage, run: float, height: float) -> None:
    """A basin on one half of the worktop and a hob over an oven on the other."""
    aside = stage.aside
    if run < 1.6:
        return
    side = aside.sign()
    if aside.chance(0.7):
        with stage.frame((side * aside.uniform(0.2, 0.35) * run, 0.0, height)):
            basin(stage)
    if aside.chance(0.7):
        with stage.frame((-side * aside.uniform(0.2, 0.35) * run, 0.0, height)):
            hob(stage, height)


def basin(stage: Stage) -> None:
    """An open basin on the worktop, with its tap."""
    aside = stage.aside
    clay = stage.coat(np.full(3, aside.uniform(0.3, 0.85)), mirror=0.04)
    steel = stage.coat(np.full(3, 0.25), mirror=0.3)
    deep = aside.uniform(0.1, 0.16)
    stage.cylinder((0, -0.02, deep / 2), 0.16, deep, clay, taper=1.25, holes=OPEN)
    stage.cylinder((0, -0.02, 0.008), 0.155, 0.012, clay)
    foot, top = np.array([0.0, 0.25, 0.0]), np.array([0.0, 0.25, 0.32])
    stage.limb(foot, top, 0.014, steel, taper=1.0)
    stage.limb(top, np.array([0.0, 0.05, 0.28]), 0.011, steel, taper=1.0)


def hob(stage: Stage, height: float) -> None:
    """A plate of black glass with its rings, sometimes a pot, and the oven's front below."""
    aside = stage.aside
    glass, ring = stage.coat(np.full(3, 0.015), mirror=GLASS), stage.coat(np.full(3, 0.06))
    steel = stage.coat(np.full(3, 0.25), mirror=0.3)
    stage.box((0, -0.02, 0.007), (0.58, 0.5, 0.012), glass)
    for k in range(4):
        at = (0.14 * (-1) ** k, 0.12 * (-1) ** (k // 2) - 0.02, 0.012)
        stage.cylinder(at, aside.uniform(0.06, 0.1), 0.008, ring)
    if aside.chance(0.5):
        tall, pot = aside.uniform(0.07, 0.2), stage.coat(aside.vector(0.02, 0.4), mirror=0.1)
        stage.cylinder((0.14, 0.1, 0.016 + tall / 2), 0.11, tall, pot, holes=OPEN)
        stage.cylinder((0.14, 0.1, 0.02), 0.108, 0.01, pot)
    front, middle = -0.33, 0.06 - height / 2
    stage.box((0, front, middle), (0.58, 0.02, min(0.6, height - 0.2)), glass)
    along = turn_z(math.pi / 2) @ turn_x(math.pi / 2)
    stage.cylinder((0, front - 0.03, middle + 0.22), 0.009, 0.46, steel, along)
