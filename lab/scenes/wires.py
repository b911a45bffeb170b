"""Views through wire fences, nets, railings, blinds and boughs, and along cables."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from lab.scenes.figures import animal, somebody, thing
from lab.scenes.outdoors import meadow, street
from lab.scenes.pale_skies import square
from lab.scenes.rooms import room
from lab.scenes.rotations import turn_x, turn_y
from lab.scenes.scene import BARS, LATTICE
from lab.scenes.stage import Stage
from lab.scenes.venue import Approach, Standpoint, Venue


def behind_wire(stage: Stage) -> Venue:
    """Build a place, and something thin between the camera and it."""
    dice = stage.dice
    x, y, yaw = dice.uniform(-1.0, 1.0), dice.uniform(-1.0, 1.0), dice.angle()
    stage.claim((x, y, 0.0), 1.2)
    venue = dice.weighted((meadow, street, square, room), (0.4, 0.25, 0.15, 0.2))(stage)
    eye, pitch = dice.uniform(0.9, 1.8), dice.normalvariate(-0.05, 0.12)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        away = dice.log_uniform(0.3, 5.0 if venue.is_outdoors else 1.5)
        with stage.frame((0.0, away, 0.0), dice.normalvariate(0.0, 0.35)):
            dice.weighted((mesh, railing, twigs, cables), (0.45, 0.3, 0.15, 0.1))(stage)
        if dice.chance(0.6):
            at = (dice.uniform(-0.3, 0.3) * away, away + dice.uniform(0.5, 2.5), 0.0)
            with stage.frame(at, dice.angle()):
                guarded(stage)
    standpoint = Standpoint(origin=np.array([x, y, eye]), yaw=yaw, pitch=pitch)
    return replace(
        venue, approach=Approach.STANDPOINT, standpoint=standpoint,
        width=max(venue.width, 4.0), length=max(venue.length, 4.0),
    )  # fmt: skip


def guarded(stage: Stage) -> None:
    """Something behind the fence."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.4 and animal(stage, most=3.0) is not None:
        return
    if kind < 0.55 and thing(stage, "bicycle"):
        return
    somebody(stage)


def mesh(stage: Stage) -> None:
    """A fence of wire or a net on posts, its meshes upright or on their points."""
    dice = stage.dice
    wide, tall = dice.uniform(3.0, 8.0), dice.uniform(1.0, 3.0)
    wire = stage.plain(np.full(3, dice.log_uniform(0.02, 0.8)))
    pitch = dice.log_uniform(0.04, 0.25)
    turn = turn_x(math.pi / 2)
    if dice.chance(0.6):
        turn = turn_y(math.pi / 4) @ turn
        tall = wide
    share = dice.log_uniform(0.05, 0.2)
    stage.card((0, 0, tall / 2 if tall < wide else 1.2), wide, tall, wire, turn,
               holes=LATTICE, pitch=pitch, share=share)  # fmt: skip
    gap = dice.uniform(1.2, 3.0)
    for k in range(-2, 3):
        high = dice.uniform(1.2, 2.4)
        at = (k * gap + dice.uniform(-0.2, 0.2), 0.03, high / 2)
        stage.cylinder(at, dice.uniform(0.02, 0.06), high, wire)


def railing(stage: Stage) -> None:
    """A railing, a grating or a blind of bars, upright or level."""
    dice = stage.dice
    wide, tall = dice.uniform(2.5, 6.0), dice.uniform(0.9, 2.6)
    metal = stage.plain()
    turn = turn_x(math.pi / 2)
    if dice.chance(0.3):
        turn = turn_y(math.pi / 2) @ turn
        wide = tall = 3.0
    pitch, share = dice.log_uniform(0.05, 0.25), dice.uniform(0.08, 0.4)
    stage.card((0, 0, tall / 2), wide, tall, metal, turn, holes=BARS, pitch=pitch, share=share)
    for z in (0.08, tall):
        stage.box((0, 0, z), (wide, 0.05, 0.05), metal)


def twigs(stage: Stage) -> None:
    """Bare twigs or stalks."""
    dice = stage.dice
    bark = stage.plain()
    for _ in range(dice.count(5, 16)):
        start = np.array([dice.uniform(-1.2, 1.2), dice.uniform(-0.3, 0.3), dice.uniform(0.0, 1.5)])
        end = start + np.array([dice.uniform(-0.8, 0.8), dice.uniform(-0.3, 0.3), 0.9])
        stage.limb(start, end, dice.log_uniform(0.003, 0.02), bark, 0.5)


def cables(stage: Stage) -> None:
    """Cables or ropes that run across, one over the other."""
    dice = stage.dice
    dark = stage.plain(np.full(3, dice.log_uniform(0.01, 0.5)))
    low = dice.uniform(0.6, 2.5)
    for k in range(dice.count(2, 6)):
        z, sag = low + 0.2 * k, dice.uniform(0.0, 0.3)
        ends = [np.array([x, 0.0, z + lift]) for x, lift in ((-4, 0.2), (0, -sag), (4, 0.2))]
        for one, other in pairwise(ends):
            stage.limb(one, other, dice.log_uniform(0.004, 0.02), dark, 1.0)
