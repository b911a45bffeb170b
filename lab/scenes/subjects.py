"""Faces, people and animals that fill the picture, often two, before what is far behind them."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes.false_edges import plain_face
from lab.scenes.figures import animal, bust, somebody
from lab.scenes.outdoors import meadow, outside, street
from lab.scenes.rooms import room
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Subject, Venue


def subject_view(stage: Stage) -> Venue:
    """Build one to three figures close to the camera, and a place behind them."""
    dice = stage.dice
    stage.claim((0.0, 0.0, 0.0), 1.6)
    venue = dice.weighted((meadow, room, street, backdrop), (0.35, 0.3, 0.2, 0.15))(stage)
    facing = dice.angle()
    # The camera stands where the first figure looks, or anywhere around it.
    bearing = facing - math.pi / 2 + dice.normalvariate(0.0, 0.6)
    if dice.chance(0.15):
        bearing = dice.angle()
    with stage.frame((0.0, 0.0, 0.0), facing):
        head, near = figure(stage)
    for _ in range(dice.weighted((0, 1, 2), (0.4, 0.45, 0.15))):
        beside(stage, bearing)
    away = near * dice.log_uniform(0.7, 3.5)
    subject = Subject(
        point=head + np.array([0.0, 0.0, dice.uniform(-0.3, 0.1) * near]),
        bearing=bearing, away=away, rise=dice.normalvariate(0.03, 0.15),
    )  # fmt: skip
    return replace(
        venue, approach=Approach.SUBJECT, subject=subject, field=(32.0, 75.0),
        focus=away if dice.chance(0.5) else None, blur=dice.log_uniform(0.003, 0.03),
    )  # fmt: skip


def figure(stage: Stage) -> tuple[Point, float]:
    """A bust, a person or an animal: where to look [m], and how near one can come [m]."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.35 and (head := bust(stage)) is not None:
        return head, 0.5
    if kind > 0.65 and (found := animal(stage)) is not None:
        place, length = found
        return place, max(0.25, 0.8 * length)
    return somebody(stage, upright=dice.chance(0.7)), 0.65


def beside(stage: Stage, bearing: float) -> None:
    """Another figure, partly before the first one or behind it as the camera sees them."""
    dice = stage.dice
    deeper = dice.choice((dice.uniform(-0.7, -0.3), dice.uniform(0.3, 2.5)))
    across = dice.sign() * dice.uniform(0.2, 0.7)
    ahead, right = bearing + math.pi, bearing + math.pi / 2
    at = (
        deeper * math.cos(ahead) + across * math.cos(right),
        deeper * math.sin(ahead) + across * math.sin(right),
        0.0,
    )
    with stage.frame(at, bearing + math.pi / 2 + dice.normalvariate(0.0, 0.8)):
        figure(stage)


def backdrop(stage: Stage) -> Venue:
    """A plain wall not far behind, as in a studio or a passage."""
    dice = stage.dice
    stage.ground(plain_face(stage, Texture.STONE, Texture.WOOD, Texture.GRASS))
    face = plain_face(stage, Texture.WALL, Texture.BRICK, Texture.FABRIC, Texture.STONE)
    away = dice.uniform(0.8, 4.0)
    stage.box((0, away + 0.1, 2.0), (20, 0.2, 4.0), face)
    stage.box((away + 0.1, 0, 2.0), (0.2, 20, 4.0), face)
    stage.box((-away - 0.1, 0, 2.0), (0.2, 20, 4.0), face)
    stage.box((0, -away - 0.1, 2.0), (20, 0.2, 4.0), face)
    return outside(stage, 4.0, 4.0)
