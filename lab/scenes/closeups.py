"""Close-ups: a few objects on a table or on the ground, and people near the camera."""

from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.outdoors import meadow
from lab.scenes.people import person
from lab.scenes.plants import tuft
from lab.scenes.rooms import room
from lab.scenes.stage import Stage
from lab.scenes.venue import Approach, Subject, Venue


def close_up(stage: Stage) -> Venue:
    """Build a table or a patch of floor or ground with objects close together."""
    dice = stage.dice
    stage.claim((0, 0, 0), 1.2)
    is_outside = dice.chance(0.25)
    venue = meadow(stage) if is_outside else room(stage)
    height = 0.0
    if not is_outside and dice.chance(0.75):
        height = dice.uniform(0.4, 0.8)
        furniture.table(stage, dice.uniform(0.7, 1.6), dice.uniform(0.6, 1.0), height, laid=False)
    spread = dice.uniform(0.15, 0.7)
    clutter(stage, spread, spread, height, dice.count(1, 7))
    if is_outside and dice.chance(0.6):
        for _ in range(dice.count(1, 5)):
            with stage.frame((dice.uniform(-0.6, 0.6), dice.uniform(-0.6, 0.6), 0.0)):
                tuft(stage, dice.uniform(0.1, 0.4))
    subject = Subject(
        point=np.array([0.0, 0.0, height + dice.uniform(0.0, 0.12)]),
        bearing=dice.angle(),
        away=dice.log_uniform(0.3, 1.5),
        rise=dice.uniform(0.05, 1.0),
    )
    return replace(venue, approach=Approach.SUBJECT, subject=subject)


def portrait(stage: Stage) -> Venue:
    """Build one or two people in front of a room or of open ground."""
    dice = stage.dice
    stage.claim((0, 0, 0), 0.9)
    venue = meadow(stage) if dice.chance(0.4) else room(stage)
    height, seated, yaw = dice.uniform(1.0, 1.95), dice.chance(0.2), dice.angle()
    with stage.frame((0, 0, 0), yaw):
        person(stage, height, seated=seated)
        if seated:
            furniture.chair(stage)
        if dice.chance(0.3):
            beside = (dice.sign() * dice.uniform(0.5, 0.8), dice.uniform(-0.2, 0.3), 0.0)
            with stage.frame(beside, dice.normalvariate(0.0, 0.5)):
                person(stage, dice.uniform(1.2, 1.9))
    hip = 0.5 if seated else 0.92 * height / 1.75
    subject = Subject(
        point=np.array([0.0, 0.0, hip + height * dice.uniform(0.22, 0.44)]),
        # The person faces -y in their own frame.
        bearing=yaw - np.pi / 2 + dice.normalvariate(0.0, 0.7),
        away=dice.log_uniform(0.6, 2.6),
        rise=dice.normalvariate(0.05, 0.12),
    )
    return replace(venue, approach=Approach.SUBJECT, subject=subject)
