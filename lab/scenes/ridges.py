"""Mountains: ridges of peaks at several distances, which nearly melt into the sky at times."""

import math

import numpy as np

from lab.scenes.rotations import turn_x, turn_y, turn_z
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
    count = dice.count(6, 18)
    for k in range(count):
        bearing = math.radians(-75.0 + 150.0 * (k + dice.random()) / count)
        distance = away * dice.uniform(0.9, 1.25)
        x, y = distance * math.sin(bearing), distance * math.cos(bearing)
        high = tall * dice.uniform(0.35, 1.0) ** 1.5
        peak(stage, (x, y), high, shape, rock)
        for _ in range(dice.count(0, 3)):
            # Shoulders, so that no slope is straight.
            at = (x + dice.normalvariate(0, 0.5) * high, y + dice.normalvariate(0, 0.3) * high)
            peak(stage, at, high * dice.uniform(0.4, 0.95), shape, rock)


def peak(stage: Stage, at: tuple[float, float], high: float, shape: float, rock: int) -> None:
    """One peak: a round hill, a cone or a leaning block, by ``shape`` in [0, 1]."""
    dice, (x, y) = stage.dice, at
    wide = high * dice.uniform(0.7, 2.0)
    if shape < 0.25:
        stage.ellipsoid((x, y, 0), (1.6 * wide, 1.6 * wide, high), rock)
    elif shape < 0.6 or dice.chance(0.3):
        lean = turn_x(dice.uniform(-0.2, 0.2)) @ turn_y(dice.normalvariate(0.0, 0.25))
        stage.cylinder((x, y, high / 2), wide, 1.1 * high, rock, lean,
                       taper=dice.choice((0.02, 0.02, dice.uniform(0.05, 0.3))))  # fmt: skip
    else:
        turn = turn_z(dice.angle()) @ turn_x(dice.uniform(0.5, 0.9)) @ turn_z(dice.angle())
        side = 1.1 * high
        stage.box((x, y, 0.1 * high), (1.6 * wide, side, side), rock, turn)
