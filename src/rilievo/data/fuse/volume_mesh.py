"""Triangle mesh of a volume."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float32, Int32
from rilievo.data.fuse.volume import BLOCK_SIDE, TRUNCATION, Volume
from rilievo.errors import InputError, explain_missing_extra
from rilievo.errors.messages import OptionName, Text
from rilievo.io.outputs.formats.gltf import TriangleMesh

_PIECE_BLOCKS = 8
"""Blocks along a side of the cubes whose surfaces are extracted one after the other."""
_MAX_GRADIENT = 3.5
"""Change of the distance across a cell, in units of that of a flat surface (√3 voxels over the
truncation). Cells that change more lie at the border of what was seen, and have no surface."""
_STEPS_PER_VOXEL = 1 << 8
"""Points that round to the same step of a voxel are one point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Part of a mesh: points [voxels], their colours (0 to 255), and point indices of triangles."""

    points: Float32[np.ndarray, "n 3"]
    colours: Float32[np.ndarray, "n 3"]
    triangles: Int32[np.ndarray, "m 3"]


def extract_mesh(volume: Volume, *, max_speck_fraction: float = 0.0) -> TriangleMesh:
    """Extract the surface by marching cubes.

    Connected patches of up to ``max_speck_fraction`` of all triangles are left out.

    Raises:
        InputError: If no surface is left.
    """
    mesh = _join_pieces(list(_extract_pieces(volume)))
    triangles = _remove_specks(mesh.triangles, len(mesh.points), max_speck_fraction)
    if not len(triangles):
        raise InputError(
            "there is no surface to write, because the depth does not form a surface within range",
            hint=Text(
                "check the poses and the camera, use smaller voxels (",
                OptionName("voxel"),
                ") or keep more distant depth (",
                OptionName("farthest"),
                ")",
            ),
        )

    # Points that no triangle uses any more are left out, and the others renumbered.
    used_points = np.unique(triangles)
    new_index = np.zeros(len(mesh.points), np.int32)
    new_index[used_points] = np.arange(len(used_points), dtype=np.int32)
    triangles = new_index[triangles]
    points = (mesh.points[used_points] * np.float32(volume.voxel)).astype(np.float32)
    return TriangleMesh(
        points=points,
        normals=_vertex_normals(points, triangles),
        colours=np.rint(mesh.colours[used_points]).clip(0, 255).astype(np.uint8),
        triangles=triangles,
    )


def _extract_pieces(volume: Volume) -> Iterator[_Piece]:
    """Extract cube by cube, so that only one cube of voxels is laid out at a time."""
    # A cell between two blocks belongs to the cube of the first.
    offsets = np.array(list(itertools.product((0, -1), repeat=3)), np.int32)
    blocks = volume.positions[:, None, :] + offsets
    cubes = np.unique(np.floor_divide(blocks.reshape(-1, 3), _PIECE_BLOCKS), axis=0)
    for cube in cubes:
        piece = _extract_piece(volume, cube * _PIECE_BLOCKS)
        if piece is not None:
            yield piece


def _extract_piece(volume: Volume, first_block: Int32[np.ndarray, "3"]) -> _Piece | None:
    """Extract the surface in the cube that begins at a block; None if there is no surface."""
    with explain_missing_extra("fusing a surface", "fuse"):
        from skimage.measure import marching_cubes
    distances, colours = _lay_out_cube(volume, first_block)
    cells = _cells_with_surface(distances)
    if not cells.any():
        return None
    # Marching cubes need finite numbers, also in the cells that the mask excludes.
    filled = np.where(np.isfinite(distances), distances, np.float32(1))
    points, triangles, _, _ = marching_cubes(filled, 0.0, mask=cells, gradient_direction="descent")
    # Points count from the centre of the first voxel.
    first_centre = first_block * BLOCK_SIDE + np.float32(0.5)
    return _Piece(
        points=(points + first_centre).astype(np.float32),
        colours=_interpolate_on_edges(colours, points),
        triangles=triangles.astype(np.int32),
    )


def _lay_out_cube(
    volume: Volume, first_block: Int32[np.ndarray, "3"]
) -> tuple[Float32[np.ndarray, "n n n"], Float32[np.ndarray, "n n n 3"]]:
    """Copy the blocks of a cube into one array of distances and one of colours, by x, y and z.

    The arrays have one more voxel at the end of each axis, the first of the next cube, so that the
    surface between the cubes is found. Distances are NaN, and colours 0, where nothing was seen.
    """
    side = _PIECE_BLOCKS * BLOCK_SIDE + 1
    distances = np.full((side,) * 3, np.nan, np.float32)
    colours = np.zeros((side, side, side, 3), np.float32)
    for step in itertools.product(range(_PIECE_BLOCKS + 1), repeat=3):
        x, y, z = (first_block + np.array(step)).tolist()
        block = volume.find_block((x, y, z))
        if block is None:
            continue
        # Where the block lies in the cube; of a block of the next cube, only one voxel fits.
        starts = [BLOCK_SIDE * block_index for block_index in step]
        ends = [min(start + BLOCK_SIDE, side) for start in starts]
        in_cube = tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))
        in_block = tuple(slice(end - start) for start, end in zip(starts, ends, strict=True))
        distances[in_cube] = volume.distances(block)[in_block]
        colours[in_cube] = volume.colours(block)[in_block]
    return distances, colours


def _cells_with_surface(distances: Float32[np.ndarray, "n n n"]) -> Bool[np.ndarray, "n n n"]:
    """Mask of the cells that a surface crosses. A cell has the index of its last corner."""
    # The lowest and highest of a cell's eight corners, by pairs along one axis after the other.
    lowest = highest = distances
    for axis in range(3):
        lower_corners = [slice(None)] * 3
        upper_corners = [slice(None)] * 3
        lower_corners[axis] = slice(None, -1)
        upper_corners[axis] = slice(1, None)
        lowest = np.minimum(lowest[tuple(lower_corners)], lowest[tuple(upper_corners)])
        highest = np.maximum(highest[tuple(lower_corners)], highest[tuple(upper_corners)])
    max_change = _MAX_GRADIENT * np.sqrt(3) / TRUNCATION
    cells = np.zeros(distances.shape, bool)
    with np.errstate(invalid="ignore"):
        is_crossed = (lowest <= 0) & (highest >= 0)
        cells[1:, 1:, 1:] = is_crossed & (highest - lowest < max_change)
    return cells


def _interpolate_on_edges(
    values: Float32[np.ndarray, "n n n 3"], points: Float32[np.ndarray, "m 3"]
) -> Float32[np.ndarray, "m 3"]:
    """Interpolate values at points, each of which lies on an edge between two voxels."""
    below = np.floor(points).astype(np.int64)
    above = np.ceil(points).astype(np.int64)
    fraction = (points - below).sum(axis=1, keepdims=True).astype(np.float32)
    return (1 - fraction) * values[tuple(below.T)] + fraction * values[tuple(above.T)]


def _join_pieces(pieces: list[_Piece]) -> _Piece:
    """Join pieces, and merge points that lie at the same place."""
    if not pieces:
        empty = np.zeros((0, 3), np.float32)
        return _Piece(points=empty, colours=empty, triangles=np.zeros((0, 3), np.int32))
    first_point_indices = np.cumsum([0, *(len(piece.points) for piece in pieces[:-1])])
    points = np.concatenate([piece.points for piece in pieces])
    colours = np.concatenate([piece.colours for piece in pieces])
    triangles = np.concatenate(
        [piece.triangles + first for piece, first in zip(pieces, first_point_indices, strict=True)]
    )
    rounded = np.rint(points.astype(np.float64) * _STEPS_PER_VOXEL).astype(np.int64)
    _, kept_points, new_index = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    triangles = new_index.reshape(-1)[triangles].astype(np.int32)
    # Triangles whose points were merged have no area.
    a, b, c = triangles.T
    has_distinct_points = (a != b) & (b != c) & (c != a)
    return _Piece(
        points=points[kept_points],
        colours=colours[kept_points],
        triangles=triangles[has_distinct_points],
    )


def _remove_specks(
    triangles: Int32[np.ndarray, "m 3"], point_count: int, max_speck_fraction: float
) -> Int32[np.ndarray, "k 3"]:
    """Remove connected patches of up to a fraction of all triangles."""
    if not max_speck_fraction or not len(triangles):
        return triangles
    with explain_missing_extra("fusing a surface", "fuse"):
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components
    # Two edges of a triangle connect its three points.
    a, b, c = triangles.T
    starts, ends = np.concatenate([a, b]), np.concatenate([b, c])
    shape = (point_count, point_count)
    edges = coo_matrix((np.ones(len(starts), bool), (starts, ends)), shape=shape)
    _, patch_of_point = connected_components(edges, directed=False)
    patch_of_triangle = np.asarray(patch_of_point, np.int64)[a]
    patch_size = np.bincount(patch_of_triangle)[patch_of_triangle]
    return triangles[patch_size > max_speck_fraction * len(triangles)]


def _vertex_normals(
    points: Float32[np.ndarray, "n 3"], triangles: Int32[np.ndarray, "m 3"]
) -> Float32[np.ndarray, "n 3"]:
    """Area-weighted unit normals of the points."""
    a, b, c = (points[triangles[:, corner]].astype(np.float64) for corner in range(3))
    triangle_normals = np.cross(b - a, c - a)
    total = np.zeros((len(points), 3))  # the length of a cross product is twice the area
    for axis in range(3):
        for corner in range(3):
            total[:, axis] += np.bincount(
                triangles[:, corner], triangle_normals[:, axis], minlength=len(points)
            )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-30)).astype(np.float32)
