"""Things that throw hard shadows into a view from outside it.

The camera is at (0, 0, eye) of the current frame, whose axes are the world's, and looks along y,
up by its pitch.
"""

import math
from collections.abc import Callable

import numpy as np

from lab.scenes.figures import animal, somebody, thing
from lab.scenes.plants import leafy_ball, tree
from lab.scenes.rotations import Rotation, turn_x, turn_z
from lab.scenes.scene import BARS, LATTICE, Light
from lab.scenes.stage import Point, Stage
from lab.scenes.vehicles import bicycle, car, van
from lab.scenes.venue import unit

MARGIN = 0.9
"""Least angle between a caster and the middle of the view [rad]."""
FARTHEST = 60.0
"""Largest distance between a caster and its shadow, in sizes."""
TRIES = 40
"""Most places that are tried for one caster."""
REACH = 1.42
"""Radius of the ball around a caster, in sizes."""
Caster = Callable[[Stage, float], None]


def hard_sun(stage: Stage, *, behind: bool = True, low: bool = False) -> Point:
    """Put a sun of sharp shadows in place of all lights; returns the direction to it.

    Args:
        stage: Stage whose lights are replaced.
        behind: Whether it is behind the camera, so that the fronts of bodies are lit.
        low: Whether it is low, so that shadows are long.
    """
    dice = stage.dice
    along = dice.uniform(-1.0, -0.25) if behind else dice.uniform(-0.3, 0.8)
    rise = dice.uniform(0.15, 0.5) if low else dice.uniform(0.3, 1.4)
    sun = unit(np.array([dice.uniform(-1.2, 1.2), along, rise]))
    warm = np.array([1.0, dice.uniform(0.8, 1.0), dice.uniform(0.6, 1.0)])
    colour = dice.uniform(1.8, 6.0) * warm
    size = dice.log_uniform(0.001, 0.01)
    stage.lights[:] = [Light(position=sun, distant=True, size=size, colour=colour)]
    return sun


def is_unseen(place: Point, reach: float, eye: float, pitch: float) -> bool:
    """Whether a ball of radius ``reach`` [m] is outside the view, with a margin."""
    offset = np.asarray(place, float) - (0.0, 0.0, eye)
    away = float(np.linalg.norm(offset))
    if away <= 1.2 * reach:
        return False
    ahead = offset[1] * math.cos(pitch) + offset[2] * math.sin(pitch)
    return math.acos(float(np.clip(ahead / away, -1, 1))) - math.asin(reach / away) > MARGIN


def throw_shadow(
    stage: Stage, place: Point, sun: Point, eye: float, pitch: float, size: float
) -> bool:
    """Put a caster of about a size [m] between a place and the sun, out of the camera's sight.

    Returns:
        Whether there is room for one: there is none if the sun is low before the camera.
    """
    way = size
    while not is_unseen(place + way * sun, REACH * size, eye, pitch):
        way += 0.2 * size
        if way > FARTHEST * size:
            return False
    caster: Caster = stage.dice.choice((board, disc, bars, grate, boughs, twigs, twigs, cap))
    with stage.frame(place + way * sun, stage.dice.angle()):
        caster(stage, size)
    return True


def stand_caster(stage: Stage, far: float, sun: Point, eye: float, pitch: float) -> bool:
    """Stand a body on the ground, out of sight, whose shadow falls into the view.

    Args:
        stage: Stage to build on.
        far: Largest distance of the shadow [m].
        sun: Direction to the sun.
        eye: Height of the camera [m].
        pitch: Elevation angle of the view [rad].

    Returns:
        Whether there is room for one.
    """
    dice = stage.dice
    near = min(0.8 * far, eye / math.tan(max(0.2, 0.4 - pitch)))
    for _ in range(TRIES):
        deep, tall = dice.uniform(near, far), dice.uniform(0.2, 2.6)
        foot = np.array([dice.uniform(-0.45, 0.45) * deep, deep, 0.0])
        foot[:2] += tall * sun[:2] / sun[2]
        if is_unseen(foot + np.array([0.0, 0.0, 0.9]), 0.6, eye, pitch):
            with stage.frame(foot, dice.angle()):
                upright_body(stage, least=tall)
            return True
    return False


def upright_body(stage: Stage, *, least: float = 0.0) -> None:
    """A person, an animal, a vehicle, a tree, a post or a block, about as tall as ``least`` [m]."""
    dice = stage.dice
    kind = dice.random() if least < 1.5 else dice.uniform(0.7, 1.0)
    if kind < 0.4:
        somebody(stage)
    elif kind < 0.5 and animal(stage, most=3.0) is not None:
        return
    elif kind < 0.6:
        dice.choice((car, van))(stage)
    elif kind < 0.7:
        if not thing(stage, dice.choice(("bicycle", "motorcycle"))):
            bicycle(stage)
    elif kind < 0.85:
        tree(stage, dice.uniform(3.0, 8.0))
    elif kind < 0.94:
        tall = dice.uniform(2.0, 7.0)
        stage.cylinder((0, 0, tall / 2), dice.uniform(0.03, 0.25), tall, stage.plain())
    else:
        size = dice.uniform(1.0, 5.0), dice.uniform(1.0, 5.0), dice.uniform(2.0, 7.0)
        stage.box((0, 0, size[2] / 2), size, stage.plain())


def random_turn(stage: Stage) -> Rotation:
    """Random rotation."""
    return turn_z(stage.dice.angle()) @ turn_x(stage.dice.uniform(-1.4, 1.4))


def board(stage: Stage, size: float) -> None:
    """A board with straight edges."""
    dice = stage.dice
    sides = (size * dice.uniform(0.4, 1.6), size * dice.uniform(0.4, 1.6), 0.02 * size)
    stage.box((0, 0, 0), sides, stage.plain(), random_turn(stage))


def disc(stage: Stage, size: float) -> None:
    """A ball or a disc."""
    dice = stage.dice
    flat = dice.choice((1.0, 0.1))
    radius = dice.uniform(0.3, 0.8) * size
    stage.ellipsoid((0, 0, 0), (radius, radius, flat * radius), stage.plain(), random_turn(stage))


def bars(stage: Stage, size: float) -> None:
    """Parallel bars."""
    dice = stage.dice
    stage.card((0, 0, 0), 2 * size, 2 * size, stage.plain(), random_turn(stage), holes=BARS,
               pitch=dice.uniform(0.1, 0.5) * size, share=dice.uniform(0.2, 0.6))  # fmt: skip


def grate(stage: Stage, size: float) -> None:
    """A window frame or a grate."""
    dice = stage.dice
    stage.card((0, 0, 0), 2 * size, 2 * size, stage.plain(), random_turn(stage), holes=LATTICE,
               pitch=dice.uniform(0.15, 0.6) * size, share=dice.uniform(0.15, 0.5))  # fmt: skip


def boughs(stage: Stage, size: float) -> None:
    """Leaves that let light through."""
    dice, leaf = stage.dice, stage.plain()
    for _ in range(dice.count(1, 5)):
        at = 0.5 * size * np.array(dice.vector(-1.0, 1.0))
        radius = size * dice.uniform(0.2, 0.5)
        leafy_ball(stage, at, (radius, radius, 0.7 * radius), leaf)


def twigs(stage: Stage, size: float) -> None:
    """Rods, or bare branches."""
    dice, bark = stage.dice, stage.plain()
    for _ in range(dice.count(2, 8)):
        start, end = (0.8 * size * np.array(dice.vector(-1.0, 1.0)) for _ in range(2))
        stage.limb(start, end, size * dice.log_uniform(0.01, 0.12), bark, 0.4)


def cap(stage: Stage, size: float) -> None:
    """A head with a brim."""
    dice, felt = stage.dice, stage.plain()
    radius = dice.uniform(0.3, 0.6) * size
    stage.ellipsoid((0, 0, 0), (radius, radius, 1.2 * radius), felt)
    stage.cylinder((0, 0, 0.5 * radius), radius * dice.uniform(1.2, 1.9), 0.05 * radius, felt)
