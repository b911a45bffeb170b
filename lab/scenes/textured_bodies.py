"""Smooth bodies with strong patterns, which are nothing to depth, before other patterns."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.casters import hard_sun, throw_shadow
from lab.scenes.furnishing import dress
from lab.scenes.models import Model
from lab.scenes.outlooks import outlook, pattern, with_camera
from lab.scenes.rotations import Rotation, turn_x, turn_y, turn_z
from lab.scenes.scene import GLASS
from lab.scenes.stage import Point, Stage
from lab.scenes.venue import Venue

Body = Callable[[Stage, float, int], None]


def textured_body(stage: Stage) -> Venue:
    """Build one to three bodies close to the camera, with a place behind them."""
    dice = stage.dice
    low, high = dice.weighted(((0.1, 0.4), (0.4, 2.0), (2.0, 9.0)), (0.35, 0.4, 0.25))
    size = dice.log_uniform(low, high)
    away = size * dice.log_uniform(0.9, 2.6) + 0.15
    venue = outlook(stage, 2.0 * away + size, indoors=size < 1.2)
    is_inside = not venue.is_outdoors
    if is_inside:
        away = min(away, max(0.5, 0.4 * venue.length))
    height = dice.uniform(0.4, 0.9) if size < 0.4 and dice.chance(0.8) else 0.0
    if height:
        wide = dice.uniform(3.0, 9.0) * size
        with stage.frame((0.0, away, 0.0), dice.normalvariate(0.0, 0.3)):
            furniture.table(stage, wide, wide, height, laid=False)
    first = pattern(stage, size * dice.log_uniform(0.2, 1.6))
    middle = np.array([0.0, away, height + 0.45 * size])
    for k in range(dice.weighted((1, 2, 3), (0.35, 0.35, 0.3))):
        face = first
        if k and dice.chance(0.75):
            face = pattern(stage, size * dice.log_uniform(0.2, 1.6))
        at = np.array([dice.normalvariate(0, 0.12) * size, away, height])
        if k:
            side = dice.sign() * dice.uniform(0.4, 1.2) * size
            at += (side, dice.uniform(-0.25, 1.5) * size, 0.0)
        with stage.frame(at, dice.normalvariate(0.0, 0.6)):
            body(stage, size * dice.uniform(0.7, 1.2), face)
    if dice.chance(0.2) and not is_inside:
        # A wall of the same pattern behind it all.
        wide = dice.log_uniform(6.0, 30.0) * size
        far = away + dice.uniform(1.5, 8.0) * size
        stage.box((0, far, 0.25 * wide), (wide, 0.1, 0.5 * wide), stage.copy_material(first),
                  turn_z(dice.normalvariate(0, 0.2)))  # fmt: skip
    eye = max(0.12, float(middle[2]) + dice.uniform(-0.3, 0.7) * min(size, 2.0))
    pitch = math.atan2(float(middle[2]) - eye, away) + dice.normalvariate(0.0, 0.06)
    if not is_inside and dice.chance(0.5):
        shadows(stage, middle, size, eye, pitch)
    focus = away if dice.chance(0.3) else None
    venue = with_camera(venue, eye, pitch)
    return replace(venue, focus=focus, blur=dice.log_uniform(0.002, 0.015))


def shadows(stage: Stage, middle: Point, size: float, eye: float, pitch: float) -> None:
    """Hard shadows upon bodies around a place."""
    dice = stage.dice
    sun = hard_sun(stage)
    for _ in range(dice.count(1, 4)):
        place = middle + size * np.array(dice.vector(-0.6, 0.6)) * (1.0, 0.5, 0.7)
        throw_shadow(stage, place, sun, eye, pitch, size * dice.log_uniform(0.2, 1.0))


def body(stage: Stage, size: float, face: int) -> None:
    """A body of about a size [m] that stands on z = 0 and has one material, as far as it goes."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.35 and (model := model_of_size(stage, size)) is not None:
        print_model(stage, model, size)
        return
    bodies: tuple[Body, ...]
    if size > 2.0:
        bodies = (block, block, facade, facade, wall, tent, drum, balloon, hull)
    else:
        bodies = (ball, cushion, cushion, bottle, vase, block, drum, roll, panel, curtain, trunk)
    dice.choice(bodies)(stage, size, face)


def model_of_size(stage: Stage, size: float) -> Model | None:
    """A person, an animal, a vehicle or a thing of about a size [m]; None if there is none."""
    wanted = ("person", "bust", "animal", "vehicle", "bottle", "sofa", "shoes", "toy", "box")
    models = [
        model
        for category in wanted
        for model in stage.models.categories.get(category, ())
        if 0.6 * size < model.size.max() < 1.8 * size
    ]
    return stage.dice.choice(models) if models else None


def print_model(stage: Stage, model: Model, size: float) -> None:
    """A model that wears patterns, or is printed all over."""
    dice = stage.dice
    if dice.chance(0.2):
        first = dress(stage, model)
    else:
        is_whole, faces = dice.chance(0.4), []
        one = pattern(stage, 0.3)
        for skin in model.skins:
            # Coordinates of textured parts are in repeats of their texture, not in metres.
            scale = dice.log_uniform(0.06, 0.5)
            scale *= 1.0 if skin.texture is not None else size
            if skin.is_glass:
                faces.append(stage.coat((0.02, 0.02, 0.02), mirror=GLASS))
            elif is_whole or dice.chance(0.6) or skin.name in ("fabric", "leather"):
                faces.append(pattern(stage, scale))
            elif skin.texture is not None:
                faces.append(stage.coat((1.0, 1.0, 1.0), texture=skin.texture))
            else:
                faces.append(stage.plain(np.maximum(skin.colour, 0.01)))
        first = faces[0] if faces else one
    half = model.half * stage.dice.uniform(0.92, 1.08)
    stage.mesh(model.tree, (0, 0, half[2]), half, first, turn_z(dice.normalvariate(0, 0.8)))


def ball(stage: Stage, size: float, face: int) -> None:
    """A ball."""
    stage.ellipsoid((0, 0, size / 2), (size / 2,) * 3, face, random_turn(stage))


def random_turn(stage: Stage) -> Rotation:
    """Random rotation about all axes."""
    dice = stage.dice
    return turn_z(dice.angle()) @ turn_x(dice.angle()) @ turn_y(dice.angle())


def cushion(stage: Stage, size: float, face: int) -> None:
    """A flat rounded body that leans."""
    dice = stage.dice
    radii = (0.55 * size, dice.uniform(0.12, 0.3) * size, dice.uniform(0.35, 0.55) * size)
    turn = turn_z(dice.normalvariate(0, 0.6)) @ turn_x(dice.uniform(-0.7, 0.3))
    stage.ellipsoid((0, 0, 0.9 * radii[2]), radii, face, turn)


def bottle(stage: Stage, size: float, face: int) -> None:
    """A bottle or a can with a label all round."""
    dice = stage.dice
    radius = dice.uniform(0.14, 0.25) * size
    body_high, neck = 0.65 * size, dice.uniform(0.25, 0.5)
    stage.cylinder((0, 0, body_high / 2), radius, body_high, face)
    stage.cylinder((0, 0, body_high + 0.08 * size), radius, 0.16 * size, face, taper=neck)
    stage.cylinder((0, 0, body_high + 0.25 * size), neck * radius, 0.2 * size, face)


def vase(stage: Stage, size: float, face: int) -> None:
    """A body of revolution with a belly."""
    dice = stage.dice
    belly = dice.uniform(0.25, 0.42) * size
    stage.ellipsoid((0, 0, 0.4 * size), (belly, belly, 0.42 * size), face)
    stage.cylinder((0, 0, 0.85 * size), 0.45 * belly, 0.3 * size, face, taper=1.4)


def block(stage: Stage, size: float, face: int) -> None:
    """A box askew."""
    dice = stage.dice
    sides = (size * dice.uniform(0.5, 1.1), size * dice.uniform(0.3, 1.0),
             size * dice.uniform(0.4, 1.1))  # fmt: skip
    stage.box((0, 0, sides[2] / 2), sides, face, turn_z(dice.angle()))


def drum(stage: Stage, size: float, face: int) -> None:
    """A barrel, a tin or a cone."""
    dice = stage.dice
    radius, tall = size * dice.uniform(0.25, 0.5), size * dice.uniform(0.5, 1.1)
    stage.cylinder((0, 0, tall / 2), radius, tall, face, taper=dice.choice((1.0, 0.75, 0.3, 0.02)))


def roll(stage: Stage, size: float, face: int) -> None:
    """A roll that lies."""
    dice = stage.dice
    radius = size * dice.uniform(0.15, 0.4)
    turn = turn_z(dice.angle()) @ turn_x(math.pi / 2)
    stage.cylinder((0, 0, radius), radius, size, face, turn)


def panel(stage: Stage, size: float, face: int) -> None:
    """A board that leans."""
    dice = stage.dice
    sides = (size * dice.uniform(0.6, 1.4), 0.02 * size, size * dice.uniform(0.6, 1.1))
    turn = turn_z(dice.normalvariate(0, 0.7)) @ turn_x(dice.uniform(-0.7, 0.1))
    stage.box((0, 0, sides[2] / 2), sides, face, turn)


def curtain(stage: Stage, size: float, face: int) -> None:
    """Hanging cloth with soft folds."""
    dice = stage.dice
    folds = dice.count(4, 9)
    gap = size / folds
    for k in range(folds):
        radius = gap * dice.uniform(0.7, 1.2)
        at = ((k - folds / 2) * gap, dice.uniform(-0.2, 0.2) * gap, size / 2)
        stage.cylinder(at, radius, size, face, turn_y(dice.normalvariate(0, 0.05)))


def trunk(stage: Stage, size: float, face: int) -> None:
    """A torso with shoulders, as of a shirt on a dummy."""
    wide = size * stage.dice.uniform(0.25, 0.36)
    stage.ellipsoid((0, 0, 0.5 * size), (wide, 0.6 * wide, 0.5 * size), face)
    stage.ellipsoid((0, 0, 0.8 * size), (1.2 * wide, 0.55 * wide, 0.17 * size), face)
    for side in (-1, 1):
        start = np.array([1.05 * side * wide, 0.0, 0.82 * size])
        end = start + size * np.array([0.12 * side, -0.1, -0.45])
        stage.limb(start, end, 0.3 * wide, face, 0.8)


def facade(stage: Stage, size: float, face: int) -> None:
    """The side of a house seen askew, with print or windows that are flat."""
    dice = stage.dice
    sides = (size * dice.uniform(1.2, 3.0), size, size * dice.uniform(0.8, 1.6))
    turn = turn_z(dice.sign() * dice.uniform(0.2, 1.2))
    stage.box((0, 0.6 * size, sides[2] / 2), sides, face, turn)


def wall(stage: Stage, size: float, face: int) -> None:
    """A garden wall or a hoarding seen askew."""
    dice = stage.dice
    sides = (size * dice.uniform(1.5, 4.0), 0.2, size * dice.uniform(0.3, 0.8))
    stage.box((0, 0, sides[2] / 2), sides, face, turn_z(dice.sign() * dice.uniform(0.1, 1.2)))


def tent(stage: Stage, size: float, face: int) -> None:
    """A tent with a ridge."""
    turn = turn_z(stage.dice.angle()) @ turn_x(math.pi / 4)
    stage.box((0, 0, 0), (size * stage.dice.uniform(0.7, 1.6), 0.8 * size, 0.8 * size), face, turn)


def balloon(stage: Stage, size: float, face: int) -> None:
    """A balloon over its basket."""
    dice = stage.dice
    low = dice.uniform(0.0, 0.6) * size
    stage.ellipsoid((0, 0, low + 0.6 * size), (0.5 * size, 0.5 * size, 0.55 * size), face)
    stage.cylinder((0, 0, low + 0.05 * size), 0.1 * size, 0.2 * size, face, taper=2.0)


def hull(stage: Stage, size: float, face: int) -> None:
    """The round body of a car, a boat or a tank."""
    dice = stage.dice
    radii = (0.6 * size, 0.28 * size, dice.uniform(0.15, 0.25) * size)
    turn = turn_z(dice.angle())
    stage.ellipsoid((0, 0, 0.8 * radii[2]), radii, face, turn)
    cabin = (0.3 * size, 0.22 * size, 0.8 * radii[2])
    stage.ellipsoid((0, 0, 1.6 * radii[2]), cabin, face, turn)
