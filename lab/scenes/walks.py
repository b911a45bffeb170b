"""Camera paths through a scene: smooth, and clear of all surfaces."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lab.scenes.buffers import View
from lab.scenes.cameras import heading, is_open, look, look_at
from lab.scenes.dice import Dice
from lab.scenes.scene import CARD, ELLIPSOID, FRUSTUM, GROUND, ROOM, Scene
from lab.scenes.venue import Venue

TRIES = 12
"""Walks tried from one view before another scene is built."""
CLEARANCE = 0.1
"""Least distance of a surface to the camera [m]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A camera's motion, frame by frame.

    Attributes:
        stride: Distance from one frame to the next [m].
        drift: Direction of the first step, to the left of the first gaze [rad].
        bend: Change of direction from one frame to the next, to the left [rad].
        climb: Rise of each step over its length.
        turn: Change of gaze from one frame to the next, to the left [rad].
        nod: Amplitude of the oscillation of the gaze up and down [rad].
        sway: Amplitude of the oscillation of the roll [rad].
        period: Period of both oscillations [frames].
        aim: Distance of a fixed point that the camera keeps looking at [m]; None where ``turn``
            and ``nod`` give the gaze.
    """

    stride: float
    drift: float
    bend: float
    climb: float
    turn: float
    nod: float
    sway: float
    period: float
    aim: float | None


def choose_walk(
    view: View, venue: Venue, scene: Scene, dice: Dice, size: tuple[int, int],
    frames: int, step: float | None,
) -> list[View] | None:  # fmt: skip
    """Choose the views of a walk that begins with ``view``; None if no clear walk was found.

    Args:
        view: The first view.
        venue: Venue of the walk.
        scene: The scene.
        dice: Random generator.
        size: (height, width) of the frames [px].
        frames: Number of frames.
        step: Distance between consecutive frames [m]; by default 1% to 4% of the first view's
            median depth, less where there is little room.
    """
    depth, _ = look(scene, view, size)
    middle = float(np.median(depth[depth > 0]))
    for attempt in range(TRIES):
        stride = middle * dice.log_uniform(0.01, 0.04) * 0.85**attempt
        walk = draw_walk(venue, dice, stride if step is None else step, middle)
        views = follow(view, walk, frames)
        path = np.array([seen.origin for seen in views], np.float64)
        if keeps_clear(scene.solids, path) and all(
            is_open(venue, look(scene, seen, size)[0]) for seen in views
        ):
            return views
    return None


def draw_walk(venue: Venue, dice: Dice, stride: float, middle: float) -> Walk:
    """Draw a walk: mostly ahead, sideways or back; around the subject if there is one."""
    has_subject = venue.subject is not None
    aside, back = dice.sign() * math.pi / 2, math.pi
    way = dice.weighted((0.0, aside, back), (0.15, 0.75, 0.1) if has_subject else (0.6, 0.3, 0.1))
    return Walk(
        stride=stride,
        drift=way + dice.normalvariate(0.0, 0.3),
        bend=dice.normalvariate(0.0, 0.02),
        climb=dice.normalvariate(0.0, 0.25 if has_subject else 0.06),
        turn=dice.normalvariate(0.0, 0.015),
        nod=dice.normalvariate(0.0, 0.01),
        sway=dice.normalvariate(0.0, 0.01),
        period=dice.uniform(8.0, 20.0),
        aim=middle if has_subject or dice.chance(0.3) else None,
    )


def follow(view: View, walk: Walk, frames: int) -> list[View]:
    """Compute the views of a walk, beginning with ``view``."""
    start = view.origin.astype(np.float64)
    forward = view.turn[:, 2].astype(np.float64)
    yaw, pitch = math.atan2(forward[1], forward[0]), math.asin(float(np.clip(forward[2], -1, 1)))
    level = look_at(start, start + forward, 0.0)
    roll = math.atan2(float(level[:, 1] @ view.turn[:, 0]), float(level[:, 0] @ view.turn[:, 0]))
    views, origin = [view], start
    for k in range(1, frames):
        way = yaw + walk.drift + walk.bend * (k - 1)
        direction = np.array([math.cos(way), math.sin(way), walk.climb])
        origin = origin + walk.stride * direction / np.linalg.norm(direction)
        swing = math.sin(2.0 * math.pi * k / walk.period)
        if walk.aim is None:
            target = heading(origin, yaw + walk.turn * k, pitch + walk.nod * swing)
        else:
            target = start + walk.aim * forward
        turn = look_at(origin, target, roll + walk.sway * swing)
        views.append(view._replace(origin=origin.astype(np.float32), turn=turn.astype(np.float32)))
    return views


def keeps_clear(solids: np.ndarray, path: Float64[np.ndarray, "n 3"]) -> bool:
    """Whether a path keeps ``CLEARANCE`` from all surfaces, between its points too."""
    free = clearance(solids, path)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    # No surface is within ``free`` of a point; overlapping balls also clear the way between points.
    return bool((free > CLEARANCE).all() and (free[:-1] + free[1:] > steps).all())


def clearance(solids: np.ndarray, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n"]:
    """Distance [m] within which there is no surface; not positive for a point in a solid.

    Holes count as filled, cones and meshes as their bounding boxes, so the surface may be farther
    away.
    """
    shape, half = solids["shape"], solids["half"].astype(np.float64)
    offset = points[:, None] - solids["centre"].astype(np.float64)
    local = np.einsum("sij,nsj->nsi", solids["axes"].astype(np.float64), offset)
    edge = np.ones_like(half)
    edge[shape == CARD, 2] = 0.0
    edge[shape == FRUSTUM, :2] = np.maximum(1.0, solids["taper"][shape == FRUSTUM])[:, None]
    free = np.linalg.norm(np.maximum(np.abs(local) - edge, 0.0) * half, axis=-1)
    # Mapping the unit ball to an ellipsoid scales every length by at least the least radius.
    round_free = (np.linalg.norm(local, axis=-1) - 1.0) * half.min(axis=-1)
    free = np.where(shape == ELLIPSOID, np.maximum(round_free, free), free)
    free = np.where(shape == ROOM, ((1.0 - np.abs(local)) * half).min(axis=-1), free)
    free = np.where(shape == GROUND, local[..., 2], free)
    return free.min(axis=1)
