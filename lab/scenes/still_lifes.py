"""Close-ups of things, one behind the other on a table or the ground, the background far."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.figures import animal, somebody
from lab.scenes.furnishing import put
from lab.scenes.models import Model
from lab.scenes.outdoors import meadow
from lab.scenes.plants import potted_plant, tuft
from lab.scenes.rooms import room
from lab.scenes.stage import Stage
from lab.scenes.venue import Approach, Subject, Venue

_SMALL = 0.7
"""Largest extent of a thing that is set up [m]."""
_LEFT_OUT = ("person", "bust", "room", "building", "wall/floor part", "window")


def still_life(stage: Stage) -> Venue:
    """Build two to five things in a row that leads away from the camera."""
    dice = stage.dice
    stage.claim((0.0, 0.0, 0.0), 1.8)
    is_outside = dice.chance(0.4)
    venue = meadow(stage) if is_outside else room(stage)
    height = 0.0
    if dice.chance(0.4 if is_outside else 0.75):
        height = dice.uniform(0.4, 0.9)
        furniture.table(stage, dice.uniform(0.8, 1.8), dice.uniform(0.8, 1.8), height, laid=False)
    bearing, step = dice.angle(), dice.log_uniform(0.12, 0.5)
    ahead = bearing + math.pi
    for k in range(dice.count(2, 5)):
        deeper = k * step + dice.uniform(-0.3, 0.3) * step
        across = dice.normalvariate(0.0, 0.35) * (step + 0.5 * deeper)
        at = (
            deeper * math.cos(ahead) - across * math.sin(ahead),
            deeper * math.sin(ahead) + across * math.cos(ahead),
            height,
        )
        with stage.frame(at, dice.angle()):
            thing_of(stage, step * dice.uniform(0.6, 1.6))
    if dice.chance(0.35):
        at = (dice.uniform(1.0, 3.0) * math.cos(ahead), dice.uniform(1.0, 3.0) * math.sin(ahead), 0)
        with stage.frame(at, bearing + math.pi / 2 + dice.normalvariate(0.0, 0.5)):
            somebody(stage)
    away = step * dice.uniform(0.9, 2.2) + 0.1
    subject = Subject(
        point=np.array([0.0, 0.0, height + 0.35 * step]), bearing=bearing, away=away,
        rise=dice.uniform(0.0, 0.7),
    )  # fmt: skip
    return replace(
        venue, approach=Approach.SUBJECT, subject=subject, field=(38.0, 80.0),
        focus=away if dice.chance(0.5) else None, blur=dice.log_uniform(0.004, 0.04),
    )  # fmt: skip


def thing_of(stage: Stage, size: float) -> None:
    """A thing of about a size [m]: a model, an animal, a plant, or a heap of solids."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.6:
        models = [m for m in stage.models.every.values() if is_like(m, size)]
        if models:
            put(stage, dice.choice(models))
            return
    if kind < 0.7 and animal(stage, most=_SMALL) is not None:
        return
    if kind < 0.8:
        potted_plant(stage, max(0.15, size))
    elif kind < 0.85:
        tuft(stage, max(0.1, size))
    else:
        clutter(stage, size, size, 0.0, dice.count(1, 3))


def is_like(model: Model, size: float) -> bool:
    """Whether a model may stand on a table and is at most twice as large as a size, or half."""
    longest = float(model.size.max())
    return 0.5 * size < longest < 2.0 * size and model.category not in _LEFT_OUT
