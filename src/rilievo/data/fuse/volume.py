"""Truncated signed distance in sparse blocks of voxels (Curless and Levoy, 1996).

Distance in [-1, 1] is along the optical axis (Newcombe et al., 2011). Voxels far behind a surface
learn nothing; those in front are empty. Marching cubes (Lewiner et al., 2003) make meshes.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int32, Int64, Matrix, Transform
from rilievo.data.fuse.clip_views import ClipView
from rilievo.errors import InputError, needing
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import invert, transform, transform_points
from rilievo.io.outputs.formats.gltf import TriangleMesh

SIDE = 8  # voxels along a block
VOXELS = SIDE**3
VOXEL_BYTES = 14  # distance and weight in 32 bits, three colours in 16
TRUNCATION = 4.0  # voxels
_AT_ONCE = 512
_FIRST = 256
_REACH = 1 << 20


class Volume:
    """Signed distances and colours, fused view by view; ``voxel`` is in the unit of the poses."""

    def __init__(self, voxel: float, *, most_bytes: int = 1 << 30) -> None:
        self.voxel, self._most_bytes = voxel, most_bytes
        self._most_blocks = most_bytes // (VOXELS * VOXEL_BYTES)
        self._slots: dict[int, int] = {}
        self._places = np.zeros((0, 3), np.int32)
        self._distance = np.zeros((0, VOXELS), np.float32)
        self._weight = np.zeros((0, VOXELS), np.float32)
        self._colour = np.zeros((0, VOXELS, 3), np.float16)
        self._enlarge_arrays(min(_FIRST, self._most_blocks))
        steps = np.arange(SIDE, dtype=np.float32) + np.float32(0.5)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
        self._offsets = grid.reshape(-1, 3) * np.float32(voxel)

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return len(self._slots)

    @property
    def nbytes(self) -> int:
        """Bytes of voxels."""
        return sum(array.nbytes for array in (self._distance, self._weight, self._colour))

    @property
    def places(self) -> Int32[np.ndarray, "n 3"]:
        """Position of each block, in blocks."""
        return self._places[: self.block_count]

    def block(self, place: tuple[int, int, int]) -> int | None:
        """Number of a block, if it exists."""
        return self._slots.get(int(_keys_of_blocks(np.array([place], np.int32))[0]))

    def distance_of(self, block: int) -> Float32[np.ndarray, "8 8 8"]:
        """Distances, NaN where unseen."""
        valid = self._weight[block] > 0
        values = np.where(valid, self._distance[block], np.float32(np.nan))
        return values.reshape(SIDE, SIDE, SIDE)

    def colour_of(self, block: int) -> Float32[np.ndarray, "8 8 8 3"]:
        """Colours, 0 to 255."""
        return self._colour[block].astype(np.float32).reshape(SIDE, SIDE, SIDE, 3)

    def add(self, view: ClipView, weights: Field | None = None) -> None:
        """Fuse one view with depth and pose in the unit of voxels.

        Raises:
            InputError: If memory is not enough.
        """
        if not view.valid.any():
            return
        self._allocate_blocks(self._blocks_near_surface(view))
        block_numbers = self._numbers_of_blocks_in_view(view)
        for first in range(0, len(block_numbers), _AT_ONCE):
            self._update_voxels(block_numbers[first : first + _AT_ONCE], view, weights)

    def _blocks_near_surface(self, view: ClipView) -> Int32[np.ndarray, "m 3"]:
        """Positions of blocks within the truncation of depth."""
        depth = np.where(view.valid, view.depth, np.float32(1)).astype(np.float64)
        reach = TRUNCATION * self.voxel
        side = SIDE * self.voxel
        rays = transform(view.world_T_cam, unproject(np.ones_like(depth), view.K))
        origin = view.world_T_cam[:3, 3]
        directions = rays.reshape(3, -1).T[view.valid.ravel()] - origin
        near, far = (depth - reach)[view.valid], (depth + reach)[view.valid]
        # The longest way between samples is half a block, along the slantest ray.
        longest = float(2 * reach * np.linalg.norm(directions, axis=1).max())
        steps = max(2, math.ceil(2 * longest / side) + 1)
        positions = np.zeros((0, 3), np.int32)
        for share in np.linspace(0, 1, steps):
            z = near + share * (far - near)
            places = np.floor((origin + directions * z[:, None]) / side)
            if np.abs(places).max() >= _REACH:
                raise InputError(
                    f"{view.name}: its surface is {np.abs(places).max() * side:g} from the origin, "
                    f"too far for voxels of {self.voxel:g}"
                )
            positions = np.concatenate([positions, _distinct_rows(places.astype(np.int32))])
        return _distinct_rows(positions)

    def _allocate_blocks(self, places: Int32[np.ndarray, "m 3"]) -> None:
        """Add blocks that are missing; refuse too many."""
        keys = _keys_of_blocks(places).tolist()
        new = [index for index, key in enumerate(keys) if key not in self._slots]
        needed = self.block_count + len(new)
        if needed > self._most_blocks:
            raise InputError(
                problem=Text(
                    f"the surface needs more than {self._most_bytes / 1e6:.0f} MB "
                    f"at voxels of {self.voxel:g}: take larger voxels (",
                    OptionName("voxel"),
                    ") or leave far depth out (",
                    OptionName("farthest"),
                    ")",
                )
            )
        if needed > len(self._places):
            self._enlarge_arrays(min(self._most_blocks, max(needed, 3 * len(self._places) // 2)))
        for index in new:
            slot = len(self._slots)
            self._slots[keys[index]] = slot
            self._places[slot] = places[index]

    def _enlarge_arrays(self, blocks: int) -> None:
        more = blocks - len(self._places)
        self._places = np.concatenate([self._places, np.zeros((more, 3), np.int32)])
        self._distance = np.concatenate([self._distance, np.zeros((more, VOXELS), np.float32)])
        self._weight = np.concatenate([self._weight, np.zeros((more, VOXELS), np.float32)])
        self._colour = np.concatenate([self._colour, np.zeros((more, VOXELS, 3), np.float16)])

    def _numbers_of_blocks_in_view(self, view: ClipView) -> Int64[np.ndarray, "m"]:
        side = SIDE * self.voxel
        radius = math.sqrt(3) / 2 * side
        centres = (self.places.astype(np.float64) + 0.5) * side
        x, y, z = transform_points(invert(view.world_T_cam), centres.T)
        height, width = view.depth.shape
        farthest = float(view.depth[view.valid].max())
        visible = (z > -radius) & (z < farthest + TRUNCATION * self.voxel + radius)
        # A block is in the view if its centre is nearer than its radius to the frustum's sides.
        for axis, focal, centre, size in (
            (x, view.K[0, 0], view.K[0, 2], width),
            (y, view.K[1, 1], view.K[1, 2], height),
        ):
            low, high = (-0.5 - centre) / focal, (size - 0.5 - centre) / focal
            visible &= axis - low * z > -radius * math.hypot(1, low)
            visible &= high * z - axis > -radius * math.hypot(1, high)
        return np.flatnonzero(visible)

    def _update_voxels(
        self,
        blocks: Int64[np.ndarray, "m"],
        view: ClipView,
        weights: Field | None,
    ) -> None:
        cam_T_world = invert(view.world_T_cam)
        R, t = cam_T_world[:3, :3], cam_T_world[:3, 3]
        corners = self._places[blocks] * (SIDE * self.voxel)
        corners = (corners @ R.T + t).astype(np.float32)
        points = corners[:, None, :] + (self._offsets @ R.T.astype(np.float32))[None]
        pixel, inside = _flat_pixels_and_inside(points, view)
        depth = view.depth.ravel()[pixel]
        reach = np.float32(TRUNCATION * self.voxel)
        ahead = depth - points[..., 2]
        inside &= view.valid.ravel()[pixel] & (ahead > -reach)
        row, voxel = np.nonzero(inside)
        slot, pixel = blocks[row], pixel[row, voxel]
        value = np.minimum(ahead[row, voxel] / reach, np.float32(1))
        gained = np.float32(1) if weights is None else weights.ravel()[pixel]
        before = self._weight[slot, voxel]
        after = before + gained
        share = gained / np.maximum(after, np.float32(1e-12))
        self._weight[slot, voxel] = after
        self._distance[slot, voxel] += share * (value - self._distance[slot, voxel])
        # Empty space has the colour of what is seen through it, which nobody asks for.
        near = np.abs(value) < 1
        slot, voxel, share = slot[near], voxel[near], np.broadcast_to(share, near.shape)[near]
        old = self._colour[slot, voxel].astype(np.float32)
        new = view.pixels.reshape(-1, 3)[pixel[near]].astype(np.float32)
        # Views that saw empty space here gave weight but no colour.
        share = np.where(old.any(axis=1), share, np.float32(1))
        self._colour[slot, voxel] = old + share[:, None] * (new - old)


def _flat_pixels_and_inside(
    points: Float32[np.ndarray, "m k 3"], view: ClipView
) -> tuple[Int64[np.ndarray, "m k"], Bool[np.ndarray, "m k"]]:
    height, width = view.depth.shape
    K = view.K.astype(np.float32)
    z = np.maximum(points[..., 2], np.float32(1e-6))
    u = np.rint(points[..., 0] / z * K[0, 0] + K[0, 2])
    v = np.rint(points[..., 1] / z * K[1, 1] + K[1, 2])
    inside = (points[..., 2] > 1e-6) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    number = np.where(inside, v * width + u, 0).astype(np.int64)
    return number, inside


def _keys_of_blocks(places: Int32[np.ndarray, "n 3"]) -> Int64[np.ndarray, "n"]:
    x, y, z = (places.astype(np.int64) + _REACH).T
    return (x << 42) | (y << 21) | z


def _distinct_rows(places: Int32[np.ndarray, "n 3"]) -> Int32[np.ndarray, "m 3"]:
    _, first = np.unique(_keys_of_blocks(places), return_index=True)
    return places[first]


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


_VOXELS_DEEP = 128
_FARTHEST = 3.0
_SPECKS = 2e-4
_GROWTH = 1.5
_SNAP = 0.96  # cosine to a world axis (16 degrees)


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedSurface:
    """Mesh in the world of the poses, and its origin."""

    mesh: TriangleMesh
    voxel: float
    blocks: int
    nbytes: int
    notes: tuple[str, ...] = ()


def fuse_views(
    views: Sequence[ClipView],
    *,
    voxel: float | None = None,
    farthest: float | None = None,
    most_bytes: int = 1 << 30,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FusedSurface:
    """Fuse views with depth in the unit of their poses.

    By default a voxel is 1/128 of the median depth and ``farthest`` three times that.

    Raises:
        InputError: If no surface is left, or memory is not enough.
    """
    valid_depths = [view.depth[view.valid] for view in views if view.valid.any()]
    if not valid_depths:
        raise InputError("no surface is left: no two frames agree on one, or none has valid depth")
    median = float(np.median([np.median(depths) for depths in valid_depths]))
    limit = _FARTHEST * median if farthest is None else farthest
    near = [replace(view, valid=view.valid & (view.depth <= limit)) for view in views]
    side, notes = median / _VOXELS_DEEP if voxel is None else voxel, []
    while True:
        try:
            volume = _add_views(near, Volume(side, most_bytes=most_bytes), report)
            break
        except InputError:
            if voxel is not None or side > median / 4:
                raise
            side *= _GROWTH
    if voxel is None and side > median / _VOXELS_DEEP:
        notes.append(
            Note(
                Text(
                    f"voxels are {side:.3g} wide, not {median / _VOXELS_DEEP:.3g}, to fit "
                    f"into {most_bytes / 1e6:.0f} MB: leave far depth out (",
                    OptionName("farthest"),
                    "), or give ",
                    OptionName("voxel"),
                )
            )
        )
    return FusedSurface(
        mesh=extract_mesh(volume, specks=_SPECKS),
        voxel=side,
        blocks=volume.block_count,
        nbytes=volume.nbytes,
        notes=tuple(notes),
    )


def _add_views(
    views: Sequence[ClipView], volume: Volume, report: Callable[[int, int], None]
) -> Volume:
    for index, view in enumerate(views):
        volume.add(view, _weights_by_depth(view))
        report(index + 1, len(views))
    return volume


def _weights_by_depth(view: ClipView) -> Field:
    """Squared ratio of median to depth, 0.1 to 10."""
    median = np.float32(np.median(view.depth[view.valid])) if view.valid.any() else np.float32(1)
    depth = np.maximum(view.depth, np.float32(1e-3) * median)
    return np.clip(np.square(median / depth), np.float32(0.1), np.float32(10))


def gltf_R_world(poses: Sequence[Transform]) -> Matrix:
    """Rotation to glTF's axes: y up, the first camera along -z.

    Up is the mean of cameras, or a world axis near it.
    """
    up = -np.mean([pose[:3, 1] for pose in poses], axis=0)
    if np.linalg.norm(up) < 1e-3:
        up = -poses[0][:3, 1]
    up = up / np.linalg.norm(up)
    axis = int(np.abs(up).argmax())
    if abs(up[axis]) > _SNAP:
        up = np.eye(3)[axis] * np.sign(up[axis])
    forward = poses[0][:3, 2] - up * float(up @ poses[0][:3, 2])
    if np.linalg.norm(forward) < 1e-3:
        forward = poses[0][:3, 1] - up * float(up @ poses[0][:3, 1])
    back = -forward / np.linalg.norm(forward)
    return np.stack([np.cross(up, back), up, back])
