"""What goes into the compiled kernels and what they write, as tuples of arrays."""

from typing import NamedTuple

import numpy as np

TILE = 16
"""Side of the tiles in which a frame is drawn, in pixels."""
CELL = 8
"""Side of the four cells of a tile."""
HORIZON = 400.0
"""Nothing is drawn beyond this distance [m]; a ray that meets nothing sees the sky."""
LIGHTS = 3
"""Lights in a scene, at most."""


class View(NamedTuple):
    """The camera for the kernels; as everywhere, pixel (0, 0) has its centre at (0, 0)."""

    origin: np.ndarray
    """Centre of projection in the world [m], float32 (3,)."""
    turn: np.ndarray
    """world_R_cam, float32 (3, 3)."""
    focal: float
    cx: float
    cy: float


class Paint(NamedTuple):
    """Textures for the kernels."""

    texels: np.ndarray
    """uint8 (textures, texels of all levels, 3)."""
    linear: np.ndarray
    """Linear value of each uint8 value, float32 (256,)."""
    side: int


class Lamps(NamedTuple):
    """Lights for the kernels, float32; see ``scene.Light`` and ``scene.Ambience``."""

    lit: int
    """How many of the ``LIGHTS`` rows are in use."""
    position: np.ndarray
    size: np.ndarray
    distant: np.ndarray
    colour: np.ndarray
    direction: np.ndarray
    bright: np.ndarray
    dark: np.ndarray
    reach: float


class Chance(NamedTuple):
    """What the kernels draw their chance from."""

    directions: np.ndarray
    """Unit vectors all around, float32 (n, 3)."""
    draws: np.ndarray
    """Rows of ``directions`` for each ray from a pixel's point: two directions, and a place in each
    light; int32 (rays, LIGHTS + 2, h, w)."""


class Buffers(NamedTuple):
    """What the kernels write."""

    colour: np.ndarray
    """Linear RGB (h, w, 3)."""
    depth: np.ndarray
    """z [m], negative where nothing was met (h, w)."""
    normal: np.ndarray
    """World frame, towards the camera (h, w, 3)."""
    gaze: np.ndarray
    """Unit direction in which the pixel looks, world frame (h, w, 3)."""
    face: np.ndarray
    """8 row + face, or -1 where nothing was met (h, w)."""
    material: np.ndarray
    """Row of the materials (h, w)."""
    albedo: np.ndarray
    """Linear RGB (h, w, 3)."""
    point: np.ndarray
    """World point, lifted a little off the surface (h, w, 3)."""
    light: np.ndarray
    """From each light, then the share of open surroundings, then highlights (h, w, LIGHTS + 2)."""
    lit: np.ndarray
    """Whether ``light`` was traced for the pixel, or is left to its neighbours (h, w)."""


def blank_buffers(height: int, width: int) -> Buffers:
    """Buffers for one frame."""
    return Buffers(
        colour=np.zeros((height, width, 3), np.float32),
        depth=np.full((height, width), -1.0, np.float32),
        normal=np.zeros((height, width, 3), np.float32),
        gaze=np.zeros((height, width, 3), np.float32),
        face=np.full((height, width), -1, np.int32),
        material=np.zeros((height, width), np.int32),
        albedo=np.zeros((height, width, 3), np.float32),
        point=np.zeros((height, width, 3), np.float32),
        light=np.zeros((height, width, LIGHTS + 2), np.float32),
        lit=np.zeros((height, width), np.bool_),
    )
