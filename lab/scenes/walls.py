"""Walls: the shell of a room, furniture along the walls, and objects that hang on them.

The frame of a wall has its origin at the wall's centre on the floor, with +y into the wall.
"""

import math

import numpy as np

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.furnishing import facing, footprint, pick, put
from lab.scenes.kitchens import kitchen
from lab.scenes.models import Model, Use
from lab.scenes.openings import door, window
from lab.scenes.plants import potted_plant
from lab.scenes.rotations import turn_x, turn_y, turn_z
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture


def wall_material(stage: Stage, colour: Point, mix: float) -> int:
    """Add a material for a wall: paint, paper, brick, tiles or a mural."""
    dice = stage.dice
    uses = (Texture.WALL, Texture.BRICK, Texture.TILES, Texture.WOOD, Texture.STONE, Texture.PHOTO)
    use = dice.weighted(uses, (0.6, 0.1, 0.1, 0.07, 0.08, 0.05))
    scale = dice.log_uniform(0.8, 3.0)
    return stage.material(use, colour=colour, mix=mix, scale=scale, gloss=0.0)


def shell(stage: Stage, width: float, length: float, height: float) -> None:
    """The room's faces and skirting; sometimes a pillar, a beam, a doorway, a sloping ceiling."""
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
    if stage.aside.chance(0.1):
        stage.polish(floor, stage.aside.uniform(0.02, 0.08))
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
    """A wall across the room with a doorway, sometimes with its door ajar."""
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
    """A sloping ceiling on one side, such as under a roof."""
    dice = stage.dice
    side, lean = dice.sign(), dice.uniform(0.4, 1.0)
    reach = min(width * 0.6, height * 0.6 / math.tan(lean))
    at = np.array([side * (width / 2 - reach / 2), 0.0, height - reach * math.tan(lean) / 2])
    turn = turn_z(0.0 if side > 0 else math.pi) @ turn_y(lean)
    stage.box(at, (reach / math.cos(lean) + 0.2, length, 0.06), paint, turn)


def stand_along(stage: Stage, wide: float, height: float) -> None:
    """Furniture with its back to the wall: a kitchen, or several pieces side by side."""
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
    model = pick(stage, Use.FLOOR, 0.5, lambda model: fits_wall(model, wide, height))
    if model is not None:
        yaw = facing(stage, model)
        put(stage, model, (x, -footprint(model, yaw)[1] / 2 - 0.05, 0.0), yaw)
        return
    kind = dice.randrange(11)
    back = {2: -0.5, 3: -0.4, 4: -0.2, 5: -0.3, 6: -1.05, 7: -0.3, 9: -0.35, 10: -0.15}
    yaw = dice.normalvariate(0.0, 0.5) if kind == 7 else 0.0
    with stage.frame((x, back.get(kind, -depth / 2 - 0.02), 0.0), yaw):
        if kind == 0:
            furniture.shelf(stage, wide, depth * 0.7, min(height - 0.1, dice.uniform(0.8, 2.2)))
        elif kind == 1:
            furniture.cabinet(stage, wide, depth, min(height - 0.1, dice.uniform(0.4, 2.1)))
        else:
            stand_piece(stage, kind, wide)


def stand_piece(stage: Stage, kind: int, wide: float) -> None:
    """Furniture of a kind above 1, whose depth and height do not depend on the wall."""
    dice = stage.dice
    if kind == 2:
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


def fits_wall(model: Model, wide: float, height: float) -> bool:
    """Whether a model can stand at ``wide`` metres of a wall."""
    width, depth, top = map(float, model.size)
    return max(width, depth) < wide + 0.4 and min(width, depth) < 1.1 and top < height


def cartons(stage: Stage) -> None:
    """A heap of boxes, each on the floor or on those below it."""
    dice = stage.dice
    placed: list[tuple[float, float, float, float, float]] = []
    for _ in range(dice.count(2, 8)):
        size = dice.vector(0.15, 0.5)
        x, y = dice.normalvariate(0, 0.25), dice.normalvariate(0, 0.1)
        paint, turn = stage.material(scale=0.5), turn_z(dice.normalvariate(0, 0.3))
        floor = max(
            (
                top
                for a, b, wide, deep, top in placed
                if abs(x - a) < (size[0] + wide) / 2 and abs(y - b) < (size[1] + deep) / 2
            ),
            default=0.0,
        )
        if floor + size[2] < 1.4:
            stage.box((x, y, floor + size[2] / 2), size, paint, turn)
            placed.append((x, y, size[0], size[1], floor + size[2]))


def hang(stage: Stage, wide: float, height: float) -> None:
    """Pictures, mirrors, windows, doors, radiators and boards on the wall."""
    dice = stage.dice
    for _ in range(dice.count(0, 4)):
        x, kind = dice.uniform(-0.42, 0.42) * wide, dice.randrange(8)
        board = pick(stage, Use.WALL, 0.5) if kind < 3 else None
        if board is not None:
            yaw = 0.0 if board.size[0] >= board.size[1] else math.pi / 2
            put(stage, board, (x, -0.6 * min(board.size[:2]), dice.uniform(0.9, 1.5)), yaw)
        elif kind < 3:
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
    if stage.aside.chance(0.15):
        tall_mirror(stage, wide)


def picture(stage: Stage, x: float) -> None:
    """A picture or a mirror, framed or not, from a postcard to a mural."""
    dice = stage.dice
    wide, tall, z = (
        dice.log_uniform(0.15, 1.6),
        dice.log_uniform(0.15, 1.2),
        dice.uniform(1.2, 1.75),
    )
    board = stage.picture(wide, tall)
    if stage.aside.chance(0.2):
        board = stage.mirror()
    stage.box((x, -0.015, z), (wide, 0.03, tall), board)
    if dice.chance(0.5):
        edge, frame = dice.uniform(0.02, 0.06), stage.plain()
        for a in (-1, 1):
            stage.box((x + a * wide / 2, -0.02, z), (edge, 0.045, tall + edge), frame)
            stage.box((x, -0.02, z + a * tall / 2), (wide + edge, 0.045, edge), frame)


def tall_mirror(stage: Stage, wide: float) -> None:
    """A mirror as tall as a person, leaning against a free part of the wall."""
    aside = stage.aside
    x, across, tall = aside.uniform(-0.4, 0.4) * wide, aside.uniform(0.4, 1.0), 1.7
    if not stage.claim((x, -0.25, 0.0), across / 2):
        return
    lean = aside.uniform(0.03, 0.12)
    turn, out = turn_x(-lean), np.array([0.0, -math.cos(lean), math.sin(lean)])
    middle = np.array([x, -0.04 - tall / 2 * math.sin(lean), 0.01 + tall / 2 * math.cos(lean)])
    stage.box(middle, (across + 0.06, 0.03, tall), stage.coat(aside.vector(0.02, 0.6)), turn)
    stage.box(middle + 0.015 * out, (across, 0.01, tall - 0.06), stage.mirror(), turn)


def radiator(stage: Stage, x: float) -> None:
    """A ribbed radiator."""
    dice = stage.dice
    paint, ribs = stage.plain(np.full(3, dice.uniform(0.4, 0.9))), dice.count(5, 12)
    for k in range(ribs):
        stage.box((x + k * 0.07, -0.06, 0.4), (0.05, 0.09, 0.6), paint)
