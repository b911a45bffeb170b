"""Rooms over the backs of chairs, sofas, counters and tables, which the lower border cuts.

The y axis of the camera's frame points ahead. Furniture faces -y in its own frame, so its back is
towards a camera ahead of which it is turned by half a turn.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import book_pile, clutter, laptop, mug, pen
from lab.scenes.desks import desk, keyboard, screen
from lab.scenes.figures import somebody
from lab.scenes.furnishing import facing, footprint, pick, put
from lab.scenes.kitchens import counter
from lab.scenes.models import Use
from lab.scenes.people import person
from lab.scenes.plants import potted_plant
from lab.scenes.rooms import furnished, room_size
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Cover, Standpoint, Venue

NEAREST, FARTHEST = 0.3, 1.2
"""Distance of the foreground [m]."""


def cut_foreground(stage: Stage) -> Venue:
    """Build a room around a camera that looks over something at the lower border."""
    dice = stage.dice
    width, length, height = room_size(dice)
    width, length = max(width, 2.6), max(length, 3.2)
    x, y = dice.uniform(-0.35, 0.35) * (width - 1.0), dice.uniform(-0.5, -0.2) * (length - 0.8)
    yaw = math.pi / 2 + 0.6 * math.atan2(x, -y) + dice.normalvariate(0.0, 0.3)
    near = dice.log_uniform(NEAREST, FARTHEST)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        stage.claim((0.0, near, 0.0), 0.8)
        build = dice.weighted(*zip(*FOREGROUNDS, strict=True))
        top = build(stage, near)
    eye = top + dice.uniform(0.1, 0.25 + 0.4 * near)
    venue = furnished(stage, width, length, height)
    # The edge that is ``top`` high appears at this angle below the horizon.
    down = math.atan2(eye - top, near)
    pitch = dice.uniform(-0.35, 0.0) if down < 0.45 else dice.uniform(0.15, 0.4) - down
    standpoint = Standpoint(
        origin=stage.world((x, y, min(eye, height - 0.3))), yaw=yaw, pitch=max(pitch, -0.45),
        roll=0.03 if dice.chance(0.75) else 0.15, yaw_spread=0.12, pitch_spread=0.05,
    )  # fmt: skip
    cover = Cover(within=near + 0.9, least=0.12, most=0.65)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint, cover=cover)


def chair_backs(stage: Stage, near: float) -> float:
    """Backs of one chair or of a row of chairs; some are taken."""
    dice = stage.dice
    model = pick(stage, Use.FLOOR, 0.5, lambda m: m.category == "chair" and m.size[2] > 0.6)
    count, first = dice.weighted((1, 2, 4), (0.45, 0.3, 0.25)), dice.normalvariate(0.0, 0.35)
    half = 0.25 if model is None else footprint(model, facing(stage, model))[1] / 2
    for k in range(count):
        at = (first + 0.62 * (k - (count - 1) / 2), near + half, 0.0)
        with stage.frame(at, math.pi + dice.normalvariate(0.0, 0.2)):
            if model is not None:
                put(stage, model, yaw=facing(stage, model))
            else:
                furniture.chair(stage)
                if dice.chance(0.15):
                    person(stage, dice.uniform(1.5, 1.85), seated=True)
    return 0.85 if model is None else float(model.size[2])


def sofa_back(stage: Stage, near: float) -> float:
    """The back of a sofa, sometimes with somebody on it."""
    dice = stage.dice
    model = pick(stage, Use.FLOOR, 0.5, lambda model: model.category == "sofa")
    at = (dice.normalvariate(0.0, 0.4), near + 0.45, 0.0)
    with stage.frame(at, math.pi + dice.normalvariate(0.0, 0.2)):
        if model is not None:
            put(stage, model, yaw=facing(stage, model))
        else:
            furniture.sofa(stage, dice.uniform(0.9, 2.4))
            if dice.chance(0.2):
                person(stage, dice.uniform(1.5, 1.85), seated=True)
    return 0.85 if model is None else float(model.size[2])


def counter_top(stage: Stage, near: float) -> float:
    """A counter or an island of a kitchen, with things on it."""
    dice = stage.dice
    wide, deep, tall = dice.uniform(1.4, 3.2), dice.uniform(0.55, 0.9), dice.uniform(0.85, 1.1)
    # The camera is at its edge or leans over it.
    at = (dice.normalvariate(0.0, 0.5), near + deep / 2 - dice.uniform(0.0, 0.3), 0.0)
    with stage.frame(at, dice.choice((0.0, math.pi)) + dice.normalvariate(0.0, 0.2)):
        counter(stage, wide, deep, tall)
        clutter(stage, wide, deep, tall, dice.count(0, 7))
    return tall


def table_top(stage: Stage, near: float) -> float:
    """A laid table with chairs, and somebody on its other side."""
    dice = stage.dice
    wide, deep, tall = dice.uniform(0.9, 2.4), dice.uniform(0.7, 1.2), dice.uniform(0.68, 0.8)
    at = (dice.normalvariate(0.0, 0.3), near + deep / 2 - dice.uniform(0.0, 0.4), 0.0)
    with stage.frame(at, dice.normalvariate(0.0, 0.25)):
        furniture.table(stage, wide, deep, tall, laid=False)
        clutter(stage, wide, deep, tall, dice.count(1, 9))
        for side in (-1, 1):
            if dice.chance(0.5):
                place = (dice.uniform(-0.35, 0.35) * wide, deep / 2 + 0.25, 0.0)
                with stage.frame(place, dice.normalvariate(0.0, 0.3)):
                    furniture.chair(stage)
                    if side > 0 and dice.chance(0.5):
                        person(stage, dice.uniform(1.5, 1.85), seated=True)
    return tall


def office(stage: Stage, near: float) -> float:
    """A desk full of an office's clutter, more desks behind it, somebody between them."""
    dice = stage.dice
    wide, deep, tall = dice.uniform(1.3, 2.2), dice.uniform(0.65, 0.9), dice.uniform(0.7, 0.78)
    start = near - dice.uniform(0.0, 0.3)
    at = (dice.normalvariate(0.0, 0.3), start + deep / 2, 0.0)
    with stage.frame(at, dice.normalvariate(0.0, 0.2)):
        furniture.table(stage, wide, deep, tall, laid=False)
        papers(stage, wide, deep, tall)
        for _ in range(dice.count(0, 2)):
            place = (dice.uniform(-0.4, 0.4) * wide, deep / 2 - 0.16, tall)
            with stage.frame(place, dice.normalvariate(0.0, 0.4)):
                screen(stage, dice.uniform(0.4, 0.65))
        if dice.chance(0.7):
            keyboard(stage, (dice.uniform(-0.2, 0.2) * wide, -0.15 * deep, tall))
        clutter(stage, wide, 0.7 * deep, tall, dice.count(3, 10))
        if dice.chance(0.4):
            partition = stage.material(Texture.FABRIC, mix=dice.uniform(0, 0.6), gloss=0.0)
            high = dice.uniform(0.2, 0.5)
            stage.box((0, deep / 2 + 0.03, tall + high / 2), (wide, 0.04, high), partition)
    beyond = start + deep
    for _ in range(dice.count(0, 2)):
        place = (dice.normalvariate(0.0, 1.2), beyond + dice.uniform(0.6, 3.0), 0.0)
        if not stage.is_full and stage.claim(place, 0.8):
            with stage.frame(place, dice.choice((0.0, math.pi)) + dice.normalvariate(0.0, 0.1)):
                desk(stage, dice.uniform(1.2, 1.8), dice.uniform(0.6, 0.8), tall)
                with stage.frame((0.0, -0.7, 0.0), math.pi + dice.normalvariate(0.0, 0.5)):
                    furniture.chair(stage)
    if dice.chance(0.35):
        place = (dice.normalvariate(0.0, 0.9), beyond + dice.uniform(0.4, 2.0), 0.0)
        with stage.frame(place, dice.angle()):
            somebody(stage)
    return tall


def papers(stage: Stage, wide: float, deep: float, tall: float) -> None:
    """Sheets, piles, folders upright, cups, a laptop and a lamp on a desk."""
    dice = stage.dice
    for _ in range(dice.count(2, 7)):
        sheet = stage.material(Texture.PAGE, mix=1.0, scale=(0.21, 0.3), gloss=0.0)
        place = (dice.uniform(-0.42, 0.42) * wide, dice.uniform(-0.3, 0.2) * deep, tall)
        with stage.frame(place, dice.normalvariate(0.0, 0.5)):
            stage.box((0, 0, 0.002), (0.21, 0.3, 0.004), sheet)
    for _ in range(dice.count(1, 4)):
        place = (dice.uniform(-0.4, 0.4) * wide, dice.uniform(-0.2, 0.3) * deep, tall)
        with stage.frame(place, dice.normalvariate(0.0, 0.5)):
            dice.choice((book_pile, book_pile, mug, pen, laptop))(stage)
    if dice.chance(0.6):
        x, side = dice.uniform(0.2, 0.45) * wide, dice.sign()
        for k in range(dice.count(2, 7)):
            back = stage.plain(gloss=0.0)
            at = (side * x - side * 0.075 * k, deep / 2 - 0.17, tall + 0.16)
            stage.box(at, (0.065, 0.28, 0.32), back)
    if dice.chance(0.35):
        with stage.frame((dice.uniform(-0.4, 0.4) * wide, 0.25 * deep, tall)):
            furniture.lamp(stage, dice.uniform(0.35, 0.5))


def bed_or_ledge(stage: Stage, near: float) -> float:
    """The foot of a bed, a balustrade, a cabinet or a planted box."""
    dice = stage.dice
    at, kind = (dice.normalvariate(0.0, 0.4), near, 0.0), dice.random()
    wide = dice.uniform(1.2, 3.0)
    if kind < 0.3:
        with stage.frame((at[0], near + 0.9, 0.0), dice.normalvariate(0.0, 0.3)):
            furniture.bed(stage, dice.uniform(0.9, 1.8), 2.0)
        return 0.6
    tall = dice.uniform(0.75, 1.15)
    with stage.frame(at, dice.normalvariate(0.0, 0.25)):
        if kind < 0.6:
            stuff = stage.material(Texture.WOOD, Texture.STONE, Texture.WALL, mix=0.7, scale=1.5)
            stage.box((0, 0.1, tall / 2), (wide, dice.uniform(0.08, 0.3), tall), stuff)
            rail = stage.plain(np.full(3, dice.uniform(0.03, 0.5)), gloss=0.3)
            stage.box((0, 0.1, tall + 0.03), (wide + 0.1, 0.2, 0.06), rail)
        elif kind < 0.85:
            with stage.frame((0.0, 0.22, 0.0), dice.choice((0.0, math.pi))):
                furniture.cabinet(stage, wide, 0.44, tall)
        else:
            box = stage.material(Texture.WOOD, Texture.STONE, mix=0.7)
            stage.box((0, 0.15, 0.3), (wide, 0.3, 0.6), box)
            for k in range(4):
                with stage.frame(((k - 1.5) * wide / 4, 0.15, 0.4), dice.angle()):
                    potted_plant(stage, dice.uniform(0.35, 0.6))
    return tall


Foreground = Callable[[Stage, float], float]
"""Builder of a foreground at a distance [m]; it returns the height of its upper edge [m]."""
FOREGROUNDS: tuple[tuple[Foreground, float], ...] = (
    (chair_backs, 0.28), (sofa_back, 0.14), (counter_top, 0.16), (table_top, 0.15), (office, 0.19),
    (bed_or_ledge, 0.08),
)  # fmt: skip
"""Foregrounds with their weights."""
