"""Places with a camera at the origin that looks along y, for what is built before it."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes.false_edges import plain_face
from lab.scenes.outdoors import earth, meadow, outside, street
from lab.scenes.pale_skies import shore, square
from lab.scenes.ridges import mountains
from lab.scenes.rooms import room
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue

FIELD = (34.0, 76.0)
"""Field of view along the longer side [degrees]."""


def outlook(stage: Stage, clear: float, *, indoors: bool) -> Venue:
    """Build a place around the camera, with the ground clear before it.

    Args:
        stage: Stage to build on.
        clear: Radius of the clear ground [m].
        indoors: Whether it may be a room.
    """
    dice = stage.dice
    stage.claim((0.0, 0.8 * clear, 0.0), clear)
    if indoors and dice.chance(0.5):
        return room(stage)
    with stage.frame((0.0, 0.0, 0.0), dice.angle()):
        places = (meadow, street, square, shore, studio, bare_ground)
        venue = dice.weighted(places, (0.25, 0.25, 0.1, 0.05, 0.15, 0.2))(stage)
    return venue


def studio(stage: Stage) -> Venue:
    """A wall on every side, plain or with a pattern, at some distance."""
    dice = stage.dice
    stage.ground(plain_face(stage, Texture.STONE, Texture.WOOD, Texture.GRASS))
    face = pattern(stage, dice.log_uniform(0.3, 3.0))
    away = dice.log_uniform(2.5, 20.0)
    tall = away * dice.uniform(0.4, 1.5) + 1.0
    for k in range(4):
        with stage.frame((0.0, 0.0, 0.0), k * math.pi / 2):
            stage.box((0, away, tall / 2), (2 * away, 0.2, tall), face)
    return outside(stage, 2 * away, 2 * away)


def bare_ground(stage: Stage) -> Venue:
    """Bare ground up to the horizon, sometimes with mountains."""
    dice = stage.dice
    if dice.chance(0.5):
        earth(stage)
    else:
        tone = dice.uniform(0.1, 0.95) * np.array([1.0, dice.uniform(0.85, 1.1), 1.0])
        stage.ground(stage.material(Texture.SPECKLE, Texture.GRASS, colour=tone,
                                    mix=dice.uniform(0, 0.3), gloss=0.0))  # fmt: skip
    if dice.chance(0.6):
        mountains(stage)
    return outside(stage, 20.0, 20.0)


def pattern(stage: Stage, scale: float) -> int:
    """Add a material with a strong pattern, which repeats after about a scale [m]."""
    dice = stage.dice
    groups = (
        (Texture.PRINT,),
        (Texture.PHOTO, Texture.PICTURE),
        (Texture.FACADE, Texture.BRICK, Texture.TILES),
        (Texture.FABRIC, Texture.CARPET, Texture.WALL),
        (Texture.FOLIAGE, Texture.GRASS, Texture.PAGE, Texture.SPINES, Texture.WOOD),
    )
    uses = dice.weighted(groups, (0.58, 0.14, 0.1, 0.1, 0.08))
    wide = scale * dice.log_uniform(0.8, 1.25)
    return stage.material(
        *uses, mix=dice.choice((1.0, 1.0, dice.uniform(0.4, 1.0))), scale=(wide, scale),
        gloss=dice.choice((0.0, 0.0, 0.0, 0.3)),
    )  # fmt: skip


def with_camera(venue: Venue, eye: float, pitch: float, *, back: float = 0.0) -> Venue:
    """A venue with its camera at (0, back, eye), looking along y."""
    spot = Standpoint(origin=np.array([0.0, back, eye]), yaw=math.pi / 2, pitch=pitch)
    return replace(
        venue, approach=Approach.STANDPOINT, standpoint=spot, field=FIELD,
        width=max(venue.width, 4.0), length=max(venue.length, 4.0),
    )  # fmt: skip
