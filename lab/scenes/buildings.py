"""Houses and roadside objects."""

import math

import numpy as np

from lab.scenes import furniture
from lab.scenes.furnishing import pick, put
from lab.scenes.models import Use
from lab.scenes.plants import bush, tree
from lab.scenes.rotations import turn_x, turn_y, turn_z
from lab.scenes.scene import BARS, GLASS, OPEN
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def house(stage: Stage, width: float, depth: float, *, is_near: bool = True) -> None:
    """A house facing -y, centred on the frame: textured windows, some modelled ones, a roof."""
    dice = stage.dice
    storey, floors = (
        dice.uniform(2.6, 3.4),
        dice.weighted((1, 2, 3, 4, 6), (0.3, 0.3, 0.2, 0.1, 0.1)),
    )
    height = storey * floors
    use = dice.weighted(
        (Texture.FACADE, Texture.BRICK, Texture.WALL, Texture.PHOTO), (0.65, 0.15, 0.15, 0.05)
    )
    scale = storey * dice.choice((1, 2, 3)) if use == Texture.FACADE else dice.uniform(1, 4)
    wall = stage.material(use, mix=dice.uniform(0.5, 1), scale=scale, gloss=0.0)
    stage.box((0, 0, height / 2), (width, depth, height), wall)
    if floors <= 3 and dice.chance(0.55):
        gable(stage, width, depth, height)
    else:
        stage.box((0, 0, height + 0.2), (width + 0.4, depth + 0.4, 0.4), stage.plain())
    if is_near:
        if use != Texture.FACADE or dice.chance(0.3):
            windows(stage, width, depth, storey, floors)
        entrance(stage, width, depth)


def gable(stage: Stage, width: float, depth: float, height: float) -> None:
    """A roof pitched at 45° with its ridge along x."""
    dice = stage.dice
    tiles = stage.material(Texture.BRICK, Texture.TILES, mix=0.6, gloss=0.0)
    run = depth / 2 + 0.4
    for side in (-1, 1):
        at = (0, side * run / 2, height + run / 2 - 0.25)
        stage.box(at, (width + 0.6, run * math.sqrt(2), 0.15), tiles, turn_x(-side * math.pi / 4))
    # A square prism on its edge, half inside the walls, closes the gable ends.
    half = depth / math.sqrt(2)
    stage.box((0, 0, height), (width * 0.98, half, half), stage.plain(), turn_x(math.pi / 4))
    if dice.chance(0.4):
        at = (dice.uniform(-0.3, 0.3) * width, depth * 0.15, height + run * 0.8)
        stage.box(at, (0.6, 0.6, run * 0.9), stage.material(Texture.BRICK, mix=0.9, scale=1.0))


def windows(stage: Stage, width: float, depth: float, storey: float, floors: int) -> None:
    """Modelled windows with frames and sills on the front, some with balconies."""
    dice = stage.dice
    count = max(1, int(width / dice.uniform(2, 4)))
    glass = stage.material(
        Texture.FACADE, colour=np.full(3, 0.05), mix=dice.uniform(0, 0.3), gloss=0.5, mirror=GLASS
    )
    frame, wide, tall = stage.plain(), dice.uniform(0.7, 1.4), dice.uniform(1.0, 1.6)
    has_balconies = dice.chance(0.3)
    for floor in range(min(floors, 3)):
        for k in range(count):
            at = ((k + 0.5) * width / count - width / 2, -depth / 2, (floor + 0.55) * storey)
            with stage.frame(at):
                stage.box((0, 0, 0), (wide + 0.16, 0.12, tall + 0.16), frame)
                stage.box((0, -0.04, 0), (wide, 0.1, tall), glass)
                stage.box((0, -0.1, -tall / 2 - 0.08), (wide + 0.3, 0.2, 0.06), frame)
                if has_balconies and floor > 0 and dice.chance(0.6):
                    balcony(stage, wide, tall, frame)


def balcony(stage: Stage, wide: float, tall: float, metal: int) -> None:
    """A slab with a railing under a window."""
    low = -tall / 2 - 0.1
    stage.box((0, -0.5, low), (wide + 0.8, 1.0, 0.12), metal)
    upright = turn_x(math.pi / 2)
    at = (0, -0.98, low + 0.5)
    stage.card(at, wide + 0.8, 0.9, metal, upright, holes=BARS, pitch=0.12, share=0.2)
    stage.box((0, -0.98, low + 0.98), (wide + 0.8, 0.05, 0.05), metal)


def entrance(stage: Stage, width: float, depth: float) -> None:
    """A door or shop front, steps, perhaps a canopy and a sign."""
    dice = stage.dice
    x, y = dice.uniform(-0.35, 0.35) * width, -depth / 2
    stage.box((x, y, 1.05), (1.0, 0.12, 2.1), furniture.timber(stage))
    stage.box((x, y - 0.4, 0.1), (1.4, 0.8, 0.2), stage.material(Texture.STONE, gloss=0.0))
    if dice.chance(0.3):
        stage.box((x, y - 0.6, 2.4), (1.8, 1.2, 0.1), stage.plain())
    if dice.chance(0.35):
        wide, tall = dice.uniform(1.5, 5), dice.uniform(0.4, 0.9)
        stage.box(
            (x, y - 0.08, 2.8), (min(wide, width * 0.9), 0.12, tall), stage.picture(wide, tall)
        )
    if dice.chance(0.25):
        wide = min(width * 0.8, 5.0)
        cloth = stage.material(Texture.FABRIC, mix=0.8, scale=1.5)
        stage.box((0, y - 0.7, 2.5), (wide, 1.5, 0.05), cloth, turn_x(0.4))


def wayside(stage: Stage) -> None:
    """One roadside object: a sign, a lamp, bollards, a bin, a bush, a tree, a bench or a board."""
    dice = stage.dice
    model = pick(stage, Use.ROADSIDE, 0.5)
    if model is not None:
        put(stage, model, yaw=dice.angle())
        return
    kind, metal = dice.randrange(8), stage.plain()
    tall = dice.uniform(2.5, 7)
    if kind in (0, 1):
        stage.cylinder((0, 0, tall / 2), dice.uniform(0.03, 0.1), tall, metal, taper=0.8)
        if kind == 0:
            face = stage.material(Texture.PICTURE, mix=1.0, scale=(0.6, 0.6))
            stage.cylinder((0, -0.06, tall * 0.92), 0.32, 0.03, face, turn_x(math.pi / 2))
        else:
            turn = turn_y(math.pi / 2) if dice.chance(0.5) else turn_x(math.pi / 2)
            stage.cylinder((0, 0, tall), 0.04, 1.6, metal, turn)
            stage.box((0, 0, tall - 0.1), (0.5, 0.2, 0.12), metal)
    elif kind == 2:
        for k in range(4):
            stage.cylinder((k * 1.5, 0, 0.45), 0.07, 0.9, metal)
    elif kind == 3:
        stage.cylinder((0, 0, 0.45), 0.28, 0.9, metal, taper=1.15, holes=OPEN)
    elif kind == 4:
        bush(stage, dice.uniform(0.4, 1.2))
    elif kind == 5:
        tree(stage, dice.uniform(3, 8))
    elif kind == 6:
        furniture.table(stage, 1.6, 0.5, 0.45, laid=False)
    else:
        wide, high = dice.uniform(0.8, 2.5), dice.uniform(1.0, 2.0)
        board = stage.picture(wide, high)
        stage.box(
            (0, 0, high / 2 + 0.7),
            (wide, 0.15, high),
            board,
            turn_z(dice.choice((0.0, math.pi / 2))),
        )
        stage.box((0, 0, 0.4), (0.2, 0.12, 0.8), metal)
