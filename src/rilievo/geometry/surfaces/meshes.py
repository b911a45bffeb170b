"""Surfaces from depth: points and a mesh in the camera frame, without parts the camera never saw.

Networks' depth runs over edges in ramps, seen at a grazing angle below ``Cut.grazing``.
"""

import itertools
import math
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int32, Mask, Matrix, Pixels, UInt8, Vectors
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera, as_camera
from rilievo.geometry.surfaces.backing import Backing, layer_behind_edges
from rilievo.geometry.surfaces.closing import Cap, pole_caps, sample_closed_lattice
from rilievo.geometry.surfaces.contour import smooth_contours
from rilievo.geometry.surfaces.fill import Fill, fill_tears
from rilievo.geometry.surfaces.flat import merge_flat_triangles
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Triangles,
    Vertices,
    corner_indices,
    goes_round,
    largest_jump,
    sample_lattice,
    sample_range,
    triangulate_cells,
    vertex_normals,
)
from rilievo.geometry.surfaces.patches import (
    lay_back_pieces,
    mend_lattice,
    near_neighbours,
    without_specks,
)
from rilievo.geometry.surfaces.ramps import sharpen_edges

_COARSER = (4, 12)
"""Factors by which flat parts are made coarser, until a mesh has few enough points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointCloud:
    """Points of a surface in the camera frame, with unit normals towards the camera and colours."""

    points: Vertices
    normals: Vertices
    colours: UInt8[np.ndarray, "n 3"] | None

    def __repr__(self) -> str:
        colours = "" if self.colours is None else " with colours"
        return f"PointCloud({len(self.points):,} points{colours})"

    def save(self, path: str | Path) -> Path:
        """Write a PLY file."""
        return import_module("rilievo").save_surface(self, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Triangle mesh in the camera frame.

    Attributes:
        normals: Unit normals towards the camera.
        pixels: Pixel (u, v) of colour; beyond the width at a panorama's seam.
        triangles: Vertices, counter-clockwise as the camera sees them.
        behind: Number of last triangles that fill tears.
    """

    points: Vertices
    normals: Vertices
    pixels: Float32[np.ndarray, "n 2"]
    triangles: Triangles
    colours: UInt8[np.ndarray, "n 3"] | None = None
    behind: int = 0

    def __repr__(self) -> str:
        return f"Mesh({len(self.points):,} points, {len(self.triangles):,} triangles)"

    @property
    def vertices(self) -> Vertices:
        """Points, as trimesh and Open3D call them."""
        return self.points

    @property
    def faces(self) -> Triangles:
        """Triangles, as trimesh calls them."""
        return self.triangles

    def save(self, path: str | Path) -> Path:
        """Write PLY or GLB, with colours at vertices."""
        return import_module("rilievo").save_surface(self, path)


def surface_step(shape: tuple[int, int], most: int) -> int:
    """Least step that makes at most ``most`` points.

    Raises:
        OptionError: If fewer than four points are allowed.
    """
    if most < 4:
        raise OptionError(f"a surface has at least 4 points, got {most}")
    height, width = shape
    return next(
        step
        for step in itertools.count(1)
        if len(sample_range(height, step)) * len(sample_range(width, step)) <= most
    )


def flying_pixels(
    depth: Field,
    valid: Mask,
    *,
    jump: tuple[float, float] = (0.08, 0.08),
) -> Mask:
    """Find pixels on a ramp: more than ``jump`` behind one neighbour and before the opposite.

    Sharp edges and thin objects stay. ``jump`` is relative, down and across.
    """
    flying = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        z, mask = np.moveaxis(depth, axis, 0), np.moveaxis(valid, axis, 0)
        factor = np.float32(1 + jump[axis])
        with np.errstate(invalid="ignore"):
            rises = z[1:] > z[:-1] * factor
            falls = z[:-1] > z[1:] * factor
        both = mask[1:] & mask[:-1]
        rises &= both
        falls &= both
        inner = np.moveaxis(flying, axis, 0)[1:-1]
        inner |= (rises[1:] & rises[:-1]) | (falls[1:] & falls[:-1])
    return flying


def _flying_points(
    lattice: Lattice, cut: Cut, jump: tuple[float, float]
) -> Bool[np.ndarray, "a b"]:
    flying = flying_pixels(lattice.depth, lattice.valid, jump=jump)
    if lattice.normals is not None and flying.any():
        flying.reshape(-1)[corner_indices(triangulate_cells(lattice, cut))] = False
    return flying


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontCloud:
    """Visible points, and what their backing is made of."""

    cloud: PointCloud
    lattice: Lattice
    chosen: Mask
    flying: Mask
    cut: Cut
    colours: Pixels | None

    def with_backing(self, backing: float) -> PointCloud:
        """Points, and those behind edges, as far as a share of the width."""
        if not backing:
            return self.cloud
        lattice, chosen, flying, cut = self.lattice, self.chosen, self.flying, self.cut
        sharp = sharpen_edges(replace(lattice, valid=chosen | flying))
        layer = layer_behind_edges(sharp.lattice, _reach_in_points(backing, lattice), sharp.edge)
        if layer is None:
            return self.cloud
        # Of ramps the cloud has no point.
        is_torn = layer.lattice.depth > lattice.depth * np.float32(1 + cut.jump)
        added = layer.reached & np.where(chosen, layer.grown & is_torn, flying)
        return _add_backing(self.cloud, layer, added, cut, self.colours)


def point_cloud(
    depth: Field,
    camera: Camera | Matrix,
    valid: Mask,
    *,
    colours: Pixels | None = None,
    normals: Vectors | None = None,
    step: int = 1,
    cut: Cut | None = None,
    backing: float = 0.0,
) -> PointCloud:
    """Make a point of every ``step``-th valid pixel not flying, with the arguments of ``mesh``."""
    front = front_cloud(depth, camera, valid, colours=colours, normals=normals, step=step, cut=cut)
    return front.with_backing(backing)


def front_cloud(
    depth: Field,
    camera: Camera | Matrix,
    valid: Mask,
    *,
    colours: Pixels | None = None,
    normals: Vectors | None = None,
    step: int = 1,
    cut: Cut | None = None,
) -> FrontCloud:
    """Visible points of ``point_cloud``."""
    cut = cut or Cut()
    lattice = sample_lattice(depth, as_camera(camera), valid, step, normals)
    reach = _largest_jumps(lattice, cut)
    flying = _flying_points(lattice, cut, reach)
    fixed = replace(lattice, valid=lattice.valid & ~flying)
    chosen = without_specks(fixed, cut, near_neighbours(fixed, reach)).valid
    painted = None if colours is None else colours[lattice.grid]
    field = lattice.normals
    if field is None:
        field = vertex_normals(triangulate_cells(lattice, cut), lattice)
    cloud = PointCloud(
        points=np.ascontiguousarray(lattice.points[:, chosen].T),
        normals=np.ascontiguousarray(field[:, chosen].T),
        colours=None if painted is None else painted[chosen],
    )
    return FrontCloud(
        cloud=cloud, lattice=lattice, chosen=chosen, flying=flying, cut=cut, colours=painted
    )


def mesh(
    depth: Field,
    camera: Camera | Matrix,
    valid: Mask,
    *,
    hollow: Mask | None = None,
    normals: Vectors | None = None,
    step: int = 1,
    cut: Cut | None = None,
    flatness: float = 0.0,
    most: int | None = None,
    smooth: bool = False,
    backing: float = 0.0,
    pieces: float = 0.0,
) -> Mesh:
    """Make triangles between neighbouring pixels, torn at edges; whole panoramas are closed.

    Args:
        depth: Depth along the rays.
        camera: Camera, or K [px].
        valid: Pixels that have depth.
        hollow: Pixels where no hole is closed.
        normals: Normals, which also tell steep surfaces from edges.
        step: Step between pixels.
        cut: Limits; ``specks`` removes loose patches and closes holes.
        flatness: Relative change of depth of flat parts with fewer triangles.
        most: Points above which flat parts are three or six times as coarse.
        smooth: Whether tears are lines, not staircases.
        backing: Share of the width by which far surfaces go on behind near ones.
        pieces: Share of points of a floating piece that is laid back.
    """
    cut, camera = cut or Cut(), as_camera(camera)
    if backing:
        cut = cut.for_filled_tears
    sampled = sample_closed_lattice(depth, camera, valid, step, normals, hollow)
    # Where tears are filled, no patch is loose.
    lattice = lay_back_pieces(mend_lattice(sampled, cut, specks=not backing), cut, pieces)
    least = np.inf
    if backing:
        sharp = sharpen_edges(lattice)
        lattice, least = sharp.lattice, sharp.edge
    faces = triangulate_cells(lattice, cut, least)
    fill = None
    if backing and lattice.valid.any():
        fill = fill_tears(lattice, faces, least=least, reach=_reach_in_points(backing, lattice))
    triangles = corner_indices(faces)
    if flatness:
        triangles = _triangles_with_flat_merged(lattice, faces, flatness)
        for factor in _COARSER:
            if most is None or len(np.unique(triangles)) <= most:
                break
            triangles = _triangles_with_flat_merged(lattice, faces, factor * flatness)
    used = np.zeros(lattice.valid.size, bool)
    used[triangles] = True
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    used = used.reshape(lattice.valid.shape)
    field = _mesh_normals(faces, lattice, is_film=lattice.depth != sampled.depth)
    rows, columns = (indices.astype(np.float32) for indices in np.nonzero(used))
    if smooth:
        rim = smooth_contours(lattice, faces, triangles, cut)
        lattice, rows, columns = rim.lattice, rim.rows[used], rim.columns[used]
    pitch = np.float32(step)
    pixels = np.array(
        [lattice.columns.start + pitch * columns, lattice.rows.start + pitch * rows], np.float32
    )
    front = Mesh(
        points=np.ascontiguousarray(lattice.points[:, used].T),
        normals=np.ascontiguousarray(field[:, used].T),
        pixels=np.ascontiguousarray(pixels.T),
        triangles=number[triangles],
    )
    if goes_round(camera, depth.shape[1]):
        for cap in pole_caps(lattice, number, used, height=len(depth), cut=cut):
            front = _add_cap(front, cap)
    if fill is None:
        return front
    return _add_fill(front, fill, np.where(used.reshape(-1), number, -1))


def _triangles_with_flat_merged(lattice: Lattice, faces: Faces, flatness: float) -> Triangles:
    merged = merge_flat_triangles(lattice, faces, flatness)
    return np.concatenate([corner_indices(faces, merged.cells), merged.triangles])


def _add_cap(front: Mesh, cap: Cap) -> Mesh:
    height = np.abs(front.points[cap.ring, 1]).mean()
    pole = np.array([[0, cap.side * height, 0]], np.float32)
    pixel = np.array([[front.pixels[cap.ring, 0].mean(), cap.row]], np.float32)
    return Mesh(
        points=np.concatenate([front.points, pole]),
        normals=np.concatenate([front.normals, np.array([[0, -cap.side, 0]], np.float32)]),
        pixels=np.concatenate([front.pixels, pixel]),
        triangles=np.concatenate([front.triangles, cap.triangles(len(front.points))]),
    )


def _mesh_normals(
    faces: Faces, lattice: Lattice, *, is_film: Bool[np.ndarray, "a b"]
) -> Float32[np.ndarray, "3 a b"]:
    field = lattice.normals
    if field is None:
        return vertex_normals(faces, lattice)
    if not (is_film & lattice.valid).any():
        return field
    return np.where(is_film, vertex_normals(faces, lattice), field)


def _largest_jumps(lattice: Lattice, cut: Cut) -> tuple[float, float]:
    """Relative jumps of depth, vertical then horizontal."""
    camera, step = lattice.camera, lattice.rows.step
    return largest_jump(camera.focal_y / step, cut), largest_jump(camera.focal / step, cut)


def _reach_in_points(share: float, lattice: Lattice) -> int:
    return math.ceil(share * lattice.valid.shape[1])


def _add_backing(
    front: PointCloud, layer: Backing, added: Mask, cut: Cut, colours: Pixels | None
) -> PointCloud:
    normals = vertex_normals(triangulate_cells(layer.lattice, cut), layer.lattice)
    points = np.concatenate([front.points, layer.lattice.points[:, added].T])
    painted = None
    if front.colours is not None and colours is not None:
        taken = colours.reshape(-1, 3)[layer.sources(np.flatnonzero(added))]
        painted = np.concatenate([front.colours, taken])
    normals = np.concatenate([front.normals, normals[:, added].T])
    return PointCloud(points=points, normals=normals, colours=painted)


def _add_fill(front: Mesh, fill: Fill, number: Int32[np.ndarray, "n"]) -> Mesh:
    lattice, margin = fill.lattice, fill.margin
    rows, columns = (length - 2 * margin for length in lattice.valid.shape)
    number = np.pad(number.reshape(rows, columns), margin, constant_values=-1).reshape(-1)
    is_own = ~fill.grown.reshape(-1) & (number >= 0)
    is_added = ~is_own[fill.corners]
    added = fill.corners[is_added]
    rows = number[fill.corners]
    rows[is_added] = len(front.points) + np.arange(len(added), dtype=np.int32)
    row, column = np.divmod(fill.sources[is_added], lattice.valid.shape[1])
    start = np.array([lattice.columns.start, lattice.rows.start], np.float32)
    pixels = np.stack([column, row], axis=1).astype(np.float32)
    return Mesh(
        points=np.concatenate([front.points, lattice.points.reshape(3, -1)[:, added].T]),
        normals=np.concatenate([front.normals, fill.normals[is_added]]),
        pixels=np.concatenate([front.pixels, start + np.float32(lattice.rows.step) * pixels]),
        triangles=np.concatenate([front.triangles, rows[fill.triangles]]),
        behind=len(fill.triangles),
    )
