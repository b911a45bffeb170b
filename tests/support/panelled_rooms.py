"""Rooms with panelled walls that a turned camera sees, with exact depth: Manhattan scenes."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from rilievo.geometry.intrinsics import K_from_fov
from support.lens_boxes import turned

SIZE = (360, 480)
FOV = 75.0
_FINER = 3
"""Rays along each side of a pixel."""
_PANEL = 0.6
"""Side of the panels [m]."""
_WALLS = ((0, 1.5), (0, -1.7), (1, 1.4), (1, -1.2), (2, 6.0))
"""Axis and place [m] of the floor, the ceiling and the walls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelledRoom:
    """A room as a camera with the intrinsics ``K`` sees it; ``axes`` are those of the room."""

    pixels: np.ndarray
    depth: np.ndarray
    K: np.ndarray
    axes: np.ndarray


@cache
def panelled_room(yaw: float, pitch: float, roll: float = 0.0, *, seed: int = 0) -> PanelledRoom:
    """Render a room for a camera that is turned by these angles [degrees]."""
    height, width = SIZE
    K, axes = K_from_fov(FOV, SIZE), turned(yaw, pitch, roll)
    v = (np.arange(_FINER * height) + 0.5) / _FINER - 0.5
    u = (np.arange(_FINER * width) + 0.5) / _FINER - 0.5
    x, y = np.meshgrid((u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1])
    rays = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    depth, grey = _hit_walls(axes.T @ rays, np.random.default_rng(seed))
    finer = grey.reshape(height, _FINER, width, _FINER)
    pixels = np.repeat(finer.mean(axis=(1, 3))[..., None], 3, axis=2).astype(np.uint8)
    middle = depth.reshape(height, _FINER, width, _FINER)[:, _FINER // 2, :, _FINER // 2]
    return PanelledRoom(pixels=pixels, depth=middle.astype(np.float32), K=K, axes=axes)


def _hit_walls(rays: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Depth and grey level where rays [room's frame] meet the nearest wall."""
    depth, grey = np.full(rays.shape[1], np.inf), np.zeros(rays.shape[1])
    for axis, place in _WALLS:
        with np.errstate(divide="ignore"):
            met = place / rays[axis]
        is_nearest = (met > 0) & (met < depth)
        depth[is_nearest] = met[is_nearest]
        points = rays[:, is_nearest] * met[is_nearest]
        across, along = (points[other] for other in range(3) if other != axis)
        levels = random.uniform(30, 225, (64, 64))
        rows, columns = (np.floor(each / _PANEL).astype(int) % 64 for each in (across, along))
        grey[is_nearest] = levels[rows, columns]
    return depth, grey
