"""Surfaces from depth: coloured points and a triangle mesh, without parts the camera never saw.

A depth map does not mark where one surface ends and the next begins, and a network's depth runs
smoothly from one to the other. Points on such a ramp fly between the surfaces, and triangles there
are walls that do not exist. The camera sees both at a grazing angle, so surfaces seen at less than
``Cut.grazing`` degrees are left out. This criterion does not depend on the unit of depth or the
resolution of the image.

Points are in the camera frame (x right, y down, z forward), in the unit of the depth map.
"""

import itertools
import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from rilievo.errors import OptionError
from rilievo.foreign_names import ForeignNames
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera, camera_of
from rilievo.geometry.surfaces.backing import Backing, behind_edges
from rilievo.geometry.surfaces.closing import Cap, caps_of, closed_lattice, goes_round
from rilievo.geometry.surfaces.fill import Fill, contoured, fill_of
from rilievo.geometry.surfaces.flat import merge_flat
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Triangles,
    Vertices,
    faces_of,
    places,
    sample_lattice,
    steepest,
    triangles_of,
    vertex_normals,
)
from rilievo.geometry.surfaces.patches import mended, near_neighbours, without_specks
from rilievo.geometry.surfaces.pieces import without_pieces
from rilievo.geometry.surfaces.ramps import sharpened
from rilievo.shapes import Bool, Field, Float32, Int32, Mask, Matrix, Pixels, UInt8, Vectors

_COARSER = (4, 12)
"""Factors by which flat parts are made coarser, until a mesh has few enough points."""


@frozen
class PointCloud(ForeignNames):
    """Points of a surface.

    Attributes:
        points: Points in the camera frame, in the unit of the depth map.
        normals: Unit normals in the camera frame, towards the camera.
        colours: RGB of the pixels that saw them; None if none were given.
    """

    points: Vertices
    normals: Vertices
    colours: UInt8[np.ndarray, "n 3"] | None

    def __repr__(self) -> str:
        """Describe in one line."""
        colours = "" if self.colours is None else " with colours"
        return f"PointCloud({len(self.points):,} points{colours})"

    def save(self, path: str | Path) -> Path:
        """Write the points as a PLY file, with their normals and colours."""
        return import_module("rilievo").save_surface(self, path)


@frozen
class Mesh(ForeignNames):
    """A triangle mesh without unused vertices.

    Attributes:
        points: Points in the camera frame, in the unit of the depth map.
        normals: Unit normals in the camera frame, towards the camera.
        pixels: Pixel (u, v) [px] of each vertex's colour, for textures: the pixel that sees it,
            except for vertices of a backing. At the seam of a panorama u goes on past its width.
        triangles: Indices of vertices, counter-clockwise as the camera sees them, so that
            (b - a) x (c - a) points towards the camera.
        colours: RGB of the vertices; None if none were given.
        behind: Number of triangles, the last ones, that fill tears and go on behind near surfaces.
    """

    points: Vertices
    normals: Vertices
    pixels: Float32[np.ndarray, "n 2"]
    triangles: Triangles
    colours: UInt8[np.ndarray, "n 3"] | None = None
    behind: int = 0

    def __repr__(self) -> str:
        """Describe in one line."""
        return f"Mesh({len(self.points):,} points, {len(self.triangles):,} triangles)"

    @property
    def vertices(self) -> Vertices:
        """The points, by the name that trimesh and Open3D give them."""
        return self.points

    @property
    def faces(self) -> Triangles:
        """The triangles, by the name that trimesh gives them."""
        return self.triangles

    def save(self, path: str | Path) -> Path:
        """Write the mesh as a PLY or GLB file, with colours at its vertices.

        ``Prediction.save`` writes one that is textured with the photograph.
        """
        return import_module("rilievo").save_surface(self, path)


def surface_step(shape: tuple[int, int], most: int) -> int:
    """Least step for which every step-th pixel of an image makes at most ``most`` points.

    Raises:
        OptionError: If not even four points are allowed.
    """
    if most < 4:
        raise OptionError(f"a surface has at least 4 points, got {most}")
    height, width = shape
    return next(
        step
        for step in itertools.count(1)
        if len(places(height, step)) * len(places(width, step)) <= most
    )


def flying_pixels(
    depth: Field,
    valid: Mask,
    *,
    jump: tuple[float, float] = (0.08, 0.08),
) -> Mask:
    """Find pixels on a ramp between a near and a far surface.

    Such a pixel is farther than one neighbour and nearer than the opposite one, each by more than
    ``jump``. Pixels at a sharp edge jump on one side only, and thin objects are nearer than both
    sides: they are kept.

    Args:
        depth: Depth in any unit, positive.
        valid: Pixels that have depth; a pixel beside one without depth is never flying.
        jump: Least jumps relative to the nearer of two neighbours: one above the other, side by
            side.
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


def _flying(lattice: Lattice, cut: Cut, jump: tuple[float, float]) -> Bool[np.ndarray, "a b"]:
    """Find flying points; those that the normals say are on a steep surface are not."""
    flying = flying_pixels(lattice.depth, lattice.valid, jump=jump)
    if lattice.normals is not None and flying.any():
        flying.reshape(-1)[triangles_of(faces_of(lattice, cut))] = False
    return flying


@frozen
class FrontCloud:
    """Points that the camera sees, and what a backing behind them is made of.

    Attributes:
        cloud: The points.
        lattice: Lattice from which they are chosen.
        chosen: Points of the lattice that are in the cloud.
        flying: Points of the lattice on ramps.
        cut: Limits at which the surface is cut.
        colours: Colours of all points of the lattice; None if none were given.
    """

    cloud: PointCloud
    lattice: Lattice
    chosen: Mask
    flying: Mask
    cut: Cut
    colours: Pixels | None

    def with_backing(self, backing: float) -> PointCloud:
        """The points, and those behind edges that a ``backing`` adds, as for ``point_cloud``."""
        if not backing:
            return self.cloud
        lattice, chosen, flying, cut = self.lattice, self.chosen, self.flying, self.cut
        sharp = sharpened(replace(lattice, valid=chosen | flying))
        layer = behind_edges(sharp.lattice, _reach(backing, lattice), sharp.edge)
        if layer is None:
            return self.cloud
        # Of ramps the cloud has no point.
        is_torn = layer.lattice.depth > lattice.depth * np.float32(1 + cut.jump)
        added = layer.reached & np.where(chosen, layer.grown & is_torn, flying)
        return _cloud_with(self.cloud, layer, added, cut, self.colours)


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
    """Make one point for every ``step``-th valid pixel that is not flying.

    ``cut.specks`` also removes small loose patches.

    Args:
        depth: Depth along the rays.
        camera: Camera of this depth map, or the K of a pinhole [px].
        valid: Pixels that have depth.
        colours: RGB colours, of the same size.
        normals: Normals of the same size, which also tell steep surfaces from edges; if None,
            those of the surface itself, or the direction to the camera where a point has no
            neighbour.
        step: Step between the pixels that become points; 1 uses every pixel.
        cut: Limits at which the surface is cut; ``Cut()`` if None.
        backing: Share of the picture's width for a backing, as for ``mesh``.
    """
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
    """Make the points of ``point_cloud`` that the camera sees, whose backing may follow."""
    cut = cut or Cut()
    lattice = sample_lattice(depth, camera_of(camera), valid, step, normals)
    reach = _steepest(lattice, cut)
    flying = _flying(lattice, cut, reach)
    fixed = replace(lattice, valid=lattice.valid & ~flying)
    chosen = without_specks(fixed, cut, near_neighbours(fixed, reach)).valid
    painted = None if colours is None else colours[lattice.grid]
    field = lattice.normals
    if field is None:
        field = vertex_normals(faces_of(lattice, cut), lattice)
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
    """Make triangles between neighbouring pixels, torn at edges.

    ``cut.specks`` also removes small loose patches and closes small holes. A panorama that goes
    all round is closed where its edges meet and at the poles.

    Four neighbours become two triangles, split along the diagonal whose ends differ less in depth,
    so that edges are followed rather than crossed.

    Args:
        depth: Depth along the rays.
        camera: Camera of this depth map, or the K of a pinhole [px].
        valid: Pixels that have depth.
        hollow: Pixels that show nothing: no hole is closed there.
        normals: Normals of the same size, which also tell steep surfaces from edges; if None, and
            where a hole was closed, those of the triangles, weighted by area.
        step: Step between pixels; 1 makes a vertex of every pixel.
        cut: Limits at which the surface is torn; ``Cut()`` if None.
        flatness: Relative change of depth up to which flat parts get fewer triangles; 0 keeps all.
        most: Number of points above which flat parts are three times as coarse, or six times if
            that is not enough.
        smooth: Turn the staircases of pixels along tears into lines (``contour``).
        backing: Share of the picture's width by which far surfaces go on behind near ones
            (``backing``), for views from beside the camera; 0 leaves that out.
        pieces: Share of the points up to which a floating piece is laid onto the surface behind it
            (``pieces``); 0 leaves all as they are.
    """
    cut, camera = cut or Cut(), camera_of(camera)
    if backing:
        cut = cut.filled
    sampled = closed_lattice(depth, camera, valid, step, normals, hollow)
    # Where tears are filled, no patch is loose.
    lattice = without_pieces(mended(sampled, cut, specks=not backing), cut, pieces)
    least = np.inf
    if backing:
        sharp = sharpened(lattice)
        lattice, least = sharp.lattice, sharp.edge
    faces = faces_of(lattice, cut, least)
    fill = None
    if backing and lattice.valid.any():
        fill = fill_of(lattice, faces, least=least, reach=_reach(backing, lattice))
    triangles = triangles_of(faces)
    if flatness:
        triangles = _simplified(lattice, faces, flatness)
        for factor in _COARSER:
            if most is None or len(np.unique(triangles)) <= most:
                break
            triangles = _simplified(lattice, faces, factor * flatness)
    used = np.zeros(lattice.valid.size, bool)
    used[triangles] = True
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    used = used.reshape(lattice.valid.shape)
    field = _mesh_normals(faces, lattice, is_film=lattice.depth != sampled.depth)
    rows, columns = (indices.astype(np.float32) for indices in np.nonzero(used))
    if smooth:
        rim = contoured(lattice, faces, triangles, cut)
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
        for cap in caps_of(lattice, number, used, height=len(depth), cut=cut):
            front = _capped(front, cap)
    if fill is None:
        return front
    return _mesh_with(front, fill, np.where(used.reshape(-1), number, -1))


def _simplified(lattice: Lattice, faces: Faces, flatness: float) -> Triangles:
    """Triangles, those of flat parts larger."""
    merged = merge_flat(lattice, faces, flatness)
    return np.concatenate([triangles_of(faces, merged.cells), merged.triangles])


def _capped(front: Mesh, cap: Cap) -> Mesh:
    """Mesh with a pole closed."""
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
    """Take the given normals, but those of the surface where a hole was closed."""
    field = lattice.normals
    if field is None:
        return vertex_normals(faces, lattice)
    if not (is_film & lattice.valid).any():
        return field
    return np.where(is_film, vertex_normals(faces, lattice), field)


def _steepest(lattice: Lattice, cut: Cut) -> tuple[float, float]:
    """Largest relative jumps of depth: one point above the other, side by side."""
    camera, step = lattice.camera, lattice.rows.step
    return steepest(camera.focal_y / step, cut), steepest(camera.focal / step, cut)


def _reach(share: float, lattice: Lattice) -> int:
    return math.ceil(share * lattice.valid.shape[1])


def _cloud_with(
    front: PointCloud, layer: Backing, added: Mask, cut: Cut, colours: Pixels | None
) -> PointCloud:
    """Add to a cloud the points of the layer behind it that it lacks."""
    normals = vertex_normals(faces_of(layer.lattice, cut), layer.lattice)
    points = np.concatenate([front.points, layer.lattice.points[:, added].T])
    painted = None
    if front.colours is not None and colours is not None:
        taken = colours.reshape(-1, 3)[layer.sources(np.flatnonzero(added))]
        painted = np.concatenate([front.colours, taken])
    normals = np.concatenate([front.normals, normals[:, added].T])
    return PointCloud(points=points, normals=normals, colours=painted)


def _mesh_with(front: Mesh, fill: Fill, number: Int32[np.ndarray, "n"]) -> Mesh:
    """Join a mesh and what fills its tears; ``number`` has the vertex of each point, or -1."""
    lattice, margin = fill.lattice, fill.margin
    rows, columns = (length - 2 * margin for length in lattice.valid.shape)
    number = np.pad(number.reshape(rows, columns), margin, constant_values=-1).reshape(-1)
    is_own = ~fill.grown.reshape(-1) & (number >= 0)
    is_added = ~is_own[fill.corners]
    added = fill.corners[is_added]
    number = np.where(is_own, number, 0)
    number[added] = len(front.points) + np.arange(len(added), dtype=np.int32)
    row, column = np.divmod(fill.sources[is_added], lattice.valid.shape[1])
    start = np.array([lattice.columns.start, lattice.rows.start], np.float32)
    pixels = np.stack([column, row], axis=1).astype(np.float32)
    return Mesh(
        points=np.concatenate([front.points, lattice.points.reshape(3, -1)[:, added].T]),
        normals=np.concatenate([front.normals, fill.normals[is_added]]),
        pixels=np.concatenate([front.pixels, start + np.float32(lattice.rows.step) * pixels]),
        triangles=np.concatenate([front.triangles, number[fill.triangles]]),
        behind=len(fill.triangles),
    )
