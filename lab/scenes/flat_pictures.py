"""Flat pictures that fill the view: murals, posters, screens, pages, printed cloth, mirrors."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.false_edges import bare_room, plain_face, stand
from lab.scenes.figures import somebody
from lab.scenes.outdoors import earth, outside
from lab.scenes.rooms import room
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Subject, Venue


def flat_picture(stage: Stage) -> Venue:
    """Build a wall, a hoarding, a screen or a table top that a picture covers."""
    builders = (mural, hoarding, screen, sheet, cloth)
    return stage.dice.weighted(builders, (0.35, 0.2, 0.15, 0.2, 0.1))(stage)


def image(stage: Stage, wide: float, tall: float) -> int:
    """Add a photograph, painting or mirror that fits a board of that size [m]."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.12:
        return stage.mirror()
    if kind < 0.2:
        return stage.material(Texture.FACADE, mix=1.0, scale=(wide, tall), gloss=0.0)
    return stage.picture(wide, tall)


def mural(stage: Stage) -> Venue:
    """A wall of a room that is covered by one large picture or a few."""
    dice = stage.dice
    venue = bare_room(stage, dice.uniform(1.0, 5.0), dice.uniform(0.02, 0.3))
    away = venue.length / 2
    count = dice.weighted((1, 2, 3), (0.55, 0.3, 0.15))
    wide, tall = venue.width / count, venue.height * dice.uniform(0.4, 1.0)
    for k in range(count):
        part = wide * dice.uniform(0.5, 1.0), tall * dice.uniform(0.7, 1.0)
        at = ((k + 0.5) * wide - venue.width / 2, away - 0.003, venue.height / 2)
        stage.box(at, (part[0], 0.004, part[1]), image(stage, *part))
        if dice.chance(0.3):
            edge = stage.plain()
            for side in (-0.5, 0.5):
                stage.box((at[0], away - 0.02, at[2] + side * part[1]), (part[0], 0.03, 0.05), edge)
    for _ in range(dice.count(0, 2)):
        stand(stage, (dice.uniform(-0.4, 0.4) * venue.width, dice.uniform(0.0, 0.7) * away, 0.0))
    near = min(venue.length - 0.4, dice.uniform(0.8, 3.5))
    standpoint = Standpoint(
        origin=np.array([dice.uniform(-0.3, 0.3) * venue.width, away - near,
                         dice.uniform(0.8, min(1.9, venue.height - 0.3))]),
        yaw=math.pi / 2 + dice.normalvariate(0.0, 0.35), pitch=dice.normalvariate(0.0, 0.12),
    )  # fmt: skip
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)


def hoarding(stage: Stage) -> Venue:
    """A picture as large as a house outdoors, or on the side of one."""
    dice = stage.dice
    earth(stage)
    wide, tall = dice.uniform(3.0, 12.0), dice.uniform(2.0, 7.0)
    away, low = dice.uniform(3.0, 12.0), dice.choice((0.0, dice.uniform(0.3, 2.5)))
    stage.box((0, away, low + tall / 2), (wide, 0.15, tall), image(stage, wide, tall))
    if low:
        post = stage.plain()
        for side in (-0.4, 0.4):
            stage.box((side * wide, away, low / 2), (0.15, 0.12, low), post)
    elif dice.chance(0.6):
        wall = plain_face(stage, Texture.BRICK, Texture.WALL)
        stage.box((0, away + 3.1, 4.0), (1.6 * wide, 6.0, 8.0), wall)
    for _ in range(dice.count(0, 3)):
        at = (dice.uniform(-0.5, 0.5) * wide, dice.uniform(1.5, away - 0.5), 0.0)
        if stage.claim(at, 0.4):
            with stage.frame(at, dice.angle()):
                somebody(stage)
    standpoint = Standpoint(
        origin=np.array([0.0, 0.0, dice.uniform(1.2, 1.9)]),
        yaw=math.pi / 2 + dice.normalvariate(0.0, 0.2),
        pitch=math.atan2(0.4 * tall, away) * dice.uniform(0.0, 1.0),
    )
    venue = outside(stage, 20.0, 20.0)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)


def screen(stage: Stage) -> Venue:
    """A television on a wall or a monitor on a table, close."""
    dice = stage.dice
    venue = room(stage)
    wide = dice.log_uniform(0.35, 1.6)
    tall = 0.58 * wide
    foot = 0.0
    if wide < 0.8:
        foot = dice.uniform(0.68, 0.78)
        furniture.table(stage, 1.4, 0.7, foot, laid=False)
        clutter(stage, 1.2, 0.5, foot, dice.count(0, 4))
    z = foot + tall / 2 + dice.uniform(0.04, 0.12)
    shell, kind = stage.plain((0.02, 0.02, 0.02)), dice.chance(0.7)
    stage.box((0, 0.03, z), (wide + 0.03, 0.04, tall + 0.03), shell)
    stage.box((0, 0.05, (z + foot) / 2), (0.06, 0.04, z - foot), shell)
    use = Texture.SCREEN if kind else Texture.PHOTO
    lit = stage.material(use, mix=1.0, scale=(wide, tall), emission=dice.uniform(0.5, 3.0))
    stage.box((0, 0.005, z), (wide, 0.006, tall), lit)
    subject = Subject(
        point=np.array([0.0, 0.0, z]), bearing=-math.pi / 2 + dice.normalvariate(0.0, 0.4),
        away=wide * dice.uniform(0.6, 1.8), rise=dice.normalvariate(0.1, 0.15),
    )  # fmt: skip
    return replace(venue, approach=Approach.SUBJECT, subject=subject)


def sheet(stage: Stage) -> Venue:
    """A photograph, a page or a rug below the camera, on a table or on the floor."""
    dice = stage.dice
    venue = room(stage)
    is_high = dice.chance(0.7)
    height = dice.uniform(0.4, 0.8) if is_high else 0.0
    wide = dice.log_uniform(0.15, 0.7) if is_high else dice.uniform(0.8, 2.2)
    tall = wide * dice.uniform(0.6, 1.5)
    if is_high:
        furniture.table(stage, max(0.9, 1.3 * wide), max(0.7, 1.3 * tall), height, laid=False)
    uses = (Texture.PHOTO, Texture.PICTURE, Texture.PAGE) if is_high else (
        Texture.CARPET, Texture.PICTURE, Texture.FABRIC)  # fmt: skip
    paper = stage.material(*uses, mix=1.0, scale=(wide, tall), gloss=0.0)
    turn = turn_z(dice.angle())
    stage.box((0, 0, height + 0.003), (wide, tall, 0.006), paper, turn)
    if dice.chance(0.5):
        clutter(stage, 1.2 * wide, 1.2 * tall, height + 0.006, dice.count(1, 3))
    subject = Subject(
        point=np.array([0.0, 0.0, height]), bearing=dice.angle(),
        away=max(wide, tall) * dice.uniform(0.7, 2.0), rise=dice.uniform(0.35, 1.3),
    )  # fmt: skip
    return replace(venue, approach=Approach.SUBJECT, subject=subject)


def cloth(stage: Stage) -> Venue:
    """A printed curtain or a tiled wall that fills the view, seldom with somebody before it."""
    dice = stage.dice
    stage.ground(plain_face(stage, Texture.WOOD, Texture.TILES, Texture.STONE))
    uses = (Texture.FABRIC, Texture.TILES, Texture.WALL, Texture.PICTURE, Texture.BRICK)
    print_ = stage.material(*uses, mix=1.0, scale=dice.log_uniform(0.3, 2.5), gloss=0.0)
    away, lean = dice.uniform(0.5, 3.0), dice.normalvariate(0.0, 0.1)
    stage.box((0, away, 1.5), (12, 0.02, 4.0), print_, turn_x(lean))
    if dice.chance(0.35):
        with stage.frame((dice.uniform(-0.5, 0.5), 0.6 * away + 0.2, 0.0), dice.angle()):
            somebody(stage)
    standpoint = Standpoint(
        origin=np.array([0.0, -0.2, dice.uniform(0.8, 1.7)]),
        yaw=math.pi / 2 + dice.normalvariate(0.0, 0.4), pitch=dice.normalvariate(-0.1, 0.15),
    )  # fmt: skip
    venue = outside(stage, 8.0, 8.0)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)
