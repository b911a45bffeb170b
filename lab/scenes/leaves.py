"""Trees, hedges and leaves before the sky and far ground, and leaves that lie or grow flat."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.scenes.casters import hard_sun, throw_shadow
from lab.scenes.figures import animal, somebody
from lab.scenes.outdoors import bench, outside
from lab.scenes.outlooks import outlook, with_camera
from lab.scenes.pale_skies import pale_house
from lab.scenes.plants import bush, foliage, green, leafy_ball, potted_plant, tree, tuft
from lab.scenes.ridges import mountains
from lab.scenes.rotations import turn_from_z, turn_x, turn_z
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Venue

Maker = Callable[[Stage], None]


def leaves(stage: Stage) -> Venue:
    """Build plants close or far, a branch before the lens, or flat leaves on ground and walls."""
    builders = (plants, branch_ahead, flat_leaves)
    return stage.dice.weighted(builders, (0.45, 0.25, 0.3))(stage)


def plants(stage: Stage) -> Venue:
    """Trees, hedges and bushes at some metres."""
    dice = stage.dice
    near = dice.log_uniform(1.5, 10.0)
    venue = outlook(stage, 0.8 * near, indoors=False)
    makers: tuple[Maker, ...] = (small_tree, tall_tree, tall_tree, shrub, shrub, topiary, crown,
                                 loose_crown, loose_crown, blades, potted)  # fmt: skip
    for _ in range(dice.count(2, 8)):
        deep = near * dice.log_uniform(0.9, 5.0)
        if stage.is_full:
            break
        with stage.frame((dice.normalvariate(0, 0.4) * deep, deep, 0.0), dice.angle()):
            dice.choice(makers)(stage)
    if dice.chance(0.3):
        with stage.frame((dice.normalvariate(0, 0.3) * near, 0.8 * near, 0.0), dice.angle()):
            somebody(stage)
    eye = dice.choice((dice.uniform(1.1, 1.8), dice.uniform(0.3, 1.0), dice.uniform(2.0, 4.0)))
    venue = with_camera(venue, eye, dice.normalvariate(0.08, 0.15))
    mood = dice.random()
    return replace(venue, overcast=mood < 0.35, dramatic=mood > 0.85)


def branch_ahead(stage: Stage) -> Venue:
    """A branch with leaves right before the camera, with something far behind it."""
    dice = stage.dice
    away = dice.log_uniform(0.5, 3.0)
    venue = outlook(stage, 1.0, indoors=dice.chance(0.3))
    eye = dice.uniform(1.0, 1.8)
    pitch = dice.normalvariate(0.1, 0.2)
    for _ in range(dice.count(1, 4)):
        size = away * dice.uniform(0.4, 1.3)
        across, deep = dice.normalvariate(0, 0.35), dice.uniform(0.8, 1.6)
        high = eye + away * (math.tan(pitch) + dice.normalvariate(0.05, 0.25))
        spray(stage, np.array([across * away, deep * away, high]), size)
    if dice.chance(0.4):
        deep = away + dice.log_uniform(1.0, 8.0)
        with stage.frame((dice.normalvariate(0, 0.2) * deep, deep, 0.0), dice.angle()):
            somebody(stage)
    venue = with_camera(venue, eye, pitch)
    focus = away if dice.chance(0.4) else None
    return replace(venue, overcast=dice.chance(0.3), focus=focus, blur=dice.uniform(0.002, 0.012))


def spray(stage: Stage, start: Point, size: float) -> None:
    """A twig of about a size [m] with flat leaves, long or round."""
    dice = stage.dice
    bark = stage.plain((0.08, 0.06, 0.04), gloss=0.0)
    hue = green(stage) if dice.chance(0.75) else stage.colour()
    tones = [stage.material(Texture.FOLIAGE, Texture.WALL, colour=hue * dice.uniform(0.6, 1.3),
                            mix=dice.uniform(0.0, 0.4), scale=0.3, gloss=dice.choice((0.0, 0.2)))
             for _ in range(3)]  # fmt: skip
    long = size * dice.log_uniform(0.04, 0.16)
    slender = dice.uniform(0.2, 0.6)
    way = np.array([dice.sign() * dice.uniform(0.4, 1.0), dice.normalvariate(0, 0.3),
                    dice.uniform(-0.6, 0.4)])  # fmt: skip
    way *= size / np.linalg.norm(way)
    for _ in range(dice.count(1, 5)):
        aim = way + size * np.array(dice.vector(-0.4, 0.4))
        root = start - 0.5 * way
        stage.limb(root, root + aim, 0.012 * size, bark, 0.3)
        for _ in range(dice.count(6, 22)):
            foot = root + aim * dice.uniform(0.1, 1.0)
            lean = np.array(dice.vector(-1.0, 1.0)) + 0.5 * aim / size
            turn = turn_from_z(lean)
            half = long * dice.uniform(0.6, 1.0)
            middle = foot + turn @ np.array([0.0, 0.0, half])
            radii = (slender * half, 0.06 * half, half)
            stage.ellipsoid(middle, radii, dice.choice(tones), turn @ turn_z(dice.angle()))


def flat_leaves(stage: Stage) -> Venue:
    """Fallen leaves, lawns and overgrown walls, whose depth is that of ground and wall."""
    dice = stage.dice
    kinds = (Texture.LITTER, Texture.LITTER, Texture.FOLIAGE, Texture.GRASS)
    carpet = stage.material(*kinds, mix=dice.uniform(0.7, 1.0), scale=dice.log_uniform(0.3, 2.5),
                            gloss=0.0)  # fmt: skip
    stage.ground(carpet)
    for _ in range(dice.count(0, 4)):
        deep = dice.log_uniform(8.0, 40.0)
        with stage.frame((dice.uniform(-0.6, 0.6) * deep, deep, 0.0), dice.angle()):
            dice.choice((tall_tree, tall_tree, pale_house, passer_by))(stage)
    if dice.chance(0.3):
        mountains(stage)
    venue = outside(stage, 20.0, 20.0)
    away = dice.log_uniform(1.5, 8.0)
    if dice.chance(0.5):
        ivy = stage.material(*kinds, mix=1.0, scale=dice.log_uniform(0.3, 2.0), gloss=0.0)
        sides = (away * dice.uniform(1.0, 4.0), 0.4, away * dice.uniform(0.3, 1.3))
        at = (dice.normalvariate(0, 0.3) * away, away, sides[2] / 2)
        stage.box(at, sides, ivy, turn_z(dice.normalvariate(0, 0.5)))
    makers: tuple[Maker, ...] = (
        blades,
        shrub,
        passer_by,
        passer_by,
        bench,
        topiary,
        potted,
        pebbles,
    )
    for _ in range(dice.count(0, 4)):
        deep = away * dice.uniform(0.4, 1.3)
        with stage.frame((dice.normalvariate(0, 0.3) * deep, deep, 0.0), dice.angle()):
            dice.choice(makers)(stage)
    eye, pitch = dice.uniform(0.4, 1.8), -dice.uniform(0.05, 0.8)
    if dice.chance(0.5):
        sun = hard_sun(stage, behind=dice.chance(0.6))
        for _ in range(dice.count(1, 4)):
            place = np.array([dice.uniform(-0.4, 0.4) * away, away * dice.uniform(0.3, 1.0), 0.0])
            throw_shadow(stage, place, sun, eye, pitch, dice.log_uniform(0.2, 1.2))
    return with_camera(venue, eye, pitch)


def passer_by(stage: Stage) -> None:
    """Somebody or an animal."""
    if stage.dice.chance(0.5) or animal(stage, most=2.0) is None:
        somebody(stage)


def pebbles(stage: Stage) -> None:
    """A few stones."""
    dice = stage.dice
    stone = stage.material(Texture.STONE, Texture.SPECKLE, mix=0.6, scale=0.4, gloss=0.0)
    for _ in range(dice.count(1, 6)):
        at = (dice.uniform(-0.5, 0.5), dice.uniform(-0.5, 0.5), 0.02)
        stage.ellipsoid(at, np.array(dice.vector(0.03, 0.16)), stone, turn_z(dice.angle()))


def small_tree(stage: Stage) -> None:
    """A young tree."""
    tree(stage, stage.dice.uniform(1.8, 4.0))


def tall_tree(stage: Stage) -> None:
    """A tall tree."""
    tree(stage, stage.dice.uniform(4.0, 13.0))


def shrub(stage: Stage) -> None:
    """A bush."""
    bush(stage, stage.dice.uniform(0.3, 1.5))


def blades(stage: Stage) -> None:
    """Tall grass."""
    for _ in range(stage.dice.count(1, 4)):
        with stage.frame((stage.dice.uniform(-0.4, 0.4), stage.dice.uniform(-0.4, 0.4), 0.0)):
            tuft(stage, stage.dice.uniform(0.2, 0.9))


def potted(stage: Stage) -> None:
    """A plant in a pot."""
    potted_plant(stage, stage.dice.uniform(0.4, 1.5))


def topiary(stage: Stage) -> None:
    """A clipped hedge, ball or cone, whose leaves are flat."""
    dice = stage.dice
    face = stage.material(Texture.FOLIAGE, Texture.LITTER, mix=dice.uniform(0.6, 1.0),
                          scale=dice.uniform(0.4, 1.5), gloss=0.0)  # fmt: skip
    tall, kind = dice.uniform(0.6, 2.5), dice.random()
    if kind < 0.4:
        stage.box((0, 0, tall / 2), (dice.uniform(1.0, 6.0), dice.uniform(0.5, 1.5), tall), face)
    elif kind < 0.7:
        stage.ellipsoid((0, 0, tall / 2), (0.5 * tall,) * 3, face)
    else:
        stage.cylinder((0, 0, tall / 2), 0.35 * tall, tall, face, taper=0.05)


def crown(stage: Stage) -> None:
    """A dense crown of many clumps that reaches down to the ground."""
    dice, leaf = stage.dice, foliage(stage)
    tall = dice.uniform(2.0, 7.0)
    for _ in range(dice.count(6, 16)):
        radius = tall * dice.uniform(0.1, 0.25)
        at = tall * np.array([dice.normalvariate(0, 0.18), dice.normalvariate(0, 0.18),
                              dice.uniform(0.15, 0.9)])  # fmt: skip
        leafy_ball(stage, at, (radius, radius, radius * dice.uniform(0.6, 1.0)), leaf)
    stage.cylinder((0, 0, 0.3 * tall), 0.02 * tall, 0.6 * tall, stage.plain((0.06, 0.05, 0.03)),
                   turn_x(dice.normalvariate(0, 0.05)))  # fmt: skip


def loose_crown(stage: Stage) -> None:
    """A young tree or a bush of separate leaves, through which one sees."""
    dice = stage.dice
    tall, stem = dice.uniform(1.2, 4.0), stage.plain((0.07, 0.05, 0.03), gloss=0.0)
    low, long = tall * dice.uniform(0.1, 0.45), tall * dice.uniform(0.025, 0.06)
    tones = [foliage(stage) for _ in range(2)]
    slender = dice.uniform(0.25, 0.7)
    stage.limb(np.zeros(3), np.array([0.0, 0.0, 0.8 * tall]), 0.015 * tall, stem, 0.3)
    for _ in range(dice.count(5, 10)):
        root = np.array([0.0, 0.0, dice.uniform(0.6 * low, 0.7 * tall)])
        aim = (tall - low) * np.array(dice.vector(-0.45, 0.45))
        aim[2] = abs(aim[2])
        stage.limb(root, root + aim, 0.006 * tall, stem, 0.3)
        for _ in range(dice.count(8, 18)):
            at = root + aim * dice.uniform(0.3, 1.05) + 1.2 * long * np.array(dice.vector(-1, 1))
            turn = turn_z(dice.angle()) @ turn_x(dice.angle())
            stage.ellipsoid(at, (slender * long, 0.08 * long, long), dice.choice(tones), turn)
