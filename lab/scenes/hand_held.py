"""Hand-held walks: paths that sway, bob and look around, with the blur that follows from them."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from lab.scenes.buffers import View
from lab.scenes.cameras import heading, is_open, look, look_at
from lab.scenes.dice import Dice
from lab.scenes.lens import Lens
from lab.scenes.scene import Scene
from lab.scenes.venue import Venue
from lab.scenes.walks import TRIES, keeps_clear

_STEPS = 8.0
"""Period of a step of somebody who walks [frames], at about 15 frames a second."""
_BOB, _SWAY = 0.012, 0.008
"""Amplitudes of the camera's motion up and down, and sideways, with each step [m]."""
_TREMOR = math.radians(0.12)
"""Standard deviation of the tremor of each axis [rad]."""
_SHUTTER = 0.3
"""Share of the time between two frames in which the shutter is open."""
_JUDGED = 5
"""Every so many views are judged by how much they show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wander:
    """Smooth motion that begins at 0, for each frame of a clip.

    Attributes:
        ahead: Way ahead, over the mean length of a step.
        aside: Way to the left, likewise.
        up: Way up, likewise.
        yaw: Turn to the left [rad].
        pitch: Turn up [rad].
        roll: Roll [rad].
    """

    ahead: Float64[np.ndarray, "n"]
    aside: Float64[np.ndarray, "n"]
    up: Float64[np.ndarray, "n"]
    yaw: Float64[np.ndarray, "n"]
    pitch: Float64[np.ndarray, "n"]
    roll: Float64[np.ndarray, "n"]


def choose_hand_held(
    view: View, venue: Venue, scene: Scene, dice: Dice, size: tuple[int, int],
    frames: int, step: float | None,
) -> list[View] | None:  # fmt: skip
    """Choose the views of a hand-held walk that begins with ``view``; None if none was found.

    Args:
        view: The first view, before tremor.
        venue: Venue of the walk.
        scene: The scene.
        dice: Random generator.
        size: (height, width) of the frames [px].
        frames: Number of frames.
        step: Mean distance between consecutive frames [m], apart from bobbing and swaying; by
            default 0.5% to 1.5% of the first view's median depth, less where there is little
            room.
    """
    depth, _ = look(scene, view, size)
    middle = float(np.median(depth[depth > 0]))
    for attempt in range(TRIES):
        length = middle * dice.log_uniform(0.005, 0.015) * 0.85**attempt if step is None else step
        views = carried(view, draw_wander(dice, frames), length, dice)
        path = np.array([seen.origin for seen in views], np.float64)
        if keeps_clear(scene.solids, path) and all(
            is_open(venue, look(scene, seen, size)[0]) for seen in views[::_JUDGED]
        ):
            return views
    return None


def draw_wander(dice: Dice, frames: int) -> Wander:
    """Draw a way that wanders to and fro, and a gaze that looks around."""
    way = np.stack([_smooth(dice, frames, 40, 200) * share for share in (1.0, 0.8, 0.15)])
    way[0] += dice.weighted((0.0, 0.03, -0.02), (0.4, 0.4, 0.2)) * np.arange(frames)
    lengths = np.linalg.norm(np.diff(way, axis=1), axis=0)
    ahead, aside, up = way / (lengths.mean() if len(lengths) else 1.0)
    turns = (math.radians(degrees) for degrees in (14.0, 5.0, 2.5))
    yaw, pitch, roll = (_smooth(dice, frames, 25, 90) * turn for turn in turns)
    return Wander(ahead=ahead, aside=aside, up=up, yaw=yaw, pitch=pitch, roll=roll)


def _smooth(dice: Dice, frames: int, shortest: float, longest: float) -> Float64[np.ndarray, "n"]:
    """Sum of four waves of random periods [frames] and phases; 0 in the first frame."""
    time = np.arange(frames)
    total = np.zeros(frames)
    for _ in range(4):
        phase = dice.angle()
        wave = np.sin(2 * math.pi * time / dice.log_uniform(shortest, longest) + phase)
        total += (wave - wave[0]) / 2
    return total


def carried(view: View, wander: Wander, step: float, dice: Dice) -> list[View]:
    """Compute the views of a camera that is carried along a way, steps and tremor included."""
    start = view.origin.astype(np.float64)
    forward = view.turn[:, 2].astype(np.float64)
    yaw, pitch = math.atan2(forward[1], forward[0]), math.asin(float(np.clip(forward[2], -1, 1)))
    level = look_at(start, start + forward, 0.0)
    roll = math.atan2(float(level[:, 1] @ view.turn[:, 0]), float(level[:, 0] @ view.turn[:, 0]))
    ahead = np.array([math.cos(yaw), math.sin(yaw), 0.0])
    left = np.array([-math.sin(yaw), math.cos(yaw), 0.0])
    begin, views = dice.angle(), []
    for k in range(len(wander.ahead)):
        walked = 2 * math.pi * k / _STEPS + begin
        bob, sway = _BOB * math.sin(walked), _SWAY * math.sin(walked / 2)
        origin = start + step * (wander.ahead[k] * ahead + wander.aside[k] * left)
        origin = origin + sway * left + np.array([0, 0, step * wander.up[k] + bob])
        shaken = [dice.normalvariate(0.0, _TREMOR) for _ in range(3)]
        gaze = heading(origin, yaw + wander.yaw[k] + shaken[0], pitch + wander.pitch[k] + shaken[1])
        turn = look_at(origin, gaze, roll + wander.roll[k] + shaken[2])
        views.append(view._replace(origin=origin.astype(np.float32), turn=turn.astype(np.float32)))
    return views


def blurred(lens: Lens, views: list[View], middle: float) -> list[Lens]:
    """Lens of each frame, with the shake of what the camera moves while the shutter is open.

    The whole picture is shaken as its middle moves, seen at the depth ``middle`` [m]; blur that
    differs between near and far, or from a roll, is left out.
    """
    lenses = []
    for here, there in itertools.pairwise([*views, views[-2] if len(views) > 1 else views[-1]]):
        point = here.origin + middle * here.turn[:, 2]
        seen = there.turn.T @ (point - there.origin)
        way = _SHUTTER * here.focal * seen[:2] / max(float(seen[2]), 0.1 * middle)
        lenses.append(
            replace(
                lens,
                shake=float(min(np.linalg.norm(way), 12.0)),
                heading=math.atan2(float(way[1]), float(way[0])),
            )
        )
    return lenses
