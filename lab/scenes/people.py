"""Figures of people: jointed limbs, clothes, heads with faces."""

import math

import numpy as np

from lab.scenes.rotations import turn_x
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def person(stage: Stage, height: float, *, seated: bool = False) -> None:
    """A person facing -y, standing or walking, or on a seat of about 0.45 m."""
    dice = stage.dice
    k = height / 1.75
    skin = skin_tone(stage)
    shirt = stage.material(
        Texture.FABRIC, mix=dice.uniform(0.2, 1), scale=dice.uniform(0.3, 1), gloss=0.0
    )
    trousers = stage.material(Texture.FABRIC, mix=dice.uniform(0, 0.6), scale=0.5, gloss=0.0)
    sleeve = shirt if dice.chance(0.65) else skin
    hip = 0.5 if seated else 0.92 * k
    build = dice.uniform(0.85, 1.3)
    with stage.frame((0, 0, 0)):
        for side in (-1, 1):
            leg(stage, side, k, hip, trousers, seated)
            arm(stage, side, k, hip + 0.5 * k, sleeve, skin, build)
        stage.ellipsoid(
            (0, 0, hip + 0.05 * k), (0.17 * k * build, 0.13 * k * build, 0.15 * k), trousers
        )
        trunk = (0.19 * k * build, 0.125 * k * build, 0.33 * k)
        stage.ellipsoid((0, 0, hip + 0.28 * k), trunk, shirt)
        stage.ellipsoid((0, 0, hip + 0.47 * k), (0.22 * k * build, 0.11 * k, 0.1 * k), shirt)
        stage.cylinder((0, 0, hip + 0.58 * k), 0.055 * k, 0.14 * k, skin)
        with stage.frame((0, -0.01, hip + 0.73 * k), dice.normalvariate(0.0, 0.4)):
            head(stage, k, skin)


def skin_tone(stage: Stage) -> int:
    """Add a material for skin."""
    tone = np.array([0.5, 0.3, 0.2]) * stage.dice.uniform(0.2, 1.5)
    return stage.plain(np.minimum(tone, 0.85), gloss=0.0)


def leg(stage: Stage, side: int, k: float, hip: float, cloth: int, seated: bool) -> None:
    """A leg with its shoe."""
    dice = stage.dice
    start = np.array([side * 0.09 * k, 0.0, hip])
    if seated:
        knee = start + np.array([0.03 * side, -0.42 * k, 0.0])
        ankle = np.array([knee[0], knee[1] + dice.uniform(-0.1, 0.1), 0.08])
    else:
        stride = dice.normalvariate(0.0, 0.14)
        ankle = np.array([side * 0.1 * k, stride, 0.08])
        knee = (start + ankle) / 2 + np.array([0.0, -abs(stride) * 0.4, 0.0])
    stage.limb(start, knee, 0.085 * k, cloth, 0.7)
    stage.ellipsoid(knee, (0.062 * k,) * 3, cloth)
    stage.limb(knee, ankle, 0.06 * k, cloth, 0.8)
    shoe = stage.plain()
    stage.ellipsoid((ankle[0], ankle[1] - 0.06, 0.05), (0.048, 0.14, 0.05), shoe)


def arm(
    stage: Stage, side: int, k: float, shoulder: float, sleeve: int, skin: int, build: float
) -> None:
    """An arm with its hand, hanging, bent or raised."""
    dice = stage.dice
    start = np.array([side * 0.21 * k * build, 0.0, shoulder - 0.02 * k])
    swing, spread = dice.normalvariate(0.0, 0.4), dice.uniform(0.05, 0.5)
    if dice.chance(0.08):
        swing = dice.uniform(1.5, 2.8)
    down = np.array([side * math.sin(spread), -math.sin(swing), -math.cos(swing)])
    elbow = start + 0.29 * k * down / np.linalg.norm(down)
    bend = swing + dice.uniform(0.0, 1.4)
    fore = np.array([-side * dice.uniform(-0.2, 0.5), -math.sin(bend), -math.cos(bend)])
    wrist = elbow + 0.25 * k * fore / np.linalg.norm(fore)
    stage.limb(start, elbow, 0.055 * k, sleeve, 0.8)
    stage.ellipsoid(elbow, (0.046 * k,) * 3, sleeve)
    stage.limb(elbow, wrist, 0.043 * k, sleeve if dice.chance(0.6) else skin, 0.7)
    stage.ellipsoid(wrist, (0.04 * k, 0.03 * k, 0.07 * k), skin, turn_x(bend))


def head(stage: Stage, k: float, skin: int) -> None:
    """A head centred on the origin, looking along -y."""
    dice = stage.dice
    brown = np.array([0.1, 0.06, 0.03])
    hair = stage.material(
        Texture.WOOD, Texture.FABRIC, colour=brown * dice.log_uniform(0.1, 6.0),
        mix=dice.uniform(0, 0.3), scale=0.15, gloss=0.0,
    )  # fmt: skip
    stage.ellipsoid((0, 0, 0), (0.078 * k, 0.096 * k, 0.115 * k), skin)
    stage.ellipsoid((0, -0.012 * k, -0.055 * k), (0.058 * k, 0.075 * k, 0.065 * k), skin)
    stage.ellipsoid((0, -0.1 * k, -0.012 * k), (0.012 * k, 0.02 * k, 0.026 * k), skin)
    white, iris = stage.plain((0.7, 0.7, 0.7)), stage.plain(np.array([0.1, 0.06, 0.03]), gloss=0.5)
    for side in (-1, 1):
        stage.ellipsoid(
            (side * 0.031 * k, -0.082 * k, 0.018 * k), (0.015 * k, 0.011 * k, 0.008 * k), white
        )
        stage.ellipsoid(
            (side * 0.031 * k, -0.092 * k, 0.018 * k), (0.006 * k, 0.004 * k, 0.006 * k), iris
        )
        brow = (side * 0.032 * k, -0.089 * k, 0.038 * k)
        stage.ellipsoid(brow, (0.018 * k, 0.007 * k, 0.004 * k), hair)
        stage.ellipsoid(
            (side * 0.079 * k, 0.01 * k, -0.005 * k), (0.012 * k, 0.02 * k, 0.03 * k), skin
        )
    lips = stage.plain(np.array([0.35, 0.12, 0.1]) * dice.uniform(0.5, 1.5), gloss=0.1)
    stage.ellipsoid((0, -0.083 * k, -0.06 * k), (0.024 * k, 0.009 * k, 0.008 * k), lips)
    style = dice.random()
    if style < 0.9:
        stage.ellipsoid(
            (0, 0.02 * k, 0.03 * k), (0.086 * k, 0.094 * k, 0.105 * k), hair, turn_x(0.25)
        )
    if style < 0.3:
        stage.ellipsoid((0, 0.05 * k, -0.07 * k), (0.1 * k, 0.06 * k, 0.16 * k), hair)
    if style > 0.8:
        stage.cylinder(
            (0, 0.01, 0.085 * k), 0.1 * k, 0.09 * k, stage.material(Texture.FABRIC), taper=0.8
        )
        stage.cylinder((0, -0.05 * k, 0.045 * k), 0.1 * k, 0.012, stage.plain())


def crowd(stage: Stage, count: int, spread: float) -> None:
    """People within ``spread`` [m] of the origin, in random directions."""
    dice = stage.dice
    for _ in range(count):
        at = (dice.uniform(-spread, spread), dice.uniform(-spread, spread), 0.0)
        if stage.is_full or not stage.claim(at, 0.3):
            continue
        with stage.frame(at, dice.angle()):
            person(stage, dice.uniform(1.2, 1.95))
            stage.subjects.append(stage.world((0, 0, dice.uniform(0.9, 1.5))))
