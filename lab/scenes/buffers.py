"""Inputs and outputs of the compiled kernels, as tuples of arrays."""

from typing import NamedTuple

import numpy as np

TILE = 16
"""Side of the tiles in which a frame is rendered [px]."""
CELL = 8
"""Side of the four cells of a tile [px]."""
HORIZON = 400.0
"""Largest distance that is rendered [m]; a ray without a hit shows the sky."""
LIGHTS = 3
"""Most lights in a scene."""


class View(NamedTuple):
    """The camera for the kernels; the centre of the first pixel is (0, 0), as in all of rilievo."""

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
    """Number of the ``LIGHTS`` rows that are in use."""
    position: np.ndarray
    size: np.ndarray
    distant: np.ndarray
    colour: np.ndarray
    direction: np.ndarray
    bright: np.ndarray
    dark: np.ndarray
    reach: float


class Chance(NamedTuple):
    """Random directions for the kernels."""

    directions: np.ndarray
    """Unit vectors all around, float32 (n, 3)."""
    draws: np.ndarray
    """Rows of ``directions`` for each ray from a pixel's point: two directions, and a place in each
    light; int32 (rays, LIGHTS + 2, h, w)."""


class Buffers(NamedTuple):
    """Outputs of the kernels."""

    colour: np.ndarray
    """Linear RGB (h, w, 3)."""
    depth: np.ndarray
    """Depth z [m], negative where nothing was hit (h, w)."""
    normal: np.ndarray
    """Unit normal in the world frame, towards the camera (h, w, 3)."""
    gaze: np.ndarray
    """Unit direction of the pixel's ray, world frame (h, w, 3)."""
    face: np.ndarray
    """FACES * row of the solid + face or patch, or -1 where nothing was hit (h, w)."""
    part: np.ndarray
    """Face of the solid, or row of the triangle (h, w)."""
    material: np.ndarray
    """Row of the materials (h, w)."""
    albedo: np.ndarray
    """Linear RGB (h, w, 3)."""
    point: np.ndarray
    """Hit point in the world [m], offset slightly from the surface (h, w, 3)."""
    light: np.ndarray
    """Light of each lamp, unoccluded share of the surroundings, highlights (h, w, LIGHTS + 2)."""
    lit: np.ndarray
    """Whether ``light`` was traced for the pixel; else it is averaged from neighbours (h, w)."""


def blank_buffers(height: int, width: int) -> Buffers:
    """Allocate the buffers for one frame."""
    return Buffers(
        colour=np.zeros((height, width, 3), np.float32),
        depth=np.full((height, width), -1.0, np.float32),
        normal=np.zeros((height, width, 3), np.float32),
        gaze=np.zeros((height, width, 3), np.float32),
        face=np.full((height, width), -1, np.int32),
        part=np.zeros((height, width), np.int32),
        material=np.zeros((height, width), np.int32),
        albedo=np.zeros((height, width, 3), np.float32),
        point=np.zeros((height, width, 3), np.float32),
        light=np.zeros((height, width, LIGHTS + 2), np.float32),
        lit=np.zeros((height, width), np.bool_),
    )
