"""Random directions of the rays from a pixel's point to lights and surroundings.

Photographs may be noisy, so their directions are independent from pixel to pixel (a hash). Frames
of a clip are compared with one another, so their directions, and the points that they sample on
lights, are spread evenly over the pixels that are averaged together.
"""

from functools import cache

import numpy as np
from jaxtyping import Float32

from lab.scenes.buffers import LIGHTS, Chance
from lab.scenes.raycast import hash_unit

DRAWS = LIGHTS + 2
"""Numbers drawn for a ray: two directions, and a place in each light."""
SQUARE = 64
"""Side of the square grid of even directions, 2⁶."""
WINDOW = 9
"""Side of the square of pixels that are averaged [px]: 2 ``frame.SPREAD`` + 1."""
R2 = (np.array([0.7548776662466927, 0.5698402909980532]) * 2**32).astype(np.uint32)
"""Steps of the R2 sequence, as fractions of 2³²."""


@cache
def scattered_chance(height: int, width: int) -> Chance:
    """One ray per pixel, independent from pixel to pixel."""
    v, u = np.mgrid[:height, :width]
    draws = [hash_unit.py_func(u, v, k) * len(SCATTERED) for k in range(DRAWS)]
    return Chance(directions=SCATTERED, draws=np.array([draws]).astype(np.int32))


def even_chance(height: int, width: int, rays: int, draw: np.random.Generator) -> Chance:
    """Rays that are evenly distributed over any ``WINDOW`` × ``WINDOW`` pixels.

    The pixels of such a window have consecutive numbers, and consecutive members of the R2
    sequence (Roberts 2018, a plastic-number generalisation of the golden ratio) fill the unit
    square evenly. A random shift of the square for each ray preserves this.
    """
    number = (
        np.arange(width, dtype=np.uint32) + WINDOW * np.arange(height, dtype=np.uint32)[:, None]
    )
    # Fractions of one in 32 bits, so that overflow removes the integer part.
    shifts = draw.integers(0, 2**32, (2, rays, DRAWS, 1, 1), np.uint32)
    row = (number * R2[0] + shifts[0]) >> 26
    column = (number * R2[1] + shifts[1]) >> 26
    return Chance(directions=EVEN, draws=(SQUARE * row + column).astype(np.int32))


def _scattered_directions() -> Float32[np.ndarray, "4096 3"]:
    normal = np.random.default_rng(0).standard_normal((4096, 3))
    return (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32)


def _even_directions() -> Float32[np.ndarray, "4096 3"]:
    """Directions of equal-area cells of the sphere: rows by height, columns by longitude."""
    row, column = np.mgrid[:SQUARE, :SQUARE].reshape(2, -1)
    z, longitude = 2.0 * (row + 0.5) / SQUARE - 1.0, 2.0 * np.pi * column / SQUARE
    flat = np.sqrt(1.0 - z * z)
    directions = [flat * np.cos(longitude), flat * np.sin(longitude), z]
    return np.stack(directions, axis=1).astype(np.float32)


SCATTERED = _scattered_directions()
EVEN = _even_directions()
