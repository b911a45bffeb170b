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

_POLE_TOLERANCE = 1e-3
"""Angle between the edge of an image and a pole up to which the image reaches it [rad]."""


def sample_closed_lattice(
    depth: Field,
    camera: Camera,
    valid: Mask,
    step: int,
    normals: Vectors | None,
    hollow: Mask | None,
) -> Lattice:
    """Sample a lattice as ``sample_lattice`` does, and close it if the image goes round.

    The last columns repeat the first ones, so that the ends meet within a step.
    """
    width = depth.shape[1]
    if goes_round(camera, width):
        first_sample = sample_range(width, step).start
        columns = first_sample + math.ceil(width / step) * step + 1 - width
        depth = _repeat_first_columns(depth, columns)
        valid = _repeat_first_columns(valid, columns)
        normals = None if normals is None else _repeat_first_columns(normals, columns)
        hollow = None if hollow is None else _repeat_first_columns(hollow, columns)
    return sample_lattice(depth, camera, valid, step, normals, hollow)


def _repeat_first_columns(
    field: Shaped[np.ndarray, "*n h w"], columns: int
) -> Shaped[np.ndarray, "*n h v"]:
    return np.concatenate([field, field[..., :columns]], axis=-1)


@dataclass(frozen=True, slots=True)
class Cap:
    """Fan of triangles that closes a surface at a pole.

    Attributes:
        side: -1 at the top of the image, 1 at the bottom.
        row: Row of the image's edge at the pole [px].
        ring: Vertices around the pole, in the order of columns.
    """

    side: int
    row: float
    ring: Int32[np.ndarray, "k"]

    def triangles(self, pole: int) -> Triangles:
        """Triangles to the vertex ``pole``, counter-clockwise as the camera sees them."""
        left, right = self.ring[:-1], self.ring[1:]
        pair = (right, left) if self.side > 0 else (left, right)
        return np.stack([*pair, np.full_like(left, pole)], axis=1)


def pole_caps(
    lattice: Lattice,
    vertex_index: Int32[np.ndarray, "n"],
    is_vertex: Bool[np.ndarray, "a b"],
    *,
    height: int,
    cut: Cut,
) -> Iterator[Cap]:
    """Yield a cap for each pole that a panorama reaches and surrounds without a tear.

    Args:
        lattice: Closed lattice of the panorama.
        vertex_index: Vertex of each point of the lattice, in reading order.
        is_vertex: Mask of the points that are vertices of the mesh.
        height: Rows of the panorama [px].
        cut: Limits at which the surface is torn.
    """
    lens = lattice.camera.lens
    if not isinstance(lens, Equirectangular):
        return
    # Depth may jump once on the way from the ring to the pole, and once back.
    max_depth_ratio = np.float32(1 + cut.jump) ** 2
    indices = vertex_index.reshape(is_vertex.shape)
    for lattice_row, edge_row, side in ((0, -0.5, -1), (-1, height - 0.5, 1)):
        latitude = (edge_row - lens.cy) / lens.fy
        reaches_pole = abs(latitude - side * math.pi / 2) < _POLE_TOLERANCE
        depth = lattice.depth[lattice_row]
        is_smooth = depth.max() <= depth.min() * max_depth_ratio
        on_ring = is_vertex[lattice_row]
        # Vertices may be missing where flat parts were merged, but not at the seam.
        surrounds_pole = lattice.valid[lattice_row].all() and on_ring[0] and on_ring[-1]
        if reaches_pole and surrounds_pole and is_smooth:
            yield Cap(side, edge_row, indices[lattice_row][on_ring])
