"""Rooms and streets behind something near that covers 30 to 60% of the picture.

Frames of occluders have their origin at the edge that ends in the picture: the occluder stands on
x >= 0, and the camera is at -y.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from lab.scenes import furniture
from lab.scenes.figures import somebody
from lab.scenes.furnishing import facing, footprint, pick, put
from lab.scenes.models import Use
from lab.scenes.near import door_leaf
from lab.scenes.outdoors import street
from lab.scenes.plants import bush, potted_plant, tree
from lab.scenes.rooms import furnished, room_size
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Cover, Standpoint, Venue
from lab.scenes.walls import wall_material

LEAST, MOST = 0.3, 0.6
"""Share of the picture that is covered."""
ROLL, LEVEL = 0.3, 0.03
"""Standard deviations of a rolled and of a level camera's roll [rad]."""
BEYOND = 0.45
"""Depth of what counts as the occluder behind its front [m]."""


def near_occluder(stage: Stage) -> Venue:
    """Build a place, and something near that covers a part of the view."""
    dice = stage.dice
    return (behind_in_street if dice.chance(0.22) else behind_in_room)(stage)


def behind_in_room(stage: Stage) -> Venue:
    """Build a room behind an occluder."""
    dice = stage.dice
    width, length, height = room_size(dice)
    width, length = max(width, 2.6), max(length, 3.0)
    # At one end of the room, so that most of it lies beyond the occluder.
    x, y = dice.uniform(-0.4, 0.4) * (width - 0.8), dice.uniform(-0.5, -0.1) * (length - 0.8)
    eye = dice.weighted((dice.uniform(1.1, 1.75), dice.uniform(0.3, 1.1)), (0.75, 0.25))
    yaw = math.pi / 2 + 0.6 * math.atan2(x, -y) + dice.normalvariate(0.0, 0.35)
    near = dice.log_uniform(0.35, 1.2)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        stage.claim((0.0, 0.5, 0.0), 0.9)
        cover_view(stage, near, height, INDOORS)
    venue = furnished(stage, width, length, height)
    standpoint = Standpoint(
        origin=stage.world((x, y, min(eye, height - 0.3))), yaw=yaw,
        pitch=dice.normalvariate(-0.1, 0.14), roll=choose_roll(stage), yaw_spread=0.12,
    )  # fmt: skip
    cover = Cover(within=near + BEYOND, least=LEAST, most=MOST)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint, cover=cover)


def behind_in_street(stage: Stage) -> Venue:
    """Build a street behind an occluder."""
    dice = stage.dice
    x, y = dice.uniform(-5, 5), dice.uniform(-3.5, 3.5)
    yaw = dice.choice((0.0, math.pi)) + dice.normalvariate(0.0, 0.45)
    near = dice.log_uniform(0.45, 1.8)
    stage.claim((x, y, 0.0), 2.6)
    venue = street(stage)
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        cover_view(stage, near, 3.0, OUTDOORS)
    standpoint = Standpoint(
        origin=stage.world((x, y, dice.uniform(1.1, 1.8))), yaw=yaw,
        pitch=dice.normalvariate(-0.03, 0.1), roll=choose_roll(stage), yaw_spread=0.12,
    )  # fmt: skip
    cover = Cover(within=near + BEYOND, least=LEAST, most=MOST)
    return replace(
        venue, approach=Approach.STANDPOINT, standpoint=standpoint, cover=cover, field=(45.0, 85.0)
    )


def choose_roll(stage: Stage) -> float:
    """Standard deviation of the roll [rad]: half of the cameras are rolled."""
    return ROLL if stage.dice.chance(0.5) else LEVEL


def cover_view(
    stage: Stage, near: float, height: float, occluders: tuple[tuple["Occluder", float], ...]
) -> None:
    """Put an occluder at a distance ``near`` [m] ahead, on the left or right, or all around."""
    dice, side = stage.dice, stage.dice.sign()
    build = dice.weighted(*zip(*occluders, strict=True))
    inner = side * near * dice.uniform(-0.25, 0.4)
    askew = dice.normalvariate(0.0, 0.3)
    # A half turn brings x >= 0 to the left; what has a front still shows it to the camera.
    with stage.frame((inner, near, 0.0), askew if side > 0 else askew + math.pi):
        build(stage, near, height)


def wall_end(stage: Stage, near: float, height: float) -> None:
    """The end of a wall, thick or thin, with a corner strip or a frame."""
    dice = stage.dice
    deep, wide = dice.choice((0.08, 0.12, 0.15, 0.25, 0.4)), 3.0 * near
    paint = wall_material(stage, stage.colour(), dice.uniform(0, 0.8))
    stage.box((wide / 2, 0.0, height / 2), (wide, deep, height), paint)
    if dice.chance(0.4):
        edge = dice.uniform(0.02, 0.1)
        stage.box((0.0, 0.0, height / 2), (edge, deep + 0.04, height), stage.plain())
    if dice.chance(0.3):
        across, tall = dice.uniform(0.2, 0.7), dice.uniform(0.2, 0.8)
        at = (dice.uniform(0.2, 0.8) * near + across / 2, 0.0, dice.uniform(1.1, 1.6))
        stage.box(at, (across, deep + 0.03, tall), stage.picture(across, tall))
    if dice.chance(0.4):
        at = (dice.uniform(0.08, 0.4) * near, 0.0, dice.choice((0.3, 1.1)))
        stage.box(at, (0.08, deep + 0.02, 0.08), stage.plain((0.8, 0.8, 0.8)))


def doorway(stage: Stage, near: float, height: float) -> None:
    """A doorway that the camera looks through: wall on both sides and above, with its frame."""
    dice = stage.dice
    deep, wide, tall = dice.uniform(0.1, 0.3), dice.uniform(0.6, 0.95), dice.uniform(1.9, 2.1)
    wide = min(wide, 1.1 * near)
    paint, frame = wall_material(stage, stage.colour(), dice.uniform(0, 0.8)), stage.plain()
    shift = dice.uniform(-0.5, 0.15) * wide
    with stage.frame((shift, 0.0, 0.0)):
        for side in (-1, 1):
            at = (side * (wide / 2 + 1.5), 0.0, height / 2)
            stage.box(at, (3.0, deep, height), paint)
            post = (side * wide / 2, 0.0, tall / 2)
            stage.box(post, (dice.uniform(0.05, 0.1), deep + 0.05, tall), frame)
        above = height - tall
        stage.box((0.0, 0.0, tall + above / 2), (wide, deep, above), paint)
        stage.box((0.0, 0.0, tall), (wide + 0.1, deep + 0.05, 0.08), frame)
        if dice.chance(0.35):
            swing = dice.uniform(0.9, 2.0)
            with stage.frame((-wide / 2, deep / 2, 0.0), swing):
                stage.box((wide / 2, 0.0, tall / 2), (wide, 0.04, tall), furniture.timber(stage))


def open_door(stage: Stage, near: float, height: float) -> None:
    """The leaf of an open door."""
    dice = stage.dice
    wide = max(1.0, 2.0 * near)
    with stage.frame((0.0, 0.0, 0.0), dice.normalvariate(0.0, 0.3)):
        door_leaf(stage)
    if wide > 1.0:  # the wall that it hangs at continues beyond the border
        paint = wall_material(stage, stage.colour(), dice.uniform(0, 0.6))
        stage.box((0.95 + wide / 2, 0.0, height / 2), (wide, 0.14, height), paint)


def cupboard(stage: Stage, near: float, height: float) -> None:
    """A cupboard, a shelf or a refrigerator, from its front, its side or its back."""
    dice = stage.dice
    wide, deep = dice.uniform(0.5, 1.0) + 0.8 * near, dice.uniform(0.3, 0.6)
    tall = min(height - 0.05, dice.uniform(1.5, 2.3))
    model = pick(stage, Use.FLOOR, 0.35, lambda model: model.size[2] > 1.4)
    if model is not None:
        yaw = facing(stage, model)
        across, deep = footprint(model, yaw)
        put(stage, model, (across / 2, deep / 2, 0.0), yaw)
        return
    with stage.frame((wide / 2, deep / 2, 0.0), dice.choice((0.0, 0.0, math.pi))):
        kind = dice.random()
        if kind < 0.5:
            furniture.cabinet(stage, wide, deep, tall, laid=False)
        elif kind < 0.75:
            furniture.shelf(stage, wide, deep, tall)
        else:
            enamel = stage.plain(gloss=0.3)
            stage.box((0, 0, tall / 2), (wide, deep, tall), enamel)
            stage.box((0, -deep / 2 - 0.02, tall * 0.35), (wide, 0.04, tall * 0.68), enamel)


def curtain(stage: Stage, near: float, height: float) -> None:
    """A curtain in folds, such as that of a bed, a bath or a window."""
    dice = stage.dice
    cloth = stage.material(
        Texture.FABRIC, Texture.WALL, Texture.PICTURE, mix=dice.uniform(0, 0.9),
        scale=dice.uniform(0.4, 1.5), gloss=0.0,
    )  # fmt: skip
    fold, top = dice.uniform(0.05, 0.12), min(height - 0.1, dice.uniform(2.0, 2.6))
    low, phase = dice.choice((0.02, 0.02, 0.3)), dice.angle()
    for k in range(int(2.2 * near / fold) + 4):
        sway = 0.35 * fold * math.sin(2.3 * k + phase)
        at = (k * fold, sway, (low + top) / 2)
        radius = fold * dice.uniform(0.55, 0.75)
        stage.cylinder(at, radius, top - low, cloth, taper=dice.uniform(0.8, 1.0))


def plant(stage: Stage, near: float, height: float) -> None:
    """Potted plants as high as the camera or higher, in a group."""
    dice = stage.dice
    for k in range(dice.count(2, 4)):
        at = ((0.25 + 0.45 * k) * max(near, 0.6), dice.normalvariate(0.1, 0.12), 0.0)
        with stage.frame(at, dice.angle()):
            potted_plant(stage, min(height - 0.1, dice.uniform(1.4, 2.3)))


def bystander(stage: Stage, near: float, height: float) -> None:
    """One or two people close to the camera."""
    dice = stage.dice
    for k in range(dice.count(1, 2) if near < 0.8 else 2):
        at = (0.22 + 0.5 * k, 0.15 + dice.normalvariate(0.0, 0.06), 0.0)
        with stage.frame(at, dice.angle()):
            somebody(stage)


def column(stage: Stage, near: float, height: float) -> None:
    """A round or square column."""
    dice = stage.dice
    wide = near * dice.uniform(0.6, 1.0)
    stuff = wall_material(stage, stage.colour(), dice.uniform(0, 1))
    if dice.chance(0.5):
        stage.cylinder((wide / 2, wide / 2, height / 2), wide / 2, height, stuff)
    else:
        stage.box((wide / 2, wide / 2, height / 2), (wide, wide, height), stuff)


def grown(stage: Stage, near: float, height: float) -> None:
    """A bush, or the stem of a tree, that hangs into the view."""
    dice = stage.dice
    if dice.chance(0.5):
        for k in range(3):
            with stage.frame((0.3 + 0.6 * k * near, 0.3, dice.uniform(0.0, 0.8))):
                bush(stage, dice.uniform(0.7, 1.2))
    else:
        stem = near * dice.uniform(0.35, 0.6)
        bark = stage.material(Texture.STONE, Texture.WOOD, colour=(0.1, 0.07, 0.05), mix=0.6)
        stage.cylinder((stem, 0.2, 3.0), stem, 6.0, bark, taper=0.8)
        with stage.frame((stem, 0.2, 2.0)):
            tree(stage, dice.uniform(3, 5))


Occluder = Callable[[Stage, float, float], None]
"""Builder of an occluder, given its distance and the height of the ceiling [m]."""
INDOORS: tuple[tuple[Occluder, float], ...] = (
    (wall_end, 0.26), (doorway, 0.16), (open_door, 0.12), (cupboard, 0.14), (curtain, 0.1),
    (plant, 0.08), (bystander, 0.1), (column, 0.04),
)  # fmt: skip
OUTDOORS: tuple[tuple[Occluder, float], ...] = (
    (wall_end, 0.3), (column, 0.15), (bystander, 0.25), (grown, 0.3),
)  # fmt: skip
"""Occluders with their weights."""
