"""Plants and trees."""

import math

import numpy as np
from jaxtyping import Float64

from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import BARS, LEAVES, OPEN
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def green(stage: Stage) -> Float64[np.ndarray, "3"]:
    """Random linear colour of a leaf."""
    dice = stage.dice
    base = np.array([0.06, 0.17, 0.035]) * dice.uniform(0.5, 2.2)
    return base + np.array(dice.vector(0.0, 0.05))


def foliage(stage: Stage) -> int:
    """Add a material for treetops and hedges."""
    dice = stage.dice
    return stage.material(
        Texture.FOLIAGE, colour=green(stage), mix=dice.uniform(0.3, 1.0),
        scale=dice.uniform(0.5, 2.0), gloss=0.0,
    )  # fmt: skip


def potted_plant(stage: Stage, height: float) -> None:
    """A plant in a pot, with long, round or grassy leaves."""
    dice = stage.dice
    pot = height * dice.uniform(0.12, 0.2)
    stage.cylinder(
        (0, 0, pot), pot * 0.8, 2 * pot, stage.material(scale=0.5), taper=1.3, holes=OPEN
    )
    stage.cylinder(
        (0, 0, pot * 0.9), pot * 0.8, 1.7 * pot, stage.plain((0.04, 0.03, 0.02)), taper=1.2
    )
    leaf = stage.material(
        Texture.FOLIAGE, Texture.GRASS, colour=green(stage), mix=dice.uniform(0, 0.4)
    )
    slender, broad = dice.choice(((0.3, 0.1), (0.6, 0.08), (0.12, 0.05)))
    for _ in range(dice.count(6, 18)):
        lean = turn_z(dice.angle()) @ turn_x(dice.uniform(-1.2, 1.2))
        length = height * dice.uniform(0.15, 0.38)
        foot = np.array([0.0, 0.0, 2 * pot])
        middle = foot + lean @ np.array([0.0, 0.0, length * dice.uniform(0.8, 1.8)])
        stage.ellipsoid(middle, (length * slender, length * broad, length), leaf, lean)
        stage.limb(foot, middle, 0.006, leaf)


def tree(stage: Stage, height: float) -> None:
    """A tree: broad, conical, bare, or a palm."""
    dice = stage.dice
    bark = stage.material(
        Texture.STONE, Texture.WOOD, colour=(0.1, 0.07, 0.05), mix=dice.uniform(0.2, 0.6)
    )
    kind = dice.random()
    stem = height * dice.uniform(0.012, 0.03)
    if kind < 0.2:
        conifer(stage, height, stem, bark)
        return
    fork = height * dice.uniform(0.25, 0.5)
    stage.cylinder((0, 0, fork / 2), stem * 1.3, fork, bark, taper=0.8)
    crown = foliage(stage)
    bare = kind < 0.35
    for _ in range(dice.count(6, 14) if bare else dice.count(4, 10)):
        way = turn_z(dice.angle()) @ turn_x(dice.uniform(0.1, 1.1)) @ np.array([0.0, 0.0, 1.0])
        start = np.array([0.0, 0.0, fork * dice.uniform(0.8, 1.0)])
        end = start + way * height * dice.uniform(0.2, 0.5)
        stage.limb(start, end, stem * 0.6, bark, 0.3)
        if bare:
            twig = end + np.array(dice.vector(-0.12, 0.12)) * height
            stage.limb((start + end) / 2, twig, stem * 0.25, bark, 0.3)
        else:
            size = height * dice.uniform(0.1, 0.22)
            leafy_ball(stage, end, (size, size, size * dice.uniform(0.7, 1.1)), crown)


def conifer(stage: Stage, height: float, stem: float, bark: int) -> None:
    """A fir: cones on a stem."""
    dice = stage.dice
    stage.cylinder((0, 0, height / 2), stem, height, bark, taper=0.2)
    needles, floors = foliage(stage), dice.count(1, 5)
    wide = height * dice.uniform(0.12, 0.25)
    for k in range(floors):
        low = height * (0.15 + 0.8 * k / floors)
        tall = height * min(1.3 / floors, 0.85)
        radius = wide * (1.0 - 0.8 * k / floors)
        stage.cylinder((0, 0, low + tall / 2), radius, tall, needles, taper=0.1)
        stage.cylinder((0, 0, low + tall / 2 - 0.1), radius * 1.15, tall, needles, taper=0.1,
                       holes=BARS, pitch=radius * 0.3, share=0.5)  # fmt: skip


def leafy_ball(stage: Stage, centre: Float64[np.ndarray, "3"], radii: tuple[float, float, float],
               material: int) -> None:  # fmt: skip
    """A clump of leaves: a dense core with separate leaves around it."""
    dice = stage.dice
    turn = turn_z(dice.angle()) @ turn_x(dice.uniform(-0.5, 0.5))
    core = dice.uniform(0.6, 0.9)
    stage.ellipsoid(centre, [core * radius for radius in radii], material, turn)
    pitch = max(radii) * dice.uniform(0.2, 0.4)
    stage.ellipsoid(
        centre, radii, material, turn, holes=LEAVES, pitch=pitch, share=dice.uniform(0.7, 1.0)
    )


def bush(stage: Stage, size: float) -> None:
    """A bush on the ground."""
    dice = stage.dice
    material = foliage(stage)
    for _ in range(dice.count(1, 4)):
        at = np.array([dice.uniform(-0.5, 0.5), dice.uniform(-0.5, 0.5), 0.6]) * size
        leafy_ball(stage, at, (size * dice.uniform(0.5, 1), size * 0.7, size * 0.7), material)


def tuft(stage: Stage, height: float) -> None:
    """Tall grass or flowers: thin blades."""
    dice = stage.dice
    blade = stage.plain(green(stage), gloss=0.0)
    flower = stage.plain() if dice.chance(0.3) else -1
    for _ in range(dice.count(5, 16)):
        foot = np.array([dice.uniform(-0.15, 0.15), dice.uniform(-0.15, 0.15), 0.0])
        lean = np.array([dice.uniform(-0.4, 0.4), dice.uniform(-0.4, 0.4), 1.0])
        tip = foot + lean * height * dice.uniform(0.5, 1.0) / math.hypot(*lean)
        stage.limb(foot, tip, 0.006, blade, 0.3)
        if flower >= 0:
            stage.ellipsoid(tip, (0.025, 0.025, 0.012), flower)
