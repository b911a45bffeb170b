"""Lattices before the sky or a far background: railings, masts, scaffolds, frames, bare boughs.

Some lattices are only painted on a wall, where depth is that of the wall.
"""

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np

from lab.scenes.casters import hard_sun, throw_shadow
from lab.scenes.figures import somebody, thing
from lab.scenes.outlooks import outlook, pattern, with_camera
from lab.scenes.rotations import turn_x, turn_y, turn_z
from lab.scenes.scene import OPEN
from lab.scenes.skylines import jib
from lab.scenes.stage import Point, Stage
from lab.scenes.textures import Texture
from lab.scenes.vehicles import bicycle
from lab.scenes.venue import Venue
from lab.scenes.wires import mesh, railing

MOST = 420
"""Number of bars after which no more lattices are added."""


def lattices(stage: Stage) -> Venue:
    """Build one or more lattices, or a wall with painted ones."""
    return stage.dice.weighted((open_lattices, painted_lattices), (0.78, 0.22))(stage)


def open_lattices(stage: Stage) -> Venue:
    """Lattices close to the camera or far, against the sky or the ground."""
    dice = stage.dice
    venue = outlook(stage, 4.0, indoors=dice.chance(0.15))
    near = (0.6, 1.6) if not venue.is_outdoors else (1.0, 9.0)
    small = (balusters, mesh, railing, cycle, cycle, trellis, wheel, climbing_frame, rake)
    large = (lattice_mast, lattice_mast, scaffold, bare_tree, bare_tree, jib, ladder)
    for _ in range(dice.count(1, 3)):
        is_large = venue.is_outdoors and dice.chance(0.5)
        deep = dice.log_uniform(*near) * (dice.uniform(3.0, 6.0) if is_large else 1.0)
        with stage.frame((dice.normalvariate(0, 0.25) * deep, deep, 0), dice.normalvariate(0, 0.5)):
            dice.choice(large if is_large else small)(stage)
        if len(stage.solids()) > MOST:
            break
    if dice.chance(0.3):
        with stage.frame((dice.uniform(-1, 1), dice.uniform(1.5, 7.0), 0), dice.angle()):
            somebody(stage)
    eye = dice.choice((dice.uniform(1.1, 1.8), dice.uniform(0.3, 1.1)))
    venue = with_camera(venue, eye, dice.normalvariate(0.08, 0.17))
    mood = dice.random()
    return replace(venue, overcast=mood < 0.3, dramatic=mood > 0.8)


def painted_lattices(stage: Stage) -> Venue:
    """A wall, or a wall and the ground, with lattices that are painted on it."""
    dice = stage.dice
    away = dice.log_uniform(0.8, 9.0)
    venue = outlook(stage, away + 1.0, indoors=False)
    scale = away * dice.log_uniform(0.3, 2.0)
    face = stage.material(Texture.GRID, mix=dice.uniform(0.6, 1.0), scale=scale, gloss=0.0)
    wide, tall = away * dice.uniform(1.2, 5.0), away * dice.uniform(0.5, 1.4)
    turn = dice.normalvariate(0.0, 0.4)
    with stage.frame((0.0, away, 0.0), turn):
        stage.box((0, 0.1, tall / 2), (wide, 0.2, tall), face)
        for _ in range(dice.count(0, 3)):
            size = dice.uniform(0.1, 0.4) * away
            at = (dice.uniform(-0.4, 0.4) * wide, -0.003, dice.uniform(0.3, 0.8) * tall)
            stage.box(at, (size, 0.006, size), pattern(stage, size))
    if dice.chance(0.4):
        # A real one before it.
        at = (dice.normalvariate(0, 0.2) * away, away * dice.uniform(0.45, 0.85), 0.0)
        with stage.frame(at, turn):
            dice.choice((balusters, cycle, railing, rake, bare_tree))(stage)
    eye = min(dice.uniform(0.35, 0.6) * tall + 0.2, 1.8)
    pitch = dice.normalvariate(0.03, 0.08)
    if dice.chance(0.4):
        sun = hard_sun(stage)
        for _ in range(dice.count(1, 3)):
            place = np.array([dice.uniform(-0.5, 0.5) * away, away, dice.uniform(0.2, 0.8) * tall])
            throw_shadow(stage, place, sun, eye, pitch, dice.uniform(0.15, 0.5) * away)
    return with_camera(venue, eye, pitch)


def iron(stage: Stage) -> int:
    """A material for bars: dark, pale or any colour."""
    dice = stage.dice
    if dice.chance(0.35):
        return stage.plain()
    return stage.plain(np.full(3, dice.choice((0.01, 0.03, 0.1, 0.4, 0.85))), gloss=0.1)


def balusters(stage: Stage) -> None:
    """A railing of round bars between two rails, some with knobs."""
    dice, bar = stage.dice, iron(stage)
    wide, tall = dice.uniform(1.5, 6.0), dice.uniform(0.8, 1.3)
    gap, thick = dice.log_uniform(0.06, 0.3), dice.log_uniform(0.005, 0.03)
    knob = dice.chance(0.3)
    for k in range(min(70, int(wide / gap))):
        x = k * gap - wide / 2
        stage.cylinder((x, 0, tall / 2), thick, tall, bar)
        if knob:
            stage.ellipsoid((x, 0, tall / 2), (2 * thick, 2 * thick, 3 * thick), bar)
    for z in (0.1, tall):
        stage.box((0, 0, z), (wide, 2.2 * thick + 0.02, 2.2 * thick + 0.01), bar)


def rake(stage: Stage) -> None:
    """A fence of boards, pickets or rods that lean a little, each by itself."""
    dice = stage.dice
    wood = stage.material(Texture.WOOD, Texture.WALL, scale=1.0, gloss=0.0)
    wide, gap = dice.uniform(1.5, 5.0), dice.uniform(0.1, 0.4)
    tall, broad = dice.uniform(0.6, 1.8), gap * dice.uniform(0.15, 0.8)
    for k in range(int(wide / gap)):
        high = tall * dice.uniform(0.9, 1.1)
        at = (k * gap - wide / 2, 0.0, high / 2)
        turn = turn_x(dice.normalvariate(0, 0.02)) @ turn_z(dice.normalvariate(0, 0.1))
        stage.box(at, (broad, 0.02, high), wood, turn)
    for z in (0.3, 0.8):
        stage.box((0, 0.03, z * tall), (wide, 0.03, 0.06), wood)


def trellis(stage: Stage) -> None:
    """Crossed laths, upright or on their points."""
    dice, lath = stage.dice, iron(stage)
    size, count, thick = dice.uniform(0.8, 2.5), dice.count(4, 14), dice.uniform(0.008, 0.04)
    lean = dice.choice((0.0, math.pi / 4))
    c, s = math.cos(lean), math.sin(lean)
    for k in range(count + 1):
        across = (k / count - 0.5) * size
        for a, b in ((c, s), (-s, c)):
            middle = np.array([across * a, 0.0, across * b + size / 2 + 0.1])
            way = 0.5 * size * np.array([-b, 0.0, a])
            stage.limb(middle - way, middle + way, thick, lath, 1.0)


def wheel(stage: Stage) -> None:
    """A wheel with spokes on a stand, as small as a bicycle's or as large as a fair's."""
    dice, metal = stage.dice, iron(stage)
    radius, count = dice.log_uniform(0.3, 2.5), dice.count(6, 28)
    middle, turn = np.array([0.0, 0.0, 1.15 * radius]), turn_x(math.pi / 2)
    thick = radius * dice.uniform(0.008, 0.03)
    for each in (radius, 0.92 * radius):
        stage.cylinder(middle, each, 3 * thick, metal, turn, holes=OPEN)
    for k in range(count):
        angle = 2 * math.pi * k / count
        rim = middle + radius * np.array([math.cos(angle), 0.0, math.sin(angle)])
        stage.limb(middle, rim, thick, metal, 1.0)
    for side in (-1, 1):
        foot = np.array([0.5 * side * radius, 0.3 * radius, 0.0])
        stage.limb(foot, middle, 2.5 * thick, metal, 1.0)


def cycle(stage: Stage) -> None:
    """A bicycle or a motorcycle, or a row of them."""
    dice = stage.dice
    turn = dice.normalvariate(0.0, 0.5)
    for k in range(dice.choice((1, 1, 2, 4))):
        with stage.frame((0.0, 0.7 * k, 0.0), turn):
            if dice.chance(0.4) or not thing(stage, dice.choice(("bicycle", "motorcycle"))):
                bicycle(stage)


def climbing_frame(stage: Stage) -> None:
    """A cage of bars in three directions."""
    dice, tube = stage.dice, stage.plain()
    nx, ny, nz = dice.count(1, 4), dice.count(1, 3), dice.count(2, 4)
    cell, thick = dice.uniform(0.35, 0.7), dice.uniform(0.012, 0.03)
    reach = np.array([nx, ny, nz]) * cell
    shift = np.array([reach[0] / 2, 0.0, 0.0])
    for axis, ends in ((0, (ny, nz)), (1, (nx, nz)), (2, (nx, ny))):
        for i, j in product(range(ends[0] + 1), range(ends[1] + 1)):
            start = np.insert(np.array([i, j]) * cell, axis, 0.0)
            end = start.copy()
            end[axis] = reach[axis]
            stage.limb(start - shift, end - shift, thick, tube, 1.0)


def lattice_mast(stage: Stage) -> None:
    """A tapering tower of struts, as of a pylon, with arms and cables at times."""
    dice, steel = stage.dice, iron(stage)
    tall = dice.log_uniform(4.0, 40.0)
    foot, neck = tall * dice.uniform(0.06, 0.16), tall * dice.uniform(0.005, 0.03)
    floors, bend = dice.count(4, 11), dice.uniform(0.8, 2.5)
    thick = tall * dice.uniform(0.002, 0.006)

    def corners(level: int) -> list[Point]:
        share = level / floors
        wide = neck + (foot - neck) * (1.0 - share) ** bend
        return [np.array([a * wide, b * wide, share * tall])
                for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]  # fmt: skip

    for low, high in pairwise(range(floors + 1)):
        under, over = corners(low), corners(high)
        for k in range(4):
            stage.limb(under[k], over[k], 1.6 * thick, steel, 1.0)
            stage.limb(under[k], over[(k + 1) % 4], thick, steel, 1.0)
            stage.limb(under[(k + 1) % 4], over[k], thick, steel, 1.0)
            stage.limb(over[k], over[(k + 1) % 4], thick, steel, 1.0)
    if dice.chance(0.5):
        for level in range(dice.count(1, 3)):
            z, arm = tall * (0.95 - 0.13 * level), tall * dice.uniform(0.08, 0.2)
            stage.box((0, 0, z), (2 * arm, 2 * thick, 2 * thick), steel)
            for side in (-1, 1):
                end = np.array([side * arm, 0.0, z])
                stage.limb(np.array([0.0, 0.0, z + 0.05 * tall]), end, thick, steel, 1.0)
                far = end + np.array([0.0, 30.0, dice.uniform(-2, 2)])
                stage.limb(end, far, 0.4 * thick, steel, 1.0)


def scaffold(stage: Stage) -> None:
    """Poles, planks and braces, before a wall or free."""
    dice, pole = stage.dice, iron(stage)
    plank = stage.material(Texture.WOOD, scale=1.5, gloss=0.0)
    bays, floors = dice.count(2, 6), dice.count(2, 5)
    bay, storey = dice.uniform(1.5, 2.6), dice.uniform(1.8, 2.3)
    wide, tall = bays * bay, floors * storey
    for k, y in product(range(bays + 1), (0.0, 0.8)):
        stage.cylinder((k * bay - wide / 2, y, tall / 2 + 0.5), 0.03, tall + 1.0, pole)
    for floor in range(1, floors + 1):
        z = floor * storey
        stage.box((0, 0.4, z), (wide, 0.75, 0.05), plank)
        for y, lift in product((0.0, 0.8), (0.5, 1.0)):
            stage.box((0, y, z + lift), (wide, 0.045, 0.045), pole)
        for k in range(bays):
            if dice.chance(0.4):
                start = np.array([k * bay - wide / 2, 0.0, z - storey])
                stage.limb(start, start + np.array([bay, 0.0, storey]), 0.02, pole, 1.0)
    if dice.chance(0.5):
        stage.box((0, 2.2, tall / 2), (wide + 2, 2.0, tall + 0.5), pattern(stage, 3.0))


def ladder(stage: Stage) -> None:
    """A ladder that leans."""
    dice, wood = stage.dice, iron(stage)
    tall, lean = dice.uniform(2.0, 7.0), dice.uniform(0.05, 0.4)
    top = np.array([0.0, lean * tall, tall])
    for side in (-0.22, 0.22):
        shift = np.array([side, 0.0, 0.0])
        stage.limb(shift, shift + top, 0.03, wood, 1.0)
    for k in range(1, int(tall / 0.28)):
        rung = top * k * 0.28 / tall
        stage.cylinder(rung, 0.016, 0.44, wood, turn_y(math.pi / 2))


def bare_tree(stage: Stage) -> None:
    """A tree without leaves, forked several times."""
    dice = stage.dice
    tone = np.full(3, dice.log_uniform(0.01, 0.4))
    bark = stage.material(Texture.WOOD, Texture.STONE, colour=tone, mix=dice.uniform(0, 0.5),
                          scale=0.6, gloss=0.0)  # fmt: skip
    tall = dice.log_uniform(1.5, 12.0)
    stem = tall * dice.uniform(0.012, 0.03)
    fork = np.array([0.0, 0.0, tall * dice.uniform(0.15, 0.35)])
    stage.limb(np.zeros(3), fork, stem, bark, 0.8)
    ends = [(fork, np.array([0.0, 0.0, 1.0]), 0.7 * stem, 0.3 * tall)]
    count = 0
    while ends and count < 160:
        start, way, thick, long = ends.pop(0)
        for _ in range(dice.count(2, 3)):
            aim = way + np.array(dice.vector(-0.8, 0.8)) + (0.0, 0.0, 0.15)
            aim = aim / np.linalg.norm(aim)
            end = start + aim * long * dice.uniform(0.6, 1.1)
            if end[2] < 0.05:
                continue
            stage.limb(start, end, thick, bark, 0.6)
            count += 1
            if long > 0.06 * tall:
                ends.append((end, aim, 0.6 * thick, 0.68 * long))
