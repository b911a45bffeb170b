"""Panoramas that go all round, closed: behind the camera, where both edges meet, and at the poles.

A lattice ends at the edges of its picture. Of a whole panorama the first columns are repeated after
the last one, so that triangles continue over the seam, and the rows at the poles get a cap.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Bool, Int32, Shaped

from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.surfaces.lattice import Cut, Lattice, places

if TYPE_CHECKING:
    from rilievo.geometry.surfaces.surface import Mesh

Field = TypeVar("Field", bound=Shaped[np.ndarray, "*n h w"])

_AT_THE_POLE = 1e-3
"""Angle [radians] within which an edge of the picture is at a pole."""


def goes_round(camera: Camera, width: int) -> bool:
    """Whether the left and right edges of an image of this width see the same place."""
    return isinstance(camera.lens, Equirectangular) and camera.lens.goes_round(width)


def repeated_columns(camera: Camera, width: int, step: int) -> int:
    """Number of first columns to repeat after the last one; 0 unless the image goes all round.

    The lattice then reaches its own first column, or beyond it by less than a step.
    """
    if not goes_round(camera, width):
        return 0
    first = places(width, step).start
    return first + math.ceil(width / step) * step + 1 - width


def continued(field: Field, columns: int) -> Field:
    """Field with its first columns repeated after the last one."""
    return np.concatenate([field, field[..., :columns]], axis=-1) if columns else field


def with_caps(
    front: "Mesh",
    lattice: Lattice,
    number: Int32[np.ndarray, "n"],
    used: Bool[np.ndarray, "a b"],
    *,
    height: int,
    cut: Cut,
) -> "Mesh":
    """Mesh of a whole panorama with its poles closed, where all that is around them is there.

    Args:
        front: Mesh of the lattice.
        lattice: Lattice of the mesh, of which the first columns are repeated.
        number: Vertex of each point of the lattice that is used.
        used: Points of the lattice that are vertices.
        height: Height of the panorama [px].
        cut: Limits at which the surface is torn.
    """
    lens = lattice.camera.lens
    if not isinstance(lens, Equirectangular):
        return front
    for row, edge in ((0, -0.5), (-1, height - 0.5)):
        latitude = (edge - lens.cy) / lens.fy
        depth = lattice.depth[row]
        is_whole = lattice.valid[row].all() and used[row, 0] and used[row, -1]
        is_smooth = depth.max() <= depth.min() * np.float32(1 + cut.jump) ** 2
        if abs(abs(latitude) - math.pi / 2) < _AT_THE_POLE and is_whole and is_smooth:
            ring = number.reshape(used.shape)[row][used[row]]
            front = _capped(front, ring, math.copysign(1, latitude), edge)
    return front


def _capped(front: "Mesh", ring: Int32[np.ndarray, "k"], side: float, edge: float) -> "Mesh":
    """Mesh with a fan of triangles from a pole to the vertices around it."""
    around = front.points[ring]
    pole = np.array([0, side * np.abs(around[:, 1]).mean(), 0], np.float32)
    # Counter-clockwise as the camera sees them: columns grow to the right below the top pole.
    pair = (ring[1:], ring[:-1]) if side > 0 else (ring[:-1], ring[1:])
    fan = np.stack([*pair, np.full(len(ring) - 1, len(front.points), np.int32)], axis=1)
    pixel = np.array([front.pixels[ring, 0].mean(), edge], np.float32)
    return replace(
        front,
        points=np.concatenate([front.points, pole[None]]),
        normals=np.concatenate([front.normals, np.array([[0, -side, 0]], np.float32)]),
        pixels=np.concatenate([front.pixels, pixel[None]]),
        triangles=np.concatenate([front.triangles, fan.astype(np.int32)]),
    )
