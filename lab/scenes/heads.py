"""Heads and shoulders, hats and helmets, and groups of figures before what is far behind them."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes.figures import bust, somebody
from lab.scenes.outdoors import earth, outside
from lab.scenes.outlooks import outlook, pattern, with_camera
from lab.scenes.people import person
from lab.scenes.ridges import mountains
from lab.scenes.rotations import turn_x, turn_y, turn_z
from lab.scenes.scene import BARS, GLASS
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Venue

SKULL = np.array([0.0, 0.09, 0.035])
"""Middle of the skull as seen from the face of somebody who looks along -y [m]."""


def heads(stage: Stage) -> Venue:
    """Build one to three heads close to the camera, or a group of figures in the open."""
    return stage.dice.weighted((portraits, group, snowfield), (0.55, 0.2, 0.25))(stage)


def portraits(stage: Stage) -> Venue:
    """Heads and shoulders, from those that fill the view to those some metres away."""
    dice = stage.dice
    away = dice.log_uniform(0.45, 3.0)
    venue = outlook(stage, away + 1.0, indoors=True)
    if not venue.is_outdoors:
        away = min(away, max(0.6, 0.35 * venue.length))
    with stage.frame((0.0, away, 0.0), facing(stage)):
        head = figure(stage)
    for _ in range(dice.weighted((0, 1, 2), (0.5, 0.3, 0.2))):
        at = (dice.sign() * dice.uniform(0.3, 0.9), away + dice.uniform(-0.2, 2.5), 0.0)
        with stage.frame(at, facing(stage)):
            figure(stage)
    drop = dice.uniform(0.0, 0.25) * min(away, 1.5)
    eye = max(0.3, float(head[2]) + dice.normalvariate(-0.1, 0.25) * away)
    pitch = math.atan2(float(head[2]) - drop - eye, away)
    venue = with_camera(venue, eye, pitch)
    focus = away if dice.chance(0.4) else None
    return replace(venue, focus=focus, blur=dice.log_uniform(0.002, 0.02))


def facing(stage: Stage) -> float:
    """Direction of somebody: mostly towards the camera, else any [rad]."""
    dice = stage.dice
    return dice.normalvariate(0.0, 0.6) if dice.chance(0.75) else dice.angle()


def figure(stage: Stage) -> Point:
    """A bust or a person, bare-headed or not; returns the place of the head."""
    dice = stage.dice
    head = bust(stage) if dice.chance(0.45) else None
    if head is None:
        head = somebody(stage)
    if dice.chance(0.65):
        cover(stage, head)
    return head


def cover(stage: Stage, head: Point) -> None:
    """A hat, a cap, a helmet or a hood on a head, whose place is that of its face."""
    dice = stage.dice
    turn, origin = stage.world((1, 0, 0)) - stage.world((0, 0, 0)), stage.world((0, 0, 0))
    yaw = math.atan2(turn[1], turn[0])
    x, y, z = turn_z(-yaw) @ (head - origin) + SKULL
    tops = (hat, hat, cap, cap, helmet, helmet, bobble, cycling_helmet, hood)
    with stage.frame((x, y, z), dice.normalvariate(0.0, 0.15)):
        dice.choice(tops)(stage)


def felt(stage: Stage) -> int:
    """A material for headgear: plain, glossy or patterned."""
    dice = stage.dice
    if dice.chance(0.35):
        return pattern(stage, dice.log_uniform(0.05, 0.25))
    return stage.material(Texture.FABRIC, Texture.WALL, mix=dice.uniform(0, 0.5), scale=0.3,
                          gloss=dice.choice((0.0, 0.0, 0.3, 0.6)))  # fmt: skip


def hat(stage: Stage) -> None:
    """A hat with a brim, narrow or broad, flat, leaning or hanging."""
    dice, face = stage.dice, felt(stage)
    band = felt(stage) if dice.chance(0.5) else face
    brim, tall = dice.uniform(0.15, 0.32), dice.uniform(0.08, 0.16)
    lean = turn_x(dice.normalvariate(-0.1, 0.12))
    low = 0.045
    with stage.frame((0, 0, low)):
        stage.cylinder((0, 0, 0), brim, 0.012, face, lean, taper=dice.uniform(0.9, 1.1))
        if dice.chance(0.3):
            stage.cylinder((0, 0, -0.02), brim, 0.05, face, lean, taper=0.45)
        up = lean @ np.array([0.0, 0.0, 1.0])
        stage.cylinder(up * tall / 2, 0.105, tall, face, lean, taper=dice.uniform(0.65, 1.05))
        stage.cylinder(up * 0.02, 0.108, 0.03, band, lean)
        if dice.chance(0.5):
            stage.ellipsoid(up * tall, (0.1, 0.1, 0.03), face, lean)


def cap(stage: Stage) -> None:
    """A cap with a visor, to the front or to the back."""
    dice, face = stage.dice, felt(stage)
    visor = felt(stage) if dice.chance(0.4) else face
    stage.ellipsoid((0, 0, 0.03), (0.1, 0.118, dice.uniform(0.1, 0.12)), face)
    side = -1 if dice.chance(0.8) else 1
    turn = turn_x(-side * dice.uniform(0.1, 0.4))
    stage.ellipsoid((0, side * 0.14, 0.045), (0.075, 0.075, 0.009), visor, turn)
    stage.ellipsoid((0, 0, 0.145), (0.012, 0.012, 0.008), visor)


def helmet(stage: Stage) -> None:
    """A hard hat or a helmet for skiing or riding, often with goggles."""
    dice = stage.dice
    shell = felt(stage) if dice.chance(0.4) else stage.plain(gloss=dice.uniform(0.2, 0.7))
    wide = dice.uniform(0.11, 0.135)
    stage.ellipsoid((0, 0.01, 0.03), (wide, wide * 1.18, wide), shell)
    if dice.chance(0.4):
        stage.ellipsoid((0, -0.07, 0.06), (wide * 1.05, wide * 1.05, 0.012), shell, turn_x(0.2))
    if dice.chance(0.6):
        stage.ellipsoid((0, -0.075, -0.005), (0.085, 0.06, 0.045), stage.plain(gloss=0.5))
        glass = stage.plain(np.full(3, dice.uniform(0.01, 0.3)), gloss=0.6, mirror=GLASS)
        stage.ellipsoid((0, -0.085, -0.005), (0.075, 0.058, 0.035), glass)
    for side in (-1, 1):
        stage.ellipsoid((side * 0.09, 0.0, -0.04), (0.03, 0.06, 0.07), shell)


def cycling_helmet(stage: Stage) -> None:
    """A helmet of bars with gaps, as of cyclists."""
    dice = stage.dice
    shell, under = stage.plain(gloss=0.3), stage.plain(np.full(3, 0.03))
    stage.ellipsoid((0, 0.01, 0.03), (0.1, 0.125, 0.1), under)
    stage.ellipsoid((0, 0.01, 0.035), (0.118, 0.15, 0.118), shell, turn_y(math.pi / 2),
                    holes=BARS, pitch=dice.uniform(0.03, 0.06), share=0.6)  # fmt: skip


def bobble(stage: Stage) -> None:
    """A knitted cap with a bobble."""
    dice, face = stage.dice, felt(stage)
    stage.ellipsoid((0, 0.01, 0.04), (0.103, 0.12, dice.uniform(0.11, 0.15)), face)
    stage.cylinder((0, 0.005, 0.03), 0.112, 0.045, felt(stage) if dice.chance(0.5) else face)
    if dice.chance(0.6):
        size = dice.uniform(0.03, 0.05)
        stage.ellipsoid((0, 0.01, 0.17), (size,) * 3, felt(stage))


def hood(stage: Stage) -> None:
    """A hood, or long or gathered hair."""
    dice, face = stage.dice, felt(stage)
    stage.ellipsoid((0, 0.035, 0.01), (0.115, 0.12, 0.14), face)
    stage.ellipsoid((0, 0.07, -0.12), (0.12, 0.08, 0.15), face)
    if dice.chance(0.4):
        stage.ellipsoid((0, 0.06, 0.16), (0.05, 0.05, 0.05), face)


def group(stage: Stage) -> Venue:
    """Several figures on open ground at a few to some tens of metres."""
    dice = stage.dice
    near = dice.log_uniform(2.0, 9.0)
    venue = outlook(stage, 1.5 * near, indoors=False)
    for _ in range(dice.count(2, 7)):
        deep = near * dice.log_uniform(0.9, 4.0)
        at = (dice.normalvariate(0, 0.3) * deep, deep, 0.0)
        with stage.frame(at, facing(stage)):
            head = somebody(stage)
            if dice.chance(0.5):
                cover(stage, head)
    eye = dice.choice((dice.uniform(1.2, 1.8), dice.uniform(0.4, 1.2), dice.uniform(1.8, 4.0)))
    return with_camera(venue, eye, math.atan2(1.1 - eye, near) + dice.normalvariate(0.02, 0.05))


def snowfield(stage: Stage) -> Venue:
    """Skiers and walkers on snow, sand or ice, plain and bright, before mountains."""
    dice = stage.dice
    if dice.chance(0.8):
        tone = dice.uniform(0.5, 0.95) * np.array([dice.uniform(0.88, 1.0), 0.97, 1.0])
        snow = stage.material(
            Texture.WALL, Texture.SPECKLE, colour=tone, mix=dice.uniform(0.0, 0.25),
            scale=dice.uniform(1, 9), gloss=0.0,
        )  # fmt: skip
        stage.ground(snow)
        for _ in range(dice.count(0, 4)):
            away = dice.uniform(15, 90)
            at = (dice.normalvariate(0, 0.6) * away, away, -0.3)
            radii = (dice.uniform(5, 30), dice.uniform(5, 30), dice.uniform(0.8, 6.0))
            stage.ellipsoid(at, radii, snow)
    else:
        earth(stage)
    if dice.chance(0.75):
        mountains(stage)
    near = dice.log_uniform(1.6, 12.0)
    for k in range(dice.count(1, 8)):
        deep = near * (1.0 if k == 0 else dice.log_uniform(1.0, 7.0))
        at = (dice.normalvariate(0, 0.25) * deep, deep, 0.0)
        with stage.frame(at, dice.angle()):
            skier(stage)
    for _ in range(dice.count(0, 6)):
        deep = near * dice.log_uniform(1.5, 8.0)
        tall = dice.uniform(0.8, 3.0)
        pole = (dice.normalvariate(0, 0.4) * deep, deep, tall / 2)
        stage.cylinder(pole, dice.uniform(0.02, 0.06), tall, stage.plain())
    eye = dice.uniform(0.5, 2.2)
    venue = outside(stage, 20.0, 20.0)
    pitch = math.atan2(1.1 - eye, near) + dice.normalvariate(0.03, 0.06)
    return with_camera(replace(venue, overcast=dice.chance(0.35)), eye, pitch)


def skier(stage: Stage) -> None:
    """Somebody with a cap or a helmet, often with skis, poles, a rucksack or a board."""
    dice = stage.dice
    if dice.chance(0.5):
        height = dice.uniform(1.1, 1.9)
        person(stage, height)
        head = stage.world((0, -0.09, 0.95 * height))
    else:
        head = somebody(stage)
    if dice.chance(0.8):
        cover(stage, head)
    stick = stage.plain()
    if dice.chance(0.7):
        for side in (-1, 1):
            splay = turn_z(side * dice.normalvariate(0.03, 0.08))
            stage.box((0.13 * side, -0.15, 0.02), (0.09, 1.7, 0.03), stick, splay)
            top = np.array([0.4 * side, dice.uniform(-0.4, 0.1), dice.uniform(0.8, 1.2)])
            foot = np.array([0.55 * side, dice.uniform(-0.5, 0.6), 0.02])
            stage.limb(foot, top, 0.009, stick, 1.0)
    elif dice.chance(0.4):
        stage.box((0.35, 0.1, 0.8), (0.28, 0.03, 1.5), pattern(stage, 0.5),
                  turn_x(dice.normalvariate(0, 0.2)))  # fmt: skip
    if dice.chance(0.35):
        stage.ellipsoid((0, 0.2, 1.25), (0.17, 0.12, 0.26), felt(stage))
