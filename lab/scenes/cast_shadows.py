"""Cast shadows on flat ground, walls and floors: depth has nothing where they end."""

import math
from collections.abc import Callable

import numpy as np

from lab.scenes.false_edges import bar, boughs, grid, plain_face, posters
from lab.scenes.figures import animal, somebody, thing
from lab.scenes.outdoors import bench, earth
from lab.scenes.plants import bush, leafy_ball, tree
from lab.scenes.rooms import furnish
from lab.scenes.rotations import turn_x
from lab.scenes.scene import BARS, LATTICE, Light
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue, indoor_ambience, outdoor_ambience, unit

Caster = Callable[[Stage], object]


def cast_shadow(stage: Stage) -> Venue:
    """Build open ground, ground before a wall, or a room that the sun shines into."""
    return stage.dice.weighted((open_place, before_wall, sunny_room), (0.5, 0.25, 0.25))(stage)


def open_place(stage: Stage) -> Venue:
    """Ground in sunlight with people, trees and poles, of which some are out of sight."""
    return sunlit(stage, None)


def before_wall(stage: Stage) -> Venue:
    """Ground and a wall in sunlight."""
    dice = stage.dice
    far, tall = dice.uniform(2.0, 8.0), dice.uniform(2.4, 7.0)
    face = plain_face(stage, Texture.WALL, Texture.BRICK, Texture.STONE, Texture.WOOD)
    stage.box((0, far + 0.1, tall / 2), (40, 0.2, tall), face)
    posters(stage, dice.count(0, 2), 0.5 * far, far, tall)
    return sunlit(stage, far)


def sunlit(stage: Stage, wall: float | None) -> Venue:
    """Ground, and shadows on it, or on a wall at y = ``wall`` [m] too."""
    dice = stage.dice
    if dice.chance(0.6):
        faces = (Texture.STONE, Texture.SPECKLE, Texture.TILES, Texture.GRASS)
        stage.ground(plain_face(stage, *faces))
    else:
        earth(stage)
    sun = sun_from(
        stage, dice.uniform(-1.2, 1.2), dice.uniform(-1.0, 0.6 if wall is None else -0.2)
    )
    eye = dice.uniform(1.2, 1.9) if dice.chance(0.7) else dice.uniform(2.2, 7.0)
    pitch = -dice.uniform(0.05, 0.5) - 0.06 * max(0.0, eye - 1.9)
    far = 12.0 if wall is None else wall
    if sun[1] < -0.2 and dice.chance(0.4):
        photographer(stage, eye)
    for _ in range(dice.count(0, 5)):
        at = (dice.uniform(-0.6, 0.6) * far, dice.uniform(0.25, 0.95) * far, 0.0)
        if stage.claim(at, 0.5):
            with stage.frame(at, dice.angle()):
                in_sight(stage)
    for _ in range(dice.count(1, 5)):
        place = np.array([dice.uniform(-0.5, 0.5) * far, dice.uniform(0.15, 0.9) * far, 0.0])
        if wall is not None and dice.chance(0.5):
            place = np.array([place[0], wall, dice.uniform(0.2, 2.0)])
        throw(stage, place, sun, eye, pitch)
    standpoint = Standpoint(origin=np.array([0.0, 0.0, eye]), yaw=math.pi / 2, pitch=pitch)
    return Venue(
        stage=stage, approach=Approach.STANDPOINT, width=40.0, length=40.0, height=9.0,
        ambience=outdoor_ambience(dice), standpoint=standpoint,
    )  # fmt: skip


def sun_from(stage: Stage, across: float, along: float) -> Point:
    """Add a hard sun; returns the direction to it."""
    dice = stage.dice
    sun = unit(np.array([across, along, dice.uniform(0.35, 1.4)]))
    warm = np.array([1.0, dice.uniform(0.85, 1.0), dice.uniform(0.7, 1.0)])
    size = dice.log_uniform(0.002, 0.02)
    bright = dice.uniform(2.0, 7.0)
    stage.lights.append(Light(position=sun, distant=True, size=size, colour=bright * warm))
    return sun


def photographer(stage: Stage, eye: float) -> None:
    """Somebody behind the camera, whose shadow falls before it."""
    dice = stage.dice
    with stage.frame((dice.uniform(-0.3, 0.3), -0.6, max(0.0, eye - 1.65)), math.pi):
        somebody(stage)


def in_sight(stage: Stage) -> None:
    """Something that stands in its own shadow's sight."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.45:
        somebody(stage)
    elif kind < 0.55 and animal(stage, most=2.5) is not None:
        return
    elif kind < 0.65:
        tall = dice.uniform(1.0, 5.0)
        stage.cylinder((0, 0, tall / 2), dice.uniform(0.02, 0.1), tall, stage.plain())
    elif kind < 0.75:
        tree(stage, dice.uniform(2.5, 7.0))
    elif kind < 0.82:
        bush(stage, dice.uniform(0.3, 1.0))
    elif kind < 0.9 and thing(stage, "bicycle"):
        return
    else:
        bench(stage)


def throw(stage: Stage, place: Point, sun: Point, eye: float, pitch: float) -> None:
    """Put something between a place and the sun where the camera does not see it."""
    dice = stage.dice
    way = dice.uniform(0.6, 2.0)
    while not is_out_of_sight(place + way * sun, eye, pitch) and way < 60:
        way += 0.3
    caster: Caster = dice.choice((bar, grid, boughs, canopy, canopy, branches, silhouette))
    with stage.frame(place + (way + 1.2) * sun, dice.angle()):
        caster(stage)


def is_out_of_sight(place: Point, eye: float, pitch: float) -> bool:
    """Whether a camera at (0, 0, eye) that looks along y, down by -pitch, misses a ball of 1 m."""
    if place[1] < -1.5:
        return True
    rise = math.atan2(place[2] - eye - 1.0, max(0.5, float(place[1])))
    return bool(rise > pitch + 0.75)


def canopy(stage: Stage) -> None:
    """The crown of a tree, whose leaves let light through."""
    dice = stage.dice
    leaf = stage.plain()
    for _ in range(dice.count(3, 9)):
        size = dice.uniform(0.4, 1.1)
        at = np.array(dice.vector(-1.6, 1.6)) * (1.0, 1.0, 0.4)
        leafy_ball(stage, at, (size, size, 0.7 * size), leaf)


def branches(stage: Stage) -> None:
    """Bare branches."""
    dice = stage.dice
    bark = stage.plain()
    for _ in range(dice.count(3, 10)):
        start = np.array(dice.vector(-0.8, 0.8))
        end = start + np.array(dice.vector(-1.8, 1.8))
        stage.limb(start, end, dice.uniform(0.01, 0.06), bark, 0.4)


def silhouette(stage: Stage) -> None:
    """A person."""
    with stage.frame((0.0, 0.0, -1.0)):
        somebody(stage)


def sunny_room(stage: Stage) -> Venue:
    """A room whose window is behind the camera or beside it, with its light on floor and walls."""
    dice = stage.dice
    wide, long, tall = dice.uniform(2.5, 6.0), dice.uniform(2.5, 6.0), dice.uniform(2.3, 3.2)
    floor = plain_face(stage, Texture.WOOD, Texture.TILES, Texture.CARPET, Texture.SPECKLE)
    wall = plain_face(stage, Texture.WALL)
    stage.box((0, 0, -0.05), (wide, long, 0.1), floor)
    stage.box((0, 0, tall + 0.05), (wide, long, 0.1), plain_face(stage, Texture.WALL))
    stage.box((0, long / 2 + 0.1, tall / 2), (wide, 0.2, tall), wall)
    side = dice.choice((-1, 0, 1))
    for each in (-1, 1):
        if each != side:
            stage.box((each * (wide / 2 + 0.1), 0, tall / 2), (0.2, long, tall), wall)
    if side:
        stage.box((0, -long / 2 - 0.1, tall / 2), (wide, 0.2, tall), wall)
        sun_from(stage, side * dice.uniform(0.5, 1.2), dice.uniform(-0.6, 0.3))
        at, yaw, breadth = (side * (wide / 2 + 0.1), 0.0, tall / 2), math.pi / 2, long
    else:
        sun_from(stage, dice.uniform(-0.6, 0.6), -dice.uniform(0.5, 1.2))
        at, yaw, breadth = (0.0, -long / 2 - 0.1, tall / 2), 0.0, wide
    window(stage, at, yaw, breadth, tall)
    for _ in range(dice.count(0, 4)):
        furnish(stage, (dice.uniform(-0.4, 0.4) * wide, dice.uniform(-0.1, 0.45) * long, 0.0))
    eye = dice.uniform(0.8, 1.8)
    standpoint = Standpoint(
        origin=np.array([dice.uniform(-0.2, 0.2) * wide, -0.38 * long, eye]),
        yaw=math.pi / 2 + dice.normalvariate(0.0, 0.3), pitch=-dice.uniform(0.0, 0.6),
    )  # fmt: skip
    return Venue(
        stage=stage, approach=Approach.STANDPOINT, width=wide, length=long, height=tall,
        ambience=indoor_ambience(dice), standpoint=standpoint,
    )  # fmt: skip


def window(
    stage: Stage, at: tuple[float, float, float], yaw: float, wide: float, tall: float
) -> None:
    """A wall with panes, or with a blind before them, that lets the sun through."""
    dice = stage.dice
    paint = stage.plain(np.full(3, dice.uniform(0.3, 0.9)))
    with stage.frame(at, yaw):
        if dice.chance(0.6):
            pitch, share = dice.uniform(0.5, 1.6), dice.uniform(0.1, 0.5)
            holes = LATTICE
        else:
            pitch, share, holes = dice.uniform(0.06, 0.5), dice.uniform(0.3, 0.6), BARS
        turn = turn_x(math.pi / 2)
        stage.card((0, 0, 0), wide, tall, paint, turn, holes=holes, pitch=pitch, share=share)
        low = dice.uniform(0.0, 0.4) * tall
        if low > 0.2:
            stage.box((0, 0, -tall / 2 + low / 2), (wide, 0.1, low), paint)
