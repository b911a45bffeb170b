"""Surfaces from depth: points and a mesh in the camera frame.

They are torn at edges, where the camera did not see what lies behind. Where a network's depth forms
a ramp at an edge, the ramp is seen at an angle below ``Cut.grazing``, so it is torn, too.
"""

import math
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import (
    Bool,
    Field,
    Float32,
    Int32,
    Mask,
    Matrix,
    Pixels,
    Size,
    UInt8,
    Vectors,
)
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera, as_camera
from rilievo.geometry.surfaces.backing import COARSE_STEP, Backing, layer_behind_edges
from rilievo.geometry.surfaces.closing import Cap, pole_caps, sample_closed_lattice
from rilievo.geometry.surfaces.contour import Contoured, smooth_contours
from rilievo.geometry.surfaces.fill import Fill, fill_tears
from rilievo.geometry.surfaces.flat import merge_flat_triangles
from rilievo.geometry.surfaces.floating_pieces import lay_back_pieces
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Triangles,
    Vertices,
    largest_jump,
    sample_lattice,
    sample_range,
    triangle_indices,
    triangulate_cells,
    vertex_normals,
)
from rilievo.geometry.surfaces.patches import mend_lattice, near_neighbours, without_specks
from rilievo.geometry.surfaces.ramps import sharpen_edges

MAX_PIECE_FRACTION = 0.004
"""Usual size of the largest floating piece that is moved back to a surface, over all points."""
_COARSER_FLATNESS = (4, 12)
"""Factors of the flatness with which a mesh is made again, until it has few enough points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointCloud:
    """Points of a surface in the camera frame.

    Attributes:
        points: Positions (x, y, z).
        normals: Unit normals towards the camera.
        colours: Colours of the photograph; None if there is no photograph.
    """

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
        normals: Unit normals of the vertices, towards the camera.
        pixels: Pixel (u, v) of the photograph at each vertex, which gives its colour; beyond the
            width at a panorama's seam.
        triangles: Indices of three vertices, counter-clockwise as the camera sees them.
        colours: Colours of the vertices; None if they are taken from ``pixels``.
        backdrop: Number of triangles, the first ones, that are a backdrop for the sky.
        behind: Number of triangles, the last ones, that fill tears or lie behind edges.
        soft_vertices: Number of vertices, the last ones, that lie behind edges.
        soft_picture: Blurred picture of what lies behind edges, as large as the photograph but at
            a low resolution. It gives the ``soft_vertices`` their colours. None without colours.
    """

    points: Vertices
    normals: Vertices
    pixels: Float32[np.ndarray, "n 2"]
    triangles: Triangles
    colours: UInt8[np.ndarray, "n 3"] | None = None
    backdrop: int = 0
    behind: int = 0
    soft_vertices: int = 0
    soft_picture: Pixels | None = None

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
    """Smallest step between sampled pixels that makes at most ``most`` points.

    Raises:
        OptionError: If fewer than four points are allowed.
    """
    if most < 4:
        raise OptionError(f"a surface needs at least 4 points, got {most}")
    height, width = shape
    step = 1
    while len(sample_range(height, step)) * len(sample_range(width, step)) > most:
        step += 1
    return step


def flying_pixels(
    depth: Field,
    valid: Mask,
    *,
    jump: tuple[float, float] = (0.08, 0.08),
) -> Mask:
    """Find pixels on a ramp, which lie behind one neighbour and before the opposite one.

    Sharp edges and thin objects have none. ``jump`` is the least relative difference of depth from
    each neighbour, down and across.
    """
    max_jump_down, max_jump_across = jump
    flies_down = _is_flying_down(depth, valid, max_jump_down)
    flies_across = _is_flying_down(depth.T, valid.T, max_jump_across).T
    return flies_down | flies_across


def _is_flying_down(depth: Field, valid: Mask, min_jump: float) -> Mask:
    """Whether depth rises, or falls, from the row above to each pixel, and on to the row below."""
    min_ratio = np.float32(1 + min_jump)
    are_both_valid = valid[1:] & valid[:-1]
    with np.errstate(invalid="ignore"):
        rises = are_both_valid & (depth[1:] > depth[:-1] * min_ratio)
        falls = are_both_valid & (depth[:-1] > depth[1:] * min_ratio)
    # The first and the last row have only one neighbour.
    is_flying = np.zeros(depth.shape, bool)
    is_flying[1:-1] = (rises[1:] & rises[:-1]) | (falls[1:] & falls[:-1])
    return is_flying


def _flying_points(
    lattice: Lattice, cut: Cut, jump: tuple[float, float]
) -> Bool[np.ndarray, "a b"]:
    """Flying pixels of a lattice, without those of triangles that a model's normals confirm."""
    is_flying = flying_pixels(lattice.depth, lattice.valid, jump=jump)
    if lattice.normals is not None and is_flying.any():
        is_flying.reshape(-1)[triangle_indices(triangulate_cells(lattice, cut))] = False
    return is_flying


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontCloud:
    """Visible points of a surface, with the data needed to add points behind them later.

    Attributes:
        lattice: The sampled points.
        is_in_cloud: Mask of the sampled points that are in the cloud.
        is_flying: Mask of those that are left out because they float on a ramp between surfaces.
        cut: Limits at which the surface is torn.
        colours: Colours of the sampled points; None if there is no photograph.
    """

    cloud: PointCloud
    lattice: Lattice
    is_in_cloud: Mask
    is_flying: Mask
    cut: Cut
    colours: Pixels | None

    def with_backing(self, reach_fraction: float) -> PointCloud:
        """Add points behind edges, as far as this fraction of the width; none for 0."""
        if not reach_fraction:
            return self.cloud
        lattice = self.lattice
        sharp = sharpen_edges(replace(lattice, valid=self.is_in_cloud | self.is_flying))
        reach = _reach_in_points(reach_fraction, lattice)
        layer = layer_behind_edges(sharp.lattice, reach, sharp.min_edge_step)
        if layer is None:
            return self.cloud
        is_clearly_behind = layer.lattice.depth > lattice.depth * np.float32(1 + self.cut.jump)
        # On ramps, the cloud has no point, so that the layer is always added.
        is_added = np.where(self.is_in_cloud, is_clearly_behind, self.is_flying)
        return _add_backing(self.cloud, layer, layer.is_seen & is_added, self.cut, self.colours)


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
    """Make a point of every ``step``-th pixel that is valid and not on a ramp.

    The arguments are those of ``mesh``; ``colours`` is the photograph.
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
    """Make the visible points of ``point_cloud``; points behind them can be added later.

    Points on ramps and small patches are left out. The arguments are those of ``mesh``.
    """
    cut = cut or Cut()
    lattice = sample_lattice(depth, as_camera(camera), valid, step, normals)
    max_jumps = _largest_jumps(lattice, cut)
    is_flying = _flying_points(lattice, cut, max_jumps)
    without_ramps = replace(lattice, valid=lattice.valid & ~is_flying)
    links = near_neighbours(without_ramps, max_jumps)
    is_in_cloud = without_specks(without_ramps, cut, links).valid
    sampled_colours = None if colours is None else colours[lattice.grid]
    point_normals = lattice.normals
    if point_normals is None:
        point_normals = vertex_normals(triangulate_cells(lattice, cut), lattice)
    cloud = PointCloud(
        points=np.ascontiguousarray(lattice.points[:, is_in_cloud].T),
        normals=np.ascontiguousarray(point_normals[:, is_in_cloud].T),
        colours=None if sampled_colours is None else sampled_colours[is_in_cloud],
    )
    return FrontCloud(
        cloud=cloud,
        lattice=lattice,
        is_in_cloud=is_in_cloud,
        is_flying=is_flying,
        cut=cut,
        colours=sampled_colours,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TornSurface:
    """Surface on a lattice that is torn at edges, before its tears are filled.

    Attributes:
        lattice: Points of the surface, after it was mended.
        faces: Triangles of each cell of the lattice, without those at tears.
        cut: Limits at which it is torn.
        min_edge_step: Least step of 1/depth at an edge; infinite if its tears are not filled.
        is_moved: Mask of the points that have other depth than the photograph.
    """

    lattice: Lattice
    faces: Faces
    cut: Cut
    min_edge_step: float
    is_moved: Mask


def tear_surface(
    depth: Field,
    camera: Camera,
    valid: Mask,
    *,
    hollow: Mask | None,
    normals: Vectors | None,
    step: int,
    cut: Cut,
    pieces: float,
    fills_tears: bool,
) -> TornSurface:
    """Sample every ``step``-th pixel, mend the surface, and tear it at edges.

    Whole panoramas are closed behind the camera. The arguments are those of ``mesh``;
    ``fills_tears`` says that what is torn will be filled. Then nothing is removed as a loose patch,
    blurred edges are made sharp, and surfaces may be seen at any angle.
    """
    if fills_tears:
        cut = cut.for_filled_tears
    sampled = sample_closed_lattice(depth, camera, valid, step, normals, hollow)
    mended = mend_lattice(sampled, cut, remove_specks=not fills_tears)
    lattice = lay_back_pieces(mended, cut, pieces)
    min_edge_step = np.inf
    if fills_tears:
        sharp = sharpen_edges(lattice)
        lattice, min_edge_step = sharp.lattice, sharp.min_edge_step
    return TornSurface(
        lattice=lattice,
        faces=triangulate_cells(lattice, cut, min_edge_step),
        cut=cut,
        min_edge_step=min_edge_step,
        is_moved=lattice.depth != sampled.depth,
    )


def mesh(
    depth: Field,
    camera: Camera | Matrix,
    valid: Mask,
    *,
    hollow: Mask | None = None,
    colours: Pixels | None = None,
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

    Whole panoramas are closed behind the camera and at the poles.

    Args:
        depth: Depth along the rays.
        camera: Camera, or K [px].
        valid: Pixels that have depth.
        hollow: Pixels where no hole is closed.
        colours: Photograph, which gives the parts behind edges soft colours.
        normals: Normals by a model, which also tell steep surfaces from edges.
        step: Step between the pixels that become points.
        cut: Limits at which the surface is torn; ``specks`` removes loose patches and closes holes.
        flatness: Largest relative change of depth in flat parts, which have fewer triangles; 0 to
            keep all triangles.
        most: Number of points above which larger changes count as flat (``_COARSER_FLATNESS``).
        smooth: Whether tears are smooth lines instead of staircases.
        backing: Fraction of the width by which far surfaces continue behind near ones.
        pieces: Largest floating piece that is moved back to a surface [fraction of the points].
    """
    camera = as_camera(camera)
    surface = tear_surface(
        depth,
        camera,
        valid,
        hollow=hollow,
        normals=normals,
        step=step,
        cut=cut or Cut(),
        pieces=pieces,
        fills_tears=bool(backing),
    )
    triangles = _reduce_triangles(surface.lattice, surface.faces, flatness, most)
    vertex_index = _number_vertices(triangles, surface.lattice.valid.shape)
    contoured = Contoured.unmoved(surface.lattice)
    if smooth:
        contoured = smooth_contours(surface.lattice, surface.faces, triangles, surface.cut)
    front = _front_mesh(surface, contoured, triangles, vertex_index)
    if camera.lens.goes_round(depth.shape[1]):
        height = depth.shape[0]
        for cap in pole_caps(contoured.lattice, vertex_index, height=height, cut=surface.cut):
            front = _add_cap(front, cap)
    if not (backing and surface.lattice.valid.any()):
        return front

    fill = fill_tears(
        surface.lattice,
        surface.faces,
        min_edge_step=surface.min_edge_step,
        reach=_reach_in_points(backing, surface.lattice),
        colours=None if colours is None else _sample_colours(colours, surface.lattice),
    )
    return _add_fill(front, fill, surface.lattice, vertex_index.reshape(-1))


def _number_vertices(triangles: Triangles, shape: Size) -> Int32[np.ndarray, "a b"]:
    """Vertex of each point of a lattice, in reading order; -1 for points of no triangle."""
    is_vertex = np.zeros(shape, bool)
    is_vertex.reshape(-1)[triangles] = True
    vertex_index = np.cumsum(is_vertex, dtype=np.int32).reshape(shape) - np.int32(1)
    return np.where(is_vertex, vertex_index, np.int32(-1))


def _front_mesh(
    surface: TornSurface,
    contoured: Contoured,
    triangles: Triangles,
    vertex_index: Int32[np.ndarray, "a b"],
) -> Mesh:
    """Mesh of what the photograph shows.

    Args:
        surface: Surface before its contours were smoothed, which gives the normals.
        contoured: Positions of its points in space and in the lattice.
        triangles: Point indices of the triangles.
        vertex_index: Vertex of each point; -1 for points that are no vertex.
    """
    is_vertex = vertex_index >= 0
    normals = _mesh_normals(surface.faces, surface.lattice, is_moved=surface.is_moved)
    rows, columns = surface.lattice.rows, surface.lattice.columns
    u = columns.start + np.float32(columns.step) * contoured.columns[is_vertex]
    v = rows.start + np.float32(rows.step) * contoured.rows[is_vertex]
    return Mesh(
        points=np.ascontiguousarray(contoured.lattice.points[:, is_vertex].T),
        normals=np.ascontiguousarray(normals[:, is_vertex].T),
        pixels=np.ascontiguousarray(np.array([u, v], np.float32).T),
        triangles=vertex_index.reshape(-1)[triangles],
    )


def _reduce_triangles(
    lattice: Lattice, faces: Faces, flatness: float, max_points: int | None
) -> Triangles:
    """Merge triangles where the surface is flat, more coarsely if too many points remain."""
    if not flatness:
        return triangle_indices(faces)
    triangles = _triangles_with_flat_merged(lattice, faces, flatness)
    for factor in _COARSER_FLATNESS:
        if max_points is None or len(np.unique(triangles)) <= max_points:
            break
        triangles = _triangles_with_flat_merged(lattice, faces, factor * flatness)
    return triangles


def _triangles_with_flat_merged(lattice: Lattice, faces: Faces, flatness: float) -> Triangles:
    merged = merge_flat_triangles(lattice, faces, flatness)
    return np.concatenate([triangle_indices(faces, merged.cells), merged.triangles])


def _add_cap(front: Mesh, cap: Cap) -> Mesh:
    """Close a pole with one vertex, at the mean |y| of the ring around it."""
    height = np.abs(front.points[cap.ring, 1]).mean()
    pole = np.array([[0, cap.side * height, 0]], np.float32)
    normal = np.array([[0, -cap.side, 0]], np.float32)
    pixel = np.array([[front.pixels[cap.ring, 0].mean(), cap.row]], np.float32)
    return Mesh(
        points=np.concatenate([front.points, pole]),
        normals=np.concatenate([front.normals, normal]),
        pixels=np.concatenate([front.pixels, pixel]),
        triangles=np.concatenate([front.triangles, cap.triangles(len(front.points))]),
    )


def _mesh_normals(
    faces: Faces, lattice: Lattice, *, is_moved: Bool[np.ndarray, "a b"]
) -> Float32[np.ndarray, "3 a b"]:
    """Normals by the model, or by the triangles without a model and where depth was changed."""
    model_normals = lattice.normals
    if model_normals is None:
        return vertex_normals(faces, lattice)
    if not (is_moved & lattice.valid).any():
        return model_normals
    return np.where(is_moved, vertex_normals(faces, lattice), model_normals)


def _largest_jumps(lattice: Lattice, cut: Cut) -> tuple[float, float]:
    """Largest relative steps of depth on a surface, down and across."""
    camera, step = lattice.camera, lattice.rows.step
    return largest_jump(camera.focal_y / step, cut), largest_jump(camera.focal / step, cut)


def _sample_colours(photo: Pixels, lattice: Lattice) -> Pixels:
    """Colours of the points of a lattice, whose columns may go round a panorama."""
    rows, columns = np.asarray(lattice.rows), np.asarray(lattice.columns)
    return photo[np.ix_(rows, columns % photo.shape[1])]


def _reach_in_points(fraction: float, lattice: Lattice) -> int:
    """Fraction of the width, in points of a lattice."""
    return math.ceil(fraction * lattice.valid.shape[1])


def _add_backing(
    front: PointCloud, layer: Backing, is_added: Mask, cut: Cut, colours: Pixels | None
) -> PointCloud:
    """Add points that lie behind edges to a point cloud.

    Args:
        front: Point cloud of what the photograph shows.
        layer: Layer that continues far surfaces behind near ones.
        is_added: Mask of the points of ``layer`` that are added.
        cut: Where the triangles end from which the normals of ``layer`` are computed.
        colours: Photograph with a pixel for each point of ``layer``; None without a photograph.
    """
    layer_normals = vertex_normals(triangulate_cells(layer.lattice, cut), layer.lattice)
    joined_colours = None
    if front.colours is not None and colours is not None:
        soft_picture = layer.soft_picture(colours)
        rows, columns = np.nonzero(is_added)
        soft_colours = soft_picture[rows // COARSE_STEP, columns // COARSE_STEP]
        joined_colours = np.concatenate([front.colours, soft_colours])
    return PointCloud(
        points=np.concatenate([front.points, layer.lattice.points[:, is_added].T]),
        normals=np.concatenate([front.normals, layer_normals[:, is_added].T]),
        colours=joined_colours,
    )


def _add_fill(
    front: Mesh, fill: Fill, lattice: Lattice, vertex_index: Int32[np.ndarray, "n"]
) -> Mesh:
    """Add the triangles of a fill to a mesh.

    The new vertices come after those of the mesh: first the corners of triangles in tears, unless
    they are vertices of the surface already, and then all corners behind edges, which have soft
    colours.

    ``vertex_index`` is the vertex of each point of the lattice; -1 for points that are no vertex.
    """
    tears, behind = fill.tears, fill.behind
    surface_vertex = vertex_index[tears.indices]
    is_new = surface_vertex < 0
    new_vertex = len(front.points) + np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    vertex_of_tear_corner = np.where(is_new, new_vertex, surface_vertex)
    first_soft_vertex = np.int32(len(front.points) + is_new.sum())
    triangles_in_tears = vertex_of_tear_corner[tears.triangles]
    triangles_behind = first_soft_vertex + behind.triangles

    new_indices = np.concatenate([tears.indices[is_new], behind.indices])
    row, column = np.divmod(new_indices, lattice.valid.shape[1])
    u = lattice.columns.start + lattice.columns.step * column
    v = lattice.rows.start + lattice.rows.step * row
    new_pixels = np.stack([u, v], axis=1).astype(np.float32)
    return Mesh(
        points=np.concatenate([front.points, tears.points[is_new], behind.points]),
        normals=np.concatenate([front.normals, tears.normals[is_new], behind.normals]),
        pixels=np.concatenate([front.pixels, new_pixels]),
        triangles=np.concatenate([front.triangles, triangles_in_tears, triangles_behind]),
        behind=len(triangles_in_tears) + len(triangles_behind),
        soft_vertices=len(behind.points),
        soft_picture=fill.soft_picture,
    )
