"""Desks seen from their chairs: large screens near the camera, the room behind them."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter, laptop
from lab.scenes.people import person
from lab.scenes.plants import potted_plant
from lab.scenes.rooms import furnished, room_size
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import GLASS
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue


def desk_view(stage: Stage) -> Venue:
    """Build a room around somebody who sits, or stands, at a desk with screens."""
    dice = stage.dice
    width, length, height = room_size(dice)
    x, y = dice.uniform(-0.5, 0.5) * (width - 1.0), dice.uniform(-0.5, 0.5) * (length - 1.0)
    # Towards the middle, so that the room is behind the screens, or towards a wall that is near.
    yaw = math.atan2(-y, -x) + (math.pi if dice.chance(0.25) else 0.0)
    yaw += dice.normalvariate(0.0, 0.4)
    tall, deep, wide = dice.uniform(0.68, 0.78), dice.uniform(0.6, 0.85), dice.uniform(1.2, 2.2)
    eye = tall + dice.weighted((dice.uniform(0.3, 0.55), dice.uniform(0.6, 1.0)), (0.75, 0.25))
    near = dice.uniform(0.05, 0.6)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        stage.claim((0.0, 0.6, 0.0), 0.9)
        with stage.frame((dice.normalvariate(0.0, 0.15), near + deep / 2, 0.0)):
            desk(stage, wide, deep, tall)
        if dice.chance(0.35):
            neighbour(stage, near + deep)
    pitch = dice.normalvariate(-0.12 if eye < tall + 0.56 else -0.35, 0.14)
    standpoint = Standpoint(origin=stage.world((x, y, eye)), yaw=yaw, pitch=pitch)
    venue = furnished(stage, width, length, height)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)


def desk(stage: Stage, wide: float, deep: float, tall: float) -> None:
    """A desk with one to three screens, what lies before them, and small things."""
    dice = stage.dice
    furniture.table(stage, wide, deep, tall, laid=False)
    count = dice.weighted((1, 2, 3), (0.45, 0.4, 0.15))
    across = dice.uniform(0.42, 0.85) if count < 3 else dice.uniform(0.42, 0.62)
    shift = dice.normalvariate(0.0, 0.12)
    for k in range(count):
        place = k - (count - 1) / 2
        at = (shift + place * (across + 0.02), deep / 2 - 0.16 - 0.12 * abs(place), tall)
        with stage.frame(at, -0.35 * place + dice.normalvariate(0.0, 0.08)):
            screen(stage, across)
    keyboard(stage, (shift, -deep * 0.2, tall))
    if dice.chance(0.35):
        side = dice.sign()
        with stage.frame((side * 0.38 * wide, -0.02, tall), -0.5 * side):
            laptop(stage)
    clutter(stage, wide, deep, tall, dice.count(1, 8))
    stage.subjects.append(stage.world((0, 0, tall + 0.2)))


def screen(stage: Stage, wide: float) -> None:
    """A screen on its foot: on, off or with a picture; upright now and then."""
    dice = stage.dice
    tall = wide * dice.choice((9 / 16, 10 / 16, 9 / 21, 3 / 4))
    if dice.chance(0.08):
        wide, tall = tall, wide
    gap, thick = dice.uniform(0.06, 0.22), dice.choice((0.015, 0.03, 0.05))
    case, lean = stage.plain(np.full(3, dice.choice((0.01, 0.03, 0.3, 0.7)))), dice.uniform(0, 0.15)
    turn, middle = turn_x(-lean), gap + tall / 2
    stage.box((0, 0, middle), (wide, thick, tall), case, turn)
    kind = dice.random()
    if kind < 0.3:
        shown = stage.plain(np.full(3, 0.015), gloss=0.3, mirror=GLASS)
    elif kind < 0.5:
        colour = dice.uniform(0.2, 1.0) * np.array(dice.vector(0.6, 1.0))
        shown = stage.plain(colour, emission=dice.uniform(0.5, 1.5), gloss=0.0)
    else:
        uses = (Texture.SCREEN, Texture.SCREEN, Texture.PAGE, Texture.PHOTO)
        lit = dice.choice((0.4, 0.8, 1.3))
        shown = stage.material(*uses, mix=1.0, scale=(wide, tall), emission=lit)
    bezel = dice.uniform(0.006, 0.03)
    front = (
        0,
        -(thick / 2 + 0.001) * math.cos(lean),
        middle - (thick / 2 + 0.001) * math.sin(lean),
    )
    stage.box(front, (wide - 2 * bezel, 0.004, tall - 2 * bezel), shown, turn)
    stage.box((0, 0.05, middle / 2), (0.05, 0.03, middle), case)
    stage.box((0, 0.02, 0.008), (dice.uniform(0.18, 0.3), dice.uniform(0.15, 0.22), 0.014), case)


def keyboard(stage: Stage, at: tuple[float, float, float]) -> None:
    """A keyboard with rows of keys, a mouse, sometimes a mat below both."""
    dice = stage.dice
    case, keys = stage.plain(), stage.plain(np.full(3, dice.choice((0.02, 0.1, 0.7))))
    with stage.frame(at, dice.normalvariate(0.0, 0.1)):
        if dice.chance(0.3):
            cloth = stage.material(mix=0.5, scale=0.6, gloss=0.0)
            stage.box((0.05, 0, 0.002), (0.8, 0.3, 0.004), cloth)
        stage.box((0, 0, 0.011), (0.44, 0.14, 0.018), case)
        for row in range(4):
            stage.box((0, 0.045 - 0.03 * row, 0.022), (0.42, 0.022, 0.008), keys)
        mouse = (0.3 + dice.uniform(0, 0.08), dice.uniform(-0.05, 0.05), 0.015)
        stage.ellipsoid(mouse, (0.032, 0.055, 0.02), case, turn_z(dice.normalvariate(0, 0.3)))


def neighbour(stage: Stage, beyond: float) -> None:
    """Place another desk behind, with its screens' backs, a person or a plant."""
    dice = stage.dice
    kind, at = dice.random(), (dice.normalvariate(0.0, 0.4), beyond + dice.uniform(0.4, 0.8), 0.0)
    with stage.frame(at, math.pi + dice.normalvariate(0.0, 0.1)):
        if kind < 0.55:
            desk(stage, dice.uniform(1.2, 1.8), dice.uniform(0.6, 0.8), dice.uniform(0.7, 0.76))
        elif kind < 0.8:
            person(stage, dice.uniform(1.5, 1.9), seated=dice.chance(0.6))
        else:
            potted_plant(stage, dice.uniform(0.8, 1.8))
