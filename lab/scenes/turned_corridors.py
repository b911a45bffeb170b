"""Corridors of hospitals, schools and offices, and wide halls with doors, by a rolled camera.

The corridor leads along y. Rooms lie behind its walls, and open doorways show them.
"""

import math
from dataclasses import dataclass

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.figures import somebody
from lab.scenes.furnishing import facing, footprint, pick, put
from lab.scenes.models import Use
from lab.scenes.near import door_leaf
from lab.scenes.openings import door, window
from lab.scenes.passages import lamps
from lab.scenes.plants import potted_plant
from lab.scenes.rotations import turn_x
from lab.scenes.scene import GLASS
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Cover, Standpoint, Venue, indoor_ambience
from lab.scenes.walls import cartons, picture, radiator

ROLL = math.radians(12)
"""Standard deviation of the camera's roll [rad]."""
THICK = 0.14
"""Thickness of a corridor's walls [m]."""
BESIDE = 0.5
"""Share of the cameras beside which a wall fills about half of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Size and finish of a corridor or hall.

    Attributes:
        width: Distance of its walls [m].
        length: Distance of its ends [m].
        height: Height of its ceiling [m].
        room: Depth of the rooms on both sides [m].
        paint: Material of its walls.
    """

    width: float
    length: float
    height: float
    room: float
    paint: int


def turned_corridor(stage: Stage) -> Venue:
    """Build a corridor or a hall around a camera that is rolled and tilted."""
    dice = stage.dice
    passage = enclose(stage)
    width, length, height = passage.width, passage.length, passage.height
    is_beside, side = dice.chance(BESIDE), dice.sign()
    y = dice.uniform(-0.46, 0.1) * length
    if is_beside:
        x = side * (width / 2 - dice.uniform(0.35, 0.9))
        yaw = math.pi / 2 - side * dice.uniform(0.1, 0.75)
    else:
        x = dice.uniform(-0.4, 0.4) * width
        yaw = math.pi / 2 + dice.normalvariate(0.0, 0.35)
    stage.claim((x, y, 0.0), 0.7)
    for wall in (-1, 1):
        with stage.frame((wall * width / 2, 0.0, 0.0), -wall * math.pi / 2):
            side_wall(stage, passage)
    ends(stage, passage)
    overhead(stage, passage)
    lamps(stage, length, height)
    for _ in range(dice.count(0, 3)):
        at = (dice.uniform(-0.35, 0.35) * width, dice.uniform(y + 1.2, length / 2), 0.0)
        if stage.claim(at, 0.35):
            with stage.frame(at, dice.angle()):
                somebody(stage)
    eye = dice.weighted((dice.uniform(1.2, 1.8), dice.uniform(0.4, 1.2)), (0.7, 0.3))
    standpoint = Standpoint(
        origin=np.array([x, y, min(eye, height - 0.4)]), yaw=yaw,
        pitch=dice.normalvariate(-0.04, 0.17), roll=ROLL, yaw_spread=0.08,
    )  # fmt: skip
    return Venue(
        stage=stage, approach=Approach.STANDPOINT, width=width, length=length, height=height,
        ambience=indoor_ambience(dice), standpoint=standpoint,
        cover=Cover(within=1.8, least=0.3, most=0.75) if is_beside else None,
    )  # fmt: skip


def enclose(stage: Stage) -> Passage:
    """Draw the size of a passage, and add the floor, the ceiling and what is behind its rooms."""
    dice = stage.dice
    is_hall = dice.chance(0.3)
    width = dice.uniform(4.0, 9.0) if is_hall else dice.uniform(1.5, 3.2)
    length, height = dice.uniform(9.0, 32.0), dice.uniform(2.3, 3.0)
    if is_hall:
        height += dice.uniform(0.2, 2.0)
    pale = dice.uniform(0.35, 0.9) * np.array(dice.vector(0.8, 1.0))
    mix = dice.weighted((0.0, dice.uniform(0, 0.4), dice.uniform(0.4, 1)), (0.45, 0.35, 0.2))
    use = dice.weighted((Texture.WALL, Texture.BRICK, Texture.TILES), (0.8, 0.1, 0.1))
    paint = stage.material(use, colour=pale, mix=mix, scale=dice.uniform(1, 3), gloss=0.0)
    floor = stage.material(
        Texture.SPECKLE, Texture.SPECKLE, Texture.TILES, Texture.STONE, Texture.WOOD,
        Texture.CARPET, colour=dice.uniform(0.1, 0.7) * np.array(dice.vector(0.75, 1.0)),
        mix=dice.uniform(0.05, 0.9), scale=dice.uniform(1, 3),
        mirror=dice.uniform(0.02, 0.15) if dice.chance(0.5) else 0.0,
    )  # fmt: skip
    ceiling = stage.material(
        Texture.WALL, Texture.TILES, colour=np.full(3, dice.uniform(0.5, 0.9)),
        mix=dice.choice((0.0, 0.2, 0.5)), scale=dice.choice((1.2, 2.4)), gloss=0.0,
    )  # fmt: skip
    room = dice.uniform(2.5, 5.0)
    first, *_ = [stage.copy_material(face) for face in (*[paint] * 4, floor, ceiling)]
    stage.room(width + 2 * room, length, height, first)
    return Passage(width=width, length=length, height=height, room=room, paint=paint)


def side_wall(stage: Stage, passage: Passage) -> None:
    """A wall with doors and open doorways, in its own frame, and what is on it and beside it."""
    dice, length = stage.dice, passage.length
    step, x = dice.uniform(2.0, 5.0), -length / 2
    share, tall = dice.uniform(0.1, 0.5), dice.uniform(2.0, 2.2)
    trim, start = Trim.of(stage), -length / 2
    while x + step < length / 2:
        middle = x + step / 2 + dice.normalvariate(0.0, 0.1)
        wide = dice.weighted((dice.uniform(0.8, 1.1), dice.uniform(1.3, 2.4)), (0.75, 0.25))
        if dice.chance(share):
            stretch(stage, passage, trim, start, middle - wide / 2)
            doorway(stage, passage, middle, wide, tall)
            start = middle + wide / 2
        elif dice.chance(0.65):
            door(stage, middle)
            if dice.chance(0.3):
                sign(stage, middle + 0.7)
        else:
            fixture(stage, middle)
        if dice.chance(0.4):
            stand_beside(stage, passage, x + dice.uniform(-0.1, 0.1))
        x += step
    stretch(stage, passage, trim, start, length / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """Strip along a wall; None for none.

    Attributes:
        panel: Material of the lower part of the wall.
        top: Height of this part [m].
        rail: Material of a handrail.
        foot: Material of the skirting.
    """

    panel: int | None
    top: float
    rail: int | None
    foot: int | None

    @classmethod
    def of(cls, stage: Stage) -> "Trim":
        """Draw the trim of a wall."""
        dice = stage.dice
        colour = dice.uniform(0.1, 0.7) * np.array(dice.vector(0.5, 1.0))
        panel = stage.material(Texture.WALL, Texture.WOOD, Texture.TILES, colour=colour,
                               mix=dice.choice((0.0, 0.3, 0.8)), scale=1.5)  # fmt: skip
        rail = stage.material(Texture.WOOD, mix=dice.uniform(0, 1), scale=1.0)
        return cls(
            panel=panel if dice.chance(0.4) else None, top=dice.uniform(0.9, 1.5),
            rail=rail if dice.chance(0.45) else None,
            foot=stage.plain() if dice.chance(0.7) else None,
        )  # fmt: skip


def stretch(stage: Stage, passage: Passage, trim: Trim, start: float, end: float) -> None:
    """A piece of wall between two places along it [m], with its trim."""
    wide, middle, height = end - start, (start + end) / 2, passage.height
    if wide < 0.02:
        return
    stage.box((middle, THICK / 2, height / 2), (wide, THICK, height), passage.paint)
    if trim.panel is not None:
        stage.box((middle, -0.004, trim.top / 2), (wide, 0.012, trim.top), trim.panel)
    if trim.rail is not None:
        stage.box((middle, -0.06, 0.9), (max(0.1, wide - 0.1), 0.05, 0.12), trim.rail)
    if trim.foot is not None:
        stage.box((middle, -0.008, 0.06), (wide, 0.02, 0.12), trim.foot)


def doorway(stage: Stage, passage: Passage, x: float, wide: float, tall: float) -> None:
    """An open doorway with the room behind it, and often its leaf."""
    dice, height = stage.dice, passage.height
    above = height - tall
    stage.box((x, THICK / 2, tall + above / 2), (wide, THICK, above), passage.paint)
    frame = stage.plain()
    for side in (-1, 1):
        post = (x + side * wide / 2, THICK / 2, tall / 2)
        stage.box(post, (0.07, THICK + 0.05, tall), frame)
    stage.box((x, THICK / 2, tall), (wide + 0.07, THICK + 0.05, 0.07), frame)
    if dice.chance(0.6):
        # Into the room, or into the corridor where it narrows the view.
        swing = dice.weighted((dice.uniform(0.5, 1.7), -dice.uniform(0.5, 1.8)), (0.7, 0.3))
        with stage.frame((x - wide / 2, THICK / 2, 0.0), swing):
            door_leaf(stage)
    with stage.frame((x, passage.room / 2, 0.0), dice.choice((0.0, math.pi))):
        contents(stage)
    if dice.chance(0.5):
        with stage.frame((0.0, passage.room, 0.0)):
            window(stage, x + dice.uniform(-0.3, 0.3), height)
            del stage.lights[1:]
    if dice.chance(0.5):
        side = x + dice.sign() * (wide / 2 + dice.uniform(0.3, 1.5))
        partition = (side, passage.room / 2 + THICK, height / 2)
        stage.box(partition, (0.1, passage.room, height), passage.paint)


def contents(stage: Stage) -> None:
    """A piece of furniture in a room at the side."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.35:
        furniture.bed(stage, 0.95, 2.0)
    elif kind < 0.6:
        furniture.table(stage, dice.uniform(0.8, 1.8), 0.7, 0.74)
    elif kind < 0.8:
        furniture.cabinet(stage, dice.uniform(0.6, 1.5), 0.45, dice.uniform(0.8, 2.0))
    else:
        furniture.chair(stage)


def sign(stage: Stage, x: float) -> None:
    """A plate beside a door, or a sign that stands out from the wall."""
    dice = stage.dice
    wide, tall = dice.uniform(0.12, 0.35), dice.uniform(0.1, 0.3)
    face = stage.material(Texture.PAGE, Texture.PICTURE, mix=1.0, scale=(wide, tall))
    if dice.chance(0.6):
        stage.box((x, -0.01, dice.uniform(1.4, 1.7)), (wide, 0.02, tall), face)
    else:
        stage.box((x, -wide / 2, dice.uniform(2.0, 2.2)), (0.02, wide, tall), face)


def fixture(stage: Stage, x: float) -> None:
    """Something flat on a wall: a picture, a board, a radiator, an extinguisher, a cupboard."""
    dice = stage.dice
    kind = dice.randrange(6)
    if kind < 2:
        picture(stage, x)
    elif kind == 2:
        radiator(stage, x)
    elif kind == 3:
        wide, tall = dice.uniform(0.6, 1.8), dice.uniform(0.5, 1.1)
        cork = stage.material(Texture.SPECKLE, Texture.PAGE, mix=0.8, scale=(wide, tall))
        stage.box((x, -0.015, 1.5), (wide, 0.03, tall), cork)
    elif kind == 4:
        red = stage.plain((0.5, 0.02, 0.02), gloss=0.4)
        stage.cylinder((x, -0.1, 0.9), 0.08, 0.5, red)
        stage.cylinder((x, -0.1, 1.18), 0.03, 0.08, stage.plain((0.02,) * 3))
    else:
        with stage.frame((x, -0.1, dice.uniform(0.9, 1.4))):
            furniture.cabinet(stage, dice.uniform(0.3, 0.8), 0.2, 0.6, laid=False)


def stand_beside(stage: Stage, passage: Passage, x: float) -> None:
    """Something on the floor at a wall: a bed, a trolley, chairs, a plant, boxes, a cabinet."""
    dice = stage.dice
    if stage.is_full:
        return
    is_wide, kind = passage.width > 2.2, dice.random()
    deep = 0.5 if is_wide else 0.3
    if not stage.claim((x, -deep, 0.0), deep):
        return
    model = pick(stage, Use.FLOOR, 0.3, lambda model: min(model.size[:2]) < 1.6 * deep)
    if model is not None and max(model.size[:2]) < 2.2:
        yaw = facing(stage, model)
        put(stage, model, (x, -footprint(model, yaw)[1] / 2 - 0.08, 0.0), yaw)
    elif kind < 0.25 and is_wide:
        with stage.frame((x, -0.55, 0.0), dice.choice((-1, 1)) * math.pi / 2):
            bed_on_wheels(stage)
    elif kind < 0.45 and is_wide:
        with stage.frame((x, -0.35, 0.0)):
            trolley(stage)
    elif kind < 0.7 and is_wide:
        for k in range(dice.count(1, 4)):
            with stage.frame((x + 0.58 * k, -0.4, 0.0)):
                furniture.chair(stage)
    elif kind < 0.85:
        with stage.frame((x, -0.3, 0.0)):
            potted_plant(stage, dice.uniform(0.6, 1.7))
    elif kind < 0.93:
        with stage.frame((x, -0.35, 0.0)):
            cartons(stage)
    else:
        with stage.frame((x, -0.22, 0.0)):
            furniture.cabinet(stage, dice.uniform(0.5, 1.4), 0.4, dice.uniform(0.8, 1.9))


def bed_on_wheels(stage: Stage) -> None:
    """A bed of a hospital: a mattress between rails on wheels; its head end is towards +y."""
    dice = stage.dice
    metal, high = stage.plain(np.full(3, dice.uniform(0.3, 0.8)), gloss=0.3), dice.uniform(0.5, 0.7)
    stage.box((0, 0, high - 0.1), (0.85, 2.0, 0.06), metal)
    stage.box((0, 0, high + 0.02), (0.85, 1.95, 0.16), furniture.upholstery(stage))
    stage.ellipsoid((0, 0.75, high + 0.16), (0.3, 0.18, 0.08), furniture.upholstery(stage))
    for end in (-1, 1):
        board = (0, end * 1.0, high + 0.15)
        stage.box(board, (0.9, 0.04, 0.6), metal)
        for side in (-1, 1):
            stage.box((side * 0.38, end * 0.85, high / 2), (0.05, 0.05, high - 0.2), metal)
            stage.ellipsoid((side * 0.38, end * 0.85, 0.07), (0.03, 0.07, 0.07), metal)
    for side in (-1, 1):
        stage.box((side * 0.46, 0.2, high + 0.25), (0.02, 1.0, 0.03), metal)
        for k in range(3):
            stage.box((side * 0.46, 0.2 + 0.45 * (k - 1), high + 0.1), (0.02, 0.02, 0.3), metal)


def trolley(stage: Stage) -> None:
    """A trolley with shelves and things on them, or a closed one with drawers."""
    dice = stage.dice
    wide, high = dice.uniform(0.5, 0.9), dice.uniform(0.8, 1.05)
    metal = stage.plain(np.full(3, dice.uniform(0.2, 0.8)), gloss=0.3)
    if dice.chance(0.4):
        with stage.frame((0, 0, 0.1)):
            furniture.cabinet(stage, wide, 0.45, high - 0.1)
        return
    for z in (0.2, 0.55, high):
        stage.box((0, 0, z), (wide, 0.45, 0.02), metal)
        clutter(stage, wide, 0.4, z + 0.01, dice.count(0, 3))
    for a in (-1, 1):
        for b in (-1, 1):
            at = (a * (wide / 2 - 0.02), b * 0.2, high / 2)
            stage.cylinder(at, 0.015, high, metal)


def ends(stage: Stage, passage: Passage) -> None:
    """Close the corridor at both ends: doors, a bright window, a picture."""
    dice = stage.dice
    for end in (-1, 1):
        with stage.frame((0.0, end * passage.length / 2, 0.0), 0.0 if end > 0 else math.pi):
            kind = dice.random()
            if kind < 0.35:
                door(stage, dice.uniform(-0.2, 0.2) * passage.width)
            elif kind < 0.6:
                double_door(stage)
            elif kind < 0.85:
                window(stage, 0.0, passage.height)
                del stage.lights[1:]
            else:
                picture(stage, 0.0)


def double_door(stage: Stage) -> None:
    """Two leaves with panes."""
    dice = stage.dice
    leaf, frame = furniture.timber(stage), stage.plain()
    glass = stage.plain(np.full(3, 0.06), gloss=0.4, mirror=GLASS)
    for side in (-1, 1):
        stage.box((side * 0.46, -0.01, 1.02), (0.9, 0.06, 2.04), leaf)
        stage.box((side * 0.5, -0.045, 1.4), (0.35, 0.01, dice.uniform(0.5, 1.0)), glass)
        stage.box((side * 0.95, -0.02, 1.03), (0.08, 0.08, 2.08), frame)
    stage.box((0.0, -0.02, 2.08), (2.0, 0.08, 0.08), frame)


def overhead(stage: Stage, passage: Passage) -> None:
    """Frames of fire doors across the corridor, hanging signs, pipes and beams."""
    dice, width, height = stage.dice, passage.width, passage.height
    step = dice.uniform(5, 12)
    if dice.chance(0.5) and width < 4:
        frame, jamb = stage.plain(), dice.uniform(0.05, 0.3)
        for k in range(int(passage.length / step)):
            y, top = -passage.length / 2 + (k + 0.7) * step, min(2.2, height - 0.1)
            for side in (-1, 1):
                at = (side * (width - jamb) / 2, y, height / 2)
                stage.box(at, (jamb, 0.15, height), frame)
            stage.box((0, y, (top + height) / 2), (width, 0.15, height - top), frame)
            if dice.chance(0.5):
                with stage.frame((-width / 2 + jamb, y, 0.0), dice.uniform(1.1, 1.6)):
                    door_leaf(stage)
    for _ in range(dice.count(0, 2)):
        wide, tall = dice.uniform(0.5, 1.2), dice.uniform(0.15, 0.3)
        at = (0.0, dice.uniform(-0.4, 0.45) * passage.length, height - 0.1 - tall / 2)
        face = stage.material(Texture.PAGE, Texture.PICTURE, mix=1.0, scale=(wide, tall),
                              emission=dice.choice((0.0, 1.0)))  # fmt: skip
        stage.box(at, (wide, 0.05, tall), face)
    if dice.chance(0.25):
        pipe = stage.plain(gloss=0.2)
        for k in range(dice.count(1, 4)):
            x, radius = dice.uniform(-0.45, 0.45) * width, dice.uniform(0.02, 0.12)
            at = (x, 0.0, height - 0.05 - radius - 0.02 * k)
            stage.cylinder(at, radius, passage.length, pipe, turn_x(math.pi / 2))
