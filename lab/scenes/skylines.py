"""Roofs, towers, mountains and trees before skies of every brightness, over half the picture."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.scenes.buildings import house
from lab.scenes.figures import somebody
from lab.scenes.furnishing import put
from lab.scenes.outdoors import earth, outside
from lab.scenes.outlooks import pattern, with_camera
from lab.scenes.pale_skies import bank, boat, gantry, mast
from lab.scenes.plants import bush, tree
from lab.scenes.ridges import mountains
from lab.scenes.rotations import turn_x, turn_y, turn_z
from lab.scenes.scene import BARS, LATTICE
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Venue

Maker = Callable[[Stage], None]


def skyline(stage: Stage) -> Venue:
    """Build a town, a range, a wood or a shore whose outlines stand against the sky."""
    dice = stage.dice
    if dice.chance(0.6):
        earth(stage)
    else:
        stage.ground(stage.plain(gloss=0.0))
    builders = (town, towers, range_of_mountains, wood, coast)
    near = dice.weighted(builders, (0.3, 0.25, 0.2, 0.15, 0.1))(stage)
    if dice.chance(0.3):
        with stage.frame((dice.uniform(-0.8, 0.8), dice.uniform(1.5, 4.0), 0), dice.angle()):
            somebody(stage)
    venue = outside(stage, 20.0, 20.0)
    if dice.chance(0.35):
        # Against the light, which leaves hardly more than an outline.
        dim = dice.uniform(0.0, 0.3)
        stage.lights[:] = [replace(sun, colour=dim * sun.colour) for sun in stage.lights]
    eye = dice.choice((dice.uniform(1.2, 1.9), dice.uniform(2.0, 12.0)))
    pitch = dice.uniform(0.08, 0.45) + 0.4 * math.atan2(near - eye, 40.0)
    mood = dice.random()
    venue = with_camera(venue, eye, min(pitch, 0.7))
    return replace(
        venue, overcast=mood < 0.3, dramatic=mood > 0.6,
        daylight=dice.choice((1.0, 1.0, dice.log_uniform(0.08, 1.0), dice.uniform(1.0, 1.6))),
    )  # fmt: skip


def along_view(stage: Stage, near: float, far: float, *, spread: float = 0.6) -> np.ndarray:
    """A place on the ground before the camera."""
    dice = stage.dice
    deep = dice.log_uniform(near, far)
    return np.array([dice.uniform(-spread, spread) * deep, deep, 0.0])


def town(stage: Stage) -> float:
    """Houses with roofs, chimneys and aerials; returns about their height [m]."""
    dice = stage.dice
    for _ in range(dice.count(4, 11)):
        at = along_view(stage, 9.0, 70.0)
        if not stage.claim(at, 6.0):
            continue
        with stage.frame(at, dice.choice((0.0, math.pi / 2)) + dice.normalvariate(0.0, 0.2)):
            models = stage.models.categories.get("building", ())
            if models and dice.chance(0.25):
                put(stage, dice.choice(models))
                continue
            wide, deep = dice.uniform(6, 14), dice.uniform(6, 10)
            house(stage, wide, deep, is_near=False)
            roof(stage, wide, deep)
    for _ in range(dice.count(0, 4)):
        with stage.frame(along_view(stage, 6.0, 40.0), dice.angle()):
            dice.choice((grown_tree, mast, lamp, mast))(stage)
    if dice.chance(0.4):
        mountains(stage)
    return 9.0


def roof(stage: Stage, wide: float, deep: float) -> None:
    """Chimneys, aerials and rods over a house."""
    dice = stage.dice
    dark = stage.plain(np.full(3, dice.uniform(0.02, 0.4)))
    for _ in range(dice.count(0, 4)):
        x, y = dice.uniform(-0.45, 0.45) * wide, dice.uniform(-0.3, 0.3) * deep
        top = dice.uniform(8.0, 15.0)
        if dice.chance(0.5):
            size = dice.uniform(0.4, 1.0)
            brick = stage.material(Texture.BRICK, Texture.WALL, mix=0.9, scale=1.0)
            stage.box((x, y, top / 2), (size, size, top), brick)
        else:
            stage.cylinder((x, y, top / 2), 0.03, top, dark)
            for k in range(dice.count(1, 5)):
                arm = dice.uniform(0.4, 1.2)
                stage.cylinder((x, y, top - 0.25 * k), 0.015, arm, dark, turn_y(math.pi / 2))


def towers(stage: Stage) -> float:
    """Tower blocks, churches, chimneys, domes and masts; returns about their height [m]."""
    dice = stage.dice
    makers: tuple[Maker, ...] = (tower_block, tower_block, tower_block, steeple, dome, chimney,
                                 mast, gantry, step_tower)  # fmt: skip
    near = dice.log_uniform(12.0, 90.0)
    for _ in range(dice.count(4, 16)):
        at = along_view(stage, near, 5.0 * near)
        with stage.frame(at, dice.angle()):
            dice.choice(makers)(stage)
    for _ in range(dice.count(0, 5)):
        with stage.frame(along_view(stage, 6.0, near), dice.angle()):
            dice.choice((grown_tree, grown_bush, lamp))(stage)
    return 25.0


def tower_block(stage: Stage) -> None:
    """A block with flat windows, sometimes with a smaller one on top."""
    dice = stage.dice
    wide, tall = dice.uniform(6, 22), dice.log_uniform(10, 70)
    uses = (Texture.PRINT, Texture.FACADE, Texture.WALL)
    if dice.chance(0.7):
        use = dice.weighted(uses, (0.2, 0.6, 0.2))
        face = stage.material(use, mix=dice.uniform(0.4, 1), scale=dice.uniform(4, 20), gloss=0.0)
    else:
        face = stage.plain()
    stage.box((0, 0, tall / 2), (wide, dice.uniform(0.6, 1.2) * wide, tall), face)
    if dice.chance(0.5):
        part = dice.uniform(0.2, 0.7) * wide
        more = dice.uniform(1.0, 8.0)
        stage.box((0, 0, tall + more / 2), (part, part, more), face)
    if dice.chance(0.4):
        rod = dice.uniform(2.0, 15.0)
        stage.cylinder((0, 0, tall + rod / 2), 0.15, rod, stage.plain(), taper=0.3)


def step_tower(stage: Stage) -> None:
    """A tower whose floors step back."""
    dice, z = stage.dice, 0.0
    wide, face = dice.uniform(8, 18), pattern(stage, dice.uniform(3, 12))
    for _ in range(dice.count(2, 5)):
        high = dice.uniform(4, 16)
        stage.box((0, 0, z + high / 2), (wide, wide, high), face)
        z, wide = z + high, wide * dice.uniform(0.5, 0.85)
    stage.cylinder((0, 0, z + 0.7 * wide), 0.6 * wide, 1.4 * wide, face, taper=0.02)


def steeple(stage: Stage) -> None:
    """A church: nave and tower with a spire."""
    dice = stage.dice
    stone = stage.material(Texture.STONE, Texture.BRICK, Texture.WALL, mix=0.8, scale=3, gloss=0.0)
    slate = stage.plain(np.full(3, dice.uniform(0.03, 0.3)))
    wide, tall = dice.uniform(3, 6), dice.uniform(10, 28)
    stage.box((0, 0, tall / 2), (wide, wide, tall), stone)
    spire = dice.uniform(0.8, 3.5) * wide
    stage.cylinder((0, 0, tall + spire / 2), 0.75 * wide, spire, slate, taper=0.01)
    stage.cylinder((0, 0, tall + spire + 0.5), 0.06, 1.6, slate)
    stage.box((0, 0, tall + spire + 0.9), (0.8, 0.1, 0.1), slate)
    stage.box((0, 1.5 * wide, tall / 4), (1.6 * wide, 3 * wide, tall / 2), stone)
    stage.box((0, 1.5 * wide, tall / 2), (1.1 * wide, 3 * wide, 1.1 * wide), slate,
              turn_y(math.pi / 4))  # fmt: skip


def dome(stage: Stage) -> None:
    """A dome on a drum, with a lantern."""
    dice = stage.dice
    radius, tall = dice.uniform(3, 9), dice.uniform(5, 18)
    face = stage.material(Texture.STONE, Texture.FACADE, mix=0.7, scale=6.0, gloss=0.0)
    top = stage.plain(gloss=0.3)
    stage.cylinder((0, 0, tall / 2), radius, tall, face)
    stage.ellipsoid((0, 0, tall), (radius, radius, dice.uniform(0.8, 1.4) * radius), top)
    stage.cylinder((0, 0, tall + 1.3 * radius), 0.12 * radius, radius, face, taper=0.5)


def chimney(stage: Stage) -> None:
    """A factory's chimney, striped at times."""
    dice = stage.dice
    tall, radius = dice.uniform(12, 50), dice.uniform(0.6, 2.0)
    face = pattern(stage, dice.uniform(2, 8)) if dice.chance(0.4) else stage.material(Texture.BRICK)
    stage.cylinder((0, 0, tall / 2), radius, tall, face, taper=dice.uniform(0.5, 0.9))


def lamp(stage: Stage) -> None:
    """A street lamp with a bent arm."""
    dice, iron = stage.dice, stage.plain()
    tall, arm = dice.uniform(4, 9), dice.uniform(0.5, 1.8)
    stage.cylinder((0, 0, tall / 2), 0.06, tall, iron, taper=0.6)
    stage.limb(np.array([0, 0, tall]), np.array([arm, 0, tall + 0.3]), 0.04, iron, 1.0)
    stage.box((arm, 0, tall + 0.28), (0.5, 0.2, 0.12), iron)


def grown_tree(stage: Stage) -> None:
    """A tree."""
    tree(stage, stage.dice.uniform(4.0, 14.0))


def grown_bush(stage: Stage) -> None:
    """A bush."""
    bush(stage, stage.dice.uniform(0.6, 2.5))


def range_of_mountains(stage: Stage) -> float:
    """Mountains, with trees or a mast before them; returns about their height [m]."""
    dice = stage.dice
    mountains(stage)
    if dice.chance(0.5):
        mountains(stage, away=dice.log_uniform(300.0, 1500.0))
    for _ in range(dice.count(0, 6)):
        with stage.frame(along_view(stage, 8.0, 60.0), dice.angle()):
            dice.choice((grown_tree, grown_tree, mast, grown_bush))(stage)
    return 5.0


def wood(stage: Stage) -> float:
    """The edge of a wood, or single trees; returns about their height [m]."""
    dice = stage.dice
    for _ in range(dice.count(3, 14)):
        at = along_view(stage, 7.0, 45.0)
        if stage.is_full:
            break
        with stage.frame(at, dice.angle()):
            grown_tree(stage)
    if dice.chance(0.4):
        mountains(stage)
    return 8.0


def coast(stage: Stage) -> float:
    """Boats with masts before the other bank, bridges and cranes."""
    dice = stage.dice
    bank(stage)
    for _ in range(dice.count(2, 7)):
        with stage.frame(along_view(stage, 8.0, 60.0), dice.angle()):
            dice.choice((boat, boat, mast, gantry, jib))(stage)
    return 6.0


def jib(stage: Stage) -> None:
    """A crane: a lattice mast with a jib and its stays."""
    dice = stage.dice
    paint = stage.plain()
    tall, long = dice.uniform(15, 40), dice.uniform(8, 25)
    upright = turn_x(math.pi / 2)
    for k in range(2):
        turn = turn_z(k * math.pi / 2) @ upright
        stage.card((0, 0, tall / 2), 1.4, tall, paint, turn, holes=LATTICE, pitch=0.7, share=0.2)
    stage.card((long / 3, 0, tall), long, 1.2, paint, upright, holes=BARS, pitch=0.8, share=0.25)
    for z in (-0.6, 0.6):
        stage.box((long / 3, 0, tall + z), (long, 0.15, 0.12), paint)
    peak = np.array([0.0, 0.0, tall + 5.0])
    stage.limb(np.array([0.0, 0.0, tall]), peak, 0.2, paint, 0.5)
    for x in (long * 0.8, -long * 0.16):
        stage.limb(peak, np.array([x, 0.0, tall + 0.6]), 0.04, paint, 1.0)
