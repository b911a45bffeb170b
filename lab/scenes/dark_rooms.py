"""Rooms at low light, with bright windows or one lamp, photographed dark and with noise."""

import math

import numpy as np

from lab.scenes import furniture
from lab.scenes.dice import Dice
from lab.scenes.figures import somebody
from lab.scenes.near import put_ahead
from lab.scenes.openings import curtains, door
from lab.scenes.rooms import furnish, room_size, rug
from lab.scenes.scene import Ambience, Light
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue, unit
from lab.scenes.walls import picture, radiator, shell, stand_along

LAMPS = 3
"""Most lights that a scene may have."""


def dark_room(stage: Stage) -> Venue:
    """Build a furnished room that windows or one lamp light."""
    dice = stage.dice
    width, length, height = room_size(dice)
    width, length = max(width, 2.2), max(length, 2.8)
    x, y = dice.uniform(-0.4, 0.4) * (width - 0.8), dice.uniform(-0.5, 0.2) * (length - 0.8)
    # The source of light is at the end +y, before which the camera mostly looks.
    yaw = math.atan2(0.4 * length - y, -0.7 * x) + dice.normalvariate(0.0, 0.3)
    if dice.chance(0.15):
        yaw = dice.angle()
    eye = dice.weighted((dice.uniform(1.1, 1.8), dice.uniform(0.4, 1.1)), (0.75, 0.25))
    shell(stage, width, length, height)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        stage.claim((0.0, 0.5, 0.0), 0.7)
        if dice.chance(0.35):
            put_ahead(stage, eye)
    has_windows = dice.chance(0.6)
    fill(stage, width, length, height, windows=has_windows)
    if not has_windows:
        one_lamp(stage, width, length, height)
    standpoint = Standpoint(
        origin=np.array([x, y, min(eye, height - 0.3)]), yaw=yaw,
        pitch=dice.normalvariate(-0.1, 0.12), yaw_spread=0.12,
    )  # fmt: skip
    return Venue(
        stage=stage, approach=Approach.STANDPOINT, width=width, length=length, height=height,
        ambience=gloom(dice), standpoint=standpoint, dim=dice.chance(0.8),
        flares=not has_windows and dice.chance(0.2),
    )  # fmt: skip


def gloom(dice: Dice) -> Ambience:
    """Random ambient light of a room with its lamps off."""
    tint = np.array([1.0, dice.uniform(0.85, 1.0), dice.uniform(0.7, 1.2)])
    bright = dice.log_uniform(0.01, 0.12)
    return Ambience(
        direction=unit(np.array([dice.gauss(0, 1), dice.gauss(0, 1), dice.gauss(0.3, 1)])),
        bright=bright * tint, dark=bright * dice.uniform(0.2, 0.8) * tint,
        reach=dice.uniform(0.4, 1.5),
    )  # fmt: skip


def fill(stage: Stage, width: float, length: float, height: float, *, windows: bool) -> None:
    """Furnish the walls and the floor; the wall at +y has bright windows, or none has."""
    dice = stage.dice
    walls = (
        ((0.0, length / 2), 0.0, width),
        ((0.0, -length / 2), math.pi, width),
        ((-width / 2, 0.0), math.pi / 2, length),
        ((width / 2, 0.0), -math.pi / 2, length),
    )
    for number, ((x, y), yaw, wide) in enumerate(walls):
        with stage.frame((x, y, 0.0), yaw):
            has_windows = number == 0 and windows
            if dice.chance(0.4 if has_windows else 0.75):
                stand_along(stage, wide, height)
            if has_windows:
                count = dice.count(1, max(1, min(LAMPS, int(wide / 1.6))))
                for k in range(count):
                    bright_window(stage, ((k + 0.5) / count - 0.5) * 0.85 * wide, height)
                continue
            for _ in range(dice.count(0, 2)):
                at = dice.uniform(-0.42, 0.42) * wide
                dice.choice((picture, picture, door, radiator))(stage, at)
    for _ in range(dice.count(1, 8)):
        at = (dice.uniform(-0.5, 0.5) * (width - 1), dice.uniform(-0.5, 0.5) * (length - 1), 0.0)
        furnish(stage, at)
    if dice.chance(0.3):
        at = (dice.uniform(-0.4, 0.4) * (width - 1), dice.uniform(-0.4, 0.4) * (length - 1), 0.0)
        if stage.claim(at, 0.3):
            with stage.frame(at, dice.angle()):
                somebody(stage)
    if dice.chance(0.45):
        rug(stage, width, length)


def bright_window(stage: Stage, x: float, height: float) -> None:
    """A window, or a glazed door, far brighter than the room, with its frame and curtains."""
    dice = stage.dice
    wide = dice.uniform(0.7, 2.0)
    low = dice.weighted((dice.uniform(0.7, 1.1), 0.05), (0.75, 0.25))
    top = min(height - 0.15, dice.uniform(1.9, 2.5))
    z, tall = (low + top) / 2, top - low
    sky = np.array([dice.uniform(0.85, 1.0), 0.97, dice.uniform(0.9, 1.15)])
    shine = dice.log_uniform(5, 40)
    view = stage.material(
        Texture.PHOTO, Texture.FACADE, Texture.FOLIAGE, colour=sky,
        mix=dice.choice((0.0, 0.4, 0.9)), scale=(wide, tall), emission=shine, gloss=0.0,
    )  # fmt: skip
    frame = stage.plain(np.full(3, dice.uniform(0.1, 0.8)))
    stage.box((x, 0, z), (wide, 0.04, tall), view)
    bars = dice.count(1, 3)
    for k in range(bars + 1):
        stage.box((x + (k / bars - 0.5) * wide, -0.03, z), (0.06, 0.08, tall + 0.06), frame)
    for edge in (low, top):
        stage.box((x, -0.03, edge), (wide, 0.08, 0.06), frame)
    if len(stage.lights) < LAMPS:
        position = stage.world((x, -0.3, z))
        colour = dice.uniform(0.3, 2.0) * sky
        stage.lights.append(Light(position=position, distant=False, size=0.4, colour=colour))
    if dice.chance(0.45):
        curtains(stage, x, wide)
    if dice.chance(0.25):
        drop = tall * dice.uniform(0.15, 0.8)
        blind = stage.plain(gloss=0.0)
        stage.box((x, -0.09, top - drop / 2), (wide, 0.01, drop), blind)


def one_lamp(stage: Stage, width: float, length: float, height: float) -> None:
    """One source of light: a lamp on a stand, under the ceiling or on a table, or a screen."""
    dice = stage.dice
    x, y = dice.uniform(-0.4, 0.4) * (width - 0.6), dice.uniform(0.1, 0.45) * (length - 0.6)
    warm = np.array([1.0, dice.uniform(0.65, 0.95), dice.uniform(0.35, 0.85)])
    glow = stage.plain(warm, emission=dice.log_uniform(3, 20))
    kind = dice.random()
    if kind < 0.4:
        z, metal = dice.uniform(1.2, 1.7), stage.plain()
        stage.cylinder((x, y, z / 2), 0.015, z, metal)
        stage.cylinder((x, y, 0.02), 0.14, 0.04, metal)
        stage.cylinder((x, y, z), dice.uniform(0.12, 0.22), 0.25, glow, taper=0.7)
    elif kind < 0.65:
        z = height - dice.uniform(0.25, 0.9)
        stage.cylinder((x, y, (z + height) / 2), 0.008, height - z, stage.plain())
        stage.ellipsoid((x, y, z), (0.15, 0.15, 0.12), glow)
    elif kind < 0.85:
        z = dice.uniform(0.45, 0.75)
        with stage.frame((x, y, 0.0), dice.angle()):
            furniture.table(stage, dice.uniform(0.4, 0.9), 0.45, z, laid=False)
        stage.cylinder((x, y, z + 0.12), 0.02, 0.24, stage.plain())
        z += 0.32
        stage.cylinder((x, y, z), 0.13, 0.18, glow, taper=0.7)
    else:
        z, wide = dice.uniform(0.8, 1.3), dice.uniform(0.6, 1.3)
        tall = 0.57 * wide
        with stage.frame((x, length / 2 - 0.15, z)):
            shown = stage.material(
                Texture.SCREEN, Texture.PHOTO, mix=1.0, scale=(wide, tall),
                emission=dice.log_uniform(2, 8),
            )  # fmt: skip
            stage.box((0, 0.04, 0), (wide + 0.04, 0.05, tall + 0.04), stage.plain((0.02,) * 3))
            stage.box((0, 0.01, 0), (wide, 0.02, tall), shown)
        y, warm = length / 2 - 0.4, np.array([0.7, 0.85, 1.0])
    below = np.array([x, y, z - 0.22 if kind < 0.85 else z])
    light = Light(
        position=below, distant=False, size=0.15, colour=dice.log_uniform(0.3, 2.5) * warm
    )
    stage.lights.append(light)
