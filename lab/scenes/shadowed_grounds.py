"""Hard and large shadows of people, vehicles, trees and caps on ground, walls and bodies."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes.casters import hard_sun, stand_caster, throw_shadow, upright_body
from lab.scenes.false_edges import plain_face
from lab.scenes.heads import bobble, cap, hat, helmet, hood
from lab.scenes.outdoors import earth, outside
from lab.scenes.outlooks import pattern, with_camera
from lab.scenes.ridges import mountains
from lab.scenes.rotations import turn_z
from lab.scenes.stage import Stage
from lab.scenes.textured_bodies import body
from lab.scenes.textures import Texture
from lab.scenes.venue import Venue, outdoor_ambience


def shadowed_ground(stage: Stage) -> Venue:
    """Build ground with or without a wall, bodies in shadow, or caps on a wall."""
    builders = (open_ground, with_wall, shaded_bodies, caps_on_wall)
    return stage.dice.weighted(builders, (0.35, 0.25, 0.2, 0.2))(stage)


def bright_ground(stage: Stage) -> None:
    """Ground of one tone or with a pattern."""
    dice = stage.dice
    kind = dice.random()
    uses = (Texture.STONE, Texture.SPECKLE, Texture.TILES, Texture.GRASS, Texture.WALL)
    if kind < 0.6:
        stage.ground(plain_face(stage, *uses))
    elif kind < 0.85:
        earth(stage)
    else:
        stage.ground(pattern(stage, dice.log_uniform(0.5, 4.0)))


def dim_ambience(stage: Stage, venue: Venue) -> Venue:
    """A venue whose shadows are deep at times."""
    light = outdoor_ambience(stage.dice)
    share = stage.dice.log_uniform(0.15, 1.0)
    light = replace(light, bright=share * light.bright, dark=share * light.dark)
    return replace(venue, ambience=light)


def open_ground(stage: Stage) -> Venue:
    """Ground up to the horizon, with shadows of what is in the picture and of what is not."""
    dice = stage.dice
    bright_ground(stage)
    if dice.chance(0.4):
        mountains(stage)
    venue = outside(stage, 30.0, 30.0)
    return sunlit_scene(stage, venue, wall=None)


def with_wall(stage: Stage) -> Venue:
    """Ground before a wall, with shadows on both and across their corner."""
    dice = stage.dice
    bright_ground(stage)
    far, tall = dice.log_uniform(1.5, 9.0), dice.uniform(2.0, 7.0)
    face = plain_face(stage, Texture.WALL, Texture.BRICK, Texture.STONE, Texture.WOOD)
    if dice.chance(0.25):
        face = pattern(stage, dice.log_uniform(0.4, 3.0))
    with stage.frame((0.0, far, 0.0), dice.normalvariate(0.0, 0.35)):
        stage.box((0, 0.15, tall / 2), (dice.uniform(1.0, 12.0) * far, 0.3, tall), face)
    venue = outside(stage, 30.0, 30.0)
    return sunlit_scene(stage, venue, wall=far)


def sunlit_scene(stage: Stage, venue: Venue, *, wall: float | None) -> Venue:
    """Sunlight, and what throws and bears shadows, before a wall at a distance [m] or none."""
    dice = stage.dice
    is_behind = wall is not None or dice.chance(0.6)
    sun = hard_sun(stage, behind=is_behind, low=dice.chance(0.6))
    eye = dice.weighted(
        (dice.uniform(1.2, 1.9), dice.uniform(0.3, 1.2), dice.uniform(2.2, 7.0)), (0.6, 0.2, 0.2)
    )
    pitch = -dice.uniform(0.05, 0.6)
    far = dice.uniform(3.0, 12.0) if wall is None else wall
    for _ in range(dice.count(0, 4)):
        at = (dice.uniform(-0.5, 0.5) * far, dice.uniform(0.35, 1.0) * far, 0.0)
        if stage.claim(at, 0.6):
            with stage.frame(at, dice.angle()):
                if dice.chance(0.7):
                    upright_body(stage)
                else:
                    size = dice.uniform(0.2, 1.0)
                    body(stage, size, pattern(stage, size * dice.uniform(0.3, 1.5)))
    # Where the middle of the view meets the ground.
    ahead = min(far, eye / math.tan(max(0.12, -pitch)))
    for _ in range(dice.count(2, 6)):
        deep = min(far, ahead * dice.uniform(0.5, 1.5))
        place = np.array([dice.uniform(-0.45, 0.45) * deep, deep, 0.0])
        if dice.chance(0.55):
            stand_caster(stage, min(far, 2.0 * ahead), sun, eye, pitch)
            continue
        if wall is not None and dice.chance(0.5):
            place[1:] = wall, dice.uniform(0.2, 2.0)
        throw_shadow(stage, place, sun, eye, pitch, deep * dice.log_uniform(0.08, 0.5))
    return with_camera(dim_ambience(stage, venue), eye, pitch)


def shaded_bodies(stage: Stage) -> Venue:
    """Plain or patterned bodies close to the camera, with hard shadows across them."""
    dice = stage.dice
    bright_ground(stage)
    size = dice.log_uniform(0.2, 3.0)
    away = size * dice.uniform(1.5, 3.2) + 0.2
    for k in range(dice.count(1, 3)):
        tone = dice.uniform(0.2, 0.8) * np.array([1.0, dice.uniform(0.8, 1.0), 0.9])
        face = stage.plain(tone) if dice.chance(0.6) else pattern(stage, size)
        at = (dice.normalvariate(0, 0.2 + 0.5 * k) * size, away + k * 0.6 * size, 0.0)
        with stage.frame(at, dice.normalvariate(0.0, 0.6)):
            body(stage, size, face)
    eye = max(0.15, size * dice.uniform(0.4, 1.2))
    pitch = math.atan2(0.4 * size - eye, away)
    venue = outside(stage, 20.0, 20.0)
    sun = hard_sun(stage)
    for _ in range(dice.count(3, 6)):
        place = np.array([0.0, away, 0.4 * size]) + size * np.array(dice.vector(-0.7, 0.7))
        throw_shadow(stage, place, sun, eye, pitch, size * dice.log_uniform(0.15, 0.8))
    return with_camera(dim_ambience(stage, venue), eye, pitch)


def caps_on_wall(stage: Stage) -> Venue:
    """Caps, hats and balls on a wall or on the ground, with long shadows from the side."""
    dice = stage.dice
    bright_ground(stage)
    away, high = dice.uniform(0.6, 2.2), dice.uniform(0.9, 1.7)
    is_low = dice.chance(0.3)
    uses = (Texture.WALL, Texture.WOOD, Texture.BRICK, Texture.STONE)
    face = plain_face(stage, *uses) if dice.chance(0.75) else pattern(stage, 0.8)
    turn = dice.normalvariate(0.0, 0.25)
    tops = (hat, hat, cap, cap, cap, helmet, bobble, hood, ball_on_wall)
    with stage.frame((0.0, away, 0.0), turn):
        if not is_low:
            stage.box((0, 0.15, 1.6), (14.0, 0.3, 3.2), face)
        for _ in range(dice.count(2, 8)):
            across = dice.uniform(-0.6, 0.6) * away
            at = (across, -dice.uniform(0.0, 0.09), high + dice.uniform(-0.35, 0.35) * away)
            if is_low:
                at = (across, dice.uniform(-0.4, 0.6) * away, 0.03)
            with stage.frame(at, dice.normalvariate(0.0, 1.2)):
                dice.choice(tops)(stage)
    venue = outside(stage, 10.0, 10.0)
    hard_sun(stage)
    pitch = math.atan2(-high, away) * 0.8 if is_low else dice.normalvariate(0.0, 0.06)
    return with_camera(dim_ambience(stage, venue), high, pitch)


def ball_on_wall(stage: Stage) -> None:
    """A ball or a plate."""
    dice = stage.dice
    radius = dice.uniform(0.06, 0.14)
    face = pattern(stage, 0.2) if dice.chance(0.5) else stage.plain()
    turn = turn_z(dice.angle())
    stage.ellipsoid((0, 0, 0), (radius, dice.choice((radius, 0.02)), radius), face, turn)
