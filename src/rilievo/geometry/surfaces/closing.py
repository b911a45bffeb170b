"""Close the surface of a whole panorama behind the camera and at the poles."""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Int32, Mask, Shaped, Vectors
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Lattice,
    Triangles,
    sample_lattice,
    sample_range,
)

_POLE_TOLERANCE = 1e-3
"""Angle between the edge of an image and a pole up to which the image reaches it [rad]."""
_TOP, _BOTTOM = -1, 1
"""Sides of a panorama; also signs of the latitude, which grows down."""


def sample_closed_lattice(
    depth: Field,
    camera: Camera,
    valid: Mask,
    step: int,
    normals: Vectors | None,
    hollow: Mask | None,
) -> Lattice:
    """Sample a lattice as ``sample_lattice`` does, and close it if the image goes round.

    If it shows all longitudes, its first columns are repeated after the last ones, so that the last
    sampled column is the first one again, and triangles cross the seam.
    """
    width = depth.shape[1]
    if camera.lens.goes_round(width):
        first_sample = sample_range(width, step).start
        sample_beyond_seam = first_sample + math.ceil(width / step) * step
        column_count = sample_beyond_seam + 1 - width
        depth = _repeat_first_columns(depth, column_count)
        valid = _repeat_first_columns(valid, column_count)
        normals = None if normals is None else _repeat_first_columns(normals, column_count)
        hollow = None if hollow is None else _repeat_first_columns(hollow, column_count)
    return sample_lattice(depth, camera, valid, step, normals, hollow)


def _repeat_first_columns(
    field: Shaped[np.ndarray, "*n h w"], column_count: int
) -> Shaped[np.ndarray, "*n h v"]:
    return np.concatenate([field, field[..., :column_count]], axis=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """Fan of triangles that closes a surface at a pole.

    Attributes:
        side: -1 at the top of the image, 1 at the bottom, as the sign of y.
        row: Row of the image's edge at the pole [px].
        ring: Vertices around the pole, in the order of columns.
    """

    side: int
    row: float
    ring: Int32[np.ndarray, "k"]

    def triangles(self, pole: int) -> Triangles:
        """Triangles to the vertex ``pole``, counter-clockwise as the camera sees them."""
        left, right = self.ring[:-1], self.ring[1:]
        is_at_bottom = self.side == _BOTTOM
        first, second = (right, left) if is_at_bottom else (left, right)
        return np.stack([first, second, np.full_like(left, pole)], axis=1)


def pole_caps(
    lattice: Lattice, vertex_index: Int32[np.ndarray, "a b"], *, height: int, cut: Cut
) -> list[Cap]:
    """Make a cap for each pole that a panorama reaches and surrounds without a tear.

    Args:
        lattice: Points of the surface.
        vertex_index: Vertex of each of these points; -1 for points that are no vertex.
        height: Height of the panorama [px].
        cut: Limits at which the surface is torn.
    """
    lens = lattice.camera.lens
    if not isinstance(lens, Equirectangular):
        return []
    # Depth may jump once on the way from the ring to the pole, and once back.
    max_depth_ratio = np.float32(1 + cut.jump) ** 2
    caps = []
    for side, lattice_row, edge_row in ((_TOP, 0, -0.5), (_BOTTOM, -1, height - 0.5)):
        latitude = (edge_row - lens.cy) / lens.fy
        reaches_pole = abs(latitude - side * math.pi / 2) < _POLE_TOLERANCE
        depth = lattice.depth[lattice_row]
        is_smooth = depth.max() <= depth.min() * max_depth_ratio
        vertices = vertex_index[lattice_row]
        is_vertex = vertices >= 0
        # Vertices may be missing where flat parts were merged, but not at the seam.
        surrounds_pole = lattice.valid[lattice_row].all() and is_vertex[0] and is_vertex[-1]
        if reaches_pole and surrounds_pole and is_smooth:
            caps.append(Cap(side=side, row=edge_row, ring=vertices[is_vertex]))
    return caps
