"""Triangle mesh of a volume."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float32, Int32
from rilievo.data.fuse.volume import SIDE, TRUNCATION, Volume
from rilievo.errors import InputError, needing
from rilievo.io.outputs.formats.gltf import TriangleMesh

_PART = 8
_STEEPEST = 3.5  # change of distance in a cell without a border
_SAME = 1 << 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    points: Float32[np.ndarray, "n 3"]
    colours: Float32[np.ndarray, "n 3"]
    triangles: Int32[np.ndarray, "m 3"]


def extract_mesh(volume: Volume, *, specks: float = 0.0) -> TriangleMesh:
    """Extract the surface, without patches of up to a share ``specks``.

    Raises:
        InputError: If no surface is left.
    """
    joined = _join_pieces(list(_extract_pieces(volume)))
    triangles = _without_specks(joined.triangles, len(joined.points), specks)
    if not len(triangles):
        raise InputError("no surface is left: no two views agree on one, or none has valid depth")
    used = np.unique(triangles)
    number = np.zeros(len(joined.points), np.int32)
    number[used] = np.arange(len(used), dtype=np.int32)
    triangles = number[triangles]
    points = (joined.points[used] * np.float32(volume.voxel)).astype(np.float32)
    return TriangleMesh(
        points=points,
        normals=_vertex_normals(points, triangles),
        colours=np.rint(joined.colours[used]).clip(0, 255).astype(np.uint8),
        triangles=triangles,
    )


def _extract_pieces(volume: Volume) -> Iterator[_Piece]:
    corners = np.array(list(itertools.product((0, -1), repeat=3)), np.int32)
    places = volume.places[:, None, :] + corners
    parts = np.unique(np.floor_divide(places.reshape(-1, 3), _PART), axis=0)
    for part in parts:
        piece = _extract_piece(volume, part * _PART)
        if piece is not None:
            yield piece


def _extract_piece(volume: Volume, first: Int32[np.ndarray, "3"]) -> _Piece | None:
    with needing("fusing a surface", "fuse"):
        from skimage.measure import marching_cubes
    side = _PART * SIDE + 1
    distance = np.full((side,) * 3, np.nan, np.float32)
    colours = np.zeros((side, side, side, 3), np.float32)
    for step in itertools.product(range(_PART + 1), repeat=3):
        place = first + np.array(step)
        block = volume.block((int(place[0]), int(place[1]), int(place[2])))
        if block is None:
            continue
        here = tuple(slice(SIDE * k, min(SIDE * (k + 1), side)) for k in step)
        cut = tuple(slice(0, part.stop - part.start) for part in here)
        distance[here] = volume.distance_of(block)[cut]
        colours[here] = volume.colour_of(block)[cut]
    cells = _cells_with_surface(distance)
    if not cells.any():
        return None
    values = np.where(np.isfinite(distance), distance, np.float32(1))
    points, triangles, _, _ = marching_cubes(values, 0.0, mask=cells, gradient_direction="descent")
    return _Piece(
        # Values are those of the voxels' centres.
        points=(points + (first * SIDE + np.float32(0.5))).astype(np.float32),
        colours=_values_on_edges(colours, points),
        triangles=triangles.astype(np.int32),
    )


def _cells_with_surface(distance: Float32[np.ndarray, "n n n"]) -> Bool[np.ndarray, "n n n"]:
    low = high = distance
    for axis in range(3):
        one, other = (
            tuple(slice(part, part - 1 or None) if k == axis else slice(None) for k in range(3))
            for part in (0, 1)
        )
        low = np.minimum(low[one], low[other])
        high = np.maximum(high[one], high[other])
    steepest = _STEEPEST * np.sqrt(3) / TRUNCATION
    cells = np.zeros(distance.shape, bool)
    with np.errstate(invalid="ignore"):
        cells[1:, 1:, 1:] = (low <= 0) & (high >= 0) & (high - low < steepest)
    return cells


def _values_on_edges(
    field: Float32[np.ndarray, "n n n 3"], points: Float32[np.ndarray, "m 3"]
) -> Float32[np.ndarray, "m 3"]:
    below = np.floor(points).astype(np.int64)
    above = np.ceil(points).astype(np.int64)
    share = (points - below).sum(axis=1, keepdims=True).astype(np.float32)
    return (1 - share) * field[tuple(below.T)] + share * field[tuple(above.T)]


def _join_pieces(pieces: list[_Piece]) -> _Piece:
    """Join pieces; equal points become one."""
    if not pieces:
        empty = np.zeros((0, 3), np.float32)
        return _Piece(points=empty, colours=empty, triangles=np.zeros((0, 3), np.int32))
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces[:-1])])
    points = np.concatenate([piece.points for piece in pieces])
    triangles = np.concatenate(
        [piece.triangles + start for piece, start in zip(pieces, starts, strict=True)]
    )
    grid = np.rint(points.astype(np.float64) * _SAME).astype(np.int64)
    _, first, number = np.unique(grid, axis=0, return_index=True, return_inverse=True)
    triangles = number.reshape(-1)[triangles].astype(np.int32)
    a, b, c = triangles.T
    return _Piece(
        points=points[first],
        colours=np.concatenate([piece.colours for piece in pieces])[first],
        triangles=triangles[(a != b) & (b != c) & (c != a)],
    )


def _without_specks(
    triangles: Int32[np.ndarray, "m 3"], points: int, share: float
) -> Int32[np.ndarray, "k 3"]:
    if not share or not len(triangles):
        return triangles
    with needing("fusing a surface", "fuse"):
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components
    a, b, c = triangles.T
    ends = np.concatenate([a, b]), np.concatenate([b, c])
    edges = coo_matrix((np.ones(len(ends[0]), bool), ends), shape=(points, points))
    _, patch = connected_components(edges, directed=False)
    of_triangle = np.asarray(patch, np.int64)[a]
    return triangles[np.bincount(of_triangle)[of_triangle] > share * len(triangles)]


def _vertex_normals(
    points: Float32[np.ndarray, "n 3"], triangles: Int32[np.ndarray, "m 3"]
) -> Float32[np.ndarray, "n 3"]:
    a, b, c = (points[triangles[:, k]].astype(np.float64) for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.stack(
        [
            sum(
                np.bincount(triangles[:, k], across[:, axis], minlength=len(points))
                for k in range(3)
            )
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-30)).astype(np.float32)
