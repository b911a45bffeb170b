"""Close views: rooms seen over furniture that is cut by the border of the picture.

The camera looks down by up to 60°, is at table height, or is near the floor like a robot's.
"""

import math
from dataclasses import dataclass, replace

from lab.scenes import furniture
from lab.scenes.clutter import clutter
from lab.scenes.dice import Dice
from lab.scenes.furnishing import facing, footprint, pick, put
from lab.scenes.kitchens import counter
from lab.scenes.models import Model, Use
from lab.scenes.people import person
from lab.scenes.plants import potted_plant
from lab.scenes.rooms import CARDINAL, furnished, room_size, set_down
from lab.scenes.stage import Stage
from lab.scenes.venue import Approach, Standpoint, Venue

CLEAR = 0.25
"""Least height of a camera above the furniture below it [m]."""


def near_view(stage: Stage) -> Venue:
    """Build a room around a camera with furniture close to it."""
    dice = stage.dice
    width, length, height = room_size(dice)
    x, y = dice.uniform(-0.5, 0.5) * (width - 0.6), dice.uniform(-0.5, 0.5) * (length - 0.6)
    eye, pitch = eye_and_pitch(dice, height)
    yaw = math.atan2(-y, -x) + dice.normalvariate(0.0, 0.7)
    # The y axis of this frame points ahead of the camera.
    with stage.frame((x, y, 0.0), yaw - math.pi / 2):
        stage.claim((0.0, 0.7, 0.0), 1.0)
        if dice.chance(0.75):
            put_ahead(stage, eye)
        for _ in range(dice.count(0, 2)):
            put_aside(stage)
        if dice.chance(0.3):
            with stage.frame((0.0, dice.uniform(0.8, 2.0), 0.0)):
                clutter(stage, 1.6, 1.2, 0.0, dice.count(1, 7))
    standpoint = Standpoint(origin=stage.world((x, y, eye)), yaw=yaw, pitch=pitch)
    venue = furnished(stage, width, length, height)
    return replace(venue, approach=Approach.STANDPOINT, standpoint=standpoint)


def eye_and_pitch(dice: Dice, ceiling: float) -> tuple[float, float]:
    """Camera height [m] and pitch [rad]: a person standing or sitting, a robot, or from above."""
    kind = dice.random()
    if kind < 0.45:
        return dice.uniform(1.15, 1.9), -math.radians(dice.uniform(5, 60))
    if kind < 0.7:
        return dice.uniform(0.7, 1.25), -math.radians(dice.uniform(-5, 45))
    if kind < 0.9:
        return dice.uniform(0.2, 0.6), math.radians(dice.normalvariate(-4, 8))
    return min(dice.uniform(1.9, 2.6), ceiling - 0.25), -math.radians(dice.uniform(15, 60))


def put_ahead(stage: Stage, eye: float) -> None:
    """Put large furniture ahead of a camera at height ``eye`` [m], which may be over its edge."""
    dice = stage.dice
    piece = draw_large_piece(stage)
    is_over = eye > piece.height + CLEAR
    near = dice.uniform(-0.4, 0.8) if is_over else dice.uniform(0.35, 1.4)
    turned = dice.choice(CARDINAL) if dice.chance(0.35) else dice.normalvariate(0.0, 0.25)
    if not is_over:
        near += 0.5 * abs(math.sin(turned)) * max(0.0, piece.width - piece.depth)
    with stage.frame((dice.normalvariate(0.0, 0.4), near + piece.depth / 2, 0.0), turned):
        put_large_piece(stage, piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class LargePiece:
    """Large furniture that stands on the floor.

    Attributes:
        kind: A number below 8, which says what it is if it is not a model.
        model: Model of the furniture, or None.
        yaw: Turn of the model about the vertical [rad].
        width, depth, height: Size [m].
    """

    kind: int
    model: Model | None = None
    yaw: float = 0.0
    width: float
    depth: float
    height: float


def draw_large_piece(stage: Stage) -> LargePiece:
    """Draw which large furniture to put, and its size."""
    dice = stage.dice
    kind, width = dice.randrange(8), dice.uniform(1.0, 2.6)
    depth = dice.uniform(0.55, 1.0)
    height = dice.uniform(0.66, 0.8)
    model = pick(stage, Use.FLOOR, 0.6, lambda model: max(model.size[:2]) > 0.6)
    if model is not None:
        yaw = facing(stage, model)
        width, depth = footprint(model, yaw)
        return LargePiece(
            kind=kind, model=model, yaw=yaw, width=width, depth=depth, height=float(model.size[2])
        )
    if kind == 3:
        height = dice.uniform(0.85, 1.05)
    elif kind in (4, 5):
        height, width, depth = 0.55, dice.uniform(0.9, 1.8), 2.0
    elif kind == 6:
        height, depth = 0.9, 0.95
    elif kind == 7:
        height = dice.uniform(0.35, 0.5)
    return LargePiece(kind=kind, width=width, depth=depth, height=height)


def put_large_piece(stage: Stage, piece: LargePiece) -> None:
    """Put large furniture at the origin of the stage's frame, with things on tables."""
    dice = stage.dice
    if piece.model is not None:
        set_down(stage, piece.model, piece.yaw)
    elif piece.kind == 3:
        counter(stage, piece.width, piece.depth, piece.height)
        clutter(stage, piece.width, piece.depth, piece.height, dice.count(1, 9))
    elif piece.kind in (4, 5):
        furniture.bed(stage, piece.width, piece.depth)
    elif piece.kind == 6:
        furniture.sofa(stage, max(piece.width, 1.2))
    else:
        furniture.table(stage, piece.width, piece.depth, piece.height)
        clutter(stage, piece.width, piece.depth, piece.height, dice.count(0, 6))


def put_aside(stage: Stage) -> None:
    """Put furniture to the left or right, near enough to be cut by the border."""
    dice = stage.dice
    at = (dice.sign() * dice.uniform(0.25, 1.0), dice.uniform(0.45, 1.8), 0.0)
    kind = dice.randrange(9)
    model = pick(stage, Use.FLOOR, 0.5, lambda model: max(model.size[:2]) < 1.3)
    with stage.frame(at, dice.angle()):
        if model is not None:
            put(stage, model)
        elif kind < 3:
            furniture.chair(stage)
        elif kind < 5:
            potted_plant(stage, dice.uniform(0.6, 1.9))
        elif kind == 5:
            door_leaf(stage)
        elif kind == 6:
            person(stage, dice.uniform(1.2, 1.95))
        elif kind == 7:
            furniture.shelf(stage, dice.uniform(0.5, 1.0), 0.3, dice.uniform(0.8, 2.0))
        else:
            furniture.cabinet(stage, dice.uniform(0.4, 0.9), 0.45, dice.uniform(0.5, 2.0))


def door_leaf(stage: Stage) -> None:
    """Put an open door at one side of its frame."""
    dice = stage.dice
    wide, tall, board = dice.uniform(0.65, 0.95), dice.uniform(1.95, 2.1), furniture.timber(stage)
    stage.box((wide / 2, 0.0, tall / 2 + 0.01), (wide, 0.04, tall), board)
    handle = stage.plain(gloss=0.4)
    for side in (-1, 1):
        stage.box((wide - 0.09, side * 0.045, 1.02), (0.12, 0.02, 0.02), handle)
    if dice.chance(0.5):
        for x in (0.28, 0.72):
            for z in (0.3, 0.7):
                panel = (0.34 * wide, 0.052, 0.3 * tall)
                stage.box((x * wide, 0.0, z * tall), panel, board)
    post = stage.plain()
    stage.box((-0.04, 0.0, tall / 2), (0.08, 0.14, tall + 0.1), post)
