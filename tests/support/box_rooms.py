"""Analytic scenes for fusing: a textured box room, with or without a sphere, seen from inside."""

import itertools

import numpy as np

from rilievo.data.fuse.clip_views import ClipView
from rilievo.geometry.intrinsics import rays

HALF = np.array([2.0, 1.5, 2.5])
"""Half sides of the room, whose middle is the origin."""
SIZE = (72, 96)
K = np.array([[80.0, 0, 47.5], [0, 80.0, 35.5], [0, 0, 1]])


def pose(place: tuple[float, float, float], turn: float = 0.0) -> np.ndarray:
    """``world_T_cam`` at a place, turned about the y axis by some radians."""
    c, s = np.cos(turn), np.sin(turn)
    world_T_cam = np.eye(4)
    world_T_cam[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    world_T_cam[:3, 3] = place
    return world_T_cam


def colours_at(points: np.ndarray) -> np.ndarray:
    """Texture of the walls: waves of several lengths, RGB."""
    x, y, z = points
    wave = (
        np.sin(7 * x + 3 * y)
        + np.sin(9 * y - 5 * z)
        + np.sin(8 * z + 4 * x)
        + 0.7 * np.sin(19 * x - 13 * z)
        + 0.7 * np.sin(17 * y + 23 * x)
        + 0.7 * np.sin(21 * z - 11 * y)
    )
    grey = 128 + 24 * wave
    return np.stack([grey, 255 - grey, 0.5 * grey], axis=-1).clip(0, 255).astype(np.uint8)


def distance_to_room(points: np.ndarray) -> np.ndarray:
    """Distance of points (n, 3) inside the room to its nearest wall."""
    return np.abs(np.abs(points) - HALF).min(axis=1)


def room_view(
    world_T_cam: np.ndarray, name: str = "view", size: tuple[int, int] = SIZE
) -> ClipView:
    """View of a camera inside the room, with exact depth."""
    directions = np.einsum("ij,jhw->ihw", world_T_cam[:3, :3], rays(K, *size))
    origin = world_T_cam[:3, 3][:, None, None]
    with np.errstate(divide="ignore"):
        ahead = (np.sign(directions) * HALF[:, None, None] - origin) / directions
    depth = ahead.min(axis=0)
    return ClipView(
        name=name,
        pixels=colours_at(origin + depth * directions),
        depth=depth.astype(np.float32),
        valid=np.ones(size, bool),
        K=K,
        world_T_cam=world_T_cam,
    )


def walk(count: int, step: float = 0.06) -> list[ClipView]:
    """Views of a camera that goes sideways and turns a little."""
    middle = (count - 1) / 2
    places = [(step * (k - middle), 0.03 * np.sin(k), -1.0) for k in range(count)]
    return [
        room_view(pose(place, 0.02 * (k - middle)), f"{k:06d}") for k, place in enumerate(places)
    ]


def sphere_view(world_T_cam: np.ndarray, radius: float) -> ClipView:
    """View of a sphere around the origin from outside; nothing is valid beside the sphere."""
    directions = np.einsum("ij,jhw->ihw", world_T_cam[:3, :3], rays(K, *SIZE))
    origin = world_T_cam[:3, 3][:, None, None]
    a = (directions**2).sum(axis=0)
    b = (directions * origin).sum(axis=0)
    inner = b**2 - a * ((origin**2).sum() - radius**2)
    valid = inner > 0
    depth = np.where(valid, (-b - np.sqrt(np.maximum(inner, 0))) / a, 1).astype(np.float32)
    pixels = np.full((*SIZE, 3), (200, 60, 20), np.uint8)
    return ClipView(
        name="sphere", pixels=pixels, depth=depth, valid=valid, K=K, world_T_cam=world_T_cam
    )


def around(distance: float) -> list[np.ndarray]:
    """Poses that look at the origin from six sides and eight corners."""
    poses = []
    for forward in map(np.array, itertools.product((-1.0, 0.0, 1.0), repeat=3)):
        if np.count_nonzero(forward) not in (1, 3):
            continue
        forward = forward / np.linalg.norm(forward)
        across = np.cross([0.3, 1.0, 0.2], forward)
        across /= np.linalg.norm(across)
        world_T_cam = np.eye(4)
        world_T_cam[:3, :3] = np.stack([across, np.cross(forward, across), forward], axis=1)
        world_T_cam[:3, 3] = -distance * forward
        poses.append(world_T_cam)
    return poses
