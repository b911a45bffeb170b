"""Mountains: ridges of peaks at several distances, which nearly melt into the sky at times."""

import math

import numpy as np

from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def mountains(stage: Stage, *, away: float | None = None) -> None:
    """One to three ridges ahead along y; ``away`` is the distance of the nearest [m]."""
    dice = stage.dice
    distance = dice.log_uniform(60.0, 500.0) if away is None else away
    for _ in range(dice.count(1, 3)):
        ridge(stage, distance, dice.uniform(0.05, 0.35) * distance)
        distance *= dice.uniform(1.4, 3.0)


def ridge(stage: Stage, away: float, tall: float) -> None:
    """A row of peaks across the view: cones, leaning blocks or round hills, rock or snow."""
    dice = stage.dice
    tone = dice.log_uniform(0.02, 0.9) * np.array(
        dice.choice(((1.0, 1.0, 1.0), (0.6, 0.8, 1.0), (0.8, 1.0, 0.6), (1.0, 0.85, 0.7)))
    )
    rock = stage.material(
        Texture.STONE, Texture.FOLIAGE, Texture.SPECKLE, Texture.GRASS, colour=tone,
        mix=dice.uniform(0.0, 0.7), scale=dice.uniform(0.1, 0.6) * tall, gloss=0.0,
    )  # fmt: skip
    shape = dice.random()
    count = dice.count(8, 26)
    for k in range(count):
        bearing = math.radians(-75.0 + 150.0 * (k + dice.random()) / count)
        distance = away * dice.uniform(0.9, 1.25)
        x, y = distance * math.sin(bearing), distance * math.cos(bearing)
        high = tall * dice.uniform(0.35, 1.0) ** 1.5
        wide = high * dice.uniform(0.8, 2.2)
        if shape < 0.25:
            stage.ellipsoid((x, y, 0), (1.6 * wide, 1.6 * wide, high), rock)
        elif shape < 0.6:
            lean = turn_x(dice.uniform(-0.15, 0.15))
            stage.cylinder((x, y, high / 2), wide, 1.1 * high, rock, lean, taper=0.02)
        else:
            turn = turn_z(dice.angle()) @ turn_x(dice.uniform(0.5, 0.9))
            side = 1.1 * high
            stage.box((x, y, 0.1 * high), (2 * wide, side, side), rock, turn)
