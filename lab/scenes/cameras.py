"""Chooses camera positions, and judges whether a view is useful."""

import math

import numpy as np
from jaxtyping import Float32, Int32

from lab.scenes.buffers import View
from lab.scenes.dice import Dice
from lab.scenes.frame import glance
from lab.scenes.rotations import Rotation
from lab.scenes.scene import Scene
from lab.scenes.stage import Point
from lab.scenes.venue import Approach, Venue

TRIES = 10
GLANCE_STRIDE = 16
UP = np.array([0.0, 0.0, 1.0])


def look_at(origin: Point, target: Point, roll: float) -> Rotation:
    """world_R_cam of a camera that looks at a target, rolled by ``roll`` [rad] about its axis."""
    forward = (target - origin) / (np.linalg.norm(target - origin) + 1e-9)
    right = np.cross(forward, UP)
    right /= np.linalg.norm(right) + 1e-9
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    level = np.stack([right, down, forward], axis=1)
    return level @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def heading(origin: Point, yaw: float, pitch: float) -> Point:
    """A point one metre ahead, in a direction given by yaw and pitch [rad]."""
    flat = math.cos(pitch)
    return origin + np.array([math.cos(yaw) * flat, math.sin(yaw) * flat, math.sin(pitch)])


def stand_in_room(venue: Venue, dice: Dice) -> tuple[Point, Point]:
    """Camera and target in a room: any direction, or an object of interest."""
    subjects = venue.stage.subjects
    kind = dice.random()
    if subjects and kind < 0.25:
        target = dice.choice(subjects) + np.array(dice.vector(-0.25, 0.25))
        angle, away = dice.angle(), dice.uniform(0.4, 1.8)
        step = np.array([away * math.cos(angle), away * math.sin(angle), dice.uniform(0.1, 0.9)])
        origin = keep_inside(venue, target + step)
    else:
        heights = (dice.uniform(1.1, 1.8), dice.uniform(0.3, 1.1), dice.uniform(1.8, 2.2))
        x, y = dice.uniform(-0.5, 0.5) * venue.width, dice.uniform(-0.5, 0.5) * venue.length
        origin = keep_inside(venue, np.array([x, y, dice.weighted(heights, (0.68, 0.25, 0.07))]))
        pitch = dice.normalvariate(-0.15, 0.22)
        target = heading(origin, dice.angle(), float(np.clip(pitch, -1.2, 0.9)))
    return origin, target


def keep_inside(venue: Venue, origin: Point) -> Point:
    """Move a camera to the nearest place that is clear of walls, floor and ceiling."""
    x, y = venue.width / 2 - 0.12, venue.length / 2 - 0.12
    return np.clip(origin, [-x, -y, 0.15], [x, y, venue.height - 0.2])


def stand_outdoors(venue: Venue, dice: Dice) -> tuple[Point, Point]:
    """Camera and target outdoors: mostly along the street, from eye height or from above."""
    subjects = venue.stage.subjects
    if subjects and dice.chance(0.2):
        target = dice.choice(subjects)
        angle, away = dice.angle(), dice.log_uniform(1.0, 8.0)
        step = np.array([away * math.cos(angle), away * math.sin(angle), dice.uniform(0.0, 0.6)])
        return target + step, target
    eye = dice.weighted(
        (dice.uniform(1.2, 1.9), dice.uniform(0.3, 1.2), dice.uniform(2, 8)), (0.7, 0.15, 0.15)
    )
    across = dice.uniform(-0.4, 0.4) * venue.length * dice.choice((1.0, 0.3))
    origin = np.array([dice.uniform(-0.4, 0.4) * venue.width, across, eye])
    yaw = (
        dice.choice((0.0, math.pi)) + dice.normalvariate(0.0, 0.5)
        if dice.chance(0.55)
        else dice.angle()
    )
    pitch = dice.normalvariate(-0.06, 0.12)
    return origin, heading(origin, yaw, pitch)


def stand(venue: Venue, dice: Dice) -> tuple[Point, Point]:
    """Draw camera and target for one try."""
    subject = venue.subject
    if subject is not None:
        bearing = subject.bearing + dice.normalvariate(0.0, 0.3)
        flat = subject.away * math.cos(subject.rise)
        lift = subject.away * math.sin(subject.rise)
        step = np.array([flat * math.cos(bearing), flat * math.sin(bearing), lift])
        aim = subject.point + np.array(dice.vector(-0.12, 0.12)) * subject.away
        return subject.point + step, aim
    if venue.standpoint is not None:
        eye = venue.standpoint
        origin = keep_inside(venue, eye.origin + np.array(dice.vector(-0.08, 0.08)))
        yaw = dice.normalvariate(eye.yaw, eye.yaw_spread)
        pitch = dice.normalvariate(eye.pitch, eye.pitch_spread)
        return origin, heading(origin, yaw, pitch)
    if venue.approach is Approach.STREET:
        return stand_outdoors(venue, dice)
    return stand_in_room(venue, dice)


def choose_view(venue: Venue, scene: Scene, dice: Dice, size: tuple[int, int]) -> View | None:
    """Draw cameras until one has a useful view; None if none was found in ``TRIES``."""
    height, width = size
    for _ in range(TRIES):
        field = math.radians(dice.uniform(35, 100) if dice.chance(0.4) else dice.uniform(50, 78))
        if venue.field is not None:
            field = math.radians(dice.uniform(*venue.field))
        origin, target = stand(venue, dice)
        is_level = dice.chance(0.85 if venue.standpoint is None else 0.6)
        askew = venue.standpoint.roll if venue.standpoint is not None else None
        tilt = dice.normalvariate(0.0, askew or (0.04 if is_level else 0.25))
        view = View(
            origin=origin.astype(np.float32),
            turn=look_at(origin, target, tilt).astype(np.float32),
            focal=0.5 * max(height, width) / math.tan(field / 2),
            cx=(width - 1) / 2,
            cy=(height - 1) / 2,
        )
        depth, solid = look(scene, view, size)
        if is_worth(venue, depth, len(np.unique(solid)), dice) and is_in_sight(venue, depth):
            return view
    return None


def look(
    scene: Scene, view: View, size: tuple[int, int]
) -> tuple[Float32[np.ndarray, "h w"], Int32[np.ndarray, "h w"]]:
    """Depth [m] and row of ``solids`` on a coarse grid of pixels, -1 where there is none."""
    height, width = size
    stride = min(GLANCE_STRIDE, height // 4, width // 4)
    return glance(scene.solids, scene.meshes, view, height, width, stride)


def is_open(venue: Venue, depth: Float32[np.ndarray, "h w"]) -> bool:
    """Whether enough is visible, and little of it right in front of the lens."""
    seen = depth[depth > 0]
    if seen.size < 0.15 * depth.size:
        return False
    if venue.subject is not None:
        return bool(np.percentile(seen, 3) > 0.12)
    if venue.standpoint is not None:
        return bool(np.percentile(seen, 3) > 0.15 and np.median(seen) >= 0.4)
    return bool(np.percentile(seen, 3) >= 0.25 and np.median(seen) >= 0.4)


def is_covered(venue: Venue, depth: Float32[np.ndarray, "h w"]) -> bool:
    """Whether near surfaces cover what the venue asks for, if it asks."""
    cover = venue.cover
    if cover is None:
        return True
    share = float(((depth > 0) & (depth < cover.within)).mean())
    return cover.least <= share <= cover.most


def is_worth(venue: Venue, depth: Float32[np.ndarray, "h w"], kinds: int, dice: Dice) -> bool:
    """Whether a view is useful: not blocked, not only sky, and seldom a bare corner."""
    if not (is_open(venue, depth) and is_covered(venue, depth)):
        return False
    if venue.subject is not None:
        return True
    if venue.approach is Approach.LAYOUT:
        return kinds >= 5
    if venue.standpoint is not None:
        return not (kinds < 5 and dice.chance(0.75))
    if venue.approach is Approach.ROOM:
        is_bare, is_tight = kinds < 7, np.median(depth[depth > 0]) < 1.0
        return not (is_bare and dice.chance(0.75)) and not (is_tight and dice.chance(0.6))
    # The sky and the ground count as two kinds.
    return not (kinds < 5 and dice.chance(0.75))


def is_in_sight(venue: Venue, depth: Float32[np.ndarray, "h w"]) -> bool:
    """Whether nothing occludes the camera's subject, if it has one."""
    if venue.subject is None:
        return True
    row, column = depth.shape[0] // 2, depth.shape[1] // 2
    middle = depth[row - 1 : row + 2, column - 1 : column + 2]
    # Objects around a subject, and its own front, are nearer than its centre.
    return bool(np.median(np.where(middle > 0, middle, np.inf)) > 0.8 * venue.subject.away - 0.2)
