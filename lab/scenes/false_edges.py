"""Scenes whose picture has edges that depth has not: hard shadows, posters, flares of lamps."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.scenes.clutter import clutter
from lab.scenes.people import person
from lab.scenes.plants import leafy_ball
from lab.scenes.rooms import furnish, room_size, rug
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import BARS, LATTICE, Light
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue, indoor_ambience, outdoor_ambience, unit

LEAST_RISE = 0.35
"""Least rise of what throws a shadow above the sight of the camera, as a tangent."""


def false_edges(stage: Stage) -> Venue:
    """Build a sunlit yard, a room of posters, or a dark room with lamps that flare."""
    return stage.dice.weighted((yard, gallery, night), (0.45, 0.3, 0.25))(stage)


def yard(stage: Stage) -> Venue:
    """Ground before a wall in hard sunlight; things that are out of sight throw shadows on both."""
    dice = stage.dice
    far, tall = dice.uniform(2.5, 7.0), dice.uniform(2.4, 7.0)
    stage.ground(plain_face(stage, Texture.STONE, Texture.SPECKLE, Texture.WALL))
    wall = plain_face(stage, Texture.WALL, Texture.BRICK, Texture.STONE)
    stage.box((0, far + 0.1, tall / 2), (30, 0.2, tall), wall)
    side = dice.uniform(-1.2, 1.2)
    sun = unit(np.array([side, dice.uniform(-1.0, -0.3), dice.uniform(0.5, 1.3)]))
    warm = np.array([1.0, dice.uniform(0.85, 1.0), dice.uniform(0.7, 1.0)])
    stage.lights.append(
        Light(
            position=sun,
            distant=True,
            size=dice.uniform(0.002, 0.01),
            colour=dice.uniform(2.5, 7.0) * warm,
        )
    )
    eye = dice.uniform(1.2, 1.8)
    for _ in range(dice.count(2, 7)):
        target = np.array([dice.uniform(-0.6, 0.6) * far, far, dice.uniform(0.0, 0.7) * tall])
        if dice.chance(0.5):
            target[1:] = dice.uniform(0.3, 1.0) * far, 0.0
        shade(stage, target, sun, eye)
    posters(stage, dice.count(0, 4), 0.5 * far, far, tall)
    for _ in range(dice.count(0, 4)):
        stand(stage, (dice.uniform(-0.5, 0.5) * far, dice.uniform(0.45, 0.9) * far, 0.0))
    standpoint = Standpoint(
        origin=np.array([0.0, 0.0, eye]), yaw=math.pi / 2, pitch=dice.normalvariate(-0.1, 0.12)
    )
    return Venue(
        stage=stage, approach=Approach.STANDPOINT, width=30.0, length=30.0, height=3.0,
        ambience=outdoor_ambience(dice), standpoint=standpoint,
    )  # fmt: skip


def gallery(stage: Stage) -> Venue:
    """A room whose walls are hung with posters, lit by one small lamp."""
    venue = bare_room(stage, stage.dice.uniform(1.5, 5.0), stage.dice.uniform(0.01, 0.05))
    for yaw, away, wide in walls_of(venue):
        with stage.frame((0.0, 0.0, 0.0), yaw):
            posters(stage, stage.dice.count(2, 6), wide / 2, away, venue.height)
    if stage.dice.chance(0.7):
        rug(stage, venue.width, venue.length)
    return venue


def night(stage: Stage) -> Venue:
    """A dark room with bare lamps in sight, whose glare runs over what is behind them."""
    dice = stage.dice
    venue = bare_room(stage, dice.uniform(0.2, 0.8), dice.uniform(0.02, 0.1))
    for _ in range(dice.count(1, 4)):
        glow = stage.plain((1, 1, 1), emission=dice.uniform(20, 90))
        size = dice.uniform(0.02, 0.08)
        x, y = dice.uniform(-0.4, 0.4) * venue.width, dice.uniform(-0.4, 0.4) * venue.length
        z = dice.uniform(0.5, venue.height - 0.1)
        stage.ellipsoid((x, y, z), (size, size, size), glow)
        stage.subjects.append(np.array([x, y, z]))
        stage.cylinder((x, y, (z + venue.height) / 2), 0.006, venue.height - z, stage.plain())
    return replace(venue, flares=True)


def bare_room(stage: Stage, bright: float, size: float) -> Venue:
    """A room with few things in it, and a lamp of a given size [m] under the ceiling."""
    dice = stage.dice
    width, length, height = room_size(dice)
    paint = plain_face(stage, Texture.WALL)
    floor = plain_face(stage, Texture.WOOD, Texture.TILES, Texture.SPECKLE)
    first, *_ = [stage.copy_material(face) for face in (*[paint] * 4, floor, paint)]
    stage.room(width, length, height, first)
    for _ in range(dice.count(0, 2)):
        furnish(stage, (dice.uniform(-0.4, 0.4) * width, dice.uniform(-0.4, 0.4) * length, 0.0))
    at = np.array([dice.uniform(-0.4, 0.4) * width, dice.uniform(-0.4, 0.4) * length, height - 0.2])
    colour = np.array([1.0, dice.uniform(0.75, 1.0), dice.uniform(0.5, 1.0)])
    stage.lights.append(Light(position=at, distant=False, size=size, colour=bright * colour))
    return Venue(
        stage=stage, approach=Approach.ROOM, width=width, length=length, height=height,
        ambience=indoor_ambience(dice),
    )  # fmt: skip


def walls_of(venue: Venue) -> tuple[tuple[float, float, float], ...]:
    """Direction [rad] of each wall of a room, its distance from the middle, and its width."""
    across, along = (venue.length / 2, venue.width), (venue.width / 2, venue.length)
    return tuple(
        (k * math.pi / 2, away, wide) for k, (away, wide) in enumerate((across, along) * 2)
    )


def plain_face(stage: Stage, *uses: Texture) -> int:
    """Add a material that is nearly of one tone, so that shadows are its strongest edges."""
    dice = stage.dice
    tone = dice.uniform(0.35, 0.85) * np.array([1.0, dice.uniform(0.8, 1.0), dice.uniform(0.6, 1)])
    return stage.material(*uses, colour=tone, mix=dice.uniform(0.0, 0.3), gloss=0.0)


def posters(stage: Stage, count: int, reach: float, away: float, height: float) -> None:
    """Posters and photographs, flat on the wall at y = ``away``, within ``reach`` of its middle."""
    dice = stage.dice
    for _ in range(count):
        wide, tall = dice.log_uniform(0.4, 2.0), dice.log_uniform(0.4, min(2.0, 0.8 * height))
        z = dice.uniform(tall / 2, max(tall / 2 + 0.01, min(height, 3.0) - tall / 2))
        at = (dice.uniform(-1, 1) * max(0.0, reach - wide / 2), away - 0.003, z)
        stage.box(at, (wide, 0.004, tall), stage.picture(wide, tall))


def stand(stage: Stage, at: tuple[float, float, float]) -> None:
    """Put something in sight, with a step of depth around it."""
    dice = stage.dice
    if not stage.claim(at, 0.4):
        return
    with stage.frame(at, dice.angle()):
        kind = dice.randrange(4)
        if kind == 0:
            person(stage, dice.uniform(1.2, 1.9))
        elif kind == 1:
            clutter(stage, 0.8, 0.8, 0.0, dice.count(1, 4))
        elif kind == 2:
            size = dice.uniform(0.2, 0.9), dice.uniform(0.2, 0.9), dice.uniform(0.2, 1.2)
            stage.box((0, 0, size[2] / 2), size, stage.material())
        else:
            tall = dice.uniform(0.8, 3.0)
            stage.cylinder((0, 0, tall / 2), dice.uniform(0.03, 0.12), tall, stage.plain())


def shade(stage: Stage, target: Point, sun: Point, eye: float) -> None:
    """Put something between a point and the sun, where the camera at (0, 0, eye) misses it."""
    dice = stage.dice
    way = dice.uniform(0.5, 1.0)
    # Behind the camera, or so high before it that it is over the upper border.
    while not is_hidden(target + way * sun, eye) and way < 40:
        way += 0.25
    caster: Callable[[Stage], None] = dice.choice((bar, grid, boughs, block))
    with stage.frame(target + (way + 1.0) * sun, dice.angle()):
        caster(stage)


def is_hidden(place: Point, eye: float) -> bool:
    """Whether a camera that looks along y from the origin does not see a place."""
    rise = place[2] - eye - 1.0
    return bool(place[1] < -1.2 or rise > (1.0 + LEAST_RISE) * max(0.5, float(place[1])))


def bar(stage: Stage) -> None:
    """A beam or a pole."""
    dice = stage.dice
    size = (dice.uniform(0.05, 0.5), dice.uniform(2.0, 6.0), dice.uniform(0.05, 0.3))
    stage.box((0, 0, 0), size, stage.plain(), turn_x(dice.uniform(-0.9, 0.9)))


def grid(stage: Stage) -> None:
    """A railing or a grate."""
    dice = stage.dice
    holes = BARS if dice.chance(0.6) else LATTICE
    turn = turn_z(dice.angle()) @ turn_x(dice.uniform(0.2, 1.2))
    pitch, share = dice.uniform(0.15, 0.6), dice.uniform(0.2, 0.5)
    stage.card((0, 0, 0), 3.0, 3.0, stage.plain(), turn, holes=holes, pitch=pitch, share=share)


def boughs(stage: Stage) -> None:
    """The leaves of a tree."""
    size = stage.dice.uniform(0.6, 1.6)
    leafy_ball(stage, np.zeros(3), (size, size, 0.8 * size), stage.plain())


def block(stage: Stage) -> None:
    """The corner of a house, or a board."""
    dice = stage.dice
    size = dice.uniform(0.4, 2.0), dice.uniform(0.3, 2.0), dice.uniform(0.2, 1.5)
    stage.box((0, 0, 0), size, stage.plain(), turn_x(dice.uniform(-0.5, 0.5)))
