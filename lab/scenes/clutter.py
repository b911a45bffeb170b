"""Small objects on tables, shelves and floors."""

import math

import numpy as np

from lab.scenes.furnishing import pick, put
from lab.scenes.models import Use
from lab.scenes.plants import potted_plant
from lab.scenes.rotations import turn_x, turn_y, turn_z
from lab.scenes.scene import GLASS, LATTICE, OPEN
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture


def clutter(stage: Stage, width: float, depth: float, height: float, count: int) -> None:
    """Scatter small objects over a surface of the given size at a height [m]."""
    dice = stage.dice
    for _ in range(count):
        if stage.is_full:
            return
        x, y = dice.uniform(-0.45, 0.45) * width, dice.uniform(-0.42, 0.42) * depth
        with stage.frame((x, y, height), dice.normalvariate(0.0, 0.6)):
            thing = pick(stage, Use.TABLE, 0.45)
            if thing is None:
                dice.choice(THINGS)(stage)
            else:
                put(stage, thing, yaw=dice.angle())


def mug(stage: Stage) -> None:
    """An open cup with contents, often a handle, sometimes a saucer."""
    dice = stage.dice
    body = stage.material(mix=dice.choice((0.0, 0.0, 1.0)), scale=0.15)
    height, radius, taper = (
        dice.uniform(0.06, 0.13),
        dice.uniform(0.025, 0.05),
        dice.uniform(0.9, 1.5),
    )
    stage.cylinder((0, 0, height / 2), radius, height, body, taper=taper, holes=OPEN)
    stage.cylinder(
        (0, 0, height * 0.35), radius * 0.97, height * 0.6, stage.plain(), taper=taper**0.6
    )
    if dice.chance(0.7):
        side = dice.angle()
        for part, lift in ((0.75, 0.75), (0.75, 0.3)):
            at = (math.cos(side) * radius * 1.35, math.sin(side) * radius * 1.35, height * lift)
            stage.box(at, (radius * part, 0.012, 0.012), body, turn_z(side))
        at = (math.cos(side) * radius * 1.7, math.sin(side) * radius * 1.7, height * 0.52)
        stage.box(at, (0.012, 0.012, height * 0.5), body, turn_z(side))
    if dice.chance(0.3):
        stage.cylinder((0, 0, 0.006), radius * 1.3, 0.012, body, taper=1.5)


def bottle(stage: Stage) -> None:
    """A bottle, jar or can, with a label."""
    dice = stage.dice
    glass = stage.plain(gloss=dice.uniform(0.2, 0.7))
    height, radius = dice.uniform(0.1, 0.3), dice.uniform(0.025, 0.05)
    stage.cylinder((0, 0, height / 2), radius, height, glass)
    if dice.chance(0.7):
        stage.cylinder((0, 0, height + 0.25 * radius), radius, radius * 0.5, glass, taper=0.4)
        stage.cylinder((0, 0, height + 0.035), radius * 0.4, 0.07, glass)
        stage.cylinder((0, 0, height + 0.075), radius * 0.45, 0.02, stage.plain())
    if dice.chance(0.7):
        label = stage.material(Texture.PICTURE, Texture.PAGE, mix=1.0, scale=0.2)
        stage.cylinder((0, 0, height * 0.45), radius * 1.02, height * 0.5, label)


def book_pile(stage: Stage) -> None:
    """A pile of books or papers."""
    dice = stage.dice
    top = 0.0
    for _ in range(dice.count(1, 5)):
        thick, wide, deep = (
            dice.uniform(0.008, 0.05),
            dice.uniform(0.13, 0.3),
            dice.uniform(0.1, 0.24),
        )
        turn = turn_z(dice.normalvariate(0.0, 0.4))
        cover = stage.picture(wide, deep) if dice.chance(0.5) else stage.material(scale=0.3)
        if dice.chance(0.2):
            cover = stage.material(Texture.PAGE, mix=1.0, scale=(wide, deep))
        stage.box((0, 0, top + thick / 2), (wide, deep, thick), cover, turn)
        top += thick


def ball(stage: Stage) -> None:
    """A ball or a fruit."""
    radius = stage.dice.uniform(0.03, 0.12)
    flat = radius * stage.dice.uniform(0.8, 1.1)
    stage.ellipsoid((0, 0, flat), (radius, radius, flat), stage.material(scale=0.4))


def carton(stage: Stage) -> None:
    """A box of any proportions, printed or plain."""
    dice = stage.dice
    size = dice.vector(0.05, 0.38)
    stage.box((0, 0, size[2] / 2), size, stage.material(scale=dice.uniform(0.15, 0.5)))


def bowl(stage: Stage) -> None:
    """An open bowl with fruit."""
    dice = stage.dice
    radius = dice.uniform(0.06, 0.14)
    height = radius * dice.uniform(0.5, 0.9)
    stage.cylinder((0, 0, height / 2), radius * 0.5, height, stage.plain(), taper=2.0, holes=OPEN)
    skin = stage.material(mix=dice.uniform(0, 0.3))
    for _ in range(dice.count(0, 6)):
        size = radius * dice.uniform(0.25, 0.4)
        x, y = dice.uniform(-0.5, 0.5) * radius, dice.uniform(-0.5, 0.5) * radius
        stage.ellipsoid((x, y, height * 0.8), (size, size, size * 0.9), skin)


def laptop(stage: Stage) -> None:
    """An open laptop, leaning back."""
    dice = stage.dice
    shell, wide, lean = stage.plain(), dice.uniform(0.28, 0.4), dice.uniform(-0.1, 0.6)
    stage.box((0, 0, 0.01), (wide, 0.24, 0.02), shell)
    keys = stage.plain(np.full(3, 0.03))
    stage.box((0, 0.03, 0.021), (wide * 0.85, 0.1, 0.003), keys)
    at = (0, 0.12 + 0.11 * math.sin(lean), 0.02 + 0.11 * math.cos(lean))
    stage.box(at, (wide, 0.012, 0.22), shell, turn_x(-lean))
    shown = stage.material(
        Texture.SCREEN, mix=1.0, scale=(wide, 0.22), emission=dice.choice((0.0, 0.6))
    )
    face = (0, at[1] - 0.007, at[2])
    stage.box(face, (wide * 0.94, 0.006, 0.2), shown, turn_x(-lean))


def monitor(stage: Stage) -> None:
    """A monitor or television on its stand."""
    dice = stage.dice
    wide, foot = dice.uniform(0.35, 0.9), dice.uniform(0.05, 0.15)
    tall, shell = wide * dice.uniform(0.55, 0.75), stage.plain(np.full(3, dice.uniform(0.01, 0.3)))
    thick = dice.choice((0.03, 0.05, 0.3))
    stage.box((0, 0, foot + tall / 2), (wide, thick, tall), shell)
    lit = dice.choice((0.0, 0.3, 0.8))
    shown = stage.material(Texture.SCREEN, Texture.PHOTO, mix=1.0, scale=(wide, tall), emission=lit)
    if dice.chance(0.35):
        shown = stage.plain(np.full(3, 0.02), gloss=0.3, mirror=GLASS)
    stage.box((0, -thick / 2, foot + tall / 2), (wide * 0.94, 0.006, tall * 0.92), shown)
    stage.box((0, 0.03, foot / 2 + 0.05), (0.06, 0.04, foot + 0.1), shell)
    stage.box((0, 0, 0.01), (0.24, 0.18, 0.02), shell)


def pen(stage: Stage) -> None:
    """Pens, cutlery or cables: thin objects lying flat."""
    dice = stage.dice
    for _ in range(dice.count(1, 4)):
        at = (dice.uniform(-0.1, 0.1), dice.uniform(-0.1, 0.1), 0.006)
        turn = turn_z(dice.angle()) @ turn_x(math.pi / 2)
        stage.cylinder(
            at, dice.uniform(0.004, 0.008), dice.uniform(0.12, 0.25), stage.plain(), turn
        )


def picture_stand(stage: Stage) -> None:
    """A framed photograph, leaning."""
    dice = stage.dice
    wide, tall, lean = dice.uniform(0.1, 0.3), dice.uniform(0.1, 0.35), dice.uniform(0.05, 0.35)
    at = (0, tall / 2 * math.sin(lean), tall / 2 * math.cos(lean))
    stage.box(at, (wide, 0.015, tall), stage.plain(), turn_x(-lean))
    front = (0, at[1] - 0.01, at[2])
    stage.box(front, (wide * 0.85, 0.008, tall * 0.85), stage.picture(wide, tall), turn_x(-lean))


def toy(stage: Stage) -> None:
    """A soft toy animal: body, head, ears, limbs."""
    dice = stage.dice
    fur = stage.material(Texture.FABRIC, Texture.SPECKLE, mix=dice.uniform(0, 0.5), gloss=0.0)
    size = dice.uniform(0.06, 0.16)
    stage.ellipsoid((0, 0, size), (size * 0.8, size * 0.7, size), fur)
    stage.ellipsoid((0, -size * 0.2, size * 2.3), (size * 0.6,) * 3, fur)
    stage.ellipsoid((0, -size * 0.75, size * 2.2), (size * 0.25,) * 3, stage.plain())
    for side in (-1, 1):
        stage.ellipsoid(
            (side * size * 0.5, 0, size * 2.8), (size * 0.25, size * 0.12, size * 0.3), fur
        )
        arm = turn_y(side * dice.uniform(0.5, 1.5))
        stage.ellipsoid(
            (side * size, -size * 0.2, size * 1.3), (size * 0.25, size * 0.25, size * 0.6), fur, arm
        )
        leg = (side * size * 0.5, -size * 0.8, size * 0.3)
        stage.ellipsoid(leg, (size * 0.3, size * 0.7, size * 0.3), fur)
        eye = (side * size * 0.25, -size * 0.72, size * 2.45)
        stage.ellipsoid(eye, (size * 0.09,) * 3, stage.plain(np.full(3, 0.01), gloss=0.5))


def basket(stage: Stage) -> None:
    """An open wire basket, or a bin."""
    dice = stage.dice
    radius, height = dice.uniform(0.08, 0.2), dice.uniform(0.08, 0.35)
    holes = LATTICE if dice.chance(0.4) else OPEN
    weave, taper = stage.material(mix=dice.uniform(0, 0.8), scale=0.4), dice.uniform(1.0, 1.4)
    at = (0, 0, height / 2)
    stage.cylinder(at, radius, height, weave, taper=taper, holes=holes, pitch=0.04, share=0.3)


def little_plant(stage: Stage) -> None:
    """A potted plant for a table."""
    potted_plant(stage, stage.dice.uniform(0.15, 0.5))


THINGS = (mug, mug, bottle, bottle, book_pile, book_pile, ball, carton, carton, bowl, laptop,
          monitor, pen, picture_stand, toy, basket, little_plant)  # fmt: skip
