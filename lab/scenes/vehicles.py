"""Vehicles: along x, on the ground of the current frame."""

import math

import numpy as np

from lab.scenes.rotations import turn_x, turn_y
from lab.scenes.scene import BARS, GLASS, OPEN
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture

ACROSS = turn_x(math.pi / 2)


def wheels(stage: Stage, length: float, width: float, radius: float) -> None:
    """Four wheels with their rims."""
    tyre, rim = stage.plain(np.full(3, 0.02), gloss=0.0), stage.plain(np.full(3, 0.35), gloss=0.4)
    for a in (-1, 1):
        for b in (-1, 1):
            at = (a * length * 0.31, b * width * 0.46, radius)
            stage.cylinder(at, radius, 0.2, tyre, ACROSS)
            stage.cylinder((at[0], b * width * 0.475, radius), radius * 0.62, 0.19, rim, ACROSS)


def car(stage: Stage) -> None:
    """A car: body, sloping glass, roof, lights, wheels, plates."""
    dice = stage.dice
    length, width = dice.uniform(3.6, 4.9), dice.uniform(1.6, 1.9)
    paint, glass = stage.plain(gloss=0.5), stage.plain(np.full(3, 0.03), gloss=0.6, mirror=GLASS)
    body, low = dice.uniform(0.5, 0.7), dice.uniform(0.2, 0.3)
    belt = low + body
    cabin, roof = dice.uniform(0.42, 0.58), dice.uniform(0.4, 0.6)
    middle = dice.uniform(-0.25, 0.05)
    stage.box((0, 0, low + body / 2), (length, width, body), paint)
    stage.ellipsoid((length * 0.3, 0, belt), (length * 0.2, width * 0.48, 0.12), paint)
    # The cabin approximates a four-sided frustum: glass that leans in on all sides under a roof.
    stage.box(
        (middle, 0, belt + roof * 0.45), (length * cabin * 0.78, width * 0.86, roof * 0.9), glass
    )
    for end in (-1, 1):
        lean = end * dice.uniform(0.5, 0.9)
        at = (middle + end * length * cabin * 0.39, 0, belt + roof * 0.36)
        stage.box(at, (0.25, width * 0.84, roof * 1.15), glass, turn_y(-lean))
        for side in (-1, 1):
            post = (at[0], side * width * 0.425, at[2])
            stage.box(post, (0.09, 0.05, roof * 1.2), paint, turn_y(-lean))
    stage.box((middle, 0, belt + roof * 0.92), (length * cabin * 0.8, width * 0.86, 0.08), paint)
    for side in (-1, 1):
        stage.box(
            (middle, side * width * 0.432, belt + roof * 0.45), (0.08, 0.02, roof * 0.9), paint
        )
        lamp, tail = (
            stage.plain((0.8, 0.8, 0.75), gloss=0.5),
            stage.plain((0.4, 0.02, 0.02), gloss=0.4),
        )
        stage.box((length / 2, side * width * 0.36, low + body * 0.65), (0.06, 0.35, 0.14), lamp)
        stage.box((-length / 2, side * width * 0.38, low + body * 0.65), (0.06, 0.28, 0.16), tail)
    plate = stage.material(Texture.PAGE, mix=1.0, scale=(0.5, 0.5))
    for end in (-1, 1):
        stage.box((end * length / 2, 0, low + body * 0.3), (0.05, 0.5, 0.11), plate)
    wheels(stage, length, width, dice.uniform(0.28, 0.36))


def van(stage: Stage) -> None:
    """A van, bus or truck."""
    dice = stage.dice
    length, width, tall = dice.uniform(4.6, 9), dice.uniform(1.9, 2.5), dice.uniform(1.6, 2.8)
    paint = stage.picture(length, tall) if dice.chance(0.25) else stage.plain(gloss=0.3)
    glass = stage.plain(np.full(3, 0.03), gloss=0.6, mirror=GLASS)
    cab = stage.plain(gloss=0.4)
    stage.box((-0.7, 0, 0.4 + tall / 2), (length - 1.4, width, tall), paint)
    stage.box((length / 2 - 0.7, 0, 0.4 + tall * 0.4), (1.5, width * 0.97, tall * 0.8), cab)
    stage.box((length / 2 - 0.02, 0, 0.4 + tall * 0.6), (0.12, width * 0.85, tall * 0.3), glass)
    stage.box((length / 2 - 0.6, 0, 0.4 + tall * 0.6), (0.7, width * 0.985, tall * 0.28), glass)
    wheels(stage, length, width, 0.42)


def lorry(stage: Stage) -> None:
    """A lorry: a cab before a tall box with doors at its back, or a tank, on three axles."""
    dice = stage.dice
    length, width, tall = dice.uniform(7, 13.5), dice.uniform(2.3, 2.55), dice.uniform(2.9, 3.9)
    paint = stage.picture(length, tall) if dice.chance(0.25) else stage.plain(gloss=0.2)
    dark, cab = stage.plain(np.full(3, 0.03)), stage.plain(gloss=0.4)
    glass = stage.plain(np.full(3, 0.03), gloss=0.6, mirror=GLASS)
    low, back, front = dice.uniform(0.95, 1.2), -length / 2, length / 2 - 2.2
    middle, long = (back + front) / 2, front - back
    if dice.chance(0.85):
        stage.box((middle, 0, (low + tall) / 2), (long, width, tall - low), paint)
        rods = stage.plain(np.full(3, dice.uniform(0.05, 0.6)), gloss=0.3)
        for y in (-0.3, -0.02, 0.02, 0.3):
            stage.box((back, y * width, (low + tall) / 2), (0.05, 0.03, tall - low - 0.1), rods)
    else:
        turn = turn_y(math.pi / 2)
        stage.cylinder((middle, 0, low + 0.85), min(1.15, width / 2), long, paint, turn)
    stage.box((0, 0, low - 0.1), (length - 0.8, 0.9, 0.25), dark)
    stage.box((back + 0.1, 0, 0.55), (0.1, width * 0.95, 0.16), dark)
    tail = stage.plain((0.5, 0.02, 0.02), gloss=0.3)
    plate = stage.material(Texture.PAGE, mix=1.0, scale=(0.5, 0.5))
    for side in (-1, 1):
        stage.box((back + 0.05, side * width * 0.4, 0.75), (0.06, 0.35, 0.14), tail)
        flap = (back + 0.5, side * width * 0.4, 0.5)
        stage.box(flap, (0.03, 0.5, 0.55), dark)
    stage.box((back + 0.04, 0, 0.75), (0.05, 0.5, 0.12), plate)
    high = min(tall, dice.uniform(2.6, 3.3))
    stage.box((length / 2 - 0.95, 0, (0.5 + high) / 2), (1.9, width * 0.97, high - 0.5), cab)
    stage.box((length / 2, 0, high * 0.72), (0.1, width * 0.88, high * 0.3), glass)
    for side in (-1, 1):
        stage.box((length / 2 - 0.6, side * width * 0.485, high * 0.72), (0.7, 0.03, 0.7), glass)
        stage.box((length / 2 + 0.1, side * width * 0.56, high * 0.75), (0.1, 0.2, 0.5), dark)
    axles = (back + 1.6, back + 2.9, length / 2 - 1.2)
    for x in axles:
        for side in (-1, 1):
            stage.cylinder((x, side * width * 0.43, 0.5), 0.5, 0.3, dark, ACROSS)


def bicycle(stage: Stage) -> None:
    """A bicycle or motorcycle: wheels of spokes, thin tubes, saddle, handlebar."""
    dice = stage.dice
    tube, dark = stage.plain(gloss=0.4), stage.plain(np.full(3, 0.03))
    radius = dice.uniform(0.3, 0.36)
    thick = dice.choice((0.015, 0.02, 0.05))
    for x in (-0.52, 0.52):
        at, spokes = (x, 0, radius), radius * 1.3
        stage.cylinder(at, radius, 0.02 + thick, dark, ACROSS, holes=OPEN)
        stage.card(at, spokes, spokes, tube, ACROSS, holes=BARS, pitch=0.06, share=0.12)
    hub, fork = np.array([-0.52, 0.0, radius]), np.array([0.52, 0.0, radius])
    seat, pedal = np.array([-0.2, 0.0, 0.85]), np.array([-0.08, 0.0, 0.3])
    head, bar = np.array([0.36, 0.0, 0.8]), np.array([0.32, 0.0, 1.0])
    pairs = ((hub, seat), (hub, pedal), (pedal, seat), (seat, head), (pedal, head), (head, fork))
    for start, end in (*pairs, (head, bar)):
        stage.limb(start, end, thick, tube, taper=1.0)
    stage.ellipsoid((-0.22, 0, 0.9), (0.14, 0.07, 0.04), dark)
    stage.cylinder((0.32, 0, 1.0), 0.015, 0.55, dark, ACROSS)
    if thick > 0.03:
        stage.ellipsoid((0.1, 0, 0.75), (0.3, 0.14, 0.14), tube)
        stage.box((-0.05, 0, 0.42), (0.4, 0.22, 0.32), dark)
