"""Close the surface of a whole panorama behind the camera and at the poles."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Int32, Mask, Shaped, Vectors
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Lattice,
    Triangles,
    goes_round,
    sample_lattice,
    sample_range,
)

_AT_THE_POLE = 1e-3
"""Angle [rad] of an edge at a pole."""


def sample_closed_lattice(
    depth: Field,
    camera: Camera,
    valid: Mask,
    step: int,
    normals: Vectors | None,
    hollow: Mask | None,
) -> Lattice:
    """Sample a lattice that closes where the image goes round, within a step."""
    width = depth.shape[1]
    if goes_round(camera, width):
        columns = sample_range(width, step).start + math.ceil(width / step) * step + 1 - width
        depth, valid = _repeat_first_columns(depth, columns), _repeat_first_columns(valid, columns)
        normals = None if normals is None else _repeat_first_columns(normals, columns)
        hollow = None if hollow is None else _repeat_first_columns(hollow, columns)
    return sample_lattice(depth, camera, valid, step, normals, hollow)


def _repeat_first_columns(
    field: Shaped[np.ndarray, "*n h w"], columns: int
) -> Shaped[np.ndarray, "*n h v"]:
    return np.concatenate([field, field[..., :columns]], axis=-1)


@dataclass(frozen=True, slots=True)
class Cap:
    """Fan of triangles from a pole.

    Attributes:
        side: -1 at the top, 1 at the bottom.
        row: Edge at the pole [px].
        ring: Vertices around it, by column.
    """

    side: int
    row: float
    ring: Int32[np.ndarray, "k"]

    def triangles(self, pole: int) -> Triangles:
        """Triangles to the vertex ``pole``, counter-clockwise as the camera sees them."""
        pair = (self.ring[1:], self.ring[:-1]) if self.side > 0 else (self.ring[:-1], self.ring[1:])
        return np.stack([*pair, np.full_like(self.ring[1:], pole)], axis=1)


def pole_caps(
    lattice: Lattice,
    number: Int32[np.ndarray, "n"],
    used: Bool[np.ndarray, "a b"],
    *,
    height: int,
    cut: Cut,
) -> Iterator[Cap]:
    """Caps at poles that a panorama surrounds."""
    lens = lattice.camera.lens
    if not isinstance(lens, Equirectangular):
        return
    for row, edge, side in ((0, -0.5, -1), (-1, height - 0.5, 1)):
        is_there = abs((edge - lens.cy) / lens.fy - side * math.pi / 2) < _AT_THE_POLE
        is_whole = lattice.valid[row].all() and used[row, 0] and used[row, -1]
        depth = lattice.depth[row]
        is_smooth = depth.max() <= depth.min() * np.float32(1 + cut.jump) ** 2
        if is_there and is_whole and is_smooth:
            yield Cap(side, edge, number.reshape(used.shape)[row][used[row]])
