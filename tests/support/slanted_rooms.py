"""Exact depth of rooms that a turned camera sees: floor, ceiling, three walls and boxes."""

import numpy as np


def room_depth(
    height: int = 240, width: int = 320, *, seed: int = 0, focal: float | None = None
) -> np.ndarray:
    """Depth along the optical axis [m]; no surface is square to the camera."""
    chance = np.random.default_rng(seed)
    focal = 0.82 * width if focal is None else focal
    v, u = np.mgrid[:height, :width].astype(float)
    rays = np.stack(
        [(u - (width - 1) / 2) / focal, (v - (height - 1) / 2) / focal, np.ones_like(u)]
    )
    rays = np.tensordot(_turned(*chance.uniform((0.1, 0.05, 0.01), (0.4, 0.25, 0.05))), rays, 1)
    depth = np.full((height, width), np.inf)
    back = chance.uniform(3.5, 6)
    for normal, offset in (
        ((0, 1, 0), 1.4),
        ((0, -1, 0), 1.3),
        ((1, 0, 0), chance.uniform(1.5, 2.6)),
        ((-1, 0, 0), chance.uniform(1.5, 2.6)),
        ((0, 0, 1), back),
    ):
        towards = np.tensordot(np.array(normal, float), rays, 1)
        with np.errstate(divide="ignore"):
            met = np.where(towards > 1e-9, offset / towards, np.inf)
        depth = np.minimum(depth, met)
    for _ in range(5):
        low = np.array(
            [chance.uniform(-1.3, 1), 1.4 - chance.uniform(0.3, 1), chance.uniform(1.4, 3)]
        )
        high = low + np.array([chance.uniform(0.2, 0.7), 9, chance.uniform(0.2, 0.7)])
        first, second = low[:, None, None] / rays, high[:, None, None] / rays
        enter = np.minimum(first, second).max(axis=0)
        leave = np.maximum(first, second).min(axis=0)
        depth = np.where((enter < leave) & (enter > 0.1), np.minimum(depth, enter), depth)
    return depth


def _turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation from the camera to the room."""
    a, b, c = yaw, pitch, roll
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z
