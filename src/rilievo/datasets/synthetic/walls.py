"""Walls: the shell of a room, what stands along them and what hangs on them.

Along a wall, the frame has its origin at the wall's middle on the floor, and +y into the wall.
"""

import math

import numpy as np

from rilievo.datasets.synthetic import furniture
from rilievo.datasets.synthetic.clutter import clutter
from rilievo.datasets.synthetic.plants import potted_plant
from rilievo.datasets.synthetic.rotations import turn_x, turn_y, turn_z
from rilievo.datasets.synthetic.scene import BARS, Light
from rilievo.datasets.synthetic.stage import Point, Stage
from rilievo.datasets.synthetic.textures import Texture


def wall_material(stage: Stage, colour: Point, mix: float) -> int:
    """Add a material for a wall: paint, paper, brick, tiles or a mural."""
    dice = stage.dice
    uses = (Texture.WALL, Texture.BRICK, Texture.TILES, Texture.WOOD, Texture.STONE, Texture.PHOTO)
    use = dice.weighted(uses, (0.6, 0.1, 0.1, 0.07, 0.08, 0.05))
    scale = dice.log_uniform(0.8, 3.0)
    return stage.material(use, colour=colour, mix=mix, scale=scale, gloss=0.0)


def shell(stage: Stage, width: float, length: float, height: float) -> None:
    """The room's faces and skirting; at times a pillar, a beam, a doorway, a sloping ceiling."""
    dice = stage.dice
    colour = stage.colour()
    colour = colour / colour.max() * dice.uniform(0.3, 0.9)
    mix = dice.weighted((0.0, dice.uniform(0, 0.4), dice.uniform(0.4, 1)), (0.4, 0.3, 0.3))
    paint = wall_material(stage, colour, mix)
    faces = [paint] * 4
    if dice.chance(0.35):
        faces[dice.randrange(4)] = wall_material(stage, stage.colour(), 1.0)
    floors = (Texture.WOOD, Texture.TILES, Texture.STONE, Texture.SPECKLE, Texture.FABRIC)
    floor = stage.material(*floors, mix=dice.uniform(0.3, 1), scale=dice.log_uniform(0.6, 2.5))
    ceiling = stage.material(
        Texture.WALL, Texture.WALL, Texture.WOOD, colour=np.full(3, dice.uniform(0.5, 0.9)),
        mix=dice.choice((0.0, dice.uniform(0, 0.5))), gloss=0.0,
    )  # fmt: skip
    first, *_ = [stage.copy_material(face) for face in (*faces, floor, ceiling)]
    stage.room(width, length, height, first)
    if dice.chance(0.5):
        skirting(stage, width, length)
    if dice.chance(0.35) and min(width, length) > 2.5:
        pillar(stage, width, length, height, paint)
    if dice.chance(0.25) and min(width, length) > 2.5:
        partition(stage, width, length, height, paint)
    if dice.chance(0.12):
        slope(stage, width, length, height, paint)


def skirting(stage: Stage, width: float, length: float) -> None:
    """Boards at the foot of the walls."""
    board, tall = stage.plain(), stage.dice.uniform(0.06, 0.15)
    for a in (-1, 1):
        stage.box((a * width / 2, 0, tall / 2), (0.03, length, tall), board)
        stage.box((0, a * length / 2, tall / 2), (width, 0.03, tall), board)


def pillar(stage: Stage, width: float, length: float, height: float, paint: int) -> None:
    """A block in a corner or a free column, floor to ceiling, or a beam."""
    dice = stage.dice
    kind = dice.random()
    if kind < 0.5:
        a, b = dice.uniform(0.15, 0.5) * width, dice.uniform(0.15, 0.5) * length
        at = (dice.sign() * (width - a) / 2, dice.sign() * (length - b) / 2, height / 2)
        stage.box(at, (a, b, height), paint)
        stage.claim((at[0], at[1], 0), max(a, b) * 0.55)
    elif kind < 0.75:
        at = (dice.uniform(-0.3, 0.3) * width, dice.uniform(-0.3, 0.3) * length, height / 2)
        stage.cylinder(at, dice.uniform(0.1, 0.3), height, paint)
        stage.claim((at[0], at[1], 0), 0.4)
    else:
        for k in range(dice.count(1, 4)):
            stage.box((0, (k - 1.5) * length / 4, height - 0.1), (width, 0.15, 0.2), paint)


def partition(stage: Stage, width: float, length: float, height: float, paint: int) -> None:
    """A wall across the room with a doorway, and perhaps its door ajar."""
    dice = stage.dice
    y, middle = dice.uniform(-0.25, 0.25) * length, dice.uniform(-0.3, 0.3) * width
    half, tall = dice.uniform(0.35, 0.8), dice.uniform(1.95, 2.15)
    for start, end in ((-width / 2, middle - half), (middle + half, width / 2)):
        if end > start:
            stage.box(((start + end) / 2, y, height / 2), (end - start, 0.12, height), paint)
    stage.box((middle, y, (height + tall) / 2), (2 * half, 0.12, max(0.05, height - tall)), paint)
    frame = stage.plain()
    for a in (-1, 1):
        stage.box((middle + a * half, y, tall / 2), (0.08, 0.16, tall), frame)
    if dice.chance(0.5):
        with stage.frame((middle - half, y, 0), dice.uniform(0.5, 2)):
            stage.box((half, 0, tall / 2), (2 * half, 0.04, tall), furniture.timber(stage))


def slope(stage: Stage, width: float, length: float, height: float, paint: int) -> None:
    """A sloping ceiling on one side, as under a roof."""
    dice = stage.dice
    side, lean = dice.sign(), dice.uniform(0.4, 1.0)
    reach = min(width * 0.6, height * 0.6 / math.tan(lean))
    at = np.array([side * (width / 2 - reach / 2), 0.0, height - reach * math.tan(lean) / 2])
    turn = turn_z(0.0 if side > 0 else math.pi) @ turn_y(lean)
    stage.box(at, (reach / math.cos(lean) + 0.2, length, 0.06), paint, turn)


def stand_along(stage: Stage, wide: float, height: float) -> None:
    """Furniture with its back to the wall: a kitchen, or pieces side by side."""
    dice = stage.dice
    if dice.chance(0.2) and wide > 1.5:
        kitchen(stage, wide)
        return
    x = -wide / 2 + dice.uniform(0.0, 0.5)
    while x < wide / 2 - 0.4:
        room = dice.uniform(0.5, 1.8)
        if x + room > wide / 2:
            break
        depth = dice.uniform(0.25, 0.6)
        at = (x + room / 2, -depth, 0.0)
        if not stage.is_full and dice.chance(0.9) and stage.claim(at, room * 0.3):
            stand(stage, x + room / 2, room, depth, height)
        x += room + dice.uniform(0.0, 0.35)


def stand(stage: Stage, x: float, wide: float, depth: float, height: float) -> None:
    """One piece of furniture at ``x`` along the wall."""
    dice = stage.dice
    kind = dice.randrange(11)
    back = {2: -0.5, 3: -0.4, 4: -0.2, 5: -0.3, 6: -1.05, 7: -0.3, 9: -0.35, 10: -0.15}
    yaw = dice.normalvariate(0.0, 0.5) if kind == 7 else 0.0
    with stage.frame((x, back.get(kind, -depth / 2 - 0.02), 0.0), yaw):
        if kind == 0:
            furniture.shelf(stage, wide, depth * 0.7, min(height - 0.1, dice.uniform(0.8, 2.2)))
        elif kind == 1:
            furniture.cabinet(stage, wide, depth, min(height - 0.1, dice.uniform(0.4, 2.1)))
        elif kind == 2:
            furniture.sofa(stage, max(wide, 1.0))
        elif kind == 3:
            furniture.table(stage, wide, dice.uniform(0.5, 0.8), dice.uniform(0.65, 0.8))
            stage.subjects.append(stage.world((0, 0, 0.75)))
            with stage.frame((0, -0.6, 0), math.pi + dice.normalvariate(0.0, 0.5)):
                furniture.chair(stage)
        elif kind == 4:
            furniture.lamp(stage, dice.uniform(1.1, 1.8))
        elif kind == 5:
            potted_plant(stage, dice.uniform(0.6, 1.8))
        elif kind == 6:
            furniture.bed(stage, dice.uniform(0.9, 1.8), 2.0)
        elif kind == 7:
            furniture.chair(stage)
        elif kind == 10:
            furniture.rack(stage, wide, dice.uniform(0.8, 1.7))
        else:
            cartons(stage)


def cartons(stage: Stage) -> None:
    """A heap of boxes."""
    dice = stage.dice
    for k in range(dice.count(2, 8)):
        size = dice.vector(0.15, 0.5)
        at = (dice.normalvariate(0, 0.25), dice.normalvariate(0, 0.1), size[2] / 2 + (k % 3) * 0.3)
        stage.box(at, size, stage.material(scale=0.5), turn_z(dice.normalvariate(0, 0.3)))


def kitchen(stage: Stage, wide: float) -> None:
    """Cabinets under a worktop, cabinets above, a refrigerator."""
    dice = stage.dice
    run, height = min(wide * dice.uniform(0.5, 1.0), 5.0), dice.uniform(0.85, 0.95)
    x = -wide / 2 + run / 2 + dice.random() * (wide - run)
    with stage.frame((x, -0.3, 0.0)):
        furniture.cabinet(stage, run, 0.6, height)
        top = stage.material(Texture.STONE, Texture.WOOD, Texture.SPECKLE, mix=dice.uniform(0, 1))
        stage.box((0, -0.01, height + 0.02), (run, 0.64, 0.04), top)
        stage.subjects.append(stage.world((0, 0, height)))
        stage.claim((0, 0, 0), run * 0.35)
    if dice.chance(0.8):
        with stage.frame((x, -0.18, dice.uniform(1.35, 1.6))):
            above = run * dice.uniform(0.4, 1.0)
            furniture.cabinet(stage, above, 0.36, dice.uniform(0.5, 0.8), laid=False)
    if dice.chance(0.4):
        with stage.frame((x + run / 2 + 0.35, -0.33, 0.0)):
            furniture.cabinet(stage, 0.65, 0.66, dice.uniform(1.5, 2.1), laid=False)


def hang(stage: Stage, wide: float, height: float) -> None:
    """Pictures, windows, doors, radiators and boards on the wall."""
    dice = stage.dice
    for _ in range(dice.count(0, 4)):
        x, kind = dice.uniform(-0.42, 0.42) * wide, dice.randrange(8)
        if kind < 3:
            picture(stage, x)
        elif kind < 5:
            window(stage, x, height)
        elif kind == 5:
            door(stage, x)
        elif kind == 6:
            radiator(stage, x)
        else:
            with stage.frame((x, -0.12, dice.uniform(1.1, 1.8))):
                stage.box((0, 0, 0), (dice.uniform(0.4, 1.2), 0.24, 0.025), furniture.timber(stage))
                clutter(stage, 0.6, 0.2, 0.012, dice.count(0, 5))


def picture(stage: Stage, x: float) -> None:
    """A picture, framed or not, from a postcard to a mural."""
    dice = stage.dice
    wide, tall, z = (
        dice.log_uniform(0.15, 1.6),
        dice.log_uniform(0.15, 1.2),
        dice.uniform(1.2, 1.75),
    )
    stage.box((x, -0.015, z), (wide, 0.03, tall), stage.picture(wide, tall))
    if dice.chance(0.5):
        edge, frame = dice.uniform(0.02, 0.06), stage.plain()
        for a in (-1, 1):
            stage.box((x + a * wide / 2, -0.02, z), (edge, 0.045, tall + edge), frame)
            stage.box((x, -0.02, z + a * tall / 2), (wide + edge, 0.045, edge), frame)


def window(stage: Stage, x: float, height: float) -> None:
    """A bright window with its frame, giving light; perhaps curtains or blinds."""
    dice = stage.dice
    wide, tall = dice.uniform(0.6, 1.8), dice.uniform(0.7, min(1.6, height - 0.9))
    z = min(dice.uniform(1.3, 1.6), height - tall / 2 - 0.1)
    view = stage.material(
        Texture.PHOTO, Texture.FACADE, Texture.FOLIAGE,
        colour=np.ones(3), mix=dice.choice((0.3, 1.0)),
        scale=(wide, tall), emission=dice.uniform(0.5, 4), gloss=0.0,
    )  # fmt: skip
    frame = stage.plain(np.full(3, dice.uniform(0.2, 0.8)))
    stage.box((x, 0, z), (wide, 0.04, tall), view)
    for a in (-1, 0, 1):
        stage.box((x + a * wide / 2, -0.02, z), (0.06, 0.07, tall + 0.06), frame)
    for a in (-1, 1):
        stage.box((x, -0.02, z + a * tall / 2), (wide, 0.07, 0.06), frame)
    colour = np.array([1.0, dice.uniform(0.9, 1.0), dice.uniform(0.8, 1.2)])
    stage.lights.append(
        Light(
            position=stage.world((x, -0.25, z)),
            distant=False,
            size=0.35,
            colour=dice.uniform(1, 5) * colour,
        )
    )
    kind = dice.random()
    if kind < 0.4:
        curtains(stage, x, wide)
    elif kind < 0.55:
        slats = stage.plain()
        turn = turn_x(math.pi / 2) @ turn_z(math.pi / 2)
        drop = tall * dice.uniform(0.3, 1.0)
        at = (x, -0.08, z + (tall - drop) / 2)
        stage.card(
            at, drop, wide, slats, turn, holes=BARS, pitch=0.06, share=dice.uniform(0.3, 0.8)
        )


def curtains(stage: Stage, x: float, wide: float) -> None:
    """Folds of cloth on both sides of a window."""
    dice = stage.dice
    cloth, rod = furniture.upholstery(stage), stage.plain()
    for a in (-1, 1):
        for fold in range(dice.count(2, 6)):
            at = (x + a * (wide / 2 + 0.05 + fold * 0.07), -0.1 + 0.02 * (fold % 2), 1.2)
            stage.cylinder(at, 0.045, 2.2, cloth)
    along = turn_z(math.pi / 2) @ turn_x(math.pi / 2)
    stage.cylinder((x, -0.1, 2.32), 0.012, wide + 0.9, rod, along)


def door(stage: Stage, x: float) -> None:
    """A closed door with frame, panels and handle."""
    dice = stage.dice
    wide, leaf = dice.uniform(0.75, 0.95), furniture.timber(stage)
    frame = leaf if dice.chance(0.4) else stage.plain()
    stage.box((x, -0.01, 1.0), (wide, 0.05, 2.02), leaf)
    for a in (-1, 1):
        stage.box((x + a * wide / 2, -0.02, 1.03), (0.08, 0.07, 2.08), frame)
    stage.box((x, -0.02, 2.06), (wide + 0.08, 0.07, 0.08), frame)
    if dice.chance(0.5):
        for z in (0.55, 1.5):
            stage.box((x, -0.04, z), (wide * 0.65, 0.02, 0.75), leaf)
    stage.box(
        (x + dice.sign() * wide * 0.4, -0.07, 1.0), (0.12, 0.03, 0.02), stage.plain(gloss=0.5)
    )


def radiator(stage: Stage, x: float) -> None:
    """A ribbed radiator."""
    dice = stage.dice
    paint, ribs = stage.plain(np.full(3, dice.uniform(0.4, 0.9))), dice.count(5, 12)
    for k in range(ribs):
        stage.box((x + k * 0.07, -0.06, 0.4), (0.05, 0.09, 0.6), paint)
