"""Furniture: each piece stands on the floor of the current frame and faces -y."""

import math

import numpy as np

from lab.scenes.clutter import clutter
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import BARS, LATTICE, OPEN
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def timber(stage: Stage) -> int:
    """Add a material for furniture: wood, paint or any other."""
    kind = stage.dice.random()
    if kind < 0.5:
        return stage.material(
            Texture.WOOD, mix=stage.dice.uniform(0.5, 1), scale=stage.dice.uniform(0.5, 2)
        )
    if kind < 0.75:
        return stage.plain()
    return stage.material()


def upholstery(stage: Stage) -> int:
    """Add a material for seats and beds."""
    mix, scale = stage.dice.uniform(0, 1), stage.dice.uniform(0.2, 1.2)
    return stage.material(Texture.FABRIC, mix=mix, scale=scale, gloss=0.0)


def table(stage: Stage, width: float, depth: float, height: float, *, laid: bool = True) -> None:
    """A table or desk; with objects on it if ``laid``."""
    dice = stage.dice
    top, thick = timber(stage), dice.uniform(0.015, 0.06)
    base = top if dice.chance(0.5) else stage.plain()
    below, is_round = height - thick, dice.chance(0.2)
    if is_round:
        stage.cylinder((0, 0, height - thick / 2), width / 2, thick, top)
        stage.cylinder((0, 0, below / 2), 0.05, below, base)
        stage.cylinder((0, 0, 0.02), width * 0.25, 0.04, base)
    else:
        stage.box((0, 0, height - thick / 2), (width, depth, thick), top)
        dice.choice((table_legs, table_sides, table_drawers))(stage, width, depth, below, base)
    if laid:
        share = 0.7 if is_round else 1.0
        clutter(stage, width * share, depth * share, height, dice.count(0, 9))


def table_legs(stage: Stage, width: float, depth: float, height: float, material: int) -> None:
    """Four legs under a table."""
    dice = stage.dice
    thick, is_round = dice.uniform(0.012, 0.05), dice.chance(0.4)
    for a in (-1, 1):
        for b in (-1, 1):
            at = (a * (width / 2 - thick), b * (depth / 2 - thick), height / 2)
            if is_round:
                stage.cylinder(at, thick * 0.6, height, material, taper=dice.uniform(1.0, 1.6))
            else:
                stage.box(at, (thick * 2, thick * 2, height), material)
    if dice.chance(0.4):
        stage.box((0, depth / 2 - thick, height - 0.05), (width * 0.95, 0.02, 0.09), material)
        stage.box((0, -depth / 2 + thick, height - 0.05), (width * 0.95, 0.02, 0.09), material)


def table_sides(stage: Stage, width: float, depth: float, height: float, material: int) -> None:
    """Two boards under a table, sometimes a third behind."""
    for a in (-1, 1):
        stage.box((a * (width / 2 - 0.02), 0, height / 2), (0.03, depth * 0.95, height), material)
    if stage.dice.chance(0.5):
        stage.box((0, depth / 2 - 0.03, height * 0.6), (width * 0.95, 0.02, height * 0.5), material)


def table_drawers(stage: Stage, width: float, depth: float, height: float, material: int) -> None:
    """Drawers on one side of a desk."""
    x, handle = width / 2 - 0.22, stage.plain(gloss=0.4)
    stage.box((x, 0, height / 2), (0.42, depth * 0.95, height), material)
    for k in range(3):
        z = (k + 0.5) * height / 3
        stage.box((x, -depth * 0.475 - 0.005, z), (0.39, 0.02, height / 3 - 0.015), material)
        stage.box((x, -depth * 0.475 - 0.025, z + 0.05), (0.1, 0.02, 0.015), handle)
    stage.box((-width / 2 + 0.02, 0, height / 2), (0.03, depth * 0.95, height), material)


def chair(stage: Stage) -> None:
    """A chair: four legs or a swivel base, a back of board or bars, sometimes armrests."""
    dice = stage.dice
    seat = timber(stage) if dice.chance(0.5) else upholstery(stage)
    frame = stage.plain() if dice.chance(0.6) else seat
    wide, height, back = dice.uniform(0.38, 0.55), dice.uniform(0.4, 0.5), dice.uniform(0.3, 0.6)
    thick, lean = dice.uniform(0.02, 0.1), dice.uniform(0.0, 0.25)
    stage.box((0, 0, height - thick / 2), (wide, wide, thick), seat)
    at = (0, wide / 2 + math.sin(lean) * back / 2, height + back / 2 + dice.uniform(0, 0.1))
    if dice.chance(0.35):
        turn = turn_x(-lean) @ turn_x(math.pi / 2)
        pitch = wide / dice.count(3, 8)
        stage.card(
            at,
            wide * 0.95,
            back,
            frame,
            turn,
            holes=BARS,
            pitch=pitch,
            share=dice.uniform(0.15, 0.4),
        )
        rail = (0, at[1] + math.sin(lean) * back / 2, at[2] + back / 2)
        stage.box(rail, (wide * 0.97, 0.03, 0.06), frame, turn_x(-lean))
    else:
        stage.box(at, (wide * 0.95, dice.uniform(0.02, 0.08), back), seat, turn_x(-lean))
    chair_foot(stage, wide, height, frame)
    if dice.chance(0.35):
        for a in (-1, 1):
            stage.box((a * wide / 2, 0, height + 0.2), (0.05, wide * 0.8, 0.03), frame)
            stage.box((a * wide / 2, -0.1, height + 0.1), (0.03, 0.03, 0.2), frame)


def chair_foot(stage: Stage, wide: float, height: float, material: int) -> None:
    """Four legs with rails, or a column on five spokes."""
    dice = stage.dice
    if dice.chance(0.65):
        thick = dice.uniform(0.02, 0.04)
        for a in (-1, 1):
            for b in (-1, 1):
                at = (a * (wide / 2 - 0.025), b * (wide / 2 - 0.025), height / 2)
                stage.box(at, (thick, thick, height), material)
            if dice.chance(0.4):
                stage.box(
                    (a * (wide / 2 - 0.025), 0, height * 0.4), (0.02, wide * 0.9, 0.02), material
                )
        return
    stage.cylinder((0, 0, height / 2), 0.03, height, material)
    for k in range(5):
        angle = k * 2 * math.pi / 5
        at = (0.14 * math.cos(angle), 0.14 * math.sin(angle), 0.06)
        stage.box(at, (0.28, 0.04, 0.04), material, turn_z(angle))


def shelf(stage: Stage, width: float, depth: float, height: float) -> None:
    """Open shelves with books and other objects."""
    dice = stage.dice
    board, thick, floors = timber(stage), 0.02, dice.count(2, 6)
    for a in (-1, 1):
        stage.box((a * width / 2, 0, height / 2), (thick, depth, height), board)
    if dice.chance(0.7):
        stage.box((0, depth / 2, height / 2), (width, thick, height), board)
    for k in range(floors + 1):
        z = k * height / floors + (0.03 if k == 0 else -0.01)
        stage.box((0, 0, z), (width, depth, thick), board)
        if k < floors and dice.chance(0.85):
            gap = height / floors - 0.04
            if dice.chance(0.65):
                books(stage, width, depth, z + thick / 2, gap)
            else:
                clutter(stage, width * 0.8, depth * 0.6, z + thick / 2, dice.count(1, 3))


def books(stage: Stage, width: float, depth: float, z: float, gap: float) -> None:
    """A row of books: one box each, or a single block with a texture of spines, far cheaper."""
    dice = stage.dice
    if dice.chance(0.25):
        spines = stage.material(Texture.SPINES, mix=1.0, scale=(0.5, gap))
        wide, tall = width * dice.uniform(0.5, 0.95), gap * dice.uniform(0.7, 0.95)
        stage.box((-0.02, 0, z + tall / 2), (wide, depth * 0.7, tall), spines)
        return
    covers = [stage.material(scale=0.3) for _ in range(6)]
    x = -width / 2 + 0.03
    while x < width / 2 - 0.06 and not stage.is_full:
        thick, tall = dice.uniform(0.015, 0.08), gap * dice.uniform(0.5, 0.95)
        if dice.chance(0.9):
            at = (x + thick / 2, dice.uniform(-0.3, 0.2) * depth * 0.3, z + tall / 2)
            stage.box(at, (thick * 0.95, depth * dice.uniform(0.5, 0.8), tall), dice.choice(covers))
        x += thick + (dice.uniform(0.0, 0.3) if dice.chance(0.08) else 0.0)


def cabinet(stage: Stage, width: float, depth: float, height: float, *, laid: bool = True) -> None:
    """A closed cabinet with doors or drawers and their handles; a tall one may have mirrors."""
    dice = stage.dice
    board, handle = timber(stage), stage.plain(gloss=0.4)
    front = board if dice.chance(0.6) else timber(stage)
    if laid and height > 1.6 and stage.aside.chance(0.4):
        front = stage.mirror()
    stage.box((0, 0, height / 2), (width, depth, height), board)
    columns, rows = max(1, round(width / dice.uniform(0.35, 0.7))), dice.count(1, 3)
    wide, tall = width / columns, (height - 0.05) / rows
    is_upright, gap = dice.chance(0.5), dice.uniform(0.006, 0.02)
    bar = (0.015, 0.025, 0.12) if is_upright else (0.12, 0.025, 0.015)
    side, lift = dice.choice((-0.38, 0.0, 0.38)), dice.choice((0.0, 0.3))
    for i in range(columns):
        for j in range(rows):
            x, z = (i + 0.5) * wide - width / 2, 0.05 + (j + 0.5) * tall
            stage.box((x, -depth / 2 - 0.008, z), (wide - gap, 0.022, tall - gap), front)
            at = (x + side * wide, -depth / 2 - 0.03, z + lift * tall)
            stage.box(at, bar, handle)
    if laid and height < 1.3:
        clutter(stage, width, depth, height, dice.count(0, 6))


def sofa(stage: Stage, width: float) -> None:
    """A sofa or armchair with cushions."""
    dice = stage.dice
    cloth, height, depth = upholstery(stage), dice.uniform(0.36, 0.48), dice.uniform(0.75, 1.0)
    back = dice.uniform(0.35, 0.5)
    stage.box((0, 0, height / 2), (width, depth, height), cloth)
    stage.box(
        (0, depth / 2 - 0.1, height + back / 2),
        (width, 0.22, back),
        cloth,
        turn_x(-dice.uniform(0, 0.2)),
    )
    rise = dice.uniform(0.1, 0.25)
    for a in (-1, 1):
        x = a * (width / 2 - 0.08)
        stage.box((x, 0, (height + rise) / 2), (0.18, depth, height + rise), cloth)
        if dice.chance(0.6):
            stage.cylinder((x, 0, height + rise), 0.1, depth, cloth, turn_x(math.pi / 2))
    seats = dice.count(1, 3)
    wide = (width - 0.3) / seats
    for k in range(seats):
        at = ((k + 0.5) * wide - (width - 0.3) / 2, -0.05, height + 0.05)
        stage.box(at, (wide * 0.97, depth - 0.25, 0.12), cloth)
    for _ in range(dice.count(0, 4)):
        at = (dice.uniform(-0.4, 0.4) * width, depth / 2 - 0.32, height + 0.2)
        turn = turn_z(dice.normalvariate(0, 0.3)) @ turn_x(-dice.uniform(0.1, 0.5))
        stage.ellipsoid(at, (0.22, 0.09, 0.2), upholstery(stage), turn)


def bed(stage: Stage, width: float, length: float) -> None:
    """A bed with mattress, blanket and pillows; the head end is towards +y."""
    dice = stage.dice
    height, sheet = dice.uniform(0.25, 0.4), upholstery(stage)
    stage.box((0, 0, height / 2), (width, length, height), timber(stage))
    stage.box((0, 0, height + 0.1), (width * 0.97, length * 0.97, 0.2), sheet)
    stage.box(
        (0, -0.2 * length, height + 0.13), (width * 1.03, length * 0.62, 0.2), upholstery(stage)
    )
    for a in (-1, 1) if width > 1.2 else (0,):
        at = (a * width * 0.24, length * 0.4, height + 0.24)
        stage.ellipsoid(at, (0.33, 0.2, 0.1), upholstery(stage), turn_x(dice.uniform(0, 0.4)))
    stage.box((0, length / 2, height + 0.2), (width, 0.06, height + 0.7), timber(stage))


def lamp(stage: Stage, height: float) -> None:
    """A lamp on a thin stand."""
    dice = stage.dice
    metal, lit = stage.plain(), dice.choice((0.0, 0.0, 1.5))
    stage.cylinder((0, 0, 0.02), 0.13, 0.04, metal)
    stage.cylinder((0, 0, height / 2), dice.uniform(0.008, 0.018), height, metal)
    shade = stage.plain(np.array([0.9, 0.8, 0.6]), emission=lit)
    tall, wide = dice.uniform(0.15, 0.3), dice.uniform(0.1, 0.25)
    stage.cylinder((0, 0, height), wide, tall, shade, taper=dice.uniform(0.5, 1.0), holes=OPEN)


def rack(stage: Stage, width: float, height: float) -> None:
    """A rack of thin bars, such as a clothes rack, a cot, a gate or a drying rack."""
    dice = stage.dice
    metal, thick = stage.plain(), dice.uniform(0.008, 0.02)
    for a in (-1, 1):
        stage.cylinder((a * width / 2, 0, height / 2), thick, height, metal)
        stage.box((a * width / 2, 0, 0.02), (0.04, 0.45, 0.03), metal)
    stage.cylinder((0, 0, height), thick, width, metal, turn_z(math.pi / 2) @ turn_x(math.pi / 2))
    if dice.chance(0.5):
        holes, pitch = dice.choice((BARS, LATTICE)), dice.uniform(0.06, 0.2)
        at, turn = (0, 0, height / 2), turn_x(math.pi / 2)
        stage.card(
            at,
            width,
            height * 0.9,
            metal,
            turn,
            holes=holes,
            pitch=pitch,
            share=dice.uniform(0.08, 0.2),
        )
        return
    for _ in range(dice.count(2, 7)):
        x, tall = dice.uniform(-0.45, 0.45) * width, height * dice.uniform(0.4, 0.65)
        stage.ellipsoid((x, 0, height - tall / 2 - 0.05), (0.03, 0.22, tall / 2), upholstery(stage))
