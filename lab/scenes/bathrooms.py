"""Bathrooms: small tiled rooms with bath, shower, basin and toilet, models or built of solids."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lab.scenes.clutter import clutter
from lab.scenes.furnishing import facing, footprint, put
from lab.scenes.kitchens import basin
from lab.scenes.models import Model
from lab.scenes.openings import door, window
from lab.scenes.rooms import hang_lamps
from lab.scenes.rotations import turn_x
from lab.scenes.scene import GLASS, OPEN
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue, indoor_ambience
from lab.scenes.walls import radiator, wall_material

Fixture = Callable[[Stage, float], float]
"""Function that stands something along a wall with so much room; returns the width taken."""
WASHERS = ("washer", "dryer", "washerDryerStacked")
"""Models of other categories that stand in bathrooms too."""


def bathroom(stage: Stage) -> Venue:
    """Build a bathroom, seen from its door, from inside or from near a fixture."""
    dice = stage.dice
    width, length = sorted((dice.uniform(1.5, 3.4), dice.uniform(1.9, 4.2)))
    height = dice.uniform(2.2, 2.9)
    tiled_shell(stage, width, length, height)
    walls = (
        ((0.0, length / 2), 0.0, width),
        ((-width / 2, 0.0), math.pi / 2, length),
        ((width / 2, 0.0), -math.pi / 2, length),
    )
    wet: list[Fixture] = [tub, shower, toilet, washstand, washstand, washer]
    dice.shuffle(wet)
    for (x, y), yaw, wide in walls:
        with stage.frame((x, y, 0.0), yaw):
            line(stage, wide, wet)
    with stage.frame((0.0, -length / 2, 0.0), math.pi):
        door(stage, dice.uniform(-0.2, 0.2) * width)
    if dice.chance(0.7):
        mat(stage, width, length)
    hang_lamps(stage, width, length, height)
    at = (dice.uniform(-0.3, 0.3) * width, -length / 2 + dice.uniform(0.1, 0.9))
    eye = dice.weighted((dice.uniform(1.2, 1.75), dice.uniform(0.3, 1.0)), (0.8, 0.2))
    standpoint = Standpoint(
        origin=np.array([*at, eye]),
        yaw=math.pi / 2 + dice.normalvariate(0.0, 0.45),
        pitch=dice.normalvariate(-0.3 if eye > 1.1 else -0.05, 0.2),
    )
    venue = Venue(
        stage=stage, approach=Approach.ROOM, width=width, length=length, height=height,
        ambience=indoor_ambience(dice),
    )  # fmt: skip
    if dice.chance(0.3):
        return venue
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)


def tiled_shell(stage: Stage, width: float, length: float, height: float) -> None:
    """Tiled floor and walls; sometimes tiles end below the ceiling, or are on some walls only."""
    dice = stage.dice
    white = np.full(3, dice.uniform(0.5, 0.9))
    paint = wall_material(stage, stage.colour() if dice.chance(0.3) else white, 0.1)
    size = dice.log_uniform(0.5, 2.0)
    tiles = stage.material(
        Texture.TILES, Texture.TILES, Texture.STONE, colour=white,
        mix=dice.uniform(0.3, 1.0), scale=size, gloss=dice.uniform(0.0, 0.3),
        mirror=dice.choice((0.0, 0.0, 0.04)),
    )  # fmt: skip
    floor = stage.material(
        Texture.TILES, Texture.STONE, Texture.SPECKLE, Texture.WOOD,
        mix=dice.uniform(0.4, 1.0), scale=dice.log_uniform(0.6, 2.0),
        mirror=dice.choice((0.0, 0.0, 0.05)),
    )  # fmt: skip
    ceiling = stage.plain(np.full(3, dice.uniform(0.6, 0.9)), gloss=0.0)
    is_low = dice.chance(0.45)
    faces = [paint if is_low or dice.chance(0.15) else tiles for _ in range(4)]
    first, *_ = [stage.copy_material(face) for face in (*faces, floor, ceiling)]
    stage.room(width, length, height, first)
    if is_low:
        tall = dice.uniform(1.0, 2.1)
        for side in (-1, 1):
            stage.box((side * (width / 2 - 0.006), 0, tall / 2), (0.012, length, tall), tiles)
        stage.box((0, length / 2 - 0.006, tall / 2), (width, 0.012, tall), tiles)


def line(stage: Stage, wide: float, wet: list[Fixture]) -> None:
    """Stand fixtures along a wall, in its frame, as long as there is room; each comes once."""
    dice = stage.dice
    x = -wide / 2 + dice.uniform(0.02, 0.3)
    while wet and x < wide / 2 - 0.4:
        room = wide / 2 - x
        with stage.frame((x, 0.0, 0.0)):
            taken = wet.pop()(stage, room)
        x += taken + dice.uniform(0.03, 0.35) if taken else 0.0
        if dice.chance(0.2):
            break
    kind = dice.random()
    if kind < 0.3:
        window(stage, dice.uniform(-0.3, 0.3) * wide, 2.4)
    elif kind < 0.5:
        radiator(stage, dice.uniform(-0.3, 0.1) * wide)
    if dice.chance(0.6):
        towels(stage, dice.uniform(-0.4, 0.4) * wide)


def model_of(stage: Stage, *words: str) -> Model | None:
    """A model of a bathroom whose name has one of the words; None half of the time."""
    fitting = [
        model
        for name, model in stage.models.every.items()
        if (model.category == "bathroom" or name in WASHERS)
        and any(word in name.lower() for word in words)
    ]
    return stage.dice.choice(fitting) if fitting and stage.dice.chance(0.5) else None


def stand(stage: Stage, model: Model, room: float) -> float:
    """Stand a model with its back to the wall; returns the width taken, 0 where it does not fit."""
    yaw = facing(stage, model)
    wide, deep = footprint(model, yaw)
    if wide > room:
        return 0.0
    put(stage, model, (wide / 2, -deep / 2 - 0.03, 0.0), yaw)
    stage.subjects.append(stage.world((wide / 2, -deep / 2, 0.5 * model.size[2])))
    return wide


def enamel(stage: Stage) -> int:
    """Add the material of a fixture: mostly white, glossy."""
    dice = stage.dice
    colour = np.full(3, dice.uniform(0.6, 0.95)) if dice.chance(0.8) else stage.colour()
    return stage.plain(colour, gloss=dice.uniform(0.1, 0.5), mirror=dice.choice((0.0, 0.04)))


def tub(stage: Stage, room: float) -> float:
    """A bath tub: five walls around its inside, a tap, sometimes a screen or a curtain."""
    dice = stage.dice
    model = model_of(stage, "bath")
    if model is not None and "tub" in model.name:
        return stand(stage, model, room)
    wide, deep, tall = dice.uniform(1.4, 1.9), dice.uniform(0.65, 0.85), dice.uniform(0.48, 0.65)
    if wide > room:
        wide, deep = deep, wide
    if wide > room:
        return 0.0
    coat, rim = enamel(stage), dice.uniform(0.05, 0.1)
    front = coat if dice.chance(0.5) else stage.material(Texture.TILES, mix=1.0, scale=0.8)
    x, y, bottom = wide / 2, -deep / 2, tall - dice.uniform(0.3, 0.42)
    stage.box((x, y, bottom / 2), (wide - 0.01, deep - 0.01, bottom), coat)
    for side in (-1, 1):
        stage.box((x + side * (wide - rim) / 2, y, tall / 2), (rim, deep, tall), coat)
        paint = front if side < 0 else coat
        stage.box((x, y + side * (deep - rim) / 2, tall / 2), (wide, rim, tall), paint)
    if dice.chance(0.4):
        stage.box((x, y, bottom + 0.15), (wide - 0.1, deep - 0.1, 0.02), stage.coat(
            (0.25, 0.35, 0.35), mirror=0.06))  # fmt: skip
    tap(stage, (x + 0.4 * wide, -0.08, tall))
    if dice.chance(0.35):
        curtain(stage, x, -deep + 0.02, wide * dice.uniform(0.3, 1.0))
    stage.subjects.append(stage.world((x, y, tall)))
    return wide


def tap(stage: Stage, at: tuple[float, float, float]) -> None:
    """A chromed tap."""
    steel, foot = stage.coat(np.full(3, 0.25), mirror=0.4), np.array(at)
    top = foot + np.array([0.0, 0.0, 0.14])
    stage.limb(foot, top, 0.015, steel, taper=1.0)
    stage.limb(top, top + np.array([0.0, -0.13, -0.03]), 0.011, steel, taper=1.0)


def curtain(stage: Stage, x: float, y: float, wide: float) -> None:
    """A shower curtain of narrow folds on its rod."""
    dice = stage.dice
    cloth = stage.material(Texture.FABRIC, Texture.PICTURE, mix=dice.uniform(0.0, 0.8), gloss=0.0)
    folds = max(4, round(wide / 0.07))
    for k in range(folds):
        at = (x - wide / 2 + (k + 0.5) * wide / folds, y + 0.015 * (-1) ** k, 1.1)
        stage.cylinder(at, 0.5 * wide / folds + 0.008, 1.7, cloth)
    rod = turn_x(0.0) @ np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    stage.cylinder((x, y, 1.97), 0.012, wide + 0.3, stage.coat(np.full(3, 0.3), mirror=0.3), rod)


def shower(stage: Stage, room: float) -> float:
    """A tray with panes of glass or a curtain, and the shower on the wall."""
    dice = stage.dice
    model = model_of(stage, "shower")
    if model is not None:
        return stand(stage, model, room)
    wide = dice.uniform(0.75, 1.2)
    if wide > room:
        return 0.0
    x, tall = wide / 2, dice.uniform(1.8, 2.1)
    stage.box((x, -wide / 2, 0.04), (wide, wide, 0.08), enamel(stage))
    steel = stage.coat(np.full(3, 0.25), mirror=0.3)
    if dice.chance(0.7):
        pane = stage.coat((0.03, 0.035, 0.035), mirror=GLASS)
        stage.box((wide, -wide / 2, tall / 2), (0.012, wide, tall), pane)
        stage.box((x * 0.9, -wide, tall / 2), (wide * dice.uniform(0.3, 0.7), 0.012, tall), pane)
        stage.box((wide, -wide, tall / 2), (0.035, 0.035, tall), steel)
    else:
        curtain(stage, x, -wide, wide * dice.uniform(0.4, 1.0))
    stage.limb(np.array([x, -0.05, 0.9]), np.array([x, -0.05, 2.0]), 0.012, steel, taper=1.0)
    stage.cylinder((x, -0.2, 2.0), 0.08, 0.025, steel)
    return wide


def toilet(stage: Stage, room: float) -> float:
    """A toilet with its tank and lid, a roll beside it."""
    dice = stage.dice
    model = model_of(stage, "toilet")
    if model is not None:
        return stand(stage, model, room)
    wide = 0.5
    if wide > room:
        return 0.0
    coat, x = enamel(stage), wide / 2
    stage.cylinder((x, -0.38, 0.2), 0.14, 0.4, coat, taper=1.35)
    stage.ellipsoid((x, -0.42, 0.37), (0.19, 0.25, 0.06), coat)
    stage.ellipsoid((x, -0.42, 0.42), (0.2, 0.26, 0.03), stage.plain(gloss=0.3))
    if dice.chance(0.35):
        stage.ellipsoid((x, -0.17, 0.65), (0.19, 0.03, 0.25), coat)
    if dice.chance(0.6):
        stage.box((x, -0.09, 0.62), (0.4, 0.17, 0.38), coat)
    else:
        stage.box((x, -0.01, 1.0), (0.25, 0.02, 0.16), stage.plain())
    roll = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    stage.cylinder((wide + 0.08, -0.08, 0.7), 0.055, 0.1, stage.plain(np.full(3, 0.85)), roll)
    stage.subjects.append(stage.world((x, -0.4, 0.4)))
    return wide


def washstand(stage: Stage, room: float) -> float:
    """A basin on a cabinet, a foot or the wall, with a mirror, shelf or cabinet above."""
    dice = stage.dice
    model = model_of(stage, "sink", "cabinet")
    if model is not None:
        taken = stand(stage, model, room)
        if taken:
            above(stage, taken)
        return taken
    wide, deep, tall = dice.uniform(0.45, 1.3), dice.uniform(0.4, 0.55), dice.uniform(0.78, 0.9)
    if wide > room:
        return 0.0
    x, coat = wide / 2, enamel(stage)
    kind = dice.random()
    if kind < 0.6:
        body = stage.material(Texture.WOOD, Texture.SPECKLE, mix=dice.uniform(0, 1), scale=0.8)
        low = dice.choice((0.06, 0.25))
        middle = (low + tall) / 2
        stage.box((x, -deep / 2, middle), (wide, deep, tall - low), body)
        for k in range(dice.count(1, 3)):
            at = (x, -deep - 0.012, low + (k + 0.5) * (tall - low) / 3)
            stage.box(at, (wide * 0.94, 0.02, (tall - low) / 3 - 0.02), body)
    elif kind < 0.8:
        stage.cylinder((x, -deep / 2, tall / 2), 0.09, tall, coat)
    stage.box((x, -deep / 2, tall), (wide, deep, 0.05), coat)
    with stage.frame((x, -deep / 2, tall + 0.025)):
        basin(stage)
    clutter(stage, wide, deep * 0.5, tall + 0.025, dice.count(0, 5))
    stage.subjects.append(stage.world((x, -deep / 2, tall)))
    above(stage, wide)
    return wide


def above(stage: Stage, wide: float) -> None:
    """Above a basin: a mirror, a cabinet with a mirror's front, a shelf, a lamp."""
    dice = stage.dice
    x, z = wide / 2, dice.uniform(1.4, 1.65)
    across, tall = wide * dice.uniform(0.6, 1.1), dice.uniform(0.5, 0.9)
    deep = dice.weighted((0.02, dice.uniform(0.1, 0.18)), (0.65, 0.35))
    stage.box((x, -deep / 2, z), (across, deep, tall), stage.plain())
    stage.box((x, -deep, z), (across * 0.96, 0.01, tall * 0.96), stage.mirror())
    if dice.chance(0.5):
        glow = stage.plain((1, 1, 1), emission=dice.uniform(1, 3))
        stage.box((x, -0.06, z + tall / 2 + 0.06), (across * 0.8, 0.08, 0.06), glow)
    if dice.chance(0.4):
        with stage.frame((x, -0.08, z - tall / 2 - 0.08)):
            stage.box((0, 0, 0), (across, 0.14, 0.012), stage.plain(gloss=0.4))
            clutter(stage, across, 0.1, 0.006, dice.count(1, 5))


def washer(stage: Stage, room: float) -> float:
    """A washing machine, a basket for clothes beside it."""
    dice = stage.dice
    model = model_of(stage, *(name.lower() for name in WASHERS))
    if model is not None:
        return stand(stage, model, room)
    wide = 0.6
    if wide > room:
        return 0.0
    stage.box((wide / 2, -0.3, 0.43), (wide, 0.58, 0.86), enamel(stage))
    out = turn_x(math.pi / 2)
    dark = stage.coat(np.full(3, 0.03), mirror=GLASS)
    stage.cylinder((wide / 2, -0.6, 0.42), 0.17, 0.03, stage.plain(np.full(3, 0.5)), out)
    stage.cylinder((wide / 2, -0.615, 0.42), 0.13, 0.03, dark, out)
    clutter(stage, wide, 0.4, 0.86, dice.count(0, 4))
    if dice.chance(0.4) and room > 1.1:
        weave = stage.material(Texture.FABRIC, Texture.SPECKLE, mix=0.6, scale=0.4)
        stage.cylinder((wide + 0.25, -0.3, 0.28), 0.19, 0.56, weave, taper=1.15, holes=OPEN)
        return wide + 0.45
    return wide


def towels(stage: Stage, x: float) -> None:
    """A towel over a rail, or on hooks."""
    dice = stage.dice
    for k in range(dice.count(1, 3)):
        cloth = stage.material(Texture.FABRIC, mix=dice.uniform(0, 0.6), scale=0.4, gloss=0.0)
        tall, wide = dice.uniform(0.4, 1.1), dice.uniform(0.25, 0.5)
        at = (x + 0.5 * k, -0.05, dice.uniform(1.2, 1.6) - tall / 2)
        stage.box(at, (wide, dice.uniform(0.02, 0.05), tall), cloth)


def mat(stage: Stage, width: float, length: float) -> None:
    """A mat on the floor, and sometimes a bin or scales."""
    dice = stage.dice
    cloth = stage.material(Texture.CARPET, Texture.FABRIC, mix=dice.uniform(0.3, 1), gloss=0.0)
    at = (dice.uniform(-0.2, 0.2) * width, dice.uniform(-0.3, 0.3) * length, 0.01)
    stage.box(at, (dice.uniform(0.5, 0.9), dice.uniform(0.4, 0.7), 0.02), cloth)
    if dice.chance(0.4):
        with stage.frame((dice.sign() * 0.3 * width, dice.uniform(-0.4, 0.2) * length, 0.0)):
            clutter(stage, 0.4, 0.3, 0.0, dice.count(1, 3))
