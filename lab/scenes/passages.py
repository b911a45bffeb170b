"""Passages: corridors by a camera that is rolled and tilted, and floors seen from near."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes.clutter import clutter
from lab.scenes.near import put_ahead, put_aside
from lab.scenes.openings import door
from lab.scenes.plants import potted_plant
from lab.scenes.rooms import furnished, room_size
from lab.scenes.scene import Light
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue

ROLL = 0.3
"""Standard deviation of the camera's roll in corridors [rad]."""


def corridor_view(stage: Stage) -> Venue:
    """Build a corridor with doors on both sides, seen by a camera that is held or flown askew."""
    dice = stage.dice
    width, length = dice.uniform(1.2, 3.2), dice.uniform(6.0, 26.0)
    height = dice.uniform(2.2, 3.4)
    stage.claim((0.0, 0.0, 0.0), 0.3 * width)
    for side in (-1, 1):
        with stage.frame((side * width / 2, 0.0, 0.0), -side * math.pi / 2):
            along(stage, length)
    lamps(stage, length, height)
    y = dice.uniform(-0.48, 0.2) * length
    eye = dice.weighted((dice.uniform(1.2, 1.9), dice.uniform(0.2, 1.1)), (0.6, 0.4))
    standpoint = Standpoint(
        origin=np.array([dice.uniform(-0.42, 0.42) * width, y, min(eye, height - 0.3)]),
        yaw=math.pi / 2 + dice.normalvariate(0.0, 0.45),
        pitch=dice.normalvariate(-0.05, 0.25),
        roll=ROLL,
    )
    venue = furnished(stage, width, length, height)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)


def along(stage: Stage, length: float) -> None:
    """Doors, a handrail, boards and what stands beside a corridor's wall, in its frame."""
    dice = stage.dice
    step = dice.uniform(1.6, 4.0)
    for k in range(int(length / step)):
        x = -length / 2 + (k + 0.5) * step + dice.normalvariate(0.0, 0.1)
        if dice.chance(0.75):
            door(stage, x)
        elif dice.chance(0.4):
            with stage.frame((x, -0.3, 0.0)):
                potted_plant(stage, dice.uniform(0.5, 1.6))
    if dice.chance(0.4):
        rail = stage.material(Texture.WOOD, mix=dice.uniform(0, 1), scale=1.0)
        stage.box(
            (0, -0.05, dice.uniform(0.8, 0.95)), (length, 0.05, dice.uniform(0.05, 0.15)), rail
        )
    if dice.chance(0.3):
        tall = dice.uniform(0.8, 1.4)
        board = stage.material(Texture.WALL, Texture.TILES, Texture.WOOD, mix=0.6)
        stage.box((0, -0.005, tall / 2), (length, 0.012, tall), board)


def lamps(stage: Stage, length: float, height: float) -> None:
    """A row of lamps along the ceiling; up to three of them give light."""
    dice = stage.dice
    step = dice.uniform(1.8, 4.0)
    size = (dice.uniform(0.15, 0.6), dice.uniform(0.3, 1.3), 0.05)
    glow = stage.plain((1, 1, 1), emission=dice.uniform(1.5, 4))
    count = int(length / step)
    for k in range(count):
        y = -length / 2 + (k + 0.5) * step
        stage.box((0, y, height - 0.03), size, glow)
        if k in (count // 4, (3 * count) // 4):
            colour = np.array([1.0, dice.uniform(0.8, 1.0), dice.uniform(0.6, 1.0)])
            light = Light(
                position=np.array([0.0, y, height - 0.25]),
                distant=False,
                size=dice.uniform(0.1, 0.4),
                colour=dice.uniform(2, 6) * colour,
            )
            stage.lights.append(light)


def low_view(stage: Stage) -> Venue:
    """Build a room around a camera 0.15 m to 0.55 m above the floor, as on a robot or a child's."""
    dice = stage.dice
    width, length, height = room_size(dice)
    x, y = dice.uniform(-0.5, 0.5) * (width - 0.6), dice.uniform(-0.5, 0.5) * (length - 0.6)
    eye = dice.uniform(0.15, 0.55)
    yaw = math.atan2(-y, -x) + dice.normalvariate(0.0, 0.7)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        stage.claim((0.0, 0.4, 0.0), 0.6)
        if dice.chance(0.45):
            put_ahead(stage, eye)
        for _ in range(dice.count(0, 2)):
            put_aside(stage)
        if dice.chance(0.5):
            with stage.frame((0.0, dice.uniform(0.7, 2.5), 0.0)):
                clutter(stage, 2.0, 1.6, 0.0, dice.count(1, 9))
    pitch = math.radians(dice.normalvariate(-3, 9))
    standpoint = Standpoint(origin=stage.world((x, y, eye)), yaw=yaw, pitch=pitch)
    venue = furnished(stage, width, length, height)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)
