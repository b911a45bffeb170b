"""Outdoors: streets with houses and cars, and open ground with trees and hills."""

import math
from dataclasses import replace

import numpy as np

from lab.scenes import furniture
from lab.scenes.buildings import house, wayside
from lab.scenes.furnishing import facing, footprint, pick, put
from lab.scenes.models import Use
from lab.scenes.people import crowd
from lab.scenes.plants import bush, foliage, tree, tuft
from lab.scenes.rotations import turn_x
from lab.scenes.scene import BARS, LATTICE, Light
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.vehicles import bicycle, car, van
from lab.scenes.venue import Approach, Venue, outdoor_ambience, unit

EARTHS = ((0.1, 0.2, 0.05), (0.2, 0.2, 0.2), (0.3, 0.25, 0.18))


def street(stage: Stage) -> Venue:
    """Build a street along x: roadway, pavements, houses, vehicles, people."""
    dice = stage.dice
    earth(stage)
    road = dice.uniform(4, 12)
    roadway(stage, road)
    front = road / 2 + dice.uniform(2, 8)
    for side in (-1, 1):
        row_of_houses(stage, side, front)
    for _ in range(dice.count(0, 12)):
        park(stage, road)
    crowd(stage, dice.count(0, 5), front)
    for _ in range(dice.count(0, 8)):
        at = (dice.uniform(-22, 22), dice.sign() * dice.uniform(road / 2 + 0.3, front - 0.3), 0.0)
        with stage.frame(at, dice.normalvariate(0.0, 0.1)):
            wayside(stage)
    return outside(stage, 60.0, 2 * front)


def meadow(stage: Stage) -> Venue:
    """Build open ground: trees, bushes, fences, people, objects, hills, a few houses."""
    dice = stage.dice
    earth(stage)
    spread = dice.log_uniform(5.0, 30.0)
    for _ in range(dice.count(0, 10)):
        at = (dice.uniform(-1, 1) * spread * 1.5, dice.uniform(-1, 1) * spread * 1.5, 0.0)
        if stage.is_full or not stage.claim(at, 1.0):
            continue
        with stage.frame(at, dice.angle()):
            dice.choice((grown, grown, grown, hedge, fence, bench, heap, lone_car))(stage)
    for _ in range(dice.count(0, 12)):
        with stage.frame((dice.uniform(-6, 6), dice.uniform(-6, 6), 0.0)):
            tuft(stage, dice.uniform(0.15, 0.7))
    crowd(stage, dice.count(0, 4), spread * 0.6)
    for _ in range(dice.count(0, 3)):
        at = (dice.uniform(-3, 3) * spread, dice.sign() * dice.uniform(1.5, 3) * spread, 0.0)
        with stage.frame(at, dice.angle()):
            house(stage, dice.uniform(6, 16), dice.uniform(6, 10))
    return outside(stage, 2 * spread, 2 * spread)


def outside(stage: Stage, width: float, length: float) -> Venue:
    """Add hills and the sun, and return the finished venue."""
    dice = stage.dice
    for _ in range(dice.count(0, 6)):
        away, angle = dice.uniform(160, 330), dice.angle()
        at = (away * math.cos(angle), away * math.sin(angle), -5.0)
        slope = stage.material(
            Texture.FOLIAGE, Texture.GRASS, Texture.STONE, Texture.SPECKLE, gloss=0.0,
            colour=np.array([0.08, 0.15, 0.06]) * dice.uniform(0.5, 2.0),
            mix=dice.uniform(0.2, 0.9), scale=dice.uniform(5, 20),
        )  # fmt: skip
        stage.ellipsoid(
            at, (dice.uniform(30, 90), dice.uniform(30, 90), dice.uniform(8, 40)), slope
        )
    rise, angle, strength = dice.uniform(0.15, 1.4), dice.angle(), dice.choice((0.15, 1.0, 2.0))
    way = np.array(
        [math.cos(angle) * math.cos(rise), math.sin(angle) * math.cos(rise), math.sin(rise)]
    )
    colour = np.array([1.0, dice.uniform(0.85, 1.0), dice.uniform(0.7, 1.0)])
    light = strength * dice.uniform(0.6, 1.5) * colour
    stage.lights.append(
        Light(position=unit(way), distant=True, size=dice.uniform(0.01, 0.05), colour=light)
    )
    return Venue(
        stage=stage, approach=Approach.STREET, width=width, length=length, height=30.0,
        ambience=outdoor_ambience(dice),
    )  # fmt: skip


def earth(stage: Stage) -> None:
    """Add the ground plane."""
    dice = stage.dice
    uses = (Texture.GRASS, Texture.GRASS, Texture.SPECKLE, Texture.STONE, Texture.TILES)
    stage.ground(
        stage.material(
            *uses, colour=np.array(dice.choice(EARTHS)) * dice.uniform(0.5, 1.6),
            mix=dice.uniform(0.2, 1.0), scale=dice.uniform(0.8, 5.0), gloss=0.0,
        )
    )  # fmt: skip


def roadway(stage: Stage, road: float) -> None:
    """Asphalt with markings, and raised pavements."""
    dice = stage.dice
    tar = stage.material(
        Texture.SPECKLE, Texture.STONE, colour=np.full(3, dice.uniform(0.06, 0.25)),
        mix=dice.uniform(0.0, 0.6), scale=dice.uniform(1, 5), gloss=0.0,
    )  # fmt: skip
    stage.box((0, 0, 0.01), (400, road, 0.03), tar)
    paint = stage.plain(np.full(3, 0.7), gloss=0.0)
    if dice.chance(0.7):
        dash, pitch = dice.uniform(1, 3), dice.uniform(4, 8)
        for k in range(-10, 11):
            stage.box((k * pitch, 0, 0.03), (dash, 0.13, 0.012), paint)
    if dice.chance(0.4):
        for side in (-1, 1):
            stage.box((0, side * (road / 2 - 0.3), 0.03), (400, 0.12, 0.012), paint)
    if dice.chance(0.3):
        x = dice.uniform(-15, 15)
        for k in range(int(road)):
            stage.box((x, k - road / 2 + 0.5, 0.03), (3, 0.5, 0.012), paint)
    if dice.chance(0.75):
        slab = stage.material(
            Texture.TILES, Texture.STONE, mix=dice.uniform(0, 0.9), scale=2.0, gloss=0.0
        )
        for side in (-1, 1):
            stage.box((0, side * (road / 2 + 1.2), 0.06), (400, 2.4, 0.14), slab)


def row_of_houses(stage: Stage, side: int, front: float) -> None:
    """Houses, trees, fences and gaps along one side of the street."""
    dice = stage.dice
    x = -70.0
    while x < 80.0:
        wide = dice.uniform(5, 20)
        kind = dice.random()
        with stage.frame((x + wide / 2, side * front, 0.0), 0.0 if side > 0 else math.pi):
            if kind < 0.6:
                depth = dice.uniform(5, 12)
                model = pick(stage, Use.PLOT, 0.35)
                if model is not None:
                    yaw = dice.count(0, 3) * math.pi / 2
                    wide, depth = footprint(model, yaw)
                    put(stage, model, (0, depth / 2, 0), yaw)
                else:
                    with stage.frame((0, depth / 2 + dice.uniform(0, 2), 0)):
                        house(stage, wide, depth, is_near=abs(x) < 35)
            elif kind < 0.85:
                for _ in range(dice.count(1, 2)):
                    with stage.frame((dice.uniform(-0.5, 0.5) * wide, dice.uniform(-1, 5), 0)):
                        tree(stage, dice.uniform(3, 12))
            if dice.chance(0.2):
                with stage.frame((0, -0.5, 0)):
                    fence(stage, wide)
        x += wide + dice.uniform(0, 5)


def park(stage: Stage, road: float) -> None:
    """A vehicle, parked at the kerb or driving."""
    dice = stage.dice
    lane = (road / 2 - 1.1) if dice.chance(0.7) else dice.uniform(0.25, 0.5) * road / 2
    side = dice.sign()
    at = (dice.uniform(-40, 40), side * lane, 0.0)
    if stage.is_full or not stage.claim(at, 2.2):
        return
    with stage.frame(at, (0.0 if side > 0 else math.pi) + dice.normalvariate(0.0, 0.04)):
        model = pick(stage, Use.ROAD, 0.6)
        if model is None:
            dice.choice((car, car, car, car, van, bicycle))(stage)
        else:
            put(stage, model, yaw=facing(stage, replace(model, back=None)))


def grown(stage: Stage) -> None:
    """A tree or a bush."""
    if stage.dice.chance(0.6):
        tree(stage, stage.dice.uniform(2.5, 11))
    else:
        bush(stage, stage.dice.uniform(0.4, 1.5))


def hedge(stage: Stage) -> None:
    """A trimmed hedge."""
    dice = stage.dice
    size = (dice.uniform(2, 9), dice.uniform(0.5, 1.2), dice.uniform(0.6, 2.2))
    stage.box((0, 0, size[2] / 2), size, foliage(stage))


def fence(stage: Stage, width: float = 8.0) -> None:
    """A fence of boards, bars or wire, with posts."""
    dice = stage.dice
    tall, wood = dice.uniform(0.7, 1.6), furniture.timber(stage)
    holes, upright = dice.choice((BARS, BARS, LATTICE)), turn_x(math.pi / 2)
    pitch, share = dice.uniform(0.08, 0.25), dice.uniform(0.1, 0.8)
    stage.card((0, 0, tall / 2), width, tall, wood, upright, holes=holes, pitch=pitch, share=share)
    for k in range(4):
        stage.box(((k / 3 - 0.5) * width, 0.02, tall / 2), (0.1, 0.1, tall + 0.1), wood)
    for z in (0.2, 0.85):
        stage.box((0, 0.02, tall * z), (width, 0.04, 0.08), wood)


def bench(stage: Stage) -> None:
    """A bench or picnic table, sometimes with objects on it."""
    dice = stage.dice
    height = dice.uniform(0.42, 0.75)
    furniture.table(stage, 1.7, dice.uniform(0.4, 0.9), height, laid=dice.chance(0.4))
    stage.subjects.append(stage.world((0, 0, height)))


def heap(stage: Stage) -> None:
    """A heap of rocks."""
    dice = stage.dice
    rock = stage.material(Texture.STONE, Texture.SPECKLE, mix=0.7, scale=1.5, gloss=0.0)
    for _ in range(dice.count(1, 5)):
        at = (dice.normalvariate(0, 0.6), dice.normalvariate(0, 0.6), 0.1)
        stage.ellipsoid(at, dice.vector(0.15, 1.1), rock, turn_x(dice.uniform(-0.5, 0.5)))


def lone_car(stage: Stage) -> None:
    """A parked vehicle."""
    stage.dice.choice((car, car, van, bicycle))(stage)
    stage.subjects.append(stage.world((0, 0, 0.8)))
