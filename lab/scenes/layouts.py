"""Furnished rooms of models: layouts of whole houses, and rooms and close views with models."""

import math

import numpy as np

from lab.scenes.furnishing import dress
from lab.scenes.models import Model, Placement, Use
from lab.scenes.near import eye_and_pitch, near_view, put_ahead
from lab.scenes.rooms import room
from lab.scenes.scene import Light
from lab.scenes.stage import Stage
from lab.scenes.textures import Texture
from lab.scenes.venue import Approach, Standpoint, Venue, indoor_ambience

FAR = 14.0
"""Distance [m] from the camera to the farthest model of a layout that is kept."""


def furnished_view(stage: Stage) -> Venue:
    """Build a close view, a room, or a view of a layout."""
    dice = stage.dice
    build = dice.weighted((near_view, room, layout_view), (0.45, 0.2, 0.35))
    return build(stage)


def layout_view(stage: Stage) -> Venue:
    """Build the part of a layout around a camera that looks at one of its things."""
    dice = stage.dice
    every = [*stage.models.layouts.values()]
    every += [(alone(model),) for model in stage.models.uses.get(Use.CAMERA, ())]
    if not every:
        return near_view(stage)
    # Layouts with many different models come more often.
    weights = [4 + len({p.model.name for p in layout}) for layout in every]
    layout = dice.weighted(every, weights)
    (x, y), (toward_x, toward_y) = stand_before(stage, layout)
    eye, pitch = eye_and_pitch(dice, 2.8)
    turned, top = dice.angle(), walls_top(layout)
    yaw = math.atan2(toward_y - y, toward_x - x) + dice.normalvariate(0.0, 0.4)
    with stage.frame((0.0, 0.0, 0.0), turned):
        with stage.frame((-x, -y, 0.0)):
            fill(stage, layout, (x, y))
            enclose(stage, building_of(layout), (x, y), top)
        hang_lamps(stage, top)
        if dice.chance(0.25):
            with stage.frame((0.0, 0.0, 0.0), yaw - math.pi / 2):
                put_ahead(stage, eye)
    standpoint = Standpoint(origin=np.array([0.0, 0.0, eye]), yaw=yaw + turned, pitch=pitch)
    return Venue(
        stage=stage, approach=Approach.LAYOUT, width=2.0, length=2.0, height=min(top, 4.0),
        ambience=indoor_ambience(dice), standpoint=standpoint,
    )  # fmt: skip


def alone(model: Model) -> Placement:
    """A model that is a whole interior, on its floor."""
    foot = np.array([0.0, 0.0, -model.low[2]])
    return Placement(model=model, origin=foot, turn=np.eye(3), scale=np.ones(3))


def stand_before(
    stage: Stage, layout: tuple[Placement, ...]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Place of a camera in a layout, and the place that it looks at (x, y) [m]."""
    dice = stage.dice
    things = [p for p in layout if p.model.use is Use.FLOOR and p.origin[2] < 1.0]
    if things:
        seen = dice.choice(things)
        x, y, _ = seen.turn @ (seen.scale * seen.model.centre) + seen.origin
        away = 0.3 * float(seen.model.size[:2].max()) + dice.uniform(0.4, 3.0)
    else:
        low, size = layout[0].model.low, layout[0].model.size
        x, y = (low[k] + dice.uniform(0.1, 0.9) * size[k] for k in range(2))
        away = 2.0
    angle = dice.angle()
    at = np.array([x + away * math.cos(angle), y + away * math.sin(angle)])
    walls = building_of(layout)
    if walls is not None:
        low = (walls.origin + walls.model.low)[:2] + 0.3
        at = np.clip(at, low, low + walls.model.size[:2] - 0.6)
    return (float(at[0]), float(at[1])), (float(x), float(y))


def building_of(layout: tuple[Placement, ...]) -> Placement | None:
    """Largest of the parts that are walls of a building; None if there are none."""
    parts = [p for p in layout if p.model.use in (None, Use.CAMERA) and p.model.size[2] > 2]
    return max(parts, key=lambda p: float(p.model.size[0] * p.model.size[1]), default=None)


def walls_top(layout: tuple[Placement, ...]) -> float:
    """Height of the walls [m]."""
    walls = building_of(layout)
    top = 2.6 if walls is None else walls.origin[2] + walls.model.low[2] + walls.model.size[2]
    return max(2.4, min(9.0, float(top)))


def fill(stage: Stage, layout: tuple[Placement, ...], at: tuple[float, float]) -> None:
    """Put the models of a layout that are near a place; some of the furniture is left out."""
    dice, worn = stage.dice, dict[str, int]()
    for one in layout:
        model, half = one.model, one.model.half * one.scale
        middle = one.turn @ (one.scale * model.centre) + one.origin
        reach = math.hypot(middle[0] - at[0], middle[1] - at[1]) - math.hypot(*half)
        if reach > FAR or (model.use is not None and len(layout) > 1 and dice.chance(0.1)):
            continue
        if model.name not in worn:
            worn[model.name] = dress(stage, model)
        stage.mesh(model.tree, middle, half, worn[model.name], one.turn)


def enclose(stage: Stage, walls: Placement | None, at: tuple[float, float], top: float) -> None:
    """Close a layout with walls around, a floor and a ceiling, which show where its own lack."""
    dice = stage.dice
    low, size = np.array(at) - 8.0, np.array([16.0, 16.0])
    if walls is not None:
        low, size = (walls.origin + walls.model.low)[:2] - 0.1, walls.model.size[:2] + 0.2
    white = np.full(3, dice.uniform(0.5, 0.9))
    first = stage.material(Texture.WALL, colour=white, mix=0.3, gloss=0.0)
    for _ in range(3):
        stage.copy_material(first)
    stage.material(Texture.TILES, Texture.WOOD, gloss=0.0)
    stage.copy_material(first)
    middle = low + size / 2
    with stage.frame((middle[0], middle[1], -0.02)):
        stage.room(float(size[0]), float(size[1]), top + 0.04, first)


def hang_lamps(stage: Stage, top: float) -> None:
    """Hang lamps near the camera, under a ceiling at ``top`` [m]."""
    dice = stage.dice
    for _ in range(dice.count(2, 3)):
        away, angle = dice.uniform(0.3, 3.5), dice.angle()
        colour = np.array([1.0, dice.uniform(0.75, 1.0), dice.uniform(0.5, 1.0)])
        at = (away * math.cos(angle), away * math.sin(angle), min(top, 3.2) - 0.3)
        stage.lights.append(
            Light(
                position=stage.world(at),
                distant=False,
                size=dice.uniform(0.05, 0.3),
                colour=dice.uniform(1, 5) * colour,
            )
        )
