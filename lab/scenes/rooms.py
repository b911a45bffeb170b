"""Rooms: a shell, walls with furniture and hangings, furniture in the middle, lights."""

import math

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.dice import Dice
from lab.scenes.furnishing import facing, footprint, is_board, pick, put
from lab.scenes.models import Model, Use
from lab.scenes.people import person
from lab.scenes.plants import potted_plant
from lab.scenes.rotations import turn_z
from lab.scenes.scene import Light
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Venue, indoor_ambience
from lab.scenes.walls import hang, shell, stand_along

CARDINAL = (0.0, math.pi / 2, math.pi, -math.pi / 2)


def room(stage: Stage) -> Venue:
    """Build a furnished room, a corridor or a hall."""
    return furnished(stage, *room_size(stage.dice))


def room_size(dice: Dice) -> tuple[float, float, float]:
    """Width, length and height [m] of a room, a corridor or a hall."""
    width, length, height = dice.uniform(2.4, 8), dice.uniform(2.4, 8), dice.uniform(2.2, 3.4)
    kind = dice.random()
    if kind < 0.1:
        width, length, height = 1.8 * width, 1.8 * length, 1.5 * height
    elif kind < 0.2:
        width, length = dice.uniform(1.3, 2.4), dice.uniform(6, 16)
    return width, length, height


def furnished(stage: Stage, width: float, length: float, height: float) -> Venue:
    """Build a room of a given size [m] with furniture wherever there is room."""
    dice = stage.dice
    shell(stage, width, length, height)
    walls = (
        ((0.0, length / 2), 0.0, width),
        ((0.0, -length / 2), math.pi, width),
        ((-width / 2, 0.0), math.pi / 2, length),
        ((width / 2, 0.0), -math.pi / 2, length),
    )
    crowding = dice.uniform(0.3, 1.0)
    for (x, y), yaw, wide in walls:
        with stage.frame((x, y, 0.0), yaw):
            if dice.chance(crowding) and min(width, length) > 2.2:
                stand_along(stage, wide, height)
            hang(stage, wide, height)
    for _ in range(dice.count(0, 9)):
        at = (dice.uniform(-0.5, 0.5) * (width - 1), dice.uniform(-0.5, 0.5) * (length - 1), 0.0)
        furnish(stage, at)
    if dice.chance(0.45):
        rug(stage, width, length)
    hang_lamps(stage, width, length, height)
    return Venue(
        stage=stage, approach=Approach.ROOM, width=width, length=length, height=height,
        ambience=indoor_ambience(dice),
    )  # fmt: skip


def furnish(stage: Stage, at: tuple[float, float, float]) -> None:
    """Put one piece or group of furniture on the floor, if its place is free."""
    dice = stage.dice
    model = pick(stage, Use.FLOOR, 0.6)
    if model is not None:
        furnish_with_model(stage, at, model)
        return
    wide, kind = dice.uniform(0.6, 1.8), dice.randrange(12)
    is_small = kind in (3, 5, 6, 7, 10)
    if stage.is_full or not stage.claim(at, 0.3 if is_small else wide * 0.4):
        return
    yaw = dice.angle()
    if dice.chance(0.55):
        yaw = dice.choice(CARDINAL) + dice.normalvariate(0.0, 0.1)
    with stage.frame(at, yaw):
        put_piece(stage, kind, wide)


def furnish_with_model(stage: Stage, at: tuple[float, float, float], model: Model) -> None:
    """Put a model on the floor, if its place is free."""
    dice = stage.dice
    if stage.is_full or not stage.claim(at, 0.4 * float(model.size[:2].max())):
        return
    yaw = dice.choice(CARDINAL) + dice.normalvariate(0.0, 0.1)
    with stage.frame(at, yaw if dice.chance(0.6) else dice.angle()):
        set_down(stage, model, facing(stage, model))


def put_piece(stage: Stage, kind: int, width: float) -> None:
    """Put one of 12 kinds of furniture, or a person, at the origin; ``width`` is in metres."""
    dice = stage.dice
    if kind < 3:
        dining(stage, width)
    elif kind == 3:
        furniture.chair(stage)
    elif kind == 4:
        furniture.sofa(stage, max(1.0, width))
    elif kind in (5, 6):
        person(stage, dice.uniform(1.2, 1.95))
        stage.subjects.append(stage.world((0, 0, 1.2)))
    elif kind == 7:
        potted_plant(stage, dice.uniform(0.5, 1.6))
    elif kind == 8:
        clutter(stage, width, width, 0.0, dice.count(1, 8))
        stage.subjects.append(stage.world((0, 0, 0.1)))
    elif kind == 9:
        furniture.shelf(stage, width, 0.3, dice.uniform(0.5, 1.8))
    elif kind == 10:
        furniture.rack(stage, width, dice.uniform(0.9, 1.7))
    else:
        furniture.cabinet(stage, width, 0.6, dice.uniform(0.4, 1.1))


def set_down(stage: Stage, model: Model, yaw: float) -> None:
    """Put a model, turned by a multiple of 90°, with things on it if it is a table."""
    put(stage, model, yaw=yaw)
    stage.subjects.append(stage.world((0, 0, 0.7 * model.size[2])))
    if is_board(model):
        wide, deep = footprint(model, yaw)
        clutter(stage, 0.8 * wide, 0.8 * deep, 1.08 * model.size[2], stage.dice.count(0, 6))


def dining(stage: Stage, width: float) -> None:
    """A table, with chairs and people around it if it is high enough."""
    dice = stage.dice
    height, depth = dice.uniform(0.35, 0.8), dice.uniform(0.5, 1.0)
    furniture.table(stage, width, depth, height)
    stage.subjects.append(stage.world((0, 0, height)))
    if height < 0.6:
        return
    for k in range(dice.count(0, 4)):
        side = 1 if k % 2 else -1
        at = (dice.uniform(-0.4, 0.4) * width, side * (depth / 2 + dice.uniform(0.05, 0.35)), 0.0)
        yaw = (0.0 if side > 0 else math.pi) + dice.normalvariate(0.0, 0.3)
        with stage.frame(at, yaw):
            furniture.chair(stage)
            if dice.chance(0.12):
                person(stage, dice.uniform(1.5, 1.9), seated=True)


def rug(stage: Stage, width: float, length: float) -> None:
    """A carpet on the floor."""
    dice = stage.dice
    wide, deep = dice.uniform(1, 2.8), dice.uniform(1, 2.2)
    use = Texture.CARPET if dice.chance(0.6) else Texture.FABRIC
    cloth = stage.material(use, mix=dice.uniform(0.5, 1), scale=(wide, deep), gloss=0.0)
    at = (dice.uniform(-0.2, 0.2) * width, dice.uniform(-0.2, 0.2) * length, 0.006)
    stage.box(at, (wide, deep, 0.012), cloth, turn_z(dice.normalvariate(0.0, 0.2)))


def hang_lamps(stage: Stage, width: float, length: float, height: float) -> None:
    """Lamps on the ceiling; of these and the windows, three give light."""
    dice = stage.dice
    for _ in range(dice.count(1, 3)):
        x, y = dice.uniform(-0.35, 0.35) * width, dice.uniform(-0.35, 0.35) * length
        drop = dice.weighted((0.02, dice.uniform(0.1, 0.6)), (0.5, 0.5))
        glow = stage.plain((1, 1, 1), emission=dice.uniform(1, 4))
        if drop > 0.1 and dice.chance(0.6):
            stage.ellipsoid((x, y, height - drop), (0.14, 0.14, dice.uniform(0.08, 0.14)), glow)
        else:
            size = (dice.uniform(0.15, 1.2), dice.uniform(0.15, 0.6), 0.05)
            stage.box((x, y, height - drop), size, glow)
        if drop > 0.1:
            stage.cylinder((x, y, height - drop / 2), 0.008, drop, stage.plain())
        colour = np.array([1.0, dice.uniform(0.75, 1.0), dice.uniform(0.5, 1.0)])
        stage.lights.append(
            Light(
                position=np.array([x, y, height - drop - 0.15]),
                distant=False,
                size=dice.uniform(0.05, 0.3),
                colour=dice.uniform(1, 6) * colour,
            )
        )
    dice.shuffle(stage.lights)
    del stage.lights[3:]
